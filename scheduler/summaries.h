/*
 * summaries: old turns of conversations, summed up by a model, for the strategy `summarize`.
 *
 * A summary is made by a call of its own through this same scheduler (class batch, on behalf of
 * the tenant who needs it), once for all who need the same one, and kept by the digest of what it
 * sums up: in memory for the next request, and in Redis for other instances. A call that fails
 * makes nothing; those who wait are told, and do without.
 *
 *   ownership  opaque; a wait is the caller's (embedded).
 *   threads    one event loop.
 */
#ifndef SCHEDULER_SUMMARIES_H
#define SCHEDULER_SUMMARIES_H

#include "common/digest.h"
#include "scheduler/prompt/trim.h"
#include "scheduler/scheduler.h"
#include "storage/summary_store.h"

struct summaries;

struct summaries *summaries_new(struct scheduler *s, struct summary_store *store);
/* Its calls are cancelled, and nobody is told. Before the pools end. */
void summaries_stop(struct summaries *s);
void summaries_free(struct summaries *s); /* when the store has answered all; accepts NULL */

/* What is to be summed up. */
struct summary_order {
    char digest[DIGEST_HEX_BYTES];
    char tenant[TENANT_NAME_BYTES + 1];
    int64_t weight;
    const char *caller_key; /* for a provider without a key of its own; NULL none. Borrowed */
    struct buf text;        /* the turns, as plain text; empty until summary_order_fill() */
};

/* Sets digest, tenant and an empty text. model: that sums up. */
void summary_order_init(struct summary_order *o, const char *tenant, const char *model,
                        const struct trim_summary_ask *ask);
/* The turns as a text, results of tools shortened. 0 or what buf_add() gives. */
int summary_order_fill(struct summary_order *o, const struct trim_summary_ask *ask) MUST_CHECK;
void summary_order_release(struct summary_order *o);

/* Appends the summary when it is in memory. */
bool summaries_find(struct summaries *s, const struct summary_order *o, struct buf *out);

struct summary_wait {
    struct list link;
    void (*fn)(void *arg, int64_t spent); /* tokens that its making took just now */
    void *arg;
};
/* Told once, when it is in memory or will not be. */
void summaries_make(struct summaries *s, const struct summary_order *o, struct summary_wait *w);
void summaries_forget(struct summary_wait *w); /* idempotent, also of one never used */

#endif
