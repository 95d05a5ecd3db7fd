#include "common/config_cost.h"

#include "common/config.h"
#include "common/config_rows.h"

#define PER_MILLION "US dollars"

#define PRICE(type_, field, name, must, what)                                                      \
    {                                                                                              \
        .key = (name), .type = CONFIG_TEXT, AT(type_, field), .most = 24, .required = (must),      \
        .optional = !(must), .accept = config_text_price, .unit = PER_MILLION, .help = (what)      \
    }
#define PRICE_ROWS(type_, at)                                                                      \
    {                                                                                              \
        PRICE(type_, at.input, "input", true, "for a million tokens of input"),                    \
            PRICE(type_, at.output, "output", true, "for a million tokens of output"),             \
            PRICE(type_, at.cached_input, "cached_input", false,                                   \
                  "of input that the provider's cache gave; left out: as input"),                  \
            PRICE(type_, at.cache_write, "cache_write", false,                                     \
                  "of input that its cache took; left out: as input")                              \
    }

static const struct config_row price_rows[] = PRICE_ROWS(config_model, price);
const struct config_section config_cost_price = {
    .path = "providers[].models[].price", .size = 0, COUNT(price_rows), price_rows};

static const struct config_row default_price_rows[] = PRICE_ROWS(config, costs.default_price);
static const struct config_section default_price_section = {
    .path = "costs.default_price", .size = 0, COUNT(default_price_rows), default_price_rows};

static const struct config_row costs_rows[] = {
    {.key = "alert_usd",
     .type = CONFIG_TEXT,
     AT(config, costs.alert_usd),
     .text = "100",
     .most = 24,
     .accept = config_text_money,
     .unit = "US dollars",
     .help = "over all in a calendar month: then an alert is told, once; 0: none"},
    {.key = "default_price",
     .type = CONFIG_SECTION,
     .of = &default_price_section,
     .help = "of models whose price is not known; left out: told as not priced"},
};
const struct config_section config_cost_costs = {
    .path = "costs", .size = 0, COUNT(costs_rows), costs_rows};
