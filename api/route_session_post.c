/*
 * route_session_post: a post to a conversation that is kept here: it waits for its turn, goes the
 * way of every call, and its end is held back until it is stored.
 */
#include "api/answer.h"
#include "api/proxied.h"
#include "api/route.h"

#include "scheduler/session.h"

#include <stdlib.h>

struct posting {
    struct route_request request; /* the exchange is valid until `gone` */
    struct request_options options;
    struct session_post *post;
    struct proxied *proxied; /* while its end is stored */
    bool gone;
};

static enum wire_format format_of(const struct posting *p)
{
    return wire_format_of(session_post_endpoint(p->post));
}

static bool on_data(void *arg, const struct call *c, const char *bytes, size_t len)
{
    struct posting *p = arg;
    return session_post_data(p->post, c, bytes, len);
}

static void on_stored(void *arg, const struct call_failure *failure)
{
    struct posting *p = arg;
    proxied_finish(p->proxied, failure);
    free(p);
}

static void on_end(void *arg, const struct call *c, struct proxied *proxied)
{
    struct posting *p = arg;
    p->proxied = proxied;
    session_post_end(p->post, c, on_stored, p);
}

static void on_lost(void *arg)
{
    struct posting *p = arg;
    session_post_drop(p->post);
    free(p);
}

static const struct proxied_watch watch = {.data = on_data, .end = on_end, .lost = on_lost};

/* Left while it waited for its turn; later it is the call's to know. */
static void on_gone(void *arg)
{
    struct posting *p = arg;
    session_post_drop(p->post);
    free(p);
}

static void add_caps(struct posting *p)
{
    const struct config_tool_calls *preset = session_post_caps(p->post);
    if (!preset)
        return;
    if (!p->options.caps_tools)
        tool_caps_none(&p->options.tool_calls);
    tool_caps_tighten(&p->options.tool_calls, preset);
    p->options.caps_tools = true;
}

static void on_turn(void *arg, const struct call_failure *failure)
{
    struct posting *p = arg;
    if (failure) {
        answer_failure(p->request.exchange, WIRE_OPENAI, failure);
        free(p);
        return;
    }
    struct route_request r = p->request;
    struct proxied_plan plan = {
        .endpoint = session_post_endpoint(p->post),
        .options = &p->options,
        .facts = session_post_facts(p->post),
        .watch = &watch,
        .arg = p,
    };
    add_caps(p);
    plan.body = session_post_take_body(p->post, &plan.body_len);
    if (service_is_draining(r.service)) {
        free(plan.body);
        enum wire_format format = format_of(p);
        on_lost(p);
        answer_error(r.exchange, format, 503, "draining",
                     "This instance is shutting down and takes no new requests; try again.");
        return;
    }
    proxied_begin(&r, &plan);
}

void route_sessions_post(const struct route_request *r)
{
    struct call_failure failure;
    struct error e;
    struct posting *p = calloc(1, sizeof(*p));
    if (!p) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    p->request = *r;
    p->request.caller.key = NULL; /* only valid in this turn of the loop */
    if (request_options_read(service_config(r->service), r->exchange, &p->options, &e) < 0) {
        answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_header", e.text);
        free(p);
        return;
    }
    p->options.session = NULL; /* the conversation's name is in the path */
    struct session_post_spec spec = {
        .tenant = r->caller.tenant, .id = r->id, .max_wait_ms = p->options.max_wait_ms};
    spec.text = exchange_take_body(r->exchange, &spec.len);
    p->post = session_post_new(service_sessions(r->service), &spec, on_turn, p, &failure);
    if (!p->post) {
        answer_failure(r->exchange, WIRE_OPENAI, &failure);
        free(p);
        return;
    }
    exchange_on_gone(r->exchange, on_gone, p);
}
