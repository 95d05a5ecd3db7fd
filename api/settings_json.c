#include "api/settings_json.h"

#include <string.h>

static json_t *number_or_null(int64_t n)
{
    return n == CONFIG_ABSENT ? json_null() : json_integer(n);
}

static json_t *tenths_or_null(int64_t tenths)
{
    return tenths == SETTINGS_UNSET ? json_null() : json_real((double)tenths / 10);
}

static json_t *text_or_null(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

static json_t *limits_json(const struct config_limits *limits)
{
    json_t *out = json_object();
    struct config_limits l = *limits;
    for (size_t i = 0; config_limit_name(i); i++)
        (void)json_object_set_new(out, config_limit_name(i),
                                  number_or_null(*config_limit_at(&l, i)));
    return out;
}

static json_t *values_json(const struct settings_values *v)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "max_output_tokens",
                     number_or_null(v->max_output_tokens), "temperature",
                     tenths_or_null(v->temperature_tenths), "max_iterations",
                     number_or_null(v->max_iterations), "trim", text_or_null(v->trim), "limits",
                     limits_json(&v->limits));
}

static json_t *seed_json(const struct settings_values *v)
{
    return json_pack("{s:o, s:o, s:o}", "max_output_tokens", number_or_null(v->max_output_tokens),
                     "temperature", tenths_or_null(v->temperature_tenths), "max_iterations",
                     number_or_null(v->max_iterations));
}

static json_t *of_source(json_t *value, const char *source, bool applied)
{
    return json_pack("{s:o, s:s, s:b}", "value", value, "source", source, "applied", applied);
}

/* The most that holds: the lower one of what is saved and what the configuration says; the seed,
 * which is only shown, where neither says anything. */
static json_t *least_json(int64_t saved, int64_t configured, int64_t seed)
{
    if (saved != SETTINGS_UNSET && (configured < 1 || saved <= configured))
        return of_source(json_integer(saved), "saved", true);
    if (configured > 0)
        return of_source(json_integer(configured), "configuration", true);
    return of_source(json_integer(seed), "seed", false);
}

static json_t *temperature_json(const struct settings_values *saved,
                                const struct settings_values *seed, const char *upstream)
{
    bool pattern = upstream[0] && upstream[strlen(upstream) - 1] == '*';
    if (saved->temperature_tenths == SETTINGS_UNSET)
        return of_source(tenths_or_null(seed->temperature_tenths), "seed", false);
    bool takes = pattern || settings_model_takes_temperature(upstream);
    json_t *out = of_source(tenths_or_null(saved->temperature_tenths), "saved", takes);
    if (out && !takes)
        (void)json_object_set_new(out, "note",
                                  json_string("the model takes no temperature: none is added"));
    return out;
}

static json_t *trim_json(const struct settings_values *saved, const struct config_model *row)
{
    if (*saved->trim)
        return of_source(json_string(saved->trim), "saved", true);
    if (row->trim)
        return of_source(json_string(row->trim), "configuration", true);
    return of_source(json_null(), "none", false);
}

/* Of one pool: a key's own limits go before what is saved, and that before the row's. */
static json_t *pool_limits_json(const struct settings *s, const struct config_provider *p,
                                const struct config_model *row,
                                const struct config_account *account)
{
    const struct settings_entry *e = settings_of_pool(s, p, row->pool);
    struct config_limits merged = settings_limits(s, p, row, account);
    struct config_limits saved = e ? e->values.limits : merged;
    struct config_limits own = account ? account->limits : merged;
    json_t *out = json_object();
    for (size_t i = 0; config_limit_name(i); i++) {
        int64_t n = *config_limit_at(&merged, i);
        const char *source = "configuration";
        if (account && *config_limit_at(&own, i) != CONFIG_ABSENT)
            source = "key";
        else if (e && *config_limit_at(&saved, i) != CONFIG_ABSENT)
            source = "saved";
        else if (n == CONFIG_ABSENT)
            source = "none";
        (void)json_object_set_new(
            out, config_limit_name(i),
            json_pack("{s:o, s:s}", "value", number_or_null(n), "source", source));
    }
    return out;
}

static json_t *pools_json(const struct settings *s, const struct config_provider *p,
                          const struct config_model *row)
{
    json_t *out = json_array();
    for (size_t i = 0; i < p->key_count; i++) {
        char id[POOL_NAME_BYTES + 64];
        (void)snprintf(id, sizeof(id), "%s:%s:%s", p->name, p->keys[i].name, row->pool);
        (void)json_array_append_new(out,
                                    json_pack("{s:s, s:s, s:o}", "pool", id, "key", p->keys[i].name,
                                              "limits", pool_limits_json(s, p, row, &p->keys[i])));
    }
    return out;
}

