#include "scheduler/scheduler.h"

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/map.h"
#include "scheduler/budget.h"
#include "scheduler/call.h"
#include "scheduler/gauge.h"
#include "scheduler/pool_local.h"
#include "scheduler/pool_watch.h"
#include "scheduler/price/price.h"
#include "scheduler/summaries.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_POOLS       4096
#define FIRST_OUTPUT    512 /* output foreseen before anything was learned, tokens */
#define OUTPUT_QUANTILE 0.95

struct scheduler {
    struct scheduler_options options;
    struct plan *plan;
    struct rand rand;
    struct gauge *gauge;
    struct price_table *prices;
    struct summaries *summaries;
    struct map calls; /* id -> struct call */
    struct map pools; /* pool hash -> struct pool_view */
    struct list graves;
    struct event *undertaker;
    struct pool_watch watch;
    scheduler_job_fn on_job;
    scheduler_job_cancel_fn on_job_cancel;
    void *job_arg;
    scheduler_permit_fn on_permit;
    void *permit_arg;
    int64_t running_jobs;
    struct outage outage;
    bool connected, draining;
};

/* ---- pools */

const struct profile *scheduler_profile(const struct config_provider *provider)
{
    const struct profile *p = profile_find(provider->profile);
    return p ? p : profile_find("generic");
}

static void hand_out(void *arg, struct pool_agent *agent, const struct store_grant *grant)
{
    struct scheduler *s = arg;
    struct call *call = map_get(&s->calls, grant->id);
    if (call) {
        call_on_grant(call, grant);
        return;
    }
    if (key_is_permit(grant->id)) {
        /* One that nobody waits for here is never given back by this news alone: it may be late,
         * and whoever waited has the permit. Who leaves takes his ticket out himself. */
        if (s->on_permit)
            s->on_permit(s->permit_arg, grant);
        return;
    }
    if (grant->is_job && s->on_job && !s->draining) {
        s->on_job(s->job_arg, agent, grant);
        return;
    }
    /* A job goes back for another instance; a call whose client left meanwhile ends. */
    struct store_outcome o = {
        .id = grant->id,
        .fence = grant->fence,
        .state = grant->is_job ? TICKET_QUEUED : TICKET_CANCELLED,
        .delay_ms = pool_agent_hand_back_ms(agent),
        .unsent = true,
        .is_call = !grant->is_job,
        .fair_actual = -1,
    };
    pool_agent_settle(agent, &o, NULL, NULL);
}

static void lost(void *arg, struct pool_agent *agent, const struct store_lease *lease)
{
    struct scheduler *s = arg;
    struct call *call = map_get(&s->calls, lease->id);
    if (!call || !call_holds(call, lease))
        return; /* it ended, or was granted anew, while the heartbeat was on its way */
    log_write(LOG_WARN, "a lease was lost", "ticket", lease->id, "pool", pool_agent_pool(agent)->id,
              NULL);
    pool_stats_add(pool_agent_stats(agent), COUNT_leases_lost, 1);
    call_on_lost(call, lease->id);
}

int scheduler_job_room(const struct scheduler *s)
{
    int64_t left = s->plan->config->jobs.max_running - s->running_jobs;
    if (s->draining || left < 0)
        return 0;
    return (int)(left < DISPATCH_MAX_GRANTS ? left : DISPATCH_MAX_GRANTS);
}

static int room(void *arg)
{
    return scheduler_job_room(arg);
}

static void again(void *arg, struct pool_agent *agent, const char *id)
{
    struct scheduler *s = arg;
    struct call *one = id ? map_get(&s->calls, id) : NULL;
    size_t at = 0;
    if (one)
        call_ask_again(one);
    for (struct call *c = id ? NULL : map_next(&s->calls, &at); c; c = map_next(&s->calls, &at)) {
        if (call_pool(c)->agent == agent)
            call_ask_again(c);
    }
}

static void data_lost(void *arg, struct pool_agent *agent)
{
    log_write(LOG_WARN, "redis lost a pool's data; what waits is submitted again", "pool",
              pool_agent_pool(agent)->id, NULL);
    scheduler_channel_back(arg);
}

/* Job ids lead to their pools by this. The pools of callers' keys hold no jobs, and would only grow
 * a hash that nobody trims. */
static void register_pool(struct scheduler *s, const struct pool_view *v)
{
    const struct store_pool *pool = pool_agent_pool(v->agent);
    if (!v->transient)
        job_store_register_pool(s->options.jobs, pool->hash, pool->id);
}

static void free_pool(struct pool_view *v)
{
    pool_agent_free(v->agent);
    free(v->tenants);
    free(v);
}

