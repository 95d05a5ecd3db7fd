/*
 * The limits of the scheduler's pools, where the configuration or what is saved has changed.
 */
#include "scheduler/scheduler.h"

#include "common/log.h"
#include "scheduler/budget.h"
#include "scheduler/settings.h"

#include <stdlib.h>
#include <string.h>

const struct config_account *scheduler_find_account(const struct config_provider *p,
                                                    const char *name)
{
    for (size_t i = 0; i < p->key_count; i++) {
        if (strcmp(p->keys[i].name, name) == 0)
            return &p->keys[i];
    }
    return NULL;
}

struct config_limits scheduler_limits(const struct scheduler *s, const struct config_provider *p,
                                      const struct config_model *row, const char *account)
{
    return settings_limits(scheduler_options(s)->settings, p, row,
                           scheduler_find_account(p, account));
}

static bool is_same(const struct pool_limits *a, const struct pool_limits *b)
{
    bool same = a->dim_count == b->dim_count && a->max_parallel == b->max_parallel;
    for (size_t i = 0; same && i < a->dim_count; i++)
        same = strcmp(a->dims[i].name, b->dims[i].name) == 0 &&
               a->dims[i].rate == b->dims[i].rate && a->dims[i].capacity == b->dims[i].capacity &&
               a->dims[i].open == b->dims[i].open;
    return same;
}

/* Known pools take the limits of the row that now leads to them; one without a row keeps its own
 * until nobody uses it. */
static void reconfigure(struct scheduler *s, const struct config_provider *p,
                        const struct config_model *row, bool all)
{
    size_t at = 0;
    const struct config *config = scheduler_plan(s)->config;
    for (struct pool_view *v; (v = scheduler_next_pool(s, &at));) {
        struct budget budget;
        if (strcmp(v->provider, p->name) != 0 || strcmp(v->group, row->pool) != 0)
            continue;
        struct config_limits merged = scheduler_limits(s, p, row, v->account);
        v->profile = scheduler_profile(p);
        if (budget_make(config, v->profile, &merged, &budget) < 0) {
            log_write(LOG_ERROR, "no memory for a pool's new limits; the old ones stay", "pool",
                      pool_agent_pool(v->agent)->id, NULL);
            continue;
        }
        if (!all && is_same(&budget.limits, &pool_agent_pool(v->agent)->limits)) {
            free(budget.tenants);
            continue;
        }
        pool_agent_pool(v->agent)->finished_ttl_ms = config->jobs.result_ttl_s * 1000;
        pool_agent_configure(v->agent, &budget.limits);
        free(v->tenants);
        v->tenants = budget.tenants;
    }
}

void scheduler_apply_limits(struct scheduler *s, bool all)
{
    const struct config *config = scheduler_plan(s)->config;
    for (size_t i = 0; i < config->provider_count; i++) {
        const struct config_provider *p = &config->providers[i];
        for (size_t k = 0; k < p->model_count; k++)
            reconfigure(s, p, &p->models[k], all);
    }
}
