/*
 * wire_rules: how the errors of each provider are to be understood. Data, one table per profile
 * (limiter/profile.h), because the same words mean different things: "insufficient_quota" is an
 * empty account at OpenAI and a minute's limit elsewhere; 403 is a wrong key at most, and a prompt
 * that was flagged at OpenRouter.
 *
 * The rows of the profile are tried first, then those that hold everywhere, each list in its order;
 * the first that matches in all it states decides. What no row knows goes by its status and text
 * (wire_classify.c).
 *
 *   threads  none; all tables are constant.
 *   sources  the vendors' error pages as of 2025-2026, and messages quoted in public issues.
 */
#ifndef SCHEDULER_PROVIDER_WIRE_RULES_H
#define SCHEDULER_PROVIDER_WIRE_RULES_H

#include "scheduler/provider/wire.h"

#include <stddef.h>

struct wire_rule {
    int status;       /* 0: any, also an event in a stream */
    const char *name; /* the error's code, its type, its status or details.error_code; NULL: any */
    const char *text; /* in its message, in any case; NULL: any */
    enum wire_failure failure;
};

#define WIRE_RULES_MAX 8
struct wire_rules {
    const char *profile;
    struct wire_rule rows[WIRE_RULES_MAX]; /* ends with the first that states nothing */
};

/* Of a profile; the generic one's (without rows) for a name that is not known. Never NULL. */
const struct wire_rules *wire_rules_find(const char *profile);

/* What an error's code or type means everywhere; WIRE_OK for one that is not known. */
enum wire_failure wire_rules_name(const char *name, size_t len);

#endif
