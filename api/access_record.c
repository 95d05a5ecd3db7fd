#include "api/access_record.h"

#include "common/config_text.h"
#include "common/money.h"
#include "common/period.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    enum access_scope scope;
    const char *name;
} scopes[] = {
    {SCOPE_PROXY, "proxy"}, {SCOPE_JOBS, "jobs"},   {SCOPE_PERMITS, "permits"},
    {SCOPE_STATS, "stats"}, {SCOPE_ADMIN, "admin"},
};
#define SCOPES (sizeof(scopes) / sizeof(scopes[0]))

const char *access_scope_name(enum access_scope scope)
{
    for (size_t i = 0; i < SCOPES; i++) {
        if (scopes[i].scope == scope)
            return scopes[i].name;
    }
    return NULL;
}

static bool add_scope(const char *name, size_t len, unsigned *set)
{
    for (size_t i = 0; i < SCOPES; i++) {
        if (strlen(scopes[i].name) == len && memcmp(scopes[i].name, name, len) == 0) {
            *set |= scopes[i].scope;
            return true;
        }
    }
    return false;
}

int access_scopes_read(const char *text, unsigned *ret)
{
    unsigned set = 0;
    for (; *text; text += strspn(text, ", ")) {
        size_t len = strcspn(text, ", ");
        if (!add_scope(text, len, &set))
            return -EINVAL;
        text += len;
    }
    *ret = set;
    return set ? 0 : -EINVAL;
}

static json_t *scope_list(unsigned set)
{
    json_t *list = json_array();
    for (size_t i = 0; i < SCOPES; i++) {
        if ((set & scopes[i].scope) && json_array_append_new(list, json_string(scopes[i].name)) < 0)
            break;
    }
    return list;
}

static json_t *model_list(const char *models)
{
    json_t *list = json_array();
    for (models += strspn(models, " "); *models; models += strspn(models, " ")) {
        size_t len = strcspn(models, " ");
        if (json_array_append_new(list, json_stringn(models, len)) < 0)
            break;
        models += len;
    }
    return list;
}

static json_t *seconds(int64_t ms)
{
    return ms > 0 ? json_integer(ms / 1000) : json_null();
}

static json_t *dollars(const char *text)
{
    int64_t nano = 0;
    return *text && money_parse(text, &nano) == 0 ? json_real(money_dollars(nano)) : json_null();
}

json_t *access_json(const struct access_key *k)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:s?}", "id", k->id,
                     "object", "access_key", "name", k->name, "hint", k->hint, "tenant", k->tenant,
                     "scopes", scope_list(k->scopes), "models", model_list(k->models), "created_at",
                     seconds(k->created_ms), "expires_at", seconds(k->expires_ms), "of_config",
                     k->of_config, "max_budget", dollars(k->max_budget), "budget_duration",
                     *k->budget_duration ? k->budget_duration : NULL);
}

char *access_record_write(const struct access_key *k)
{
    json_t *record = json_pack(
        "{s:s, s:s, s:s, s:o, s:s, s:I, s:I, s:s, s:s, s:I, s:s, s:s}", "name", k->name, "hint",
        k->hint, "tenant", k->tenant, "scopes", scope_list(k->scopes), "models", k->models,
        "created_ms", (json_int_t)k->created_ms, "expires_ms", (json_int_t)k->expires_ms, "sha256",
        k->sha256, "before", k->before, "before_until_ms", (json_int_t)k->before_until_ms,
        "max_budget", k->max_budget, "budget_duration", k->budget_duration);
    char *text = record ? json_dumps(record, JSON_COMPACT) : NULL;
    json_decref(record);
    return text;
}

static bool copy(const json_t *record, const char *name, char *into, size_t size)
{
    const char *text = json_string_value(json_object_get(record, name));
    if (!text || strlen(text) >= size)
        return false;
    (void)snprintf(into, size, "%s", text);
    return true;
}

static bool read_scopes(const json_t *list, unsigned *ret)
{
    size_t i;
    const json_t *one;
    *ret = 0;
    json_array_foreach(list, i, one)
    {
        if (!json_is_string(one) ||
            !add_scope(json_string_value(one), json_string_length(one), ret))
            return false;
    }
    return *ret != 0;
}

bool access_record_read(const char *id, const char *text, struct access_key *ret)
{
    json_error_t error;
    json_t *r = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    *ret = (struct access_key){.expires_ms = 0};
    bool good = r && strlen(id) < sizeof(ret->id) &&
                copy(r, "name", ret->name, sizeof(ret->name)) &&
                copy(r, "hint", ret->hint, sizeof(ret->hint)) &&
                copy(r, "tenant", ret->tenant, sizeof(ret->tenant)) &&
                copy(r, "models", ret->models, sizeof(ret->models)) &&
                copy(r, "sha256", ret->sha256, sizeof(ret->sha256)) &&
                copy(r, "before", ret->before, sizeof(ret->before)) &&
                read_scopes(json_object_get(r, "scopes"), &ret->scopes);
    if (good) {
        (void)snprintf(ret->id, sizeof(ret->id), "%s", id);
        ret->created_ms = json_integer_value(json_object_get(r, "created_ms"));
        ret->expires_ms = json_integer_value(json_object_get(r, "expires_ms"));
        ret->before_until_ms = json_integer_value(json_object_get(r, "before_until_ms"));
        /* Records of before there were budgets have none. */
        (void)copy(r, "max_budget", ret->max_budget, sizeof(ret->max_budget));
        (void)copy(r, "budget_duration", ret->budget_duration, sizeof(ret->budget_duration));
    }
    json_decref(r);
    return good;
}