/* Callers with keys of their own come and go, and each leaves a pool behind: an idle one goes. */
static bool make_room(struct scheduler *s)
{
    size_t at = 0;
    struct pool_view *v = NULL;
    if (s->pools.count < MAX_POOLS)
        return true;
    do
        v = map_next(&s->pools, &at);
    while (v && !(v->transient && v->users == 0 && pool_agent_is_idle(v->agent)));
    if (!v)
        return false;
    (void)map_remove(&s->pools, pool_agent_pool(v->agent)->hash);
    free_pool(v);
    return true;
}

static struct pool_view *add_pool(struct scheduler *s, const struct config_provider *provider,
                                  const struct config_model *row, const char *account,
                                  const char *id)
{
    struct config_limits merged = scheduler_limits(s, provider, row, account);
    struct pool_view *v = calloc(1, sizeof(*v));
    struct pool_agent_hooks hooks = {.on_grant = hand_out,
                                     .on_lost = lost,
                                     .on_again = again,
                                     .room = room,
                                     .on_data_lost = data_lost,
                                     .arg = s};
    struct budget budget;
    struct store_pool pool;
    if (!v)
        return NULL;
    v->profile = scheduler_profile(provider);
    if (budget_make(s->plan->config, v->profile, &merged, &budget) < 0) {
        free(v);
        return NULL;
    }
    v->tenants = budget.tenants;
    store_pool_init(&pool, id, &budget.limits);
    pool.finished_ttl_ms = s->plan->config->jobs.result_ttl_s * 1000;
    quantile_init(&v->output, OUTPUT_QUANTILE, FIRST_OUTPUT);
    (void)snprintf(v->provider, sizeof(v->provider), "%s", provider->name);
    (void)snprintf(v->group, sizeof(v->group), "%s", row->pool);
    (void)snprintf(v->account, sizeof(v->account), "%s", account);
    v->agent = pool_agent_new(s->options.base, s->options.store, &pool, &hooks);
    if (!v->agent || map_put(&s->pools, pool_agent_pool(v->agent)->hash, v) < 0) {
        free_pool(v);
        return NULL;
    }
    pool_agent_use_outage(v->agent, &s->outage);
    v->transient = !scheduler_find_account(provider, account) && strcmp(account, "default") != 0;
    if (s->connected) {
        register_pool(s, v);
        pool_agent_connected(v->agent, true);
        pool_watch_add(&s->watch, v->agent);
    }
    return v;
}

struct pool_view *scheduler_pool(struct scheduler *s, const struct config_provider *provider,
                                 const struct config_model *row, const char *account)
{
    char id[POOL_NAME_BYTES], hash[POOL_HASH_BYTES];
    int n = snprintf(id, sizeof(id), "%s:%s:%s", provider->name, account, row->pool);
    if (n < 0 || (size_t)n >= sizeof(id))
        return NULL; /* config_load() bounds the names so that this cannot be */
    key_pool_hash(id, hash);
    struct pool_view *v = map_get(&s->pools, hash);
    if (v && strcmp(pool_agent_pool(v->agent)->id, id) != 0)
        return NULL; /* two pools of one hash would share their limits */
    if (v)
        return v;
    return make_room(s) ? add_pool(s, provider, row, account, id) : NULL;
}

struct pool_view *scheduler_pool_by_hash(struct scheduler *s, const char *hash)
{
    return map_get(&s->pools, hash);
}

void scheduler_account(const char *key, char ret[ACCOUNT_BYTES])
{
    digest_hex(key, strlen(key), ret, ACCOUNT_BYTES - 1);
}

static bool has_hash(const struct config_provider *p, const struct config_model *row,
                     const char *account, const char *wanted)
{
    char id[POOL_NAME_BYTES], hash[POOL_HASH_BYTES];
    int n = snprintf(id, sizeof(id), "%s:%s:%s", p->name, account, row->pool);
    if (n < 0 || (size_t)n >= sizeof(id))
        return false;
    key_pool_hash(id, hash);
    return strcmp(hash, wanted) == 0;
}

struct pool_view *scheduler_find_pool(struct scheduler *s, const char *hash, const char *caller_key)
{
    const struct config *c = s->plan->config;
    char account[ACCOUNT_BYTES] = "default";
    struct pool_view *known = scheduler_pool_by_hash(s, hash);
    if (caller_key)
        scheduler_account(caller_key, account);
    for (size_t i = 0; i < c->provider_count && !known; i++) {
        const struct config_provider *p = &c->providers[i];
        for (size_t k = 0; k < p->model_count && p->key_count == 0 && !known; k++) {
            if (has_hash(p, &p->models[k], account, hash))
                known = scheduler_pool(s, p, &p->models[k], account);
            else if (has_hash(p, &p->models[k], "default", hash))
                known = scheduler_pool(s, p, &p->models[k], "default");
        }
    }
    return known;
}