json_t *settings_json(const struct settings *s, const struct config_provider *provider,
                      const char *model)
{
    const struct config_model *row = settings_row(provider, model);
    const struct settings_entry *own = settings_exact(s, provider->name, model);
    const struct settings_entry *holds = settings_find(s, provider->name, model);
    struct settings_values seed, none;
    settings_seed(model, &seed);
    settings_values_init(&none);
    const struct settings_values *v = holds ? &holds->values : &none;
    const char *upstream = row->upstream_model ? row->upstream_model : model;
    json_t *configuration = json_pack("{s:o, s:o, s:o, s:o}", "max_output_tokens",
                                      number_or_null(row->max_output_tokens), "max_iterations",
                                      number_or_null(row->tool_calls.max_iterations), "trim",
                                      text_or_null(row->trim), "limits", limits_json(&row->limits));
    json_t *effective = json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "max_output_tokens",
        least_json(v->max_output_tokens, row->max_output_tokens, seed.max_output_tokens),
        "temperature", temperature_json(v, &seed, upstream), "max_iterations",
        least_json(v->max_iterations, row->tool_calls.max_iterations, seed.max_iterations), "trim",
        trim_json(v, row), "limits", pool_limits_json(s, provider, row, NULL));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "object", "settings", "provider", provider->name, "format",
                     provider->format == CONFIG_ANTHROPIC ? "anthropic" : "openai", "model", model,
                     "row", row->name, "pool", row->pool, "version",
                     (json_int_t)(own ? own->version : 0), "saved_at",
                     own ? json_integer(own->saved_ms / 1000) : json_null(), "held_by",
                     text_or_null(holds ? holds->model : NULL), "seed", seed_json(&seed), "saved",
                     own ? values_json(&own->values) : json_null(), "configuration", configuration,
                     "effective", effective, "pools", pools_json(s, provider, row));
}

/* ---- all */

static json_t *range(json_t *least, json_t *most, json_t *step)
{
    return json_pack("{s:o, s:o, s:o}", "min", least, "max", most, "step", step);
}

static json_t *ranges_json(void)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o}", "max_output_tokens",
        range(json_integer(SETTINGS_MIN_OUTPUT), json_integer(SETTINGS_MAX_OUTPUT),
              json_integer(SETTINGS_OUTPUT_STEP)),
        "temperature", range(json_real(0), json_real(SETTINGS_MAX_TENTHS / 10.0), json_real(0.1)),
        "max_iterations",
        range(json_integer(1), json_integer(SETTINGS_MAX_ITERATIONS), json_integer(1)), "limits",
        range(json_integer(1), json_integer(CONFIG_MAX_LIMIT), json_integer(1)));
}

static json_t *trims_json(const struct config *c)
{
    json_t *out = json_pack("[s, s, s, s]", "none", "conservative", "balanced", "aggressive");
    for (size_t i = 0; i < c->trim_count; i++)
        (void)json_array_append_new(out, json_string(c->trims[i].name));
    return out;
}

static json_t *data_json(const struct settings *s, const struct config *c)
{
    json_t *out = json_array();
    for (size_t i = 0; i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        for (size_t k = 0; k < p->model_count; k++)
            (void)json_array_append_new(out, settings_json(s, p, p->models[k].name));
        size_t at = 0;
        for (const struct settings_entry *e; (e = settings_next(s, &at));) {
            const struct config_model *row =
                strcmp(e->provider, p->name) == 0 ? settings_row(p, e->model) : NULL;
            if (row && strcmp(row->name, e->model) != 0)
                (void)json_array_append_new(out, settings_json(s, p, e->model));
        }
    }
    return out;
}

json_t *settings_json_list(const struct settings *s, const struct config *c)
{
    return json_pack(
        "{s:s, s:o, s:b, s:I, s:b, s:o, s:o, s:o}", "object", "list", "data", data_json(s, c),
        "has_more", 0, "version", (json_int_t)settings_version(s), "known", settings_is_known(s),
        "ranges", ranges_json(), "trims", trims_json(c), "precedence",
        json_pack("[s, s, s, s, s]", "request", "tenant", "saved", "configuration", "seed"));
}
