/*
 * auth: who calls, and for which tenant.
 *
 * With keys (api/access.h) a request must carry one of them, as `Authorization: Bearer` or as
 * `x-api-key`; it is looked up by its SHA-256, so that no secret is compared byte by byte.
 * Without keys everybody is the tenant "default", and the service listens on loopback only.
 * x-sluice-tenant is believed only where the configuration says so.
 */
#ifndef API_AUTH_H
#define API_AUTH_H

#include "api/access.h"
#include "api/server.h"
#include "common/config.h"
#include "common/limits.h"

struct caller {
    char tenant[TENANT_NAME_BYTES + 1];
    int64_t weight;
    const char *provider_key;         /* borrowed from the exchange: to be passed on; NULL none */
    char models[ACCESS_MODELS_BYTES]; /* that the key may use (common/model_list.h); "" all. A copy,
                                         since a request may be read turns later, and a job's is */
    char key_id[ACCESS_ID_BYTES];     /* a copy too; "" of an open service */
    const struct access_key *key; /* borrowed for this turn of the loop; NULL: an open service */
};

struct auth_rules {
    const struct config *config;
    const struct access *access;
    enum access_scope scope; /* that the route needs */
};

/* 0; -EACCES no key or an unknown one, -EPERM one without the scope, -EINVAL a bad tenant name,
 * -EAGAIN the keys are not known yet; e says it. */
int auth_caller(const struct auth_rules *rules, const struct exchange *x, struct caller *ret,
                struct error *e) MUST_CHECK;
/* The same for a key alone; NULL none. 0: it may, or the service is open (then *ret is NULL). */
int auth_key(const struct auth_rules *rules, const char *key, const struct access_key **ret,
             struct error *e) MUST_CHECK;
int auth_status(int rc); /* HTTP, of what either gave */
const char *auth_code(int rc);

/* Whether what is of other tenants is shown as well. Within the turn. */
bool auth_sees_all(const struct caller *c);

#endif
