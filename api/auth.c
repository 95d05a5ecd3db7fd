#include "api/auth.h"

#include "common/digest.h"

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

static int tenant_of_key(const struct config *c, const char *key, const char **ret, struct error *e)
{
    char sum[DIGEST_HEX_BYTES];
    if (!key)
        return error_set(e, -EACCES,
                         "No API key was given: send one of this service's keys as "
                         "'Authorization: Bearer KEY' or 'x-api-key: KEY'.");
    digest_hex(key, strlen(key), sum, 64);
    for (size_t i = 0; i < c->auth.key_count; i++) {
        if (strcmp(c->auth.keys[i].sha256, sum) == 0) {
            *ret = c->auth.keys[i].tenant;
            return 0;
        }
    }
    return error_set(e, -EACCES, "The API key is not one of this service's keys (auth.keys).");
}

int auth_caller(const struct config *c, const struct exchange *x, struct caller *ret,
                struct error *e)
{
    const char *key = given_key(x), *tenant = DEFAULT_TENANT;
    if (c->auth.key_count > 0) {
        int rc = tenant_of_key(c, key, &tenant, e);
        if (rc < 0)
            return rc;
    }
    const char *named = exchange_header(x, "x-sluice-tenant");
    if (named && c->auth.trust_tenant_header) {
        if (!is_tenant_name(named))
            return error_set(e, -EINVAL,
                             "x-sluice-tenant must be 1 to %d letters, digits or any of . _ @ -",
                             TENANT_NAME_BYTES);
        tenant = named;
    }
    *ret = (struct caller){.weight = weight_of(c, tenant)};
    ret->provider_key = c->auth.key_count > 0 ? NULL : key;
    (void)snprintf(ret->tenant, sizeof(ret->tenant), "%s", tenant);
    return 0;
}
