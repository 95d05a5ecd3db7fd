#include "scheduler/call_internal.h"

#include "common/clock.h"

const char *call_id(const struct call *c)
{
    return c->held.id;
}

const char *call_model(const struct call *c)
{
    return c->model;
}

enum wire_endpoint call_endpoint(const struct call *c)
{
    return c->spec.endpoint;
}

const char *call_body(const struct call *c, size_t *ret_len)
{
    *ret_len = c->spec.body_len;
    return c->spec.body;
}

bool call_holds(const struct call *c, int64_t fence)
{
    return c->held.fence == fence && fence > 0;
}

int64_t call_tries(const struct call *c)
{
    return c->attempts;
}

struct pool_view *call_pool(const struct call *c)
{
    return c->pool;
}

bool call_is_stream(const struct call *c)
{
    return c->request.stream;
}

int call_status(const struct call *c)
{
    return c->status;
}

const char *call_reply_header(const struct call *c, const char *name)
{
    return c->transfer ? http_reply_header(c->transfer, name) : NULL;
}

void call_reply_headers(const struct call *c,
                        void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    if (c->transfer)
        http_reply_headers(c->transfer, fn, arg);
}

const char *call_decision(const struct call *c)
{
    return c->waited ? "delayed" : "admitted";
}

int64_t call_queue_ms(const struct call *c)
{
    int64_t now = c->queued_us > 0 ? (clock_mono_us() - c->queued_us) / 1000 : 0;
    return c->queue_ms + now;
}

int64_t call_upstream_ms(const struct call *c)
{
    return c->first_us > c->sent_us ? (c->first_us - c->sent_us) / 1000 : 0;
}

int64_t call_overhead_us(const struct call *c)
{
    int64_t until = c->sent_us > 0 ? c->sent_us : clock_mono_us();
    int64_t spent = until - c->born_us - call_queue_ms(c) * 1000;
    return spent > 0 ? spent : 0;
}

int64_t call_input_estimate(const struct call *c)
{
    return c->estimate.input;
}

const struct profile_estimate *call_estimate(const struct call *c)
{
    return &c->estimate;
}

int64_t call_input_bytes(const struct call *c)
{
    return c->request.input_bytes;
}

const struct config_provider *call_provider(const struct call *c)
{
    return c->provider;
}

int64_t call_attempts(const struct call *c)
{
    return c->sends;
}

const struct wire_usage *call_usage(const struct call *c)
{
    return c->streaming ? &c->watch.usage : &c->usage;
}

void call_ticket(struct call *c, struct store_ticket *ret)
{
    const struct config *config = c->plan->config;
    *ret = (struct store_ticket){
        .id = c->held.id,
        .is_job = c->spec.is_job,
        .class = c->spec.class,
        .tenant = c->spec.tenant,
        .weight = c->spec.weight,
        .fair_cost = c->fair_cost,
        .aging_ms = config->queue.aging_ms,
    };
    /* Again at each submit: a reload may have changed the pool's dimensions and their order. */
    struct pool_limits limits;
    pool_limits_of_tenant(&pool_agent_pool(c->pool->agent)->limits, c->spec.tenant, &limits);
    profile_reserve(c->pool->profile, &limits, &c->estimate, ret->cost, &ret->fair_cost);
    for (size_t i = 0; i < POOL_MAX_DIMS; i++)
        c->cost[i] = ret->cost[i];
}

void call_pause(struct call *c)
{
    if (c->transfer && !c->transfer_done)
        http_transfer_pause(c->transfer);
}

void call_resume(struct call *c)
{
    if (c->transfer && !c->transfer_done)
        http_transfer_resume(c->transfer);
}
