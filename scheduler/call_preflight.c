#include "scheduler/call_internal.h"

#include <errno.h>

int call_replace_body(struct call *c, struct buf *changed)
{
    struct error e;
    struct wire_request request;
    int rc = wire_request_read(c->spec.endpoint, changed->data, changed->len, &request, &e);
    if (rc < 0) {
        buf_release(changed);
        return rc;
    }
    buf_release(&c->sent);
    c->sent = *changed;
    c->request = request;
    return 0;
}

/* The usage chunk of a stream is wanted for settling, whether or not the client asked for it. */
static int ask_usage(struct call *c, struct call_failure *f)
{
    if (!c->request.stream || c->request.usage_asked)
        return 0;

    struct buf changed;
    buf_init(&changed, HTTP_MAX_BODY_BYTES + KIB);
    int rc = wire_request_ask_usage(c->spec.endpoint, &c->request, &changed);
    if (rc == -ENOTSUP)
        return 0;
    if (rc == 0)
        rc = call_replace_body(c, &changed);
    else
        buf_release(&changed);
    if (rc < 0)
        return call_fail_memory(f);
    c->hide_usage = true;
    return 0;
}

/* What it will cost: the input as estimated, the output it asks for and the one foreseen. */
static int price(struct call *c, struct call_failure *f)
{
    const struct wire_request *r = &c->request;
    struct profile_estimate *e = &c->estimate;
    const struct store_pool *pool = pool_agent_pool(c->pool->agent);

    e->input = wire_estimate_input(c->spec.endpoint, r, c->model, c->row->chars_per_token);
    if (c->spec.endpoint != WIRE_EMBEDDINGS) {
        int64_t each =
            r->max_output_tokens >= 0 ? r->max_output_tokens : c->row->default_output_tokens;
        int64_t foreseen = quantile_value(&c->pool->output);
        e->max_output = each * r->choices;
        e->output = foreseen < e->max_output ? foreseen : e->max_output;
    }
    struct pool_limits limits;
    pool_limits_of_tenant(&pool->limits, c->spec.tenant, &limits);
    profile_reserve(c->pool->profile, &limits, e, c->cost, &c->fair_cost);
    (void)f;
    return 0;
}

/* In the order of the design: each stage may change the body, by call_replace_body(), or refuse the
 * request. The usage option comes last before the price, so that no stage sees what is ours. */
static int (*const stages[])(struct call *c, struct call_failure *failure) = {
    call_route,
    ask_usage,
    price,
};

int call_read(struct call *c, struct call_failure *failure)
{
    struct error e;
    int rc = wire_request_read(c->spec.endpoint, c->spec.body, c->spec.body_len, &c->request, &e);
    if (rc < 0) {
        call_failure_set(failure, 400, "invalid_request", "%s", e.text);
        return rc;
    }
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]) && rc == 0; i++)
        rc = stages[i](c, failure);
    return rc;
}
