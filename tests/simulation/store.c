#include "tests/simulation/store.h"

#include "storage/aside_store.h"
#include "storage/redis_check.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A call until it was answered. */
struct asked {
    struct pool_store *store;
    struct store_pool *pool;
    pool_store_fn fn;
    void *arg;
    bool configures, repeated;
    struct op *again;
};

static void on_answer(void *arg, struct answer *a);

static struct op *pool_op(enum op_kind kind, const struct pool_store *s,
                          const struct store_pool *pool, int most)
{
    struct op *op = op_new(kind, s->link->owner, pool->id);
    op->most = most;
    return op;
}

static struct op *configure_op(const struct pool_store *s, const struct store_pool *pool)
{
    struct op *op = pool_op(OP_CONFIGURE, s, pool, 0);
    op->limits = malloc(sizeof(*op->limits));
    assert(op->limits);
    *op->limits = pool->limits;
    op->start_full = !pool->configured;
    return op;
}

static void call(struct pool_store *s, struct store_pool *pool, struct op *op, pool_store_fn fn,
                 void *arg)
{
    struct asked *k = calloc(1, sizeof(*k));
    assert(k);
    *k = (struct asked){.store = s, .pool = pool, .fn = fn, .arg = arg};
    k->configures = op->kind == OP_CONFIGURE;
    link_send(s->link, op, on_answer, k);
}

static void on_configured(void *arg, struct answer *a)
{
    struct asked *k = arg;
    struct op *op = k->again;
    k->again = NULL;
    if (a->status == REDIS_OK) {
        k->pool->configured = true;
        link_send(k->store->link, op, on_answer, k);
        return;
    }
    op_free(op);
    on_answer(k, a);
}

static void on_answer(void *arg, struct answer *a)
{
    struct asked *k = arg;
    if (a->no_pool && !k->repeated) {
        k->repeated = true;
        k->pool->data_losses += k->pool->configured;
        k->again = a->refused;
        a->refused = NULL;
        link_send(k->store->link, configure_op(k->store, k->pool), on_configured, k);
        return;
    }
    if (k->configures && a->status == REDIS_OK)
        k->pool->configured = true;
    a->turn.status = a->status;
    if (k->fn)
        k->fn(k->arg, k->pool, &a->turn);
    free(k);
}

void store_pool_init(struct store_pool *pool, const char *id, const struct pool_limits *limits)
{
    *pool = (struct store_pool){.limits = *limits};
    (void)snprintf(pool->id, sizeof(pool->id), "%s", id);
    key_pool_hash(id, pool->hash);
}

void pool_store_configure(struct pool_store *s, struct store_pool *pool, pool_store_fn fn,
                          void *arg)
{
    call(s, pool, configure_op(s, pool), fn, arg);
}

void pool_store_submit(struct pool_store *s, struct store_pool *pool, const struct store_ticket *t,
                       int most, pool_store_fn fn, void *arg)
{
    struct op *op = pool_op(OP_SUBMIT, s, pool, most);
    op->ticket = *t;
    (void)snprintf(op->id, sizeof(op->id), "%s", t->id);
    (void)snprintf(op->tenant, sizeof(op->tenant), "%s", t->tenant);
    op_add_fields(op, t->fields, t->field_count);
    call(s, pool, op, fn, arg);
}

void pool_store_dispatch(struct pool_store *s, struct store_pool *pool, int most, pool_store_fn fn,
                         void *arg)
{
    call(s, pool, pool_op(OP_DISPATCH, s, pool, most), fn, arg);
}

void pool_store_settle(struct pool_store *s, struct store_pool *pool, const struct store_outcome *o,
                       int most, pool_store_fn fn, void *arg)
{
    struct op *op = pool_op(OP_SETTLE, s, pool, most);
    op->outcome = *o;
    (void)snprintf(op->id, sizeof(op->id), "%s", o->id);
    (void)snprintf(op->pause_dim, sizeof(op->pause_dim), "%s", o->pause_dim ? o->pause_dim : "");
    op_add_fields(op, o->fields, o->field_count);
    call(s, pool, op, fn, arg);
}

void pool_store_cancel(struct pool_store *s, struct store_pool *pool, const char *id, int most,
                       pool_store_fn fn, void *arg)
{
    struct op *op = pool_op(OP_CANCEL, s, pool, most);
    (void)snprintf(op->id, sizeof(op->id), "%s", id);
    call(s, pool, op, fn, arg);
}

void pool_store_reap(struct pool_store *s, struct store_pool *pool, int most, pool_store_fn fn,
                     void *arg)
{
    call(s, pool, pool_op(OP_REAP, s, pool, most), fn, arg);
}

void pool_store_charge(struct pool_store *s, struct store_pool *pool, const struct store_charge *c,
                       int most, pool_store_fn fn, void *arg)
{
    struct op *op = pool_op(OP_CHARGE, s, pool, most);
    op->charge = *c;
    call(s, pool, op, fn, arg);
}

void pool_store_accrue(struct pool_store *s, struct store_pool *pool,
                       const struct store_lease *lease, const int64_t *produced, pool_store_fn fn,
                       void *arg)
{
    struct op *op = pool_op(OP_ACCRUE, s, pool, 0);
    (void)snprintf(op->lease.id, sizeof(op->lease.id), "%s", lease->id);
    op->lease.fence = lease->fence;
    memcpy(op->produced, produced, sizeof(op->produced));
    call(s, pool, op, fn, arg);
}

