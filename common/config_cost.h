/*
 * config_cost: the keys of the configuration that are about money.
 *
 * Amounts are kept as they were written, since they are exact there; who reads them is
 * scheduler/cost.h and scheduler/spending.h.
 */
#ifndef COMMON_CONFIG_COST_H
#define COMMON_CONFIG_COST_H

#include "common/config_rows.h"
#include "common/config_text.h"

/* Of a tenant and of an access key. */
#define CONFIG_BUDGET_ROWS(type_)                                                                  \
    {.key = "max_budget",                                                                          \
     .type = CONFIG_TEXT,                                                                          \
     AT(type_, max_budget),                                                                        \
     .optional = true,                                                                             \
     .most = 24,                                                                                   \
     .accept = config_text_money,                                                                  \
     .unit = "US dollars",                                                                         \
     .help = "that may be spent in budget_duration; then requests are refused with 429"},          \
    {                                                                                              \
        .key = "budget_duration", .type = CONFIG_TEXT, AT(type_, budget_duration),                 \
        .optional = true, .most = 16, .accept = config_text_period,                                \
        .help = "12h, 1d, 7d (from Monday), 30d, 1mo (from the 1st), in UTC; left out: for ever"   \
    }

extern const struct config_section config_cost_price; /* struct config_model, inside it */
extern const struct config_section config_cost_costs; /* struct config, inside it */

#endif
