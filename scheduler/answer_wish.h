/*
 * answer_wish: what a caller says of kept answers, in x-sluice-cache and Cache-Control.
 *
 *   x-sluice-cache: on        an answer may be kept and shared though the request does not say
 *                             that it would be the same again
 *                   off       no answer of others, and none for others
 *                   no-store  as in Cache-Control
 *   Cache-Control (RFC 9111, section 5.2.1): no-store keeps nothing, but may be answered by what is
 *   kept; no-cache asks the provider anew, and keeps that; max-age=N takes nothing older than N
 *   seconds; min-fresh=N nothing that ends sooner. Others say nothing here. Of a number that
 *   cannot be read max-age is 0, and min-fresh is as long as can be: never the older answer.
 *
 *   threads  none; pure.
 */
#ifndef SCHEDULER_ANSWER_WISH_H
#define SCHEDULER_ANSWER_WISH_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

enum answer_mode { ANSWER_AUTO, ANSWER_ON, ANSWER_OFF };

struct answer_wish { /* zero: nothing was said */
    enum answer_mode mode;
    bool no_store, no_cache;
    bool has_max_age;
    int64_t max_age_s, min_fresh_s;
};

/* Both may be NULL. 0, or -EINVAL with e naming what is wrong in x-sluice-cache. */
int answer_wish_read(const char *asked, const char *control, struct answer_wish *ret,
                     struct error *e) MUST_CHECK;
/* Whether an answer of that age, with so long left, will do. */
bool answer_wish_takes(const struct answer_wish *w, int64_t age_ms, int64_t left_ms);

#endif
