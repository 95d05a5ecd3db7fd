#include "scheduler/cost.h"

#include "common/money.h"
#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

#define NANO_PER_RATE 1000 /* a nano-dollar for 10^6 tokens is 10^-3 pico-dollars for one */

/* The texts were checked when the configuration was read. */
static int64_t rate_of(const char *text, int64_t otherwise)
{
    int64_t nano = 0;
    return text && money_parse(text, &nano) == 0 ? nano / NANO_PER_RATE : otherwise;
}

static bool read_price(const struct config_price *c, struct price *ret)
{
    if (!c->input || !c->output)
        return false;
    int64_t input = rate_of(c->input, 0);
    *ret = (struct price){.base = {.input = input,
                                   .output = rate_of(c->output, 0),
                                   .cache_read = rate_of(c->cached_input, input),
                                   .cache_write = rate_of(c->cache_write, input)}};
    return true;
}

/* A gateway may give models names of its own; then the one that was asked for tells. */
bool cost_find_price(const struct price_table *t, const struct cost_way *way, struct price *ret)
{
    const char *name = way->provider->name;
    const char *upstream = way->row->upstream_model;
    return read_price(&way->row->price, ret) || (upstream && price_find(t, name, upstream, ret)) ||
           price_find(t, name, way->model, ret) ||
           read_price(&way->config->costs.default_price, ret);
}

int64_t cost_of_usage(const struct price *p, const struct price_usage *u)
{
    int64_t cost = price_cost(p, u);
    return cost > COST_MOST_PICO ? COST_MOST_PICO : cost;
}

int64_t cost_of_batch_usage(const struct price *p, const struct price_usage *u)
{
    return cost_of_usage(p, u) / 1000 * COST_BATCH_PERMILLE +
           cost_of_usage(p, u) % 1000 * COST_BATCH_PERMILLE / 1000;
}

static int64_t above_zero(int64_t value)
{
    return value > 0 ? value : 0;
}

int64_t cost_of_saved_trim(const struct price *p, const struct price_usage *u, int64_t tokens)
{
    struct price_usage whole = *u;
    if (tokens <= 0)
        return 0;
    /* With them the request might have been a long one, for which all tokens cost more. */
    whole.input = u->input > INT64_MAX - tokens ? INT64_MAX : u->input + tokens;
    return above_zero(cost_of_usage(p, &whole) - cost_of_usage(p, u));
}

int64_t cost_of_saved_prompt_cache(const struct price *p, const struct price_usage *u)
{
    struct price_usage fresh = *u;
    fresh.cache_read = fresh.cache_write = 0;
    return above_zero(cost_of_usage(p, &fresh) - cost_of_usage(p, u));
}

int64_t cost_of_saved_response(const struct price *p, const struct price_usage *u)
{
    return cost_of_usage(p, u);
}

int64_t cost_of_saved_batch(const struct price *p, const struct price_usage *u)
{
    return cost_of_usage(p, u) - cost_of_batch_usage(p, u);
}

void cost_model_name(const char *model, char out[MODEL_NAME_BYTES + 1])
{
    size_t len = strlen(model);
    size_t cut = len > MODEL_NAME_BYTES ? utf8_floor(model, len, MODEL_NAME_BYTES) : len;
    (void)snprintf(out, MODEL_NAME_BYTES + 1, "%.*s", (int)cut, model);
}

void cost_row_start(struct cost_row *row, const char *tenant, const char *key, const char *model,
                    const struct price_usage *used)
{
    *row = (struct cost_row){.day = 0};
    (void)snprintf(row->tenant, sizeof(row->tenant), "%s", tenant);
    (void)snprintf(row->key, sizeof(row->key), "%s", key);
    cost_model_name(model, row->model);
    row->count[COST_requests] = 1;
    row->count[COST_input] = used->input;
    row->count[COST_cache_read] = used->cache_read;
    row->count[COST_cache_write] = used->cache_write;
    row->count[COST_output] = used->output;
}
