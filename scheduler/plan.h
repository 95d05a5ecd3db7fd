/*
 * plan: a configuration in use, counted by its users, so that a reload never pulls it away from
 * a request that is under way.
 */
#ifndef SCHEDULER_PLAN_H
#define SCHEDULER_PLAN_H

#include "common/config.h"

struct plan {
    struct config *config;
    unsigned users;
};

struct plan *
plan_new(struct config *config); /* given; one user. NULL: no memory, config is freed */
struct plan *plan_use(struct plan *p);
void plan_drop(struct plan *p); /* accepts NULL; the last user frees it */

#endif
