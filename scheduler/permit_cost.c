#include "scheduler/permit_internal.h"

#include "common/money.h"
#include "scheduler/cost.h"

#include <stdio.h>
#include <string.h>

#define ROUTE_BYTES (PROVIDER_NAME_BYTES + MODEL_NAME_BYTES + 2)

void permit_whose_read(const struct permit_record *r, const struct pool_view *pool,
                       struct permit_whose *ret)
{
    enum wire_endpoint endpoint = WIRE_CHAT;
    (void)wire_endpoint_find(r->endpoint, &endpoint);
    *ret = (struct permit_whose){.format = wire_format_of(endpoint)};
    (void)snprintf(ret->tenant, sizeof(ret->tenant), "%s", r->tenant);
    (void)snprintf(ret->key, sizeof(ret->key), "%s", r->key);
    (void)snprintf(ret->provider, sizeof(ret->provider), "%.*s", PROVIDER_NAME_BYTES - 1,
                   pool->provider);
    cost_model_name(r->model, ret->model);
}

/* Its provider and row as the configuration has them now, which may be another one than when the
 * permit was granted. */
static bool find_price(struct scheduler *s, const struct permit_whose *w, struct price *ret)
{
    char name[ROUTE_BYTES];
    struct cost_way way = {.config = scheduler_plan(s)->config};
    enum config_format format = w->format == WIRE_ANTHROPIC ? CONFIG_ANTHROPIC : CONFIG_OPENAI;
    (void)snprintf(name, sizeof(name), "%s/%s", w->provider, w->model);
    return config_route(way.config, format, name, &way.provider, &way.row, &way.model) &&
           cost_find_price(scheduler_prices(s), &way, ret);
}

void permit_count_cost(struct scheduler *s, const struct permit_whose *whose,
                       const struct wire_usage *usage)
{
    struct spending_limit limits[SPENDING_MAX_LIMITS];
    struct spending *spending = scheduler_options(s)->spending;
    struct price price;
    struct cost_row row;
    const struct price_usage used = {.input = usage->input,
                                     .cache_read = usage->cache_read,
                                     .cache_write = usage->cache_write,
                                     .output = usage->output};
    if (!spending || !usage->known)
        return;
    cost_row_start(&row, whose->tenant, whose->key, whose->model, &used);
    row.count[COST_unpriced] = 1;
    if (find_price(s, whose, &price)) {
        row.count[COST_unpriced] = 0;
        row.count[COST_cost] = money_of_pico(cost_of_usage(&price, &used));
        row.count[COST_saved_prompt_cache] =
            money_of_pico(cost_of_saved_prompt_cache(&price, &used));
    }
    size_t n =
        spending_limits(spending, scheduler_plan(s)->config, whose->tenant, whose->key, limits);
    spending_count(spending, &row, limits, n);
}
