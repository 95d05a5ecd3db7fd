/*
 * outage: what this instance does with calls while Redis is not reachable (redis.on_outage).
 *
 *   local   calls go on under this instance's share of each pool (limiter/share.h); the default
 *   closed  calls are refused with 503 after a short patience
 *   open    calls go on without any limit
 *
 * What local and open granted is charged to the pool when Redis is back. Durable jobs need the
 * store and are refused in each mode.
 */
#ifndef SCHEDULER_OUTAGE_H
#define SCHEDULER_OUTAGE_H

#include "common/config.h"

#include <stdbool.h>
#include <stdint.h>

#define OUTAGE_START_GRACE_MS 3000 /* a Redis that starts together with us is waited for */

struct outage {
    enum config_outage mode;
    int64_t max_instances;
    int64_t started_ms; /* of this instance */
    bool ever_up;       /* Redis was reached since */
};

/* Whether calls are granted here, provided that Redis is away now. */
bool outage_grants(const struct outage *o, int64_t now_ms);

#endif
