/*
 * call_embed: what a batch of embeddings needs of the calls that it is made of.
 *
 *   ownership  spans and texts borrow from the call.
 *   threads    one event loop.
 */
#ifndef SCHEDULER_CALL_EMBED_H
#define SCHEDULER_CALL_EMBED_H

#include "common/json_edit.h"
#include "scheduler/call.h"

/* A call in place of one, or of several like it: then the header lines that belong to one request
 * alone (ids, traces) are left out. Body and wait are the caller's to set. */
struct call_likeness {
    struct call_spec spec;
    struct http_header headers[HTTP_MAX_HEADERS];
};
void call_liken(const struct call *c, bool alone, struct call_likeness *ret);

/* What two calls must have the same to go together, but for their bodies: secrets among it. */
void call_add_common(const struct call *c, struct buf *out);

struct scheduler *call_scheduler(const struct call *c);
int64_t call_patience_ms(const struct call *c); /* of its wait in the queue, at least 1 */

/* The batch's call pays from now on, and sets aside what it foresees. */
void call_hand_over(struct call *c);
/* Of a batch's call, before it is sent: takes inputs out of its body. -ENOMEM: it is as it was. */
int call_cut_inputs(struct call *c, json_cut_fn cut, void *arg) MUST_CHECK;

#endif
