#include "scheduler/settings_values.h"

#include "common/config_trim.h"
#include "common/nearest.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_BYTES 64

void settings_values_init(struct settings_values *v)
{
    *v = (struct settings_values){
        .max_output_tokens = SETTINGS_UNSET,
        .temperature_tenths = SETTINGS_UNSET,
        .max_iterations = SETTINGS_UNSET,
    };
    for (size_t i = 0; config_limit_name(i); i++)
        *config_limit_at(&v->limits, i) = CONFIG_ABSENT;
}

bool settings_values_any_limit(const struct settings_values *v)
{
    struct config_limits l = v->limits;
    for (size_t i = 0; config_limit_name(i); i++)
        if (*config_limit_at(&l, i) != CONFIG_ABSENT)
            return true;
    return false;
}

bool settings_values_any(const struct settings_values *v)
{
    return v->max_output_tokens != SETTINGS_UNSET || v->temperature_tenths != SETTINGS_UNSET ||
           v->max_iterations != SETTINGS_UNSET || *v->trim || settings_values_any_limit(v);
}

/* ---- reading */

/* What was found, short enough for a message. */
static int found_len(struct json_span value)
{
    return value.len < 40 ? (int)value.len : 40;
}

static int read_output(struct json_span value, struct settings_values *v, struct error *e)
{
    int64_t n = 0;
    bool good = json_int(value, &n) && n >= SETTINGS_MIN_OUTPUT && n <= SETTINGS_MAX_OUTPUT;
    if (good && n != SETTINGS_MAX_OUTPUT && n % SETTINGS_OUTPUT_STEP != 0 &&
        (n - SETTINGS_MIN_OUTPUT) % SETTINGS_OUTPUT_STEP != 0) {
        int64_t below = n - (n - SETTINGS_MIN_OUTPUT) % SETTINGS_OUTPUT_STEP;
        return error_set(e, -EINVAL,
                         "max_output_tokens is %" PRId64 "; it goes in steps of %d from %d on (or "
                         "is a multiple of %d, or %d). The next one below is %" PRId64 ".",
                         n, SETTINGS_OUTPUT_STEP, SETTINGS_MIN_OUTPUT, SETTINGS_OUTPUT_STEP,
                         SETTINGS_MAX_OUTPUT, below);
    }
    if (!good)
        return error_set(e, -EINVAL,
                         "max_output_tokens is %.*s; it must be a whole number from %d to %d.",
                         found_len(value), value.at, SETTINGS_MIN_OUTPUT, SETTINGS_MAX_OUTPUT);
    v->max_output_tokens = n;
    return 0;
}

static int read_temperature(struct json_span value, struct settings_values *v, struct error *e)
{
    double t = 0;
    /* 0.7 has no exact double: a tenth is what is within a rounding error of one. */
    bool good = json_double(value, &t) && t >= 0 && t <= SETTINGS_MAX_TENTHS / 10.0 &&
                fabs(t * 10 - round(t * 10)) < 1e-9;
    if (!good)
        return error_set(e, -EINVAL,
                         "temperature is %.*s; it must be a number from 0.0 to 2.0 in steps of "
                         "0.1, such as 0.7.",
                         found_len(value), value.at);
    v->temperature_tenths = lround(t * 10);
    return 0;
}

static int read_iterations(struct json_span value, struct settings_values *v, struct error *e)
{
    int64_t n = 0;
    if (!json_int(value, &n) || n < 1 || n > SETTINGS_MAX_ITERATIONS)
        return error_set(e, -EINVAL,
                         "max_iterations is %.*s; it must be a whole number from 1 to %d.",
                         found_len(value), value.at, SETTINGS_MAX_ITERATIONS);
    v->max_iterations = n;
    return 0;
}

static int read_trim(struct json_span value, struct settings_values *v, struct error *e)
{
    struct buf text;
    buf_init(&text, TRIM_NAME_BYTES - 1);
    int rc = json_text(value, &text);
    if (rc == 0 && text.len > 0 && strlen(text.data) == text.len)
        (void)snprintf(v->trim, sizeof(v->trim), "%s", text.data);
    else if (rc != -ENOMEM)
        rc = error_set(e, -EINVAL,
                       "trim is %.*s; it must be the name of a preset, of trim_policies, or none.",
                       found_len(value), value.at);
    buf_release(&text);
    return rc;
}

