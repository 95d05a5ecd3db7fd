#include "common/config_trim.h"

#include "common/config_text.h"
#include "common/limits.h"

#include <errno.h>
#include <string.h>

struct check {
    const char *name;
    const struct config *config;
    struct error *e;
};

const struct config_trim *config_trim_find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->trim_count; i++)
        if (strcmp(c->trims[i].name, name) == 0)
            return &c->trims[i];
    return NULL;
}

bool config_trim_is_known(const struct config *c, const char *name)
{
    return strcmp(name, "none") == 0 || !config_text_preset(name) || config_trim_find(c, name);
}

static int check_policy(const struct check *k, const struct yaml_tree *at, size_t number)
{
    const struct config_trim *t = &k->config->trims[number];
    if (strcmp(t->name, "none") == 0 || !config_text_preset(t->name))
        return yaml_tree_error(k->name, at, -EINVAL, k->e,
                               "trim_policies[].name: \"%s\" has a meaning of its own; take "
                               "another name",
                               t->name);
    if (config_trim_find(k->config, t->name) != t)
        return yaml_tree_error(k->name, at, -EINVAL, k->e, "a second trim policy \"%s\"", t->name);
    if (!t->preset && t->strategy_count == 0)
        return yaml_tree_error(k->name, at, -EINVAL, k->e,
                               "the trim policy \"%s\" has neither a preset nor strategies: it "
                               "would cut nothing",
                               t->name);
    for (size_t i = 0; i < t->strategy_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(t->strategies[i], t->strategies[j]) == 0)
                return yaml_tree_error(k->name, at, -EINVAL, k->e,
                                       "the trim policy \"%s\" names %s twice", t->name,
                                       t->strategies[i]);
    return 0;
}

static int check_name(const struct check *k, const struct yaml_tree *at, const char *what,
                      const char *trim)
{
    if (!trim || config_trim_is_known(k->config, trim))
        return 0;
    const struct yaml_tree *key = yaml_tree_get(at, "trim");
    return yaml_tree_error(k->name, key ? key : at, -EINVAL, k->e,
                           "%s.trim: there is no way of trimming \"%s\": aggressive, balanced, "
                           "conservative, none, or one of trim_policies",
                           what, trim);
}

static int check_models(const struct check *k, const struct yaml_tree *provider,
                        const struct config_provider *p)
{
    const struct yaml_tree *list = yaml_tree_get(provider, "models");
    const struct yaml_tree *at = list ? list->first : NULL;
    int err = 0;
    for (size_t i = 0; i < p->model_count && !err; i++, at = at ? at->next : NULL)
        err = check_name(k, at, "providers[].models[]", p->models[i].trim);
    return err;
}

int config_trim_check(const char *name, const struct yaml_tree *root, const struct config *c,
                      struct error *e)
{
    const struct check k = {name, c, e};
    const struct yaml_tree *list = yaml_tree_get(root, "trim_policies");
    const struct yaml_tree *at = list ? list->first : NULL;
    int err = 0;
    if (c->trim_count > TRIM_MAX_POLICIES)
        return yaml_tree_error(name, list, -E2BIG, e, "trim_policies: at most %d",
                               TRIM_MAX_POLICIES);
    for (size_t i = 0; i < c->trim_count && !err; i++, at = at ? at->next : NULL)
        err = check_policy(&k, at, i);
    list = yaml_tree_get(root, "tenants");
    at = list ? list->first : NULL;
    for (size_t i = 0; i < c->tenant_count && !err; i++, at = at ? at->next : NULL)
        err = check_name(&k, at, "tenants[]", c->tenants[i].trim);
    list = yaml_tree_get(root, "providers");
    at = list ? list->first : NULL;
    for (size_t i = 0; i < c->provider_count && !err; i++, at = at ? at->next : NULL)
        err = check_models(&k, at, &c->providers[i]);
    return err;
}
