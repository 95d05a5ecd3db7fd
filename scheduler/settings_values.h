/*
 * settings_values: what may be saved for a model of a provider, its bounds, and its text.
 *
 *   max_output_tokens  1,000 to 100,000 in steps of 512, counted from 1,000 (1,512, 2,024 and so on
 *                      to 99,816) as a slider does; the end, 100,000, is one more. The multiples of
 *                      512 are steps as well: the seeds (8,192 and others) are of these.
 *   temperature        0.0 to 2.0 in steps of 0.1; of Claude models 0.0 to 1.0
 *   max_iterations     1 to 25: rounds of tool calls and results in one turn of a named
 * conversation trim               a preset, a name of trim_policies, or none limits             in
 * place of those of the row in the configuration, 1 to CONFIG_MAX_LIMIT each
 *
 * Each of them may be left out: then it is not saved, and nothing of it is applied.
 *
 *   units    temperature in tenths, so that it is exact.
 *   threads  none; pure.
 */
#ifndef SCHEDULER_SETTINGS_VALUES_H
#define SCHEDULER_SETTINGS_VALUES_H

#include "common/buf.h"
#include "common/config.h"
#include "common/json_scan.h"

#define SETTINGS_UNSET             CONFIG_ABSENT
#define SETTINGS_MIN_OUTPUT        1000
#define SETTINGS_MAX_OUTPUT        100000
#define SETTINGS_OUTPUT_STEP       512
#define SETTINGS_MAX_TENTHS        20
#define SETTINGS_MAX_CLAUDE_TENTHS 10
#define SETTINGS_MAX_ITERATIONS    25

struct settings_values {
    int64_t max_output_tokens; /* each SETTINGS_UNSET when it is not saved */
    int64_t temperature_tenths;
    int64_t max_iterations;
    char trim[TRIM_NAME_BYTES]; /* "" */
    struct config_limits limits;
};

void settings_values_init(struct settings_values *v); /* nothing is saved */
bool settings_values_any(const struct settings_values *v);
bool settings_values_any_limit(const struct settings_values *v);

/* From a checked JSON object; null is left out. -EINVAL with e naming the field, the value, what it
 * may be and what to do. *ret_version: of a member "version", else SETTINGS_UNSET. */
int settings_values_read(struct json_span object, struct settings_values *ret, int64_t *ret_version,
                         struct error *e) MUST_CHECK;
/* The same as JSON members, without the braces. */
int settings_values_write(const struct settings_values *v, struct buf *out) MUST_CHECK;

/* What only the configuration tells: that the way of trimming exists, that the limits are of a row
 * and can be kept, that the model takes the temperature. -EINVAL with e. */
int settings_values_check(const struct settings_values *v, const struct config *c,
                          const struct config_provider *provider, const char *model,
                          struct error *e) MUST_CHECK;

/* What is shown before anything is saved; never applied. */
void settings_seed(const char *model, struct settings_values *ret);

/* Whether a model, by the name that its provider knows, takes a temperature: OpenAI's reasoning
 * models do not, nor Claude from 4.7 on, nor models that search. A Claude without a version in its
 * name counts as new. */
bool settings_model_takes_temperature(const char *model);
bool settings_model_is_claude(const char *model);

/* The row of a provider that serves this model or pattern; NULL none. */
const struct config_model *settings_row(const struct config_provider *provider, const char *model);
/* How well a saved name ("gpt-4o", "gpt-*") fits a model; 0 not at all. */
size_t settings_fit(const char *saved, const char *model);

#endif