static int unknown(struct json_span key, bool limit, const char *const known[], struct error *e)
{
    char name[FIELD_BYTES];
    struct json_span inside = json_inside(key);
    struct nearest nearest;
    (void)snprintf(name, sizeof(name), "%.*s", found_len(inside), inside.at);
    nearest_init(&nearest, name);
    for (size_t i = 0; known && known[i]; i++)
        nearest_offer(&nearest, known[i]);
    for (size_t i = 0; limit && config_limit_name(i); i++)
        nearest_offer(&nearest, config_limit_name(i));
    return error_set(e, -EINVAL, "%s%s is no setting%s%s%s; %s.", limit ? "limits." : "", name,
                     nearest.best ? ": did you mean " : "", nearest.best ? nearest.best : "",
                     nearest.best ? "?" : "",
                     limit ? "limits are rpm, tpm, itpm, otpm, rpd, tpd and max_parallel_requests"
                           : "there are max_output_tokens, temperature, max_iterations, trim and "
                             "limits");
}

static int read_limits(struct json_span value, struct settings_values *v, struct error *e)
{
    struct json_iter it = json_iter(value);
    if (json_kind(value) != JSON_OBJ)
        return error_set(e, -EINVAL, "limits is %.*s; it must be an object, such as {\"rpm\":60}.",
                         found_len(value), value.at);
    while (json_next(&it)) {
        int64_t n = 0;
        size_t i = 0;
        while (config_limit_name(i) && !json_equals(it.key, config_limit_name(i)))
            i++;
        if (!config_limit_name(i))
            return unknown(it.key, true, NULL, e);
        if (json_kind(it.value) == JSON_NUL)
            continue;
        if (!json_int(it.value, &n) || n < 1 || n > CONFIG_MAX_LIMIT)
            return error_set(e, -EINVAL,
                             "limits.%s is %.*s; it must be a whole number from 1 to %" PRId64
                             ". Leave it out to have the configured one.",
                             config_limit_name(i), found_len(it.value), it.value.at,
                             CONFIG_MAX_LIMIT);
        *config_limit_at(&v->limits, i) = n;
    }
    return 0;
}

static int read_version(struct json_span value, int64_t *ret, struct error *e)
{
    if (!json_int(value, ret) || *ret < 0)
        return error_set(e, -EINVAL,
                         "version is %.*s; it must be the version that was read, 0 when nothing "
                         "was saved, or be left out.",
                         found_len(value), value.at);
    return 0;
}

