/*
 * price: what a request's tokens cost, in money.
 *
 * The table is data (data/prices.csv: from which source, see data/README.md). A model is found by
 * its exact name before a prefix, by a longer prefix before a shorter one, by its end or a part of
 * its name last; in each step the provider's own rows go before those of others, which serve the
 * same model under the same name often enough.
 *
 * A cached token that has no price of its own costs as much as any other; where a model costs more
 * for long inputs, all tokens of such a request do, as providers bill it.
 *
 *   units      pico-dollars, 10^-12 US dollar: a dollar for a million tokens is 10^6 of them a
 * token, so that every listed price is a whole number and a sum of 9 million dollars fits ownership
 * price_table_new() gives, price_table_free() takes; a struct price is a copy. threads    none; a
 * table is read only. errors     only the reading of a table, whose line is named.
 */
#ifndef SCHEDULER_PRICE_PRICE_H
#define SCHEDULER_PRICE_PRICE_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRICE_DOLLAR         INT64_C(1000000000000)
#define PRICE_MAX_TABLE_ROWS 1024
#define PRICE_MAX_NAMES      4096

struct price_rates { /* pico-dollars a token */
    int64_t input, output, cache_read, cache_write;
};

struct price {
    struct price_rates base;
    int64_t above_tokens; /* 0: the base holds for any length */
    struct price_rates above;
};

struct price_usage {
    int64_t input;       /* all of it, what the cache gave and took included */
    int64_t cache_read;  /* of these */
    int64_t cache_write; /* of these */
    int64_t output;
};

struct price_table;

/* The table that is built in. 0, -ENOMEM. */
int price_table_builtin(struct price_table **ret, struct error *e) MUST_CHECK;
/* Text in the form of prices.csv, which is borrowed until the table is freed. -EINVAL. */
int price_table_new(const char *csv, size_t len, struct price_table **ret,
                    struct error *e) MUST_CHECK;
void price_table_free(struct price_table *t); /* accepts NULL */
size_t price_table_models(const struct price_table *t);

/* provider: a name such as "openai", "azure" or "my-proxy"; one that the table does not know only
 * changes who goes first. False, with *ret untouched: no price is known. */
bool price_find(const struct price_table *t, const char *provider, const char *model,
                struct price *ret);

/* Dollars for a million tokens, as text with at most six decimals. -EINVAL, -ERANGE. */
int price_parse(const char *text, size_t len, int64_t *ret_pico) MUST_CHECK;

/* Never negative; INT64_MAX when it does not fit. Negative amounts count as 0, and parts are at
 * most the whole input. */
int64_t price_cost(const struct price *p, const struct price_usage *u);

#endif
