/*
 * admission: what would happen to a request now. Nothing is queued, charged or sent.
 *
 *   units      ms, tokens
 *   ownership  the result is borrowed in the callback.
 *   threads    one event loop. fn is called once, with a result or a failure of the store;
 *              when the function returns false, *failure tells why and fn is not called.
 */
#ifndef SCHEDULER_ADMISSION_H
#define SCHEDULER_ADMISSION_H

#include "scheduler/call.h"

enum admission_decision { ADMISSION_ADMIT, ADMISSION_DELAY, ADMISSION_SHRINK, ADMISSION_REFUSE };
const char *admission_name(enum admission_decision d); /* "admit", … */

struct admission {
    enum admission_decision decision; /* shrink: admitted or delayed, in a smaller form */
    int64_t wait_ms;                  /* foreseen; of a delay that is refused as well */
    int64_t ahead;                    /* requests that are served before it */
    const char *binding;              /* the limit that it waits for or is refused by; "" none */
    const char *pool, *model, *provider;
    int64_t input_tokens;
    int64_t output_tokens_reserved;
    /* Of a request that would be made smaller: by which policy, NULL when its input stays; how much
     * of it is cut; and its new maximum of output, -1 when that stays. */
    const char *cut_policy;
    int64_t trimmed_tokens;
    int64_t max_output_tokens;
    char reason[ERROR_TEXT_BYTES]; /* of a refusal; "" */
    const struct pool_limits *limits;
    int64_t cost[POOL_MAX_DIMS]; /* in the order of limits->dims */
};

typedef void (*admission_fn)(void *arg, const struct admission *a,
                             const struct call_failure *failure);

/* spec: the request as it would be sent; its body is given. One with a size alone (input_tokens) is
 * looked at as for a permit. Of a whole one it is told what would become of it as a proxied call,
 * which may be sent in a smaller form; it starts no summary, and is told as without one.
 * max_wait_ms is the most that it would wait: a longer wait is a refusal. False with *failure when
 * the request is none. */
bool admission_check(struct scheduler *s, const struct call_spec *spec, admission_fn fn, void *arg,
                     struct call_failure *failure) MUST_CHECK;

#endif