static const struct field {
    const char *name;
    int (*read)(struct json_span value, struct settings_values *v, struct error *e);
} fields[] = {
    {"max_output_tokens", read_output},
    {"temperature", read_temperature},
    {"max_iterations", read_iterations},
    {"trim", read_trim},
    {"limits", read_limits},
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static int read_field(const struct json_iter *it, struct settings_values *v, int64_t *version,
                      struct error *e)
{
    const char *known[FIELDS + 1] = {NULL};
    if (json_equals(it->key, "version"))
        return json_kind(it->value) == JSON_NUL ? 0 : read_version(it->value, version, e);
    for (size_t i = 0; i < FIELDS; i++) {
        known[i] = fields[i].name;
        if (json_equals(it->key, fields[i].name))
            return json_kind(it->value) == JSON_NUL ? 0 : fields[i].read(it->value, v, e);
    }
    return unknown(it->key, false, known, e);
}

int settings_values_read(struct json_span object, struct settings_values *ret, int64_t *ret_version,
                         struct error *e)
{
    struct json_iter it = json_iter(object);
    int rc = 0;
    settings_values_init(ret);
    *ret_version = SETTINGS_UNSET;
    if (json_kind(object) != JSON_OBJ)
        return error_set(e, -EINVAL, "Settings are a JSON object, such as {\"temperature\":0.7}.");
    while (rc == 0 && json_next(&it))
        rc = read_field(&it, ret, ret_version, e);
    return rc;
}

/* ---- writing */

int settings_values_write(const struct settings_values *v, struct buf *out)
{
    const char *comma = "";
    struct config_limits l = v->limits;
    if (v->max_output_tokens != SETTINGS_UNSET) {
        (void)buf_addf(out, "\"max_output_tokens\":%" PRId64, v->max_output_tokens);
        comma = ",";
    }
    if (v->temperature_tenths != SETTINGS_UNSET) {
        (void)buf_addf(out, "%s\"temperature\":%" PRId64 ".%" PRId64, comma,
                       v->temperature_tenths / 10, v->temperature_tenths % 10);
        comma = ",";
    }
    if (v->max_iterations != SETTINGS_UNSET) {
        (void)buf_addf(out, "%s\"max_iterations\":%" PRId64, comma, v->max_iterations);
        comma = ",";
    }
    if (*v->trim) {
        (void)buf_addf(out, "%s\"trim\":\"", comma);
        (void)buf_add_json(out, v->trim, strlen(v->trim));
        (void)buf_adds(out, "\"");
        comma = ",";
    }
    if (!settings_values_any_limit(v))
        return out->failed;
    (void)buf_addf(out, "%s\"limits\":{", comma);
    comma = "";
    for (size_t i = 0; config_limit_name(i); i++) {
        if (*config_limit_at(&l, i) == CONFIG_ABSENT)
            continue;
        (void)buf_addf(out, "%s\"%s\":%" PRId64, comma, config_limit_name(i),
                       *config_limit_at(&l, i));
        comma = ",";
    }
    return buf_adds(out, "}");
}

/* ---- against the configuration */

static int check_trim(const char *name, const struct config *c, struct error *e)
{
    if (!*name || config_trim_is_known(c, name))
        return 0;
    return error_set(e, -EINVAL,
                     "trim is '%s'; it must be aggressive, balanced, conservative, none, or one of "
                     "trim_policies of the configuration.",
                     name);
}

/* A limit below what a request without a maximum reserves would refuse it for ever. */
static int check_limits(const struct settings_values *v, const struct config_provider *p,
                        const char *model, struct error *e)
{
    const struct config_model *row = settings_row(p, model);
    if (!settings_values_any_limit(v))
        return 0;
    if (!row || strcmp(row->name, model) != 0)
        return error_set(e, -EINVAL,
                         "limits belong to a row of the configuration, and '%.60s' is served by "
                         "the row '%.60s': save them there (%.40s/%.60s).",
                         model, row ? row->name : "", p->name, row ? row->name : "");
    const struct {
        const char *name;
        int64_t value;
    } least[] = {{"tpm", v->limits.tpm}, {"otpm", v->limits.otpm}, {"tpd", v->limits.tpd}};
    for (size_t i = 0; i < sizeof(least) / sizeof(least[0]); i++)
        if (least[i].value != CONFIG_ABSENT && least[i].value < row->default_output_tokens)
            return error_set(e, -EINVAL,
                             "limits.%s is %" PRId64 "; that is less than default_output_tokens "
                             "(%" PRId64 "), so a request that names no maximum could never run. "
                             "Raise it.",
                             least[i].name, least[i].value, row->default_output_tokens);
    return 0;
}

int settings_values_check(const struct settings_values *v, const struct config *c,
                          const struct config_provider *provider, const char *model,
                          struct error *e)
{
    bool claude = provider->format == CONFIG_ANTHROPIC || settings_model_is_claude(model);
    if (claude && v->temperature_tenths > SETTINGS_MAX_CLAUDE_TENTHS)
        return error_set(e, -EINVAL,
                         "temperature is %" PRId64 ".%" PRId64 "; Claude models take 0.0 to 1.0.",
                         v->temperature_tenths / 10, v->temperature_tenths % 10);
    int rc = check_trim(v->trim, c, e);
    return rc < 0 ? rc : check_limits(v, provider, model, e);
}

size_t settings_fit(const char *saved, const char *model)
{
    size_t len = strlen(saved);
    if (strcmp(saved, model) == 0)
        return SIZE_MAX;
    if (len == 0 || saved[len - 1] != '*' || strncmp(saved, model, len - 1) != 0)
        return 0;
    return len;
}

const struct config_model *settings_row(const struct config_provider *provider, const char *model)
{
    const struct config_model *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < provider->model_count; i++) {
        size_t fit = settings_fit(provider->models[i].name, model);
        if (fit > most)
            best = &provider->models[i];
        most = fit > most ? fit : most;
    }
    return best;
}
