#include "common/config.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* How well a row fits a model name: 0 not at all, more for a longer match, an exact name
 * above every pattern. */
static size_t fit(const char *row, const char *model)
{
    size_t len = strlen(row);
    if (strcmp(row, model) == 0)
        return SIZE_MAX;
    if (row[len - 1] != '*' || strncmp(row, model, len - 1) != 0)
        return 0;
    return len;
}

/* The provider that "provider/model" forces, and where its model begins. */
static const struct config_provider *forced_provider(const struct config *c,
                                                     enum config_format format, const char *model,
                                                     const char **ret_model)
{
    size_t len = strcspn(model, "/");
    for (size_t i = 0; model[len] && i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        if (p->format == format && strlen(p->name) == len && strncmp(p->name, model, len) == 0) {
            *ret_model = model + len + 1;
            return p;
        }
    }
    return NULL;
}

bool config_route(const struct config *c, enum config_format format, const char *model,
                  const struct config_provider **ret_provider, const struct config_model **ret_row,
                  const char **ret_model)
{
    size_t best = 0;
    const struct config_provider *forced = forced_provider(c, format, model, &model);
    if (!*model)
        return false;
    for (size_t i = 0; i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        if (p->format != format || (forced && p != forced))
            continue;
        for (size_t j = 0; j < p->model_count; j++) {
            size_t fitness = fit(p->models[j].name, model);
            if (fitness <= best)
                continue; /* of equal fits, the first in the file */
            best = fitness;
            *ret_provider = p;
            *ret_row = &p->models[j];
            *ret_model = model;
        }
    }
    return best > 0;
}

/* What of a provider serves the model when its row fits as well as the best one. */
static size_t add_keys(const struct config_provider *p, const struct config_model *row,
                       struct config_candidate *ret, size_t n)
{
    if (p->key_count == 0 && n < CONFIG_MAX_ROUTES)
        ret[n++] = (struct config_candidate){p, row, NULL};
    for (size_t i = 0; i < p->key_count && n < CONFIG_MAX_ROUTES; i++)
        ret[n++] = (struct config_candidate){p, row, &p->keys[i]};
    return n;
}

size_t config_candidates(const struct config *c, enum config_format format, const char *model,
                         struct config_candidate ret[CONFIG_MAX_ROUTES], const char **ret_model)
{
    const struct config_provider *first = NULL;
    const struct config_model *row = NULL;
    size_t n = 0;
    if (!config_route(c, format, model, &first, &row, ret_model))
        return 0;
    bool forced = *ret_model != model, any = strcmp(row->name, "*") == 0;
    for (const struct config_provider *p = first; p < c->providers + c->provider_count; p++) {
        for (size_t i = 0; p->format == format && i < p->model_count; i++) {
            if (strcmp(p->models[i].name, row->name) == 0)
                n = add_keys(p, &p->models[i], ret, n);
        }
        if (forced || any)
            break;
    }
    return n;
}

/* ---- limits */

static const struct limit_field {
    const char *key;
    size_t offset;
} limit_fields[] = {
    {"rpm", offsetof(struct config_limits, rpm)},
    {"tpm", offsetof(struct config_limits, tpm)},
    {"itpm", offsetof(struct config_limits, itpm)},
    {"otpm", offsetof(struct config_limits, otpm)},
    {"rpd", offsetof(struct config_limits, rpd)},
    {"tpd", offsetof(struct config_limits, tpd)},
    {"max_parallel_requests", offsetof(struct config_limits, max_parallel_requests)},
    {NULL, 0},
};

const char *config_limit_name(size_t i)
{
    return limit_fields[i].key;
}

int64_t *config_limit_at(struct config_limits *l, size_t i)
{
    return (int64_t *)((char *)l + limit_fields[i].offset);
}

struct config_limits config_limits_of(const struct config_model *row,
                                      const struct config_account *account)
{
    struct config_limits merged = row->limits, own;
    if (!account)
        return merged;
    own = account->limits;
    for (size_t i = 0; config_limit_name(i); i++) {
        if (*config_limit_at(&own, i) != CONFIG_ABSENT)
            *config_limit_at(&merged, i) = *config_limit_at(&own, i);
    }
    return merged;
}
