#include "common/config_check.h"

#include "common/config_bind.h"
#include "common/config_text.h"
#include "common/config_trim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct check {
    const char *name;
    const struct yaml_tree *root;
    struct error *e;
};

static const char *const default_urls[] = {
    [CONFIG_OPENAI] = "https://api.openai.com/v1",
    [CONFIG_ANTHROPIC] = "https://api.anthropic.com",
};
static const char *const format_names[] = {
    [CONFIG_OPENAI] = "openai", [CONFIG_ANTHROPIC] = "anthropic"};

static int64_t limit_of(const struct config_model *m, size_t i)
{
    struct config_limits l = m->limits;
    return *config_limit_at(&l, i);
}

static bool has_limits(const struct config_model *m)
{
    for (size_t i = 0; config_limit_name(i); i++)
        if (limit_of(m, i) != CONFIG_ABSENT)
            return true;
    return false;
}

/* ---- what follows from other keys */

static int fill(char **text, const char *value)
{
    if (!*text)
        *text = strdup(value);
    return *text ? 0 : -ENOMEM;
}

static int add_any_model(struct config_provider *p)
{
    p->models = calloc(1, sizeof(*p->models));
    if (!p->models)
        return -ENOMEM;
    p->model_count = 1;
    int err = config_bind("", NULL, &config_table_model, p->models, NULL);
    return err ? err : fill(&p->models[0].name, "*");
}

static void share_limits(struct config_provider *p)
{
    for (size_t i = 0; i < p->model_count; i++) {
        struct config_model *m = &p->models[i];
        for (size_t j = 0; j < p->model_count && !has_limits(m); j++)
            if (strcmp(p->models[j].pool, m->pool) == 0)
                m->limits = p->models[j].limits;
    }
}

/* One key is a list of one, so that nobody else has to know two places. */
static int move_key(struct config_provider *p)
{
    if (!p->single_key || p->key_count)
        return 0;
    p->keys = calloc(1, sizeof(*p->keys));
    if (!p->keys)
        return -ENOMEM;
    p->key_count = 1;
    struct config_account *only = &p->keys[0];
    for (size_t i = 0; config_limit_name(i); i++)
        *config_limit_at(&only->limits, i) = CONFIG_ABSENT;
    only->api_key = p->single_key;
    p->single_key = NULL;
    return fill(&only->name, "default");
}

static int complete_provider(struct config_provider *p)
{
    if (fill(&p->base_url, default_urls[p->format]) || fill(&p->profile, format_names[p->format]))
        return -ENOMEM;
    for (size_t len = strlen(p->base_url); len && p->base_url[len - 1] == '/'; len--)
        p->base_url[len - 1] = '\0';

    int err = p->model_count ? 0 : add_any_model(p);
    if (!err)
        err = move_key(p);
    for (size_t i = 0; i < p->model_count && !err; i++)
        err = fill(&p->models[i].pool, p->models[i].name);
    if (!err)
        share_limits(p);
    return err;
}

int config_complete(struct config *c)
{
    for (size_t i = 0; i < c->provider_count; i++) {
        int err = complete_provider(&c->providers[i]);
        if (err)
            return err;
    }
    return 0;
}

/* ---- checks; at is the map of the entry, or NULL */

static const struct yaml_tree *key_of(const struct yaml_tree *map, const char *key)
{
    const struct yaml_tree *found = yaml_tree_get(map, key);
    return found ? found : map;
}

/* A request that names no maximum reserves default_output_tokens; a limit below that would
 * refuse it for ever. */
static int check_default_output(const struct check *k, const struct yaml_tree *at,
                                const struct config_model *m)
{
    const struct {
        const char *key;
        int64_t value;
    } most[] = {{"tpm", m->limits.tpm},
                {"otpm", m->limits.otpm},
                {"tpd", m->limits.tpd},
                {"max_output_tokens", m->max_output_tokens},
                {"context_window", m->context_window}};
    for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++)
        if (most[i].value != CONFIG_ABSENT && most[i].value < m->default_output_tokens)
            return yaml_tree_error(
                k->name, key_of(at, most[i].key), -EINVAL, k->e,
                "%s: %" PRId64 " is smaller than default_output_tokens (%" PRId64
                "): a request that names no maximum could never run; raise it or lower that",
                most[i].key, most[i].value, m->default_output_tokens);
    return 0;
}