struct pool_view *scheduler_pool_of(struct scheduler *s, struct pool_agent *agent)
{
    return map_get(&s->pools, pool_agent_pool(agent)->hash);
}

struct pool_view *scheduler_next_pool(const struct scheduler *s, size_t *at)
{
    return map_next(&s->pools, at);
}

/* Pools with a key of their own stand from the start, so that jobs of an earlier process go on
 * before the first request comes. */
static void add_configured_pools(struct scheduler *s)
{
    const struct config *c = s->plan->config;
    for (size_t i = 0; i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        for (size_t k = 0; k < p->model_count * p->key_count; k++) {
            const struct config_model *row = &p->models[k / p->key_count];
            gauge_prepare(s->gauge, row->name);
            if (!scheduler_pool(s, p, row, p->keys[k % p->key_count].name))
                log_write(LOG_ERROR, "a pool could not be made", "provider", p->name, "pool",
                          row->pool, NULL);
        }
    }
}

/* ---- graves */

static void on_undertaker(evutil_socket_t fd, short what, void *arg)
{
    struct scheduler *s = arg;
    (void)fd;
    (void)what;
    while (!list_is_empty(&s->graves)) {
        struct list *grave = s->graves.next;
        list_remove(grave);
        call_free(grave);
    }
}

void scheduler_bury(struct scheduler *s, struct list *grave)
{
    list_add_last(&s->graves, grave);
    event_active(s->undertaker, EV_TIMEOUT, 0);
}

/* ---- calls */

int scheduler_add_call(struct scheduler *s, struct call *c, const char *id)
{
    return map_put(&s->calls, id, c);
}

void scheduler_remove_call(struct scheduler *s, const char *id)
{
    (void)map_remove(&s->calls, id);
}

void scheduler_message(struct scheduler *s, const char *payload)
{
    char verb[8], id[TICKET_ID_BYTES], hash[POOL_HASH_BYTES];
    long long fence = 0, seq = 0;
    if (sscanf(payload, "%7s %47s %lld %lld", verb, id, &fence, &seq) != 4)
        return;
    struct call *call = map_get(&s->calls, id);
    if (strcmp(verb, "cancel") == 0) {
        if (call)
            call_on_cancel(call);
        else if (s->on_job_cancel)
            s->on_job_cancel(s->job_arg, id);
        return;
    }
    struct pool_view *v = key_id_hash(id, hash) ? scheduler_pool_by_hash(s, hash) : NULL;
    if (v && strcmp(verb, "circuit") == 0)
        again(s, v->agent, NULL);
    if (!v || strcmp(verb, "circuit") == 0)
        return;
    struct store_grant grant = {.fence = fence, .seq = seq};
    (void)snprintf(grant.id, sizeof(grant.id), "%s", id);
    hand_out(s, v->agent, &grant);
}

/* ---- the whole */

void scheduler_connected(struct scheduler *s, bool up)
{
    size_t at = 0;
    if (up)
        pool_watch_connected(&s->watch, !s->outage.ever_up);
    s->connected = up;
    s->outage.ever_up |= up;
    for (struct pool_view *v = map_next(&s->pools, &at); v; v = map_next(&s->pools, &at)) {
        if (up)
            register_pool(s, v);
        pool_agent_connected(v->agent, up);
    }
    if (up)
        scheduler_channel_back(s);
}

void scheduler_channel_back(struct scheduler *s)
{
    size_t at = 0;
    if (!s->connected)
        return;
    for (struct call *c = map_next(&s->calls, &at); c; c = map_next(&s->calls, &at))
        call_ask_again(c);
}

bool scheduler_is_connected(const struct scheduler *s)
{
    return s->connected;
}

void scheduler_outage(struct scheduler *s, struct scheduler_outage *ret)
{
    static const char *const modes[] = {
        [CONFIG_LOCAL] = "local", [CONFIG_CLOSED] = "closed", [CONFIG_OPEN] = "open"};
    bool central = true, grants = outage_grants(&s->outage, clock_mono_ms());
    size_t at = 0;
    *ret = (struct scheduler_outage){.serves = s->connected || grants};
    for (struct pool_view *v = map_next(&s->pools, &at); v; v = map_next(&s->pools, &at)) {
        const struct pool_local *local = pool_agent_local(v->agent);
        struct pool_local_counts counts = {0};
        central = central && pool_agent_is_central(v->agent);
        if (!local)
            continue;
        pool_local_count(local, &counts);
        ret->waiting += counts.waiting;
        ret->running += counts.running;
        ret->uncharged += !pool_local_is_charged(local);
    }
    if (s->connected)
        ret->mode = central ? "central" : "recovering";
    else
        ret->mode = grants || s->outage.ever_up || s->outage.mode == CONFIG_CLOSED
                        ? modes[s->outage.mode]
                        : "starting";
}

