/*
 * cost: what a request costs, and what was saved on it.
 *
 * The price of a model is, in this order: `price` of its row in the configuration, the built-in
 * table (scheduler/price/price.h), `costs.default_price`. Without any of them it is not known, and
 * that is told: a request whose price is not known is never counted as one that costs nothing.
 *
 * What is saved is counted at the price that would else have been paid for it:
 *   trim          tokens that were cut, at the price of fresh input: what a cache would have taken
 *                 off them nobody knows
 *   prompt_cache  what the provider's cache took off the input, less what writing it cost more;
 *                 never below 0
 *   response      a whole answer that was given from here
 *   batch         half of everything: OpenAI's and Anthropic's batch APIs both bill 50 % (their
 *                 price lists, 2026). Batches of this service are sent as ordinary requests, which
 *                 are billed in full, so nothing is counted for them
 *
 *   units    pico-dollars, as in price.h
 *   threads  none; pure.
 */
#ifndef SCHEDULER_COST_H
#define SCHEDULER_COST_H

#include "common/config.h"
#include "scheduler/price/price.h"
#include "storage/cost_store.h"

#define COST_BATCH_PERMILLE 500
/* Of one request, so that no sum of them overflows soon. */
#define COST_MOST_PICO (1000 * PRICE_DOLLAR)

/* Where a request is sent. */
struct cost_way {
    const struct config *config;
    const struct config_provider *provider;
    const struct config_model *row;
    const char *model; /* as the request names it */
};

/* False: the price is not known; *ret is untouched then. */
bool cost_find_price(const struct price_table *t, const struct cost_way *way, struct price *ret);
/* At most COST_MOST_PICO. */
int64_t cost_of_usage(const struct price *p, const struct price_usage *u);
int64_t cost_of_batch_usage(const struct price *p, const struct price_usage *u);

int64_t cost_of_saved_trim(const struct price *p, const struct price_usage *u, int64_t tokens);
int64_t cost_of_saved_prompt_cache(const struct price *p, const struct price_usage *u);
int64_t cost_of_saved_response(const struct price *p, const struct price_usage *u);
int64_t cost_of_saved_batch(const struct price *p, const struct price_usage *u);

/* What one request used, of no price. The names are cut to what a row has room for, a model's,
 * which a client may choose, at the end of a character. */
void cost_row_start(struct cost_row *row, const char *tenant, const char *key, const char *model,
                    const struct price_usage *used);
void cost_model_name(const char *model, char out[MODEL_NAME_BYTES + 1]);

#endif
