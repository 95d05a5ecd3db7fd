#include "scheduler/call_internal.h"

#include "common/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

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

/* A priority in the body is LiteLLM's, and OpenAI and Anthropic refuse members that they do not
 * know: it is taken out. vLLM knows it, with the same meaning, so there it is passed on as well.
 * Anything but a whole number is somebody else's member, and left alone. */
static int take_priority(struct call *c, struct call_failure *f)
{
    int64_t priority;
    enum pool_class class;
    if (!json_int(json_get(c->request.body, "priority"), &priority))
        return 0;
    if (!pool_class_of_number(priority, &class)) {
        call_failure_set(f, 400, "invalid_value",
                         "priority is %" PRId64 "; it must be a whole number from -2147483648 to "
                         "2147483647, and the lower one goes first.",
                         priority);
        f->param = "priority";
        return -EINVAL;
    }
    if (!c->spec.class_given)
        c->spec.class = class;
    if (strcmp(c->provider->profile, "vllm") == 0)
        return 0;

    struct buf changed;
    buf_init(&changed, HTTP_MAX_BODY_BYTES + KIB);
    int rc = wire_request_drop(&c->request, "priority", &changed);
    if (rc == 0)
        rc = call_replace_body(c, &changed);
    else
        buf_release(&changed);
    return rc < 0 ? call_fail_memory(f) : 0;
}

/* What it will cost: the input as estimated, the output it asks for and the one foreseen. */
void call_price(struct call *c)
{
    const struct wire_request *r = &c->request;
    struct profile_estimate *e = &c->estimate;
    const struct store_pool *pool = pool_agent_pool(c->pool->agent);

    e->input = c->spec.input_tokens > 0 ? c->spec.input_tokens : c->fit.size.reserved;
    if (c->spec.endpoint != WIRE_EMBEDDINGS) {
        int64_t each =
            r->max_output_tokens >= 0 ? r->max_output_tokens : c->row->default_output_tokens;
        if (c->spec.max_output_tokens > 0)
            each = c->spec.max_output_tokens;
        int64_t foreseen = call_foreseen_output(c->pool);
        e->max_output = each * r->choices;
        e->output = foreseen < e->max_output ? foreseen : e->max_output;
    }
    struct pool_limits limits;
    pool_limits_of_tenant(&pool->limits, c->spec.tenant, &limits);
    profile_reserve(c->pool->profile, &limits, e, c->cost, &c->fair_cost);
}

static int price(struct call *c, struct call_failure *f)
{
    (void)f;
    call_price(c);
    return 0;
}

/* In the order of the design: each stage may change the body, by call_replace_body(), or refuse the
 * request. What is saved comes behind the counting of tool calls, which it bounds, and before the
 * request is measured. The usage option comes last before the price, so that no stage sees what is
 * ours. */
static int (*const stages[])(struct call *c, struct call_failure *failure) = {
    call_route, take_priority, call_tools_read, call_settings_read, call_fit, ask_usage, price,
};

/* From the stage on that has to be done again: the first that may have to wait. */
static int run_stages(struct call *c, size_t from, struct call_failure *failure)
{
    struct counter *counter = gauge_counter(scheduler_gauge(c->sched));
    int rc = 0;
    counter_at_most(counter, COUNT_MAX_FRESH_BYTES);
    for (size_t i = from; i < sizeof(stages) / sizeof(stages[0]) && rc == 0 && !c->order; i++)
        rc = stages[i](c, failure);
    counter_whole(counter);
    return rc;
}

int call_read(struct call *c, struct call_failure *failure)
{
    struct error e;
    int rc = wire_request_read(c->spec.endpoint, c->spec.body, c->spec.body_len, &c->request, &e);
    if (rc < 0) {
        call_failure_set(failure, 400, "invalid_request", "%s", e.text);
        return rc;
    }
    return run_stages(c, 0, failure);
}

int call_read_on(struct call *c, struct call_failure *failure)
{
    size_t from = 0;
    while (stages[from] != call_fit)
        from++;
    return run_stages(c, from, failure);
}
