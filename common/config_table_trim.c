#include "common/config_table.h"

#include "common/config.h"
#include "common/config_rows.h"
#include "common/config_text.h"
#include "common/limits.h"

#define TRIM_LIMIT(key_, from, per, what)                                                          \
    {                                                                                              \
        .key = #key_, .type = CONFIG_INTEGER, AT(config_trim, key_), .optional = true,             \
        .least = (from), .most = CONFIG_MAX_LIMIT, .value = CONFIG_ABSENT, .unit = (per),          \
        .help = (what)                                                                             \
    }

static const struct config_row trim_rows[] = {
    {.key = "name",
     .type = CONFIG_TEXT,
     AT(config_trim, name),
     .required = true,
     .most = TRIM_NAME_BYTES - 1,
     .accept = config_text_name,
     .help = "for trim and x-sluice-trim"},
    {.key = "preset",
     .type = CONFIG_TEXT,
     AT(config_trim, preset),
     .optional = true,
     .most = TRIM_NAME_BYTES - 1,
     .accept = config_text_preset,
     .help = "what it starts from: aggressive, balanced or conservative"},
    {.key = "strategies",
     .type = CONFIG_NAMES,
     LIST_AT(config_trim, strategies, strategy_count),
     .optional = true,
     .most = TRIM_NAME_BYTES - 1,
     .accept = config_text_strategy,
     .help = "in this order; left out: those of its preset"},
    TRIM_LIMIT(max_context_tokens, 1, "tokens", "what deletion cuts down to; left out: no limit"),
    TRIM_LIMIT(max_messages, 1, "messages", "that window and relevant leave, system not counted"),
    TRIM_LIMIT(max_age_s, 1, "s", "window: older messages go, where their times are known"),
    TRIM_LIMIT(keep_turns, 1, "turns", "the last ones, which most strategies leave alone"),
    TRIM_LIMIT(max_tool_result_chars, 1, "characters", "truncate: of each result"),
    TRIM_LIMIT(reset_threshold, 1, "tokens", "reset: above it only the last two turns stay"),
};
const struct config_section config_table_trim = {
    .path = "trim_policies[]", .size = sizeof(struct config_trim), COUNT(trim_rows), trim_rows};

static const struct config_row summaries_rows[] = {
    {.key = "model",
     .type = CONFIG_TEXT,
     AT(config, summaries.model),
     .optional = true,
     .most = MODEL_NAME_BYTES - 1,
     .accept = config_text_name,
     .help =
         "a cheap model that sums up old turns for the strategy summarize; left out: none does"},
    INTEGER(config, summaries.timeout_ms, "timeout_ms", RANGE(1, HOUR_MS, 20000), "ms",
            "a request waits so long for a summary; then results of tools are cut instead"),
    INTEGER(config, summaries.ttl_s, "ttl_s", RANGE(1, 31536000, 86400), "s",
            "summaries are kept so long"),
    INTEGER(config, summaries.max_tokens, "max_tokens", RANGE(16, 100000, 1024), "tokens",
            "of a summary"),
};
const struct config_section config_table_summaries = {
    .path = "summaries", .size = 0, COUNT(summaries_rows), summaries_rows};
