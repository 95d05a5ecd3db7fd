#include "scheduler/call_internal.h"

#include <inttypes.h>
#include <string.h>

#define TENANT_FULL_RETRY_MS 5000

void call_failure_too_large(struct call_failure *f, const char *tenant,
                            const struct store_pool *pool, const int64_t *cost,
                            const struct store_turn *turn)
{
    bool own;
    int64_t needs = 0;
    const char *name = pool_store_limit_name(turn->detail, &own);
    for (size_t i = 0; i < pool->limits.dim_count; i++) {
        if (strcmp(pool->limits.dims[i].name, name) == 0)
            needs = cost[i];
    }
    if (own)
        call_failure_set(f, 413, "request_too_large",
                         "This request needs %" PRId64 " of %s, and the tenant \"%s\" may have "
                         "%" PRId64 " in %s (tenants[].%s or max_share in Sluice's configuration): "
                         "it can never fit. Shorten the input, lower max_tokens, or have the "
                         "tenant's limit raised.",
                         needs, name, tenant, turn->detail_number, pool->id, name);
    else
        call_failure_set(f, 413, "request_too_large",
                         "This request needs %" PRId64 " of %s, and the limit of %s is %" PRId64
                         " (the provider's, as configured): it can never fit. Shorten the input or "
                         "lower max_tokens.",
                         needs, name, pool->id, turn->detail_number);
}

void call_failure_tenant_full(struct call_failure *f, const char *tenant, const char *pool,
                              const struct store_turn *turn)
{
    call_failure_set(f, 429, "tenant_queue_full",
                     "%s requests of the tenant \"%s\" wait in %s already, and %" PRId64
                     " may (tenants[].max_queue in Sluice's configuration); nothing was sent to "
                     "the provider. Send fewer at once, or again when some have ended.",
                     turn->detail, tenant, pool, turn->detail_number);
    f->retry_after_ms = TENANT_FULL_RETRY_MS;
}

void call_failure_circuit(struct call_failure *f, const char *pool, const struct store_turn *turn)
{
    call_failure_set(f, 429, "provider_circuit_open",
                     "The account of %s has no budget left: the provider answered '%s'. Nothing is "
                     "sent to it now; one request tries again in %" PRId64 " s.",
                     pool, turn->detail, (turn->detail_number + 999) / 1000);
    f->retry_after_ms = turn->detail_number;
}