/* The narrower limit must be able to be reached before the wider one. */
static int check_never_acts(const struct check *k, const struct yaml_tree *at,
                            const struct config_model *m)
{
    const struct config_limits *l = &m->limits;
    const struct {
        const char *key, *other;
        int64_t value, most;
    } pairs[] = {
        {"rpm", "rpd", l->rpm, l->rpd},
        {"tpm", "tpd", l->tpm, l->tpd},
        {"itpm", "tpm", l->itpm, l->tpm},
        {"otpm", "tpm", l->otpm, l->tpm},
        {"itpm", "tpd", l->itpm, l->tpd},
        {"otpm", "tpd", l->otpm, l->tpd},
        {"max_output_tokens", "context_window", m->max_output_tokens, m->context_window},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (pairs[i].most != CONFIG_ABSENT && pairs[i].value > pairs[i].most)
            return yaml_tree_error(k->name, key_of(at, pairs[i].key), -EINVAL, k->e,
                                   "%s: %" PRId64 " can never act, since %s is %" PRId64,
                                   pairs[i].key, pairs[i].value, pairs[i].other, pairs[i].most);
    return 0;
}

/* Against the rows above: one name once, one set of limits for each pool. */
static int check_against(const struct check *k, const struct yaml_tree *at,
                         const struct config_model *m, const struct config_model *before)
{
    if (strcmp(m->name, before->name) == 0)
        return yaml_tree_error(k->name, key_of(at, "name"), -EINVAL, k->e,
                               "a second row for the model \"%s\"", m->name);
    if (strcmp(m->pool, before->pool) != 0)
        return 0;
    for (size_t i = 0; config_limit_name(i); i++)
        if (limit_of(m, i) != limit_of(before, i))
            return yaml_tree_error(k->name, key_of(at, config_limit_name(i)), -EINVAL, k->e,
                                   "the pool \"%s\" has another %s in the row \"%s\": state the "
                                   "limits of a pool once, or the same in each row",
                                   m->pool, config_limit_name(i), before->name);
    if (m->limits.algorithm != before->limits.algorithm)
        return yaml_tree_error(k->name, key_of(at, "algorithm"), -EINVAL, k->e,
                               "the pool \"%s\" has another algorithm in the row \"%s\": state it "
                               "in each row that has limits",
                               m->pool, before->name);
    return 0;
}

static int check_models(const struct check *k, const struct yaml_tree *list,
                        const struct config_provider *p)
{
    const struct yaml_tree *at = list ? list->first : NULL;
    for (size_t i = 0; i < p->model_count; i++, at = at ? at->next : NULL) {
        int err = check_default_output(k, at, &p->models[i]);
        if (!err)
            err = check_never_acts(k, at, &p->models[i]);
        for (size_t j = 0; j < i && !err; j++)
            err = check_against(k, at, &p->models[i], &p->models[j]);
        if (err)
            return err;
    }
    return 0;
}

/* Limits of a key take the place of its models' limits, and must make sense there too. */
static int check_key_limits(const struct check *k, const struct yaml_tree *at,
                            const struct config_provider *p, const struct config_account *key)
{
    for (size_t i = 0; i < p->model_count; i++) {
        struct config_model m = p->models[i];
        m.limits = config_limits_of(&p->models[i], key);
        int err = check_default_output(k, at, &m);
        if (!err)
            err = check_never_acts(k, at, &m);
        if (err)
            return err;
    }
    return 0;
}

static int check_provider_keys(const struct check *k, const struct yaml_tree *provider,
                               const struct config_provider *p)
{
    const struct yaml_tree *list = yaml_tree_get(provider, "keys");
    const struct yaml_tree *at = list ? list->first : NULL;
    if (!list)
        return 0;
    if (yaml_tree_get(provider, "api_key"))
        return yaml_tree_error(k->name, list, -EINVAL, k->e,
                               "providers[] has either api_key or keys");
    if (!p->key_count)
        return yaml_tree_error(k->name, list, -EINVAL, k->e,
                               "providers[].keys is empty: leave it out, and the caller's key is "
                               "passed on");
    for (size_t i = 0; i < p->key_count && at; i++, at = at->next) {
        int err = check_key_limits(k, at, p, &p->keys[i]);
        if (err)
            return err;
        for (size_t j = 0; j < i; j++) {
            /* The same account twice would be two budgets where the provider sees one. */
            bool name = strcmp(p->keys[i].name, p->keys[j].name) == 0;
            if (name || strcmp(p->keys[i].api_key, p->keys[j].api_key) == 0)
                return yaml_tree_error(k->name, key_of(at, name ? "name" : "api_key"), -EINVAL,
                                       k->e, "providers[].keys[] holds this %s a second time",
                                       name ? "name" : "key");
        }
    }
    return 0;
}

/* A fallback that leads nowhere, or back, would show only on the day it is needed. */
static int check_fallbacks(const struct check *k, const struct yaml_tree *at,
                           const struct config *c, const struct config_provider *p,
                           const struct config_model *m)
{
    struct config_candidate ways[CONFIG_MAX_ROUTES];
    const char *model = NULL;
    at = key_of(at, "fallbacks");
    if (m->fallback_count > CONFIG_MAX_FALLBACKS)
        return yaml_tree_error(k->name, at, -E2BIG, k->e, "fallbacks: at most %d models",
                               CONFIG_MAX_FALLBACKS);
    for (size_t i = 0; i < m->fallback_count; i++) {
        if (config_candidates(c, p->format, m->fallbacks[i], ways, &model) == 0)
            return yaml_tree_error(k->name, at, -EINVAL, k->e,
                                   "fallbacks: no provider with the %s format serves \"%.100s\"",
                                   format_names[p->format], m->fallbacks[i]);
        if (strcmp(m->fallbacks[i], m->name) == 0)
            return yaml_tree_error(k->name, at, -EINVAL, k->e,
                                   "fallbacks: \"%.100s\" cannot fall back to itself", m->name);
    }
    return 0;
}

/* Behind the last one that is kept there must be no other. */
static int check_routes(const struct check *k, const struct yaml_tree *at, const struct config *c,
                        const struct config_provider *p, const struct config_model *m)
{
    size_t n = 0;
    for (size_t i = 0; i < c->provider_count; i++) {
        const struct config_provider *other = &c->providers[i];
        for (size_t j = 0; other->format == p->format && j < other->model_count; j++) {
            if (strcmp(other->models[j].name, m->name) == 0)
                n += other->key_count > 0 ? other->key_count : 1;
        }
    }
    if (n <= CONFIG_MAX_ROUTES || strcmp(m->name, "*") == 0)
        return check_fallbacks(k, at, c, p, m);
    return yaml_tree_error(k->name, key_of(at, "name"), -E2BIG, k->e,
                           "the model \"%.100s\" has %zu keys and providers; at most %d serve one "
                           "model",
                           m->name, n, CONFIG_MAX_ROUTES);
}

static int check_ways(const struct check *k, const struct yaml_tree *provider,
                      const struct config *c, const struct config_provider *p)
{
    const struct yaml_tree *list = yaml_tree_get(provider, "models");
    const struct yaml_tree *at = list ? list->first : NULL;
    int err = check_provider_keys(k, provider, p);
    if (!err && p->key_count > CONFIG_MAX_ROUTES)
        err = yaml_tree_error(k->name, key_of(provider, "keys"), -E2BIG, k->e,
                              "providers[].keys: at most %d", CONFIG_MAX_ROUTES);
    for (size_t i = 0; i < p->model_count && !err; i++, at = at ? at->next : NULL)
        err = check_routes(k, at, c, p, &p->models[i]);
    return err;
}

static bool is_word(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && strncmp(text, word, len) == 0;
}

/* Whether base_url leads back to listen ("127.0.0.1:8080"), as itself or as localhost. An
 * SDK's own variable (OPENAI_BASE_URL) often points here already, and would make a loop. */
static bool is_self(const char *listen, const char *base_url)
{
    const char *port = strrchr(listen, ':');
    if (strncmp(base_url, "http://", 7) != 0 || strncmp(listen, "unix:", 5) == 0 || !port)
        return false;

    const char *host = base_url + 7;
    size_t len = strcspn(host, "/"), port_len = strlen(port);
    if (is_word(host, len, listen))
        return true;
    if (len <= port_len || !is_word(host + len - port_len, port_len, port))
        return false;
    bool here = config_text_is_loopback(listen) || strncmp(listen, "0.0.0.0:", 8) == 0 ||
                strncmp(listen, "[::]:", 5) == 0;
    len -= port_len;
    return here && (is_word(host, len, "localhost") || is_word(host, len, "127.0.0.1") ||
                    is_word(host, len, "[::1]"));
}

static int check_provider(const struct check *k, const struct yaml_tree *at, const struct config *c,
                          const struct config_provider *p)
{
    size_t len = strlen(p->base_url);
    if (p->format == CONFIG_ANTHROPIC && len > 3 && strcmp(p->base_url + len - 3, "/v1") == 0)
        return yaml_tree_error(k->name, key_of(at, "base_url"), -EINVAL, k->e,
                               "providers[].base_url of the anthropic format stands without /v1, "
                               "as in the SDK");
    if (is_self(c->listen, p->base_url))
        return yaml_tree_error(k->name, key_of(at, "base_url"), -EINVAL, k->e,
                               "providers[].base_url is %s, where this service itself listens",
                               p->base_url);
    for (const struct config_provider *before = c->providers; before < p; before++)
        if (strcmp(before->name, p->name) == 0)
            return yaml_tree_error(k->name, key_of(at, "name"), -EINVAL, k->e,
                                   "a second provider \"%s\"", p->name);
    int err = check_models(k, yaml_tree_get(at, "models"), p);
    return err ? err : check_ways(k, at, c, p);
}

static int check_providers(const struct check *k, const struct config *c)
{
    const struct yaml_tree *list = yaml_tree_get(k->root, "providers");
    if (!c->provider_count && list)
        return yaml_tree_error(k->name, list, -EINVAL, k->e,
                               "providers is empty: no request could go anywhere");

    const struct yaml_tree *at = list ? list->first : NULL;
    for (size_t i = 0; i < c->provider_count; i++, at = at ? at->next : NULL) {
        int err = check_provider(k, at, c, &c->providers[i]);
        if (err)
            return err;
    }
    return 0;
}

static int check_tenants(const struct check *k, const struct config *c)
{
    const struct yaml_tree *list = yaml_tree_get(k->root, "tenants");
    const struct yaml_tree *at = list ? list->first : NULL;
    for (size_t i = 0; i < c->tenant_count; i++, at = at ? at->next : NULL)
        for (size_t j = 0; j < i; j++)
            if (strcmp(c->tenants[i].name, c->tenants[j].name) == 0)
                return yaml_tree_error(k->name, key_of(at, "name"), -EINVAL, k->e,
                                       "a second tenant \"%s\"", c->tenants[i].name);
    return 0;
}

/* An event without a signature is never sent, so a URL alone would do nothing. */
static int check_webhooks(const struct check *k, const struct config *c)
{
    const struct yaml_tree *at = yaml_tree_get(k->root, "webhooks");
    const struct yaml_tree *tenants = yaml_tree_get(k->root, "tenants");
    if (c->webhooks.all.secret)
        return 0;
    if (c->webhooks.all.url)
        return yaml_tree_error(k->name, key_of(at, "url"), -EINVAL, k->e,
                               "webhooks.url needs webhooks.secret: events are signed");
    at = tenants ? tenants->first : NULL;
    for (size_t i = 0; i < c->tenant_count; i++, at = at ? at->next : NULL)
        if (c->tenants[i].webhook.url && !c->tenants[i].webhook.secret)
            return yaml_tree_error(k->name, key_of(at, "webhook"), -EINVAL, k->e,
                                   "tenants[].webhook needs a secret, its own or webhooks.secret");
    return 0;
}

static int check_keys(const struct check *k, const struct config *c)
{
    const struct yaml_tree *list = yaml_tree_get(yaml_tree_get(k->root, "auth"), "keys");
    const struct yaml_tree *at = list ? list->first : NULL;
    for (size_t i = 0; i < c->auth.key_count; i++, at = at ? at->next : NULL) {
        bool plain = yaml_tree_get(at, "key") != NULL, hash = yaml_tree_get(at, "sha256") != NULL;
        if (!c->auth.keys[i].sha256 || (plain && hash))
            return yaml_tree_error(k->name, at, -EINVAL, k->e,
                                   "auth.keys[] needs either key or sha256");
        for (size_t j = 0; j < i; j++)
            if (strcmp(c->auth.keys[i].sha256, c->auth.keys[j].sha256) == 0)
                return yaml_tree_error(k->name, at, -EINVAL, k->e,
                                       "auth.keys[] holds this key a second time");
    }
    return 0;
}

static int check_tls(const struct check *k, const struct config *c)
{
    if (!c->tls.certificate == !c->tls.key)
        return 0;
    return yaml_tree_error(k->name, key_of(k->root, "tls"), -EINVAL, k->e,
                           "tls needs certificate and key together; tls.%s is not there",
                           c->tls.key ? "certificate" : "key");
}

static int check_budget(const struct check *k, const struct yaml_tree *at, const char *max_budget,
                        const char *duration)
{
    if (max_budget || !duration)
        return 0;
    return yaml_tree_error(k->name, key_of(at, "budget_duration"), -EINVAL, k->e,
                           "budget_duration does nothing without max_budget");
}

static int check_budgets(const struct check *k, const struct config *c)
{
    const struct yaml_tree *list = yaml_tree_get(k->root, "tenants");
    const struct yaml_tree *at = list ? list->first : NULL;
    int err = 0;
    for (size_t i = 0; i < c->tenant_count && !err; i++, at = at ? at->next : NULL)
        err = check_budget(k, at, c->tenants[i].max_budget, c->tenants[i].budget_duration);
    list = yaml_tree_get(yaml_tree_get(k->root, "auth"), "keys");
    at = list ? list->first : NULL;
    for (size_t i = 0; i < c->auth.key_count && !err; i++, at = at ? at->next : NULL)
        err = check_budget(k, at, c->auth.keys[i].max_budget, c->auth.keys[i].budget_duration);
    return err;
}

static int check_service(const struct check *k, const struct config *c)
{
    if (!c->auth.key_count && !config_text_is_loopback(c->listen))
        return yaml_tree_error(k->name, key_of(k->root, "listen"), -EINVAL, k->e,
                               "listen is %s, which others can reach, and auth.keys is empty: "
                               "add a key, or listen on 127.0.0.1",
                               c->listen);
    if (c->jobs.durability == CONFIG_REPLICATED && !*c->redis.url)
        return yaml_tree_error(k->name, key_of(yaml_tree_get(k->root, "jobs"), "durability"),
                               -EINVAL, k->e,
                               "jobs.durability: replicated needs redis.url: the embedded Redis "
                               "has no replica");
    return 0;
}

int config_check(const char *name, const struct yaml_tree *root, const struct config *c,
                 struct error *e)
{
    const struct check k = {name, root, e};
    int err = check_service(&k, c);
    if (!err)
        err = check_tls(&k, c);
    if (!err)
        err = check_keys(&k, c);
    if (!err)
        err = check_tenants(&k, c);
    if (!err)
        err = check_webhooks(&k, c);
    if (!err)
        err = check_budgets(&k, c);
    if (!err)
        err = check_providers(&k, c);
    if (!err)
        err = config_trim_check(name, root, c, e);
    return err;
}