void scheduler_drain(struct scheduler *s)
{
    s->draining = true;
}

void scheduler_stop(struct scheduler *s)
{
    size_t at = 0;
    s->draining = true;
    pool_watch_stop(&s->watch);
    summaries_stop(s->summaries);
    gauge_stop(s->gauge);
    for (struct pool_view *v = map_next(&s->pools, &at); v; v = map_next(&s->pools, &at))
        pool_agent_stop(v->agent);
}

bool scheduler_is_draining(const struct scheduler *s)
{
    return s->draining;
}

size_t scheduler_active(const struct scheduler *s)
{
    return s->calls.count;
}

size_t scheduler_unsettled(struct scheduler *s)
{
    size_t at = 0, n = 0;
    for (struct pool_view *v = map_next(&s->pools, &at); v; v = map_next(&s->pools, &at))
        n += pool_agent_unsettled(v->agent);
    return n;
}

void scheduler_on_job(struct scheduler *s, scheduler_job_fn fn, scheduler_job_cancel_fn cancel,
                      void *arg)
{
    s->on_job = fn;
    s->on_job_cancel = cancel;
    s->job_arg = arg;
}

void scheduler_on_permit(struct scheduler *s, scheduler_permit_fn fn, void *arg)
{
    s->on_permit = fn;
    s->permit_arg = arg;
}

void scheduler_count_job(struct scheduler *s, int by)
{
    s->running_jobs += by;
}

const struct scheduler_options *scheduler_options(const struct scheduler *s)
{
    return &s->options;
}

struct summaries *scheduler_summaries(struct scheduler *s)
{
    return s->summaries;
}

struct gauge *scheduler_gauge(struct scheduler *s)
{
    return s->gauge;
}

const struct price_table *scheduler_prices(const struct scheduler *s)
{
    return s->prices;
}

struct rand *scheduler_rand(struct scheduler *s)
{
    return &s->rand;
}

struct plan *scheduler_plan(struct scheduler *s)
{
    return s->plan;
}

static void use_outage(struct scheduler *s)
{
    s->outage.mode = s->plan->config->redis.on_outage;
    s->outage.max_instances = s->plan->config->redis.max_instances;
}

void scheduler_reload(struct scheduler *s, struct config *config)
{
    struct plan *fresh = plan_new(config);
    if (!fresh) {
        log_write(LOG_ERROR, "no memory to take the new configuration; the old one stays", NULL);
        return;
    }
    plan_drop(s->plan);
    s->plan = fresh;
    use_outage(s);
    scheduler_apply_limits(s, true);
    add_configured_pools(s);
}

struct scheduler *scheduler_new(const struct scheduler_options *options, struct config *config)
{
    struct scheduler *s = calloc(1, sizeof(*s));
    struct plan *plan = plan_new(config);
    if (s)
        s->undertaker = evtimer_new(options->base, on_undertaker, s);
    struct gauge_options gauge = {options->base, options->calibrations, options->seed};
    if (s)
        s->summaries = summaries_new(s, options->summaries);
    if (!s || !plan || !s->undertaker || !s->summaries ||
        pool_watch_init(&s->watch, s, options->base) < 0 ||
        price_table_builtin(&s->prices, NULL) < 0 || gauge_new(&gauge, &s->gauge) < 0) {
        plan_drop(plan);
        if (s)
            pool_watch_release(&s->watch);
        price_table_free(s ? s->prices : NULL);
        summaries_free(s ? s->summaries : NULL);
        if (s && s->undertaker)
            event_free(s->undertaker);
        free(s);
        return NULL;
    }
    s->options = *options;
    s->plan = plan;
    s->outage.started_ms = clock_mono_ms();
    use_outage(s);
    rand_seed(&s->rand, options->seed);
    map_init(&s->calls, rand_next(&s->rand));
    map_init(&s->pools, rand_next(&s->rand));
    list_init(&s->graves);
    add_configured_pools(s);
    return s;
}

/* Calls are the owners' to cancel; what is left here belongs to nobody any more. */
void scheduler_free(struct scheduler *s)
{
    size_t at = 0;
    if (!s)
        return;
    on_undertaker(-1, 0, s);
    for (struct pool_view *v = map_next(&s->pools, &at); v; v = map_next(&s->pools, &at)) {
        free_pool(v);
    }
    map_release(&s->pools);
    map_release(&s->calls);
    gauge_free(s->gauge);
    price_table_free(s->prices);
    summaries_free(s->summaries);
    event_free(s->undertaker);
    pool_watch_release(&s->watch);
    plan_drop(s->plan);
    free(s);
}
