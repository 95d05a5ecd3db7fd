#include "scheduler/pool_agent_internal.h"

#include "common/clock.h"
#include "common/log.h"

static void on_local_grant(void *arg, const struct store_grant *grant)
{
    struct pool_agent *a = arg;
    a->hooks.on_grant(a->hooks.arg, a, grant);
}

static void on_local_due(void *arg, const char *id)
{
    struct pool_agent *a = arg;
    a->hooks.on_again(a->hooks.arg, a, id);
}

bool pool_agent_is_central(const struct pool_agent *a)
{
    return a->up;
}

bool pool_agent_is_cut_off(const struct pool_agent *a)
{
    return !a->up && !a->stopped && a->outage && outage_grants(a->outage, clock_mono_ms());
}

bool pool_agent_is_local(const struct pool_agent *a, const char *id)
{
    return a->local && pool_local_has(a->local, id);
}

const struct pool_local *pool_agent_local(const struct pool_agent *a)
{
    return a->local;
}

void pool_agent_use_outage(struct pool_agent *a, const struct outage *outage)
{
    a->outage = outage;
}

static int64_t share_instances(const struct pool_agent *a)
{
    return a->outage && a->outage->mode == CONFIG_LOCAL ? a->outage->max_instances : 0;
}

static bool enter_local(struct pool_agent *a)
{
    if (pool_local_enter(a->local, share_instances(a)) < 0) {
        if (!a->unshared)
            log_write(LOG_WARN, "redis is away, and the limits are too small for a local share",
                      "pool", a->pool.id, NULL);
        a->unshared = true;
        return false;
    }
    for (struct list *at = a->held.next; at != &a->held; at = at->next)
        pool_local_occupy(a->local, LIST_ITEM(at, struct holding, link)->id);
    log_write(LOG_WARN, "redis is away, calls are granted here", "pool", a->pool.id, "limits",
              share_instances(a) > 0 ? "local share" : "none", NULL);
    return true;
}

bool pool_agent_enter_local(struct pool_agent *a)
{
    if (!pool_agent_is_cut_off(a))
        return false;
    if (!a->local) {
        struct pool_local_options options = {
            .base = a->base,
            .pool = &a->pool,
            .stats = &a->stats,
            .hooks = {.on_grant = on_local_grant, .on_due = on_local_due, .arg = a},
        };
        a->local = pool_local_new(&options);
        if (a->local)
            pool_local_hold(a->local, a->linked);
    }
    return a->local && (pool_local_is_entered(a->local) || enter_local(a));
}

void pool_agent_leave_local(struct pool_agent *a)
{
    struct pool_local_counts counts;
    char grants[LOG_NUMBER_BYTES], running[LOG_NUMBER_BYTES];
    a->unshared = false;
    pool_local_count(a->local, &counts);
    if (pool_local_is_entered(a->local)) {
        log_write(LOG_WARN, "redis is back, what was granted here is charged", "pool", a->pool.id,
                  "grants", log_number(grants, counts.grants), "still_running",
                  log_number(running, counts.running), NULL);
        pool_local_leave(a->local);
    }
    pool_local_hold(a->local, false);
}

static void on_charged(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct pool_agent *a = arg;
    (void)pool;
    a->charging = false;
    if (!pool_agent_end(a) || a->stopped)
        return;
    bool taken = turn->status == REDIS_OK;
    if (turn->status == REDIS_ERROR && ++a->charge_refusals == AGENT_MOST_REFUSALS) {
        log_write(LOG_ERROR, "redis does not take a charge; it is dropped", "pool", a->pool.id,
                  NULL);
        taken = true;
    }
    if (!taken) {
        /* Full, busy, or gone again: calls go on here until the next try. */
        pool_local_hold(a->local, false);
        if (a->linked)
            pool_agent_arm(a->retry, AGENT_RETRY_MS);
        return;
    }
    a->charge_refusals = 0;
    pool_local_charged(a->local);
    pool_agent_take_turn(a, turn);
    if (a->up)
        (void)pool_agent_charge(a);
    else if (a->linked)
        pool_agent_recover(a);
}

bool pool_agent_charge(struct pool_agent *a)
{
    struct store_charge c;
    if (a->charging)
        return true;
    if (!a->local || !pool_local_next_charge(a->local, &c))
        return false;
    a->charging = true;
    pool_agent_begin(a);
    pool_store_charge(a->store, &a->pool, &c, pool_agent_room(a), on_charged, a);
    return true;
}

void pool_agent_recover(struct pool_agent *a)
{
    if (a->local)
        pool_local_hold(a->local, true);
    if (!pool_agent_charge(a))
        pool_agent_go_central(a);
}

void pool_agent_configure_local(struct pool_agent *a)
{
    if (a->local)
        pool_local_configure(a->local, share_instances(a));
}

void pool_agent_connected(struct pool_agent *a, bool up)
{
    a->linked = up;
    if (up) {
        pool_agent_recover(a);
        return;
    }
    a->up = false;
    if (a->local)
        pool_local_hold(a->local, false);
}

/* Of a ticket that was granted here. A cancel has no fence. */
void pool_agent_settle_local(struct pool_agent *a, const struct store_outcome *o, pool_store_fn fn,
                             void *arg)
{
    if (o->fence == 0)
        pool_local_cancel(a->local, o->id, fn, arg);
    else
        pool_local_settle(a->local, o, fn, arg);
    if (a->up)
        (void)pool_agent_charge(a); /* a correction of what was charged when Redis came back */
}
