#include "scheduler/call_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void find_caps(const struct call *c, struct config_tool_calls *caps)
{
    const struct config *config = c->plan->config;
    *caps = c->row->tool_calls;
    for (size_t i = 0; i < config->tenant_count; i++) {
        if (strcmp(config->tenants[i].name, c->spec.tenant) == 0)
            tool_caps_tighten(caps, &config->tenants[i].tool_calls);
    }
    if (c->spec.tool_calls)
        tool_caps_tighten(caps, c->spec.tool_calls);
}

static int refuse(struct call *c, struct call_failure *f)
{
    const struct tool_left *left = &c->tools.left;
    call_failure_set(
        f, 422, "tool_call_limit_exceeded",
        "This conversation has made more tool calls than Sluice allows it (%s: %" PRId64
        "); nothing was sent to the provider. Begin a new turn or conversation.",
        left->cap, left->most);
    return -EDQUOT;
}

static struct tool_past past_of(const struct call *c)
{
    const struct session_facts *s = &c->facts;
    return (struct tool_past){.calls = s->calls, .iterations = s->iterations, .turn = s->turn};
}

static void remember(struct call_tools *tools, const struct transcript *t)
{
    tools->messages = t->count;
    if (t->count == 0)
        return;
    struct json_span last = t->messages[t->count - 1].span;
    tools->hash = content_hash(t->list.at, (size_t)(last.at + last.len - t->list.at), 0);
}

static int apply(struct call *c, const struct config_tool_calls *caps, const struct transcript *t)
{
    struct tool_past past = past_of(c);
    struct buf changed;
    int rc = tool_count(t, &past, &c->tools.count);
    if (rc == 0)
        rc = tool_cap_left(t, caps, &past, &c->tools.left);
    if (rc < 0 || c->tools.left.exceeded)
        return rc;
    c->tools.most_alike = -1;
    bool drops = caps->mode != CONFIG_TOOLS_ANSWER && caps->mode != CONFIG_TOOLS_ERROR;
    if (drops && caps->max_identical >= 0) {
        free(c->tools.prints);
        c->tools.prints = NULL;
        rc = tool_cap_prints(t, &c->tools.prints, &c->tools.print_count);
        if (rc < 0)
            return rc;
        c->tools.most_alike = caps->max_identical;
    }
    buf_init(&changed, HTTP_MAX_BODY_BYTES + MIB);
    rc = tool_cap_request(t, caps, &past, &c->tools.left, &changed);
    if (rc == 0 && changed.len > 0)
        return call_replace_body(c, &changed);
    buf_release(&changed);
    return rc;
}

int call_tools_read(struct call *c, struct call_failure *failure)
{
    struct config_tool_calls caps;
    struct transcript t;
    struct error e;
    enum wire_endpoint endpoint = c->spec.endpoint;
    find_caps(c, &caps);
    bool has_messages =
        endpoint == WIRE_CHAT || endpoint == WIRE_MESSAGES || endpoint == WIRE_RESPONSES;
    if (!has_messages || (!tool_caps_any(&caps) && !c->spec.facts))
        return 0;
    /* What is no conversation is the provider's to refuse, in its own words. */
    int rc = transcript_read(endpoint, c->request.body.at, c->request.body.len, &t, &e);
    if (rc < 0)
        return rc == -ENOMEM ? call_fail_memory(failure) : 0;
    remember(&c->tools, &t);
    rc = apply(c, &caps, &t);
    transcript_release(&t);
    if (rc < 0)
        return call_fail_memory(failure);
    if (c->tools.left.exceeded)
        return refuse(c, failure);
    if (caps.mode == CONFIG_TOOLS_ANSWER || caps.mode == CONFIG_TOOLS_ERROR)
        c->tools.left.calls = TOOL_FILTER_ALL;
    c->tools.on = true;
    return 0;
}

void call_tools_release(struct call *c)
{
    tool_filter_release(&c->tools.filter);
    buf_release(&c->tools.out);
    free(c->tools.prints);
    c->tools.prints = NULL;
}

void call_tools_reset(struct call *c)
{
    if (!c->tools.on)
        return;
    struct call_tools *tools = &c->tools;
    tool_filter_release(&tools->filter);
    buf_release(&tools->out);
    tool_filter_init(&tools->filter, c->spec.endpoint, tools->left.calls);
    if (tools->most_alike >= 0)
        tool_filter_limit_repeats(&tools->filter, tools->most_alike, tools->prints,
                                  tools->print_count);
    buf_init(&c->tools.out, 2 * SSE_MAX_EVENT_BYTES);
}

int call_tools_event(struct call *c, const struct sse_event *event)
{
    bool pass = true;
    struct buf *out = &c->tools.out;
    int rc = 0;
    if (c->tools.on) {
        buf_clear(out);
        rc = tool_filter_event(&c->tools.filter, event, out, &pass);
    }
    if (rc == 0 && c->tools.on && out->len > 0)
        c->sink.data(c->arg, out->data, out->len);
    /* A sink may have cancelled the call. */
    if (rc == 0 && pass && c->state == CALL_STREAMING)
        c->sink.data(c->arg, event->raw, event->raw_len);
    return rc;
}

int call_tools_body(struct call *c)
{
    struct buf out;
    if (!c->tools.on || c->reply.len == 0)
        return 0;
    buf_init(&out, c->reply.max + KIB);
    int rc = tool_filter_body(&c->tools.filter, c->reply.data, c->reply.len, &out);
    if (rc < 0 || out.len == 0) {
        buf_release(&out);
        return rc;
    }
    buf_release(&c->reply);
    out.max = c->reply.max;
    c->reply = out;
    return 0;
}

int64_t call_tool_calls_dropped(const struct call *c)
{
    return c->tools.filter.dropped;
}

void call_session_delta(const struct call *c, struct session_delta *ret)
{
    const struct call_tools *tools = &c->tools;
    const struct wire_usage *u = call_usage(c);
    bool called = tools->filter.passed > 0;
    struct call_bill bill;
    call_bill(c, &bill);
    *ret = (struct session_delta){
        .calls = tools->filter.passed,
        .dropped = tools->filter.dropped,
        .input = u->known ? u->input : 0,
        .output = u->known ? u->output : 0,
        .trims = c->fit.trimmed > 0,
        .saved = c->fit.trimmed,
        .spent = c->fit.spent,
        .cost = bill.priced ? bill.pico : 0,
        .priced = bill.priced,
        .turn = tools->count.turn,
        .iterations = tools->count.iterations + called,
    };
    if (!u->known || tools->messages == 0)
        return;
    ret->anchor = (struct session_anchor){
        .tokens = u->input,
        .messages = tools->messages,
        .counted = c->fit.size.counted,
        .high = tools->hash.high,
        .low = tools->hash.low,
    };
    (void)snprintf(ret->anchor.model, sizeof(ret->anchor.model), "%s", c->model);
}