void pool_store_heartbeat(struct pool_store *s, struct store_pool *pool,
                          const struct store_lease *leases, size_t count, pool_store_fn fn,
                          void *arg)
{
    struct op *op = pool_op(OP_HEARTBEAT, s, pool, 0);
    assert(count <= STORE_MAX_LEASES);
    op->leases = calloc(count + 1, sizeof(*op->leases));
    assert(op->leases);
    op->lease_count = count;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(op->leases[i].id, sizeof(op->leases[i].id), "%s", leases[i].id);
        op->leases[i].fence = leases[i].fence;
    }
    call(s, pool, op, fn, arg);
}

void pool_store_peek(struct pool_store *s, struct store_pool *pool, const struct store_look *look,
                     pool_store_fn fn, void *arg)
{
    struct op *op = pool_op(OP_PEEK, s, pool, 0);
    (void)snprintf(op->id, sizeof(op->id), "%s", look->id ? look->id : "");
    for (size_t i = 0; i < look->field_count; i++)
        op->fields[i] = (struct store_field){look->fields[i], NULL, 0};
    op->field_count = look->field_count;
    call(s, pool, op, fn, arg);
}

/* Statistics: nothing waits for them and nothing is decided by them. */
void pool_store_count(struct pool_store *s, const struct store_pool *pool,
                      const struct store_count *counts, size_t n)
{
    (void)counts;
    if (n > 0)
        link_send(s->link, pool_op(OP_NOTHING, s, pool, 0), NULL, NULL);
}

/* Jobs are as safe as everysec makes them: nothing is waited for. */
bool pool_store_confirms(const struct pool_store *s)
{
    (void)s;
    return false;
}

void pool_store_confirm(struct pool_store *s, const struct store_pool *pool, uint64_t stamp,
                        struct redis_asker *a, redis_confirm_fn fn, void *arg)
{
    (void)s;
    (void)pool;
    (void)stamp;
    (void)a;
    fn(arg, REDIS_OK, 0);
}

/* ---- jobs */

void job_store_register_pool(struct job_store *s, const char *hash, const char *pool)
{
    (void)hash;
    link_send(s->link, op_new(OP_NOTHING, s->link->owner, pool), NULL, NULL);
}

struct claiming {
    job_store_claim_fn fn;
    void *arg;
};

static void on_claimed(void *arg, struct answer *a)
{
    struct claiming *c = arg;
    bool taken = a->status == REDIS_OK && a->claimed_id[0] != '\0';
    c->fn(c->arg, a->status, taken ? a->claimed_id : NULL, a->same);
    free(c);
}

void job_store_claim(struct job_store *s, const struct job_claim *claim, job_store_claim_fn fn,
                     void *arg)
{
    struct op *op = op_new(OP_CLAIM, s->link->owner, "");
    struct claiming *c = malloc(sizeof(*c));
    assert(c);
    *c = (struct claiming){fn, arg};
    (void)snprintf(op->key, sizeof(op->key), "%s:%s", claim->tenant, claim->key);
    (void)snprintf(op->fingerprint, sizeof(op->fingerprint), "%s", claim->fingerprint);
    (void)snprintf(op->id, sizeof(op->id), "%s", claim->id);
    link_send(s->link, op, on_claimed, c);
}

uint64_t job_store_claim_stamp(const struct job_store *s)
{
    (void)s;
    return 0;
}

void job_store_unindex(struct job_store *s, const char *pool, const char *tenant, const char *id)
{
    (void)tenant;
    (void)id;
    link_send(s->link, op_new(OP_NOTHING, s->link->owner, pool), NULL, NULL);
}

void job_store_place(struct job_store *s, const struct job_entry *entry, time_index_place_fn fn,
                     void *arg)
{
    (void)s;
    (void)entry;
    fn(arg, REDIS_BUSY_LOCAL, 0);
}

void job_store_list(struct job_store *s, const struct job_range *range, time_index_fn fn, void *arg)
{
    (void)s;
    (void)range;
    fn(arg, REDIS_BUSY_LOCAL, NULL, 0);
}

/* Lists of pools that nobody configures, and keys that a provider refuses: not in the simulation.
 */
void job_store_pools(struct job_store *s, job_store_pool_fn fn, void *arg)
{
    (void)s;
    fn(arg, NULL, NULL);
}

void aside_store_set(struct pool_store *s, const struct store_pool *pool, const char *reason,
                     int64_t ms)
{
    (void)s;
    (void)pool;
    (void)reason;
    (void)ms;
}

void aside_store_clear(struct pool_store *s, const struct store_pool *pool)
{
    (void)s;
    (void)pool;
}

void aside_store_look(struct pool_store *s, const struct store_pool *pool, aside_store_fn fn,
                      void *arg)
{
    (void)s;
    fn(arg, pool->hash, "", -1);
}

struct redis_link *pool_store_link(const struct pool_store *s, int *ret_timeout_ms)
{
    (void)s;
    *ret_timeout_ms = 0;
    return NULL;
}

/* How long Redis has been up is never told: leases are reaped after the whole grace. */
int redis_check(struct redis_link *link, int timeout_ms, redis_facts_fn fn, void *arg)
{
    (void)link;
    (void)timeout_ms;
    (void)fn;
    (void)arg;
    return 0;
}

/* Nothing is joined here. */
void pool_store_ride(struct pool_store *s, struct store_pool *pool, const struct store_ride *r,
                     pool_store_fn fn, void *arg)
{
    (void)s;
    (void)pool;
    (void)r;
    (void)fn;
    (void)arg;
    abort();
}

void pool_store_group(struct pool_store *s, struct store_pool *pool, const struct store_group *g,
                      pool_store_fn fn, void *arg)
{
    (void)s;
    (void)pool;
    (void)g;
    (void)fn;
    (void)arg;
    abort();
}
