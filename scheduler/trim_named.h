/*
 * trim_named: ways of trimming by the names that requests and the configuration give them.
 */
#ifndef SCHEDULER_TRIM_NAMED_H
#define SCHEDULER_TRIM_NAMED_H

#include "common/config.h"
#include "scheduler/prompt/trim_policy.h"

/* False: nothing has that name (none: neither). Else *ret is the preset, or the policy of the
 * configuration, as it cuts whether or not the request would fit. */
bool trim_named(const struct config *c, const char *name, struct trim_policy *ret);

/* The tenant's own way; NULL: it has none. */
const char *trim_of_tenant(const struct config *c, const char *tenant);

#endif
