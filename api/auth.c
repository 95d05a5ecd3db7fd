#include "api/auth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_TENANT "default"

/* Anthropic's SDK sends x-api-key, OpenAI's a bearer token. */
static const char *given_key(const struct exchange *x)
{
    const char *key = exchange_header(x, "x-api-key");
    const char *bearer = exchange_header(x, "authorization");
    if (!key && bearer && strncasecmp(bearer, "Bearer ", 7) == 0)
        key = bearer + 7;
    return key && *key ? key : NULL;
}

static int64_t weight_of(const struct config *c, const char *tenant)
{
    for (size_t i = 0; i < c->tenant_count; i++) {
        if (strcmp(c->tenants[i].name, tenant) == 0)
            return c->tenants[i].weight;
    }
    return 1;
}

static bool is_tenant_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._@-";
    size_t len = strlen(name);
    return len >= 1 && len <= TENANT_NAME_BYTES && strspn(name, allowed) == len;
}

int auth_key(const struct auth_rules *rules, const char *key, const struct access_key **ret,
             struct error *e)
{
    *ret = NULL;
    if (!access_is_known(rules->access))
        return error_set(e, -EAGAIN,
                         "Sluice has not read its access keys yet (from redis); try again in a "
                         "moment.");
    if (access_is_open(rules->access))
        return 0;
    if (!key)
        return error_set(e, -EACCES,
                         "No API key was given: send one of this service's keys as "
                         "'Authorization: Bearer KEY' or 'x-api-key: KEY'.");
    const struct access_key *found = access_find(rules->access, key, e);
    if (!found)
        return -EACCES;
    if (!access_may(found, rules->scope))
        return error_set(e, -EPERM,
                         "This API key (%s) has not the scope '%s', which this route needs; ask "
                         "for a key that has it (sluice keys create --scopes).",
                         *found->name ? found->name : found->id, access_scope_name(rules->scope));
    *ret = found;
    return 0;
}

bool auth_sees_all(const struct caller *c)
{
    return !c->key || access_may(c->key, SCOPE_ADMIN);
}

int auth_status(int rc)
{
    return rc == -EACCES ? 401 : rc == -EPERM ? 403 : rc == -EAGAIN ? 503 : 400;
}

const char *auth_code(int rc)
{
    return rc == -EACCES   ? "invalid_api_key"
           : rc == -EPERM  ? "insufficient_scope"
           : rc == -EAGAIN ? "storage_unavailable"
                           : "invalid_tenant";
}

int auth_caller(const struct auth_rules *rules, const struct exchange *x, struct caller *ret,
                struct error *e)
{
    const char *key = given_key(x), *tenant = DEFAULT_TENANT;
    *ret = (struct caller){.weight = 1};
    int rc = auth_key(rules, key, &ret->key, e);
    if (rc < 0)
        return rc;
    if (ret->key)
        tenant = ret->key->tenant;
    const char *named = exchange_header(x, "x-sluice-tenant");
    if (named && rules->config->auth.trust_tenant_header) {
        if (!is_tenant_name(named))
            return error_set(e, -EINVAL,
                             "x-sluice-tenant must be 1 to %d letters, digits or any of . _ @ -",
                             TENANT_NAME_BYTES);
        tenant = named;
    }
    ret->weight = weight_of(rules->config, tenant);
    ret->provider_key = ret->key ? NULL : key;
    if (ret->key) {
        memcpy(ret->models, ret->key->models, sizeof(ret->models));
        memcpy(ret->key_id, ret->key->id, sizeof(ret->key_id));
    }
    (void)snprintf(ret->tenant, sizeof(ret->tenant), "%s", tenant);
    return 0;
}