/* ---- what a caller wishes */

static int choose_name(struct access_key *k, const json_t *value, struct error *e)
{
    const char *text = json_string_value(value);
    if (!text || strlen(text) >= ACCESS_NAME_BYTES)
        return error_set(e, -EINVAL, "name must be a string of at most %d bytes.",
                         ACCESS_NAME_BYTES - 1);
    (void)snprintf(k->name, sizeof(k->name), "%s", text);
    return 0;
}

static int choose_tenant(struct access_key *k, const json_t *value, struct error *e)
{
    const char *text = json_string_value(value);
    if (!text || strlen(text) > TENANT_NAME_BYTES || config_text_provider(text))
        return error_set(e, -EINVAL, "tenant must be 1 to %d letters, digits or any of . _ @ -",
                         TENANT_NAME_BYTES);
    (void)snprintf(k->tenant, sizeof(k->tenant), "%s", text);
    return 0;
}

static int choose_scopes(struct access_key *k, const json_t *value, struct error *e)
{
    if (!json_is_array(value) || !read_scopes(value, &k->scopes))
        return error_set(e, -EINVAL,
                         "scopes must be a list of one or more of proxy, jobs, permits, stats, "
                         "admin.");
    return 0;
}

static int choose_models(struct access_key *k, const json_t *value, struct error *e)
{
    size_t i, used = 0;
    const json_t *one;
    if (!json_is_array(value))
        return error_set(e, -EINVAL, "models must be a list of model names.");
    k->models[0] = '\0';
    json_array_foreach(value, i, one)
    {
        const char *name = json_string_value(one);
        size_t len = name ? strlen(name) : 0;
        const char *star = name ? strchr(name, '*') : NULL;
        if (len == 0 || len >= MODEL_NAME_BYTES || strpbrk(name, " \t\n") || (star && star[1]))
            return error_set(
                e, -EINVAL,
                "models[%zu] must be the name of a model, or a pattern with one '*' at "
                "its end.",
                i);
        if (used + len + 2 > sizeof(k->models))
            return error_set(e, -EINVAL, "models must be at most %d bytes together.",
                             ACCESS_MODELS_BYTES - 1);
        used += (size_t)snprintf(k->models + used, sizeof(k->models) - used, " %s", name);
    }
    return 0;
}

static int choose_expiry(struct access_key *k, const json_t *value, struct error *e)
{
    json_int_t at = json_integer_value(value);
    if (json_is_null(value)) {
        k->expires_ms = 0;
        return 0;
    }
    if (!json_is_integer(value) || at <= k->created_ms / 1000 || at > INT64_C(253402300799))
        return error_set(e, -EINVAL,
                         "expires_at must be a time to come, in seconds since 1970, or null.");
    k->expires_ms = at * 1000;
    return 0;
}

/* As a number or, for those who keep money out of floating point, as text. */
static int choose_budget(struct access_key *k, const json_t *value, struct error *e)
{
    int64_t nano = 0;
    char text[ACCESS_MONEY_BYTES] = "";
    k->max_budget[0] = '\0';
    if (json_is_null(value))
        return 0;
    if (json_is_string(value))
        (void)snprintf(text, sizeof(text), "%s", json_string_value(value));
    else if (json_is_number(value) && json_number_value(value) < 1e12)
        (void)snprintf(text, sizeof(text), "%.9f", json_number_value(value));
    if (money_parse(text, &nano) < 0)
        return error_set(e, -EINVAL,
                         "max_budget must be US dollars from 0 to 1000000000, such as 10.5, or "
                         "null.");
    (void)money_text(nano, k->max_budget);
    return 0;
}

static int choose_duration(struct access_key *k, const json_t *value, struct error *e)
{
    const char *text = json_is_null(value) ? "" : json_string_value(value);
    struct period p;
    if (!text || strlen(text) >= sizeof(k->budget_duration) || period_parse(text, &p) < 0)
        return error_set(e, -EINVAL,
                         "budget_duration must be a number and one of s, m, h, d or mo, such as "
                         "30d or 1mo, of at most ten years, or null.");
    (void)snprintf(k->budget_duration, sizeof(k->budget_duration), "%s", text);
    return 0;
}

int access_record_choose(struct access_key *k, const json_t *wish, struct error *e)
{
    static const struct {
        const char *name;
        int (*choose)(struct access_key *k, const json_t *value, struct error *e);
    } fields[] = {{"name", choose_name},
                  {"tenant", choose_tenant},
                  {"scopes", choose_scopes},
                  {"models", choose_models},
                  {"expires_at", choose_expiry},
                  {"max_budget", choose_budget},
                  {"budget_duration", choose_duration}};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wish, name, value)
    {
        int rc = -ENOENT;
        for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && rc == -ENOENT; i++) {
            if (strcmp(fields[i].name, name) == 0)
                rc = fields[i].choose(k, value, e);
        }
        if (rc == -ENOENT)
            return error_set(e, -EINVAL,
                             "There is no field '%.40s'; name, tenant, scopes, models, "
                             "expires_at, max_budget and budget_duration may be given.",
                             name);
        if (rc < 0)
            return rc;
    }
    return 0;
}
