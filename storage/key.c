#include "storage/key.h"

#include "common/digest.h"
#include "common/rand.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ID_PREFIX     "job_"
#define PERMIT_PREFIX "permit_"
#define GROUP_PREFIX  "job_group_"
#define ID_RANDOM     24

/* Callers pass names that were checked against their maxima, so nothing is ever cut. */
static struct key PRINTF_AT(1, 2) make(const char *format, ...)
{
    struct key k;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(k.text, sizeof(k.text), format, args);
    va_end(args);
    assert(n > 0 && (size_t)n < sizeof(k.text));
    k.len = (size_t)n;
    return k;
}

struct key key_pool(const char *pool, const char *part)
{
    return make("sluice:{%s}:%s", pool, part);
}

struct key key_jobs(const char *pool, const char *tenant)
{
    return make("sluice:{%s}:jobs:%zu:%s", pool, strlen(tenant), tenant);
}

struct key key_idempotency(const char *tenant, const char *given)
{
    char sum[DIGEST_HEX_BYTES];
    digest_hex(given, strlen(given), sum, 64);
    return make("sluice:idem:%zu:%s:%s", strlen(tenant), tenant, sum);
}

struct key key_session(const char *tenant, const char *id, const char *part)
{
    char name[TENANT_NAME_BYTES + SESSION_ID_BYTES + 32], sum[DIGEST_HEX_BYTES];
    int len = snprintf(name, sizeof(name), "%zu:%s:%s", strlen(tenant), tenant, id);
    assert(len > 0 && (size_t)len < sizeof(name));
    digest_hex(name, (size_t)len, sum, 40);
    return make("sluice:{s:%s}:%s", sum, part);
}

struct key key_sessions(const char *tenant)
{
    return make("sluice:sessions:%zu:%s", strlen(tenant), tenant);
}

void key_new_session_id(char ret[SESSION_NEW_ID_BYTES])
{
    char random[ID_RANDOM + 1];
    rand_hex(random, ID_RANDOM);
    (void)snprintf(ret, SESSION_NEW_ID_BYTES, "sess_%s", random);
}

struct key key_calibration(const char *provider, const char *model)
{
    char sum[DIGEST_HEX_BYTES];
    digest_hex(model, strlen(model), sum, 32);
    return make("sluice:cal:%zu:%s:%.32s", strlen(provider), provider, sum);
}

struct key key_summary(const char *tenant, const char *digest)
{
    return make("sluice:sum:%zu:%s:%.64s", strlen(tenant), tenant, digest);
}

struct key key_answer(const char *digest)
{
    return make("sluice:ans:%.64s", digest);
}

struct key key_history(const char *tenant, const char *part)
{
    return make("sluice:history:%zu:%s:%s", strlen(tenant), tenant, part);
}

struct key key_tally(const char *kind)
{
    return make("sluice:tally:%s", kind);
}

struct key key_records(const char *set, const char *tenant)
{
    return make("sluice:%s:%zu:%s", set, strlen(tenant), tenant);
}

struct key key_lease(const char *id)
{
    return make("sluice:lease:%.128s", id);
}

struct key key_webhook(const char *part)
{
    return make("sluice:{wh}:%s", part);
}

struct key key_webhook_list(const char *tenant, const char *status)
{
    if (!tenant)
        return make("sluice:{wh}:i:*:%s", status);
    return make("sluice:{wh}:i:%zu:%s:%s", strlen(tenant), tenant, status);
}

struct key key_instance(const char *instance)
{
    return make("sluice:{insts}:%s", instance);
}

struct key key_instance_channel(const char *instance)
{
    return make("sluice:i:%s", instance);
}

struct key key_tenant(const char *tenant)
{
    return make("%zu:%s", strlen(tenant), tenant);
}

void key_pool_hash(const char *pool, char ret[POOL_HASH_BYTES])
{
    digest_hex(pool, strlen(pool), ret, POOL_HASH_BYTES - 1);
}

static void new_id(const char *prefix, const char *pool_hash, char ret[TICKET_ID_BYTES])
{
    char random[ID_RANDOM + 1];
    rand_hex(random, ID_RANDOM);
    (void)snprintf(ret, TICKET_ID_BYTES, "%s%.8s%s", prefix, pool_hash, random);
}

void key_new_id(const char *pool_hash, char ret[TICKET_ID_BYTES])
{
    new_id(ID_PREFIX, pool_hash, ret);
}

void key_new_permit_id(const char *pool_hash, char ret[TICKET_ID_BYTES])
{
    new_id(PERMIT_PREFIX, pool_hash, ret);
}

bool key_is_permit(const char *id)
{
    return strncmp(id, PERMIT_PREFIX, strlen(PERMIT_PREFIX)) == 0;
}

void key_new_group_id(const char *seed, char ret[GROUP_ID_BYTES])
{
    char digits[DIGEST_HEX_BYTES];
    if (seed)
        digest_hex(seed, strlen(seed), digits, ID_RANDOM);
    else
        rand_hex(digits, ID_RANDOM);
    (void)snprintf(ret, GROUP_ID_BYTES, GROUP_PREFIX "%.24s", digits);
}

bool key_is_group(const char *id)
{
    size_t prefix = strlen(GROUP_PREFIX);
    return strncmp(id, GROUP_PREFIX, prefix) == 0 && strlen(id) == prefix + ID_RANDOM &&
           strspn(id + prefix, "0123456789abcdef") == ID_RANDOM;
}

void key_group(const char *tenant, const char *id, char ret[GROUP_KEY_BYTES])
{
    char name[TENANT_NAME_BYTES + GROUP_ID_BYTES + 32];
    int len = snprintf(name, sizeof(name), "%zu:%s/%s", strlen(tenant), tenant, id);
    assert(len > 0 && (size_t)len < sizeof(name));
    digest_hex(name, (size_t)len, ret, GROUP_KEY_BYTES - 1);
}

bool key_id_hash(const char *id, char ret[POOL_HASH_BYTES])
{
    const char *prefix = key_is_permit(id) ? PERMIT_PREFIX : ID_PREFIX;
    if (strncmp(id, prefix, strlen(prefix)) != 0)
        return false;
    const char *digits = id + strlen(prefix);
    if (strlen(digits) != 8 + ID_RANDOM || strspn(digits, "0123456789abcdef") != 8 + ID_RANDOM)
        return false;
    (void)snprintf(ret, POOL_HASH_BYTES, "%.8s", digits);
    return true;
}

struct key key_cost_day(const char *date)
{
    return make("sluice:{cost}:d:%s", date);
}

struct key key_cost_budget(const char *who, int64_t start_s)
{
    return make("sluice:{cost}:b:%zu:%s:%" PRId64, strlen(who), who, start_s);
}
