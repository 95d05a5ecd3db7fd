/*
 * permit_rig: permits on a core_kit, and what was told of them, for tests of permits and of
 * admission checks.
 *
 *   ownership  permit_rig_begin() and permit_rig_finish() in one test; the kit is torn down after.
 */
#ifndef TESTS_SUPPORT_PERMIT_RIG_H
#define TESTS_SUPPORT_PERMIT_RIG_H

#include "scheduler/admission.h"
#include "scheduler/permit.h"
#include "tests/support/core_kit.h"

#define PERMIT_RIG_LIMITS "rpm: 100, tpm: 6000, max_parallel_requests: 2"
#define PERMIT_RIG_MONEY_IS_GONE                                                                   \
    "{\"status\":429,\"body\":{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"no "       \
    "money\"}}}"

/* What a permit_fn was told. */
struct permit_told {
    unsigned calls;
    bool found;
    char id[TICKET_ID_BYTES], settlement[128];
    enum permit_status status;
    int64_t left_ms, ttl_ms;
    struct call_failure failure;
};

struct permit_rig {
    struct core_kit *k;
    struct permits *all;
};

/* A permit_fn; its argument is a struct permit_told. */
void permit_rig_on_told(void *arg, const struct permit_record *r,
                        const struct call_failure *failure);
struct permit_rig permit_rig_begin(void **state, const char *limits);
void permit_rig_finish(struct permit_rig *r);
struct permit_ask permit_rig_asking(int64_t input, int64_t wait_ms, int64_t ttl_ms);
struct permit *permit_rig_ask(struct permit_rig *r, struct permit_told *t, int64_t input,
                              int64_t wait_ms, int64_t ttl_ms);
struct permit_told permit_rig_take(struct permit_rig *r, int64_t input, int64_t wait_ms,
                                   int64_t ttl_ms);
struct permit_who permit_rig_who(const struct permit_told *t);
struct permit_told permit_rig_settle(struct permit_rig *r, const struct permit_who *w,
                                     const char *text);

#endif
