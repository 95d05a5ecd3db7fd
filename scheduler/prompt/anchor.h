/*
 * anchor: remembers what requests were billed, to foresee the next one of their conversation.
 *
 * A conversation is known by its content: the hash of its first messages. A request with n
 * messages leaves an anchor under all n; a later one finds it under its own first n. Cache markers
 * do not count, for clients move them with every turn. Where a caller names its conversation
 * (x-sluice-session), that name leads to the anchor as well, whatever became of its messages.
 *
 *   ownership  opaque; 1 MB, allocated once. The one used longest ago makes room.
 *   threads    none.
 */
#ifndef SCHEDULER_PROMPT_ANCHOR_H
#define SCHEDULER_PROMPT_ANCHOR_H

#include "common/error.h"
#include "scheduler/prompt/calibration.h"
#include "scheduler/prompt/content_hash.h"
#include "scheduler/prompt/transcript.h"

#define ANCHOR_TTL_MS 3600000

struct anchors;

int anchors_new(struct anchors **ret) MUST_CHECK; /* 0 or -ENOMEM */
void anchors_free(struct anchors *a);             /* accepts NULL */

bool anchors_find(struct anchors *a, struct content_hash key, int64_t now_ms,
                  struct calibration_anchor *ret);
void anchors_put(struct anchors *a, struct content_hash key, int64_t now_ms,
                 const struct calibration_anchor *anchor);

/* The hash of the first messages, from one to the next: start with that of what is in no message
 * (model, system, tools), then one step for each message. */
struct content_hash anchor_begin(const struct transcript *t, uint64_t seed);
struct content_hash anchor_step(struct content_hash before, const struct transcript *t,
                                uint32_t message);

#endif
