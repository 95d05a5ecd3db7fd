#include "scheduler/call_internal.h"

#include "common/clock.h"
#include "common/limits.h"
#include "scheduler/call_flight.h"
#include "scheduler/prompt/trim_policy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <string.h>

const char *call_id(const struct call *c)
{
    return c->held.id;
}

const char *call_model(const struct call *c)
{
    return c->model;
}

const char *call_models(const struct call *c)
{
    return c->spec.models ? c->spec.models : "";
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

bool call_holds(const struct call *c, const struct store_lease *lease)
{
    const struct holding *h = strcmp(c->held.id, lease->id) == 0 ? &c->held : &c->home.held;
    return h->fence == lease->fence && lease->fence > 0;
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
    if (c->given.decision && strcmp(name, "content-type") == 0)
        return *c->given.type ? c->given.type : NULL;
    const struct http_transfer *t = c->given.source ? c->given.source->transfer : c->transfer;
    return t ? http_reply_header(t, name) : NULL;
}

void call_reply_headers(const struct call *c,
                        void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    const struct http_transfer *t = c->given.source ? c->given.source->transfer : c->transfer;
    if (t)
        http_reply_headers(t, fn, arg);
}

const char *call_decision(const struct call *c)
{
    if (c->given.decision)
        return c->given.decision;
    if (c->fit.shrunk || c->spec.was_shrunk)
        return "shrunk";
    return c->waited ? "delayed" : "admitted";
}

size_t call_batch_size(const struct call *c)
{
    return c->given.batch_size;
}

bool call_is_shrunk(const struct call *c)
{
    return c->fit.shrunk;
}

int64_t call_trimmed(const struct call *c)
{
    return c->fit.trimmed;
}

int64_t call_lowered_output(const struct call *c)
{
    return c->fit.output_lowered ? c->request.max_output_tokens : -1;
}

const char *call_cut(const struct call *c, char out[CALL_CUT_BYTES])
{
    const char *between = " (";
    if (!c->fit.policy)
        return NULL;
    int n = snprintf(out, CALL_CUT_BYTES, "%s", c->fit.policy);
    for (unsigned s = 0; s <= TRIM_STAGE_COUNT && n > 0 && n < CALL_CUT_BYTES; s++) {
        if (!(c->fit.stages & 1U << s))
            continue;
        const char *name = s < TRIM_STAGE_COUNT ? trim_stage_name((enum trim_stage)s) : "repair";
        n += snprintf(out + n, (size_t)(CALL_CUT_BYTES - n), "%s%s", between, name);
        between = ", ";
    }
    if (n > 0 && n < CALL_CUT_BYTES - 1 && c->fit.stages)
        (void)snprintf(out + n, (size_t)(CALL_CUT_BYTES - n), ")");
    return out;
}

const char *call_cut_policy(const struct call *c)
{
    return c->fit.policy;
}

int call_cut_json(const struct call *c, struct buf *out)
{
    const char *between = "";
    const struct call_fit *f = &c->fit;
    if (!f->policy && !f->output_lowered)
        return 0;
    (void)buf_addf(out, "{\"policy\":%s%s%s,\"stages\":[", f->policy ? "\"" : "",
                   f->policy ? f->policy : "null", f->policy ? "\"" : "");
    for (unsigned s = 0; s <= TRIM_STAGE_COUNT; s++) {
        if (!(f->stages & 1U << s))
            continue;
        const char *name = s < TRIM_STAGE_COUNT ? trim_stage_name((enum trim_stage)s) : "repair";
        (void)buf_addf(out, "%s\"%s\"", between, name);
        between = ",";
    }
    (void)buf_addf(out, "],\"tokens\":%" PRId64 ",\"max_tokens\":", f->trimmed);
    if (f->output_lowered)
        (void)buf_addf(out, "%" PRId64, c->request.max_output_tokens);
    else
        (void)buf_adds(out, "null");
    return buf_addf(out, ",\"shrunk\":%s}", f->shrunk ? "true" : "false");
}

int call_keep_body(struct call *c, const char **ret, size_t *ret_len)
{
    struct json_span came = json_span_of(c->spec.body, c->spec.body_len);
    struct json_span model = json_get(came, "model");
    struct buf name, changed;
    *ret = c->spec.body;
    *ret_len = c->spec.body_len;
    if (!c->fit.policy && !c->fit.output_lowered)
        return 0;
    /* By the name that forced a provider, which only routing reads, it must be found again. */
    buf_init(&name, KIB);
    buf_init(&changed, HTTP_MAX_BODY_BYTES + KIB);
    int rc = json_text(model, &name);
    if (rc == 0 && strcmp(name.data, c->model) != 0) {
        rc = wire_request_set_model(&c->request, name.data, &changed);
        if (rc == 0)
            rc = call_replace_body(c, &changed);
    }
    buf_release(&name);
    *ret = c->request.body.at;
    *ret_len = c->request.body.len;
    return rc < 0 ? -ENOMEM : 0;
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

static int64_t deadline_left_ms(const struct call *c)
{
    int64_t left = c->spec.deadline_ms - (clock_mono_us() - c->born_us) / 1000;
    if (c->spec.deadline_ms == 0)
        return 0;
    return left > 1 ? left : 1;
}

void call_ticket(struct call *c, struct store_ticket *ret)
{
    const struct config *config = c->plan->config;
    *ret = (struct store_ticket){
        .id = c->held.id,
        .is_job = c->spec.is_job && !c->home.pool,
        .class = c->spec.class,
        .tenant = c->spec.tenant,
        .weight = c->spec.weight,
        .fair_cost = c->fair_cost,
        .aging_ms = config->queue.aging_ms,
        .deadline_in_ms = deadline_left_ms(c),
    };
    /* Again at each submit: a reload may have changed the pool's dimensions and their order. */
    struct pool_limits limits;
    pool_limits_of_tenant(&pool_agent_pool(c->pool->agent)->limits, c->spec.tenant, &limits);
    profile_reserve(c->pool->profile, &limits, &c->estimate, ret->cost, &ret->fair_cost);
    for (size_t i = 0; i < POOL_MAX_DIMS; i++)
        c->cost[i] = ret->cost[i];
}

void call_hold_back(struct call *c)
{
    c->given.paused = c->given.giver != NULL;
    if (c->transfer && !c->transfer_done)
        http_transfer_pause(c->transfer);
}

void call_let_flow(struct call *c)
{
    bool given = c->given.paused && c->given.giver && c->given.giver->resume;
    c->given.paused = false;
    if (given)
        c->given.giver->resume(c->given.arg);
    if (c->transfer && !c->transfer_done)
        http_transfer_resume(c->transfer);
}

void call_pause(struct call *c)
{
    if (!call_flight_flows(c))
        call_hold_back(c);
}

void call_resume(struct call *c)
{
    if (c->shared.flight)
        call_flight_resumed(c);
    else
        call_let_flow(c);
}

const char *call_cache_word(const struct call *c)
{
    return c->shared.word;
}

size_t call_cache_inputs(const struct call *c, size_t *ret_kept)
{
    *ret_kept = c->shared.inputs_kept;
    return c->shared.inputs;
}

int64_t call_answer_age_ms(const struct call *c)
{
    return c->given.decision && c->shared.age_ms > 0 ? c->shared.age_ms : 0;
}
