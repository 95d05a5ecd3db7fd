/*
 * route_proxy: a client's call, held until its budget is there, and its answer passed back.
 */
#include "api/answer.h"
#include "api/proxied.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/trace.h"
#include "scheduler/call.h"
#include "storage/session_store.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EVENT_STREAM "text/event-stream"
#define PING         ": waiting\n\n"

/* One proxied call: ties an exchange to a call, and lives until both have ended. */
struct proxied {
    struct service *service;
    struct exchange *exchange;
    struct call *call; /* NULL before it is made, and once it has ended */
    enum wire_endpoint endpoint;
    struct event *ping;
    struct caller caller;
    struct request_options options;
    char *body; /* until there is a call */
    size_t body_len;
    char session[SESSION_ID_BYTES + 1]; /* "" none */
    char batch[BATCH_GROUP_BYTES + 1];  /* "" none */
    const struct proxied_watch *watch;
    void *arg;
    struct buf held; /* the end of an answer that the watcher holds back */
    bool holds;
    int status;     /* of the answer, once the call has ended */
    char type[128]; /* as well */
    bool gone;      /* the client left while nothing could be stopped */
    char request_id[REQUEST_ID_BYTES + 1];
    bool streaming; /* exchange_stream_start() was called */
    bool pinged;    /* by a heartbeat, before the provider's own answer */
    bool replied;
    bool quiet; /* nothing went out since the last heartbeat */
};

static void proxied_free(struct proxied *p)
{
    event_free(p->ping);
    buf_release(&p->held);
    free(p->body);
    free(p);
}

static void set(struct exchange *x, const char *name, const char *value)
{
    if (exchange_set_header(x, name, value) < 0)
        log_write(LOG_DEBUG, "a header was left out", "name", name, NULL);
}

static void set_number(struct exchange *x, const char *name, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRId64, value);
    set(x, name, text);
}

/* x-ratelimit-*: what is left of the pool, in OpenAI's names and formats. */
static void set_limit(struct exchange *x, const char *kind, const struct dim_limit *limit,
                      const struct store_level *level)
{
    char name[64], duration[ANSWER_DURATION_BYTES];
    (void)snprintf(name, sizeof(name), "x-ratelimit-limit-%s", kind);
    set_number(x, name, limit->capacity);
    (void)snprintf(name, sizeof(name), "x-ratelimit-remaining-%s", kind);
    set_number(x, name, level->remaining > 0 ? level->remaining : 0);
    (void)snprintf(name, sizeof(name), "x-ratelimit-reset-%s", kind);
    set(x, name, answer_duration(level->full_in_ms, duration));
}

static void set_limits(struct exchange *x, struct pool_view *pool)
{
    const struct store_pool *p = pool_agent_pool(pool->agent);
    size_t n = 0;
    const struct store_level *levels = pool_agent_levels(pool->agent, &n);
    bool tokens = false;
    for (size_t i = 0; i < n && i < p->limits.dim_count; i++) {
        const struct dim_limit *d = &p->limits.dims[i];
        if (d->open)
            continue;
        if (strcmp(d->name, "rpm") == 0)
            set_limit(x, "requests", d, &levels[i]);
        if (!tokens && (strcmp(d->name, "tpm") == 0 || strcmp(d->name, "itpm") == 0)) {
            set_limit(x, "tokens", d, &levels[i]);
            tokens = true;
        }
    }
}

/* https://www.w3.org/TR/server-timing/: what of the time to the first byte was whose. */
static void set_timing(const struct proxied *p)
{
    char text[128];
    (void)snprintf(text, sizeof(text),
                   "queue;dur=%" PRId64 ", upstream;dur=%" PRId64 ", sluice;dur=%.3f",
                   call_queue_ms(p->call), call_upstream_ms(p->call),
                   (double)call_overhead_us(p->call) / 1000);
    set(p->exchange, "Server-Timing", text);
}

static void set_own_headers(struct proxied *p)
{
    struct exchange *x = p->exchange;
    char text[32];
    set(x, "x-sluice-decision", call_decision(p->call));
    if (call_cache_word(p->call))
        set(x, "x-sluice-cache", call_cache_word(p->call));
    size_t kept, inputs = call_cache_inputs(p->call, &kept);
    if (inputs > 0) {
        (void)snprintf(text, sizeof(text), "%zu/%zu", kept, inputs);
        set(x, "x-sluice-cache-inputs", text);
    }
    if (call_answer_age_ms(p->call) > 0)
        set_number(x, "Age", call_answer_age_ms(p->call) / 1000);
    if (call_batch_size(p->call) > 0)
        set_number(x, "x-sluice-batch-size", (int64_t)call_batch_size(p->call));
    set_number(x, "x-sluice-queue-ms", call_queue_ms(p->call));
    (void)snprintf(text, sizeof(text), "%.3f", (double)call_overhead_us(p->call) / 1000);
    set(x, "x-sluice-overhead-ms", text);
    set_timing(p);
    set_number(x, "x-sluice-input-tokens", call_input_estimate(p->call));
    set_number(x, "x-sluice-trimmed-tokens", call_trimmed(p->call));
    char cut[CALL_CUT_BYTES];
    if (call_cut(p->call, cut))
        set(x, "x-sluice-trim", cut);
    char saved[CALL_SETTINGS_BYTES];
    if (call_settings_applied(p->call, saved))
        set(x, "x-sluice-settings", saved);
    if (call_lowered_output(p->call) >= 0)
        set_number(x, "x-sluice-max-tokens", call_lowered_output(p->call));
    set_number(x, "x-sluice-attempts", call_attempts(p->call));
    set(x, "x-sluice-job", call_id(p->call));
    set(x, "x-sluice-model", call_model(p->call));
    if (call_tool_calls_dropped(p->call) > 0)
        set_number(x, "x-sluice-tool-calls-dropped", call_tool_calls_dropped(p->call));
    char cost[CALL_COST_BYTES];
    if (call_cost_text(p->call, cost)) /* of a stream it is known at its end */
        set(x, "x-sluice-cost", cost);
    set_limits(x, call_pool(p->call));
    const char *theirs = call_reply_header(p->call, "x-request-id");
    if (!*p->request_id) /* else it is echoed already */
        set(x, "x-request-id", theirs ? theirs : call_id(p->call));
}

/* What a provider says of its own connection, its cookies and its limits stays here. */
static bool is_kept_back(const char *name)
{
    static const char *const names[] = {
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "content-length",
        "upgrade",
        "trailer",
        "te",
        "date",
        "server",
        "set-cookie",
        "cache-control", /* an answer that was made for one caller is nobody else's to keep */
        "content-type",
        "server-timing",
        "x-request-id",
        "alt-svc",
        "strict-transport-security",
    };
    static const char *const prefixes[] = {"x-ratelimit-", "anthropic-ratelimit-", "x-sluice-",
                                           "proxy-"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

static void copy_header(void *arg, const char *name, const char *value)
{
    if (!is_kept_back(name))
        set(arg, name, value);
}

static void log_end(const struct proxied *p, const char *what, int status)
{
    call_log(p->call, what, status, p->request_id);
}

/* ---- heartbeats: a stream that waits must not look dead to clients and proxies */

static void arm_ping(struct proxied *p)
{
    int64_t ms = service_config(p->service)->http.heartbeat_ms;
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    evtimer_add(p->ping, &tv);
}

static void start_stream(struct proxied *p, int status, const char *type)
{
    p->streaming = true;
    set(p->exchange, "Cache-Control", "no-store");
    set(p->exchange, "X-Accel-Buffering", "no");
    exchange_stream_start(p->exchange, status, type);
}

static void on_ping(evutil_socket_t fd, short what, void *arg)
{
    struct proxied *p = arg;
    (void)fd;
    (void)what;
    arm_ping(p);
    if (!p->streaming) {
        set_own_headers(p);
        start_stream(p, 200, EVENT_STREAM);
        p->pinged = true;
    } else if (!p->quiet) {
        p->quiet = true;
        return;
    }
    (void)exchange_stream_write(p->exchange, PING, sizeof(PING) - 1);
}

/* ---- the call's side */

static void on_queued(void *arg, int64_t eta_ms, const char *binding)
{
    (void)arg;
    (void)eta_ms;
    (void)binding;
}

static const char *type_of(const struct call *c)
{
    const char *type = call_reply_header(c, "content-type");
    return type ? type : "application/json";
}

static void on_start(void *arg)
{
    struct proxied *p = arg;
    const char *type = type_of(p->call);
    if (p->streaming)
        return; /* a heartbeat was first */
    set_own_headers(p);
    call_reply_headers(p->call, copy_header, p->exchange);
    if (strncasecmp(type, EVENT_STREAM, sizeof(EVENT_STREAM) - 1) == 0)
        start_stream(p, call_status(p->call), type);
}

static void on_drained(void *arg)
{
    struct proxied *p = arg;
    if (p->call) /* else only the watcher is waited for */
        call_resume(p->call);
}

/* A whole answer inside a stream that a heartbeat has begun: as an event, line by line. */
static void write_as_event(struct proxied *p, const char *bytes, size_t len)
{
    bool failed = p->status >= 400;
    if (failed && wire_format_of(p->endpoint) == WIRE_ANTHROPIC)
        (void)exchange_stream_write(p->exchange, "event: error\n", 13);
    while (len > 0) {
        const char *end = memchr(bytes, '\n', len);
        size_t line = end ? (size_t)(end - bytes) : len;
        (void)exchange_stream_write(p->exchange, "data: ", 6);
        (void)exchange_stream_write(p->exchange, bytes, line);
        (void)exchange_stream_write(p->exchange, "\n", 1);
        line += end ? 1 : 0;
        bytes += line;
        len -= line;
    }
    (void)exchange_stream_write(p->exchange, "\n", 1);
}

static void write_out(struct proxied *p, const char *bytes, size_t len)
{
    p->quiet = false;
    if (!p->streaming) {
        p->replied = true;
        exchange_reply(p->exchange, p->status, p->type, bytes, len);
    } else if (p->pinged && strncasecmp(p->type, EVENT_STREAM, sizeof(EVENT_STREAM) - 1) != 0) {
        write_as_event(p, bytes, len);
    } else if (exchange_stream_write(p->exchange, bytes, len) > HTTP_STREAM_HIGH_BYTES && p->call) {
        call_pause(p->call);
    }
}

static void keep_head(struct proxied *p)
{
    p->status = call_status(p->call);
    (void)snprintf(p->type, sizeof(p->type), "%s", type_of(p->call));
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct proxied *p = arg;
    keep_head(p);
    if (p->watch && p->watch->data(p->arg, p->call, bytes, len))
        p->holds = true;
    if (p->holds)
        (void)buf_add(&p->held, bytes, len); /* a failure shows in held.failed at the end */
    else
        write_out(p, bytes, len);
}

/* The answer is out but for its end. */
static void finish(struct proxied *p)
{
    if (p->held.len > 0)
        write_out(p, p->held.data, p->held.len);
    if (p->streaming)
        exchange_stream_end(p->exchange);
    else if (!p->replied)
        exchange_reply(p->exchange, p->status, NULL, NULL, 0);
    proxied_free(p);
}

static void note_session(struct proxied *p)
{
    struct session_delta delta;
    if (!*p->session || p->watch || call_status(p->call) >= 400)
        return;
    call_session_delta(p->call, &delta);
    session_store_add(service_sessions_store(p->service), p->caller.tenant, p->session, &delta,
                      service_config(p->service)->sessions.ttl_s);
}

static void on_end(void *arg)
{
    struct proxied *p = arg;
    struct call *c = p->call;
    log_end(p, "request", call_status(c));
    keep_head(p);
    note_session(p);
    event_del(p->ping);
    p->call = NULL;
    if (p->watch)
        p->watch->end(p->arg, c, p);
    else
        finish(p);
}

static void fail(struct proxied *p, const struct call_failure *f)
{
    struct buf event;
    if (!p->streaming) {
        answer_failure(p->exchange, wire_format_of(p->endpoint), f);
        proxied_free(p);
        return;
    }
    buf_init(&event, 4 * KIB);
    if (wire_stream_error(p->endpoint, f->message, &event) == 0)
        (void)exchange_stream_write(p->exchange, event.data, event.len);
    buf_release(&event);
    exchange_stream_abort(p->exchange);
    proxied_free(p);
}

void proxied_finish(struct proxied *p, const struct call_failure *failure)
{
    struct call_failure memory;
    if (p->gone) {
        proxied_free(p);
    } else if (failure) {
        fail(p, failure);
    } else if (p->held.failed) {
        call_failure_set(&memory, 503, "out_of_memory", "Sluice is out of memory.");
        fail(p, &memory);
    } else {
        finish(p);
    }
}

static void on_fail(void *arg, const struct call_failure *f)
{
    struct proxied *p = arg;
    log_end(p, f->message, f->status);
    if (!p->streaming)
        set_own_headers(p);
    if (p->watch)
        p->watch->lost(p->arg);
    fail(p, f);
}

static const struct call_sink sink = {
    .queued = on_queued,
    .start = on_start,
    .data = on_data,
    .end = on_end,
    .fail = on_fail,
};

static void on_gone(void *arg)
{
    struct proxied *p = arg;
    if (!p->call) { /* whatever is waited for comes, and ends it */
        p->gone = true;
        return;
    }
    log_end(p, "client left", 499);
    call_cancel(p->call);
    if (p->watch)
        p->watch->lost(p->arg);
    proxied_free(p);
}

/* ---- the request */

struct forwarded {
    struct http_header lines[HTTP_MAX_HEADERS];
    size_t count;
    struct trace trace;
    char parent[TRACE_PARENT_BYTES];
};

static void forward_header(void *arg, const char *name, const char *value)
{
    struct forwarded *f = arg;
    static const char *const dropped[] = {
        "authorization",   "x-api-key",    "api-key",          "cookie",
        "accept-encoding", "content-type", "content-encoding", "expect",
        "idempotency-key", "forwarded",    "traceparent",
    };
    if (http_header_is_ours(name) || strncasecmp(name, "x-sluice-", 9) == 0 ||
        strncasecmp(name, "x-forwarded-", 12) == 0 ||
        (strcasecmp(name, "tracestate") == 0 && !*f->trace.id))
        return;
    for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
        if (strcasecmp(name, dropped[i]) == 0)
            return;
    }
    if (f->count < HTTP_MAX_HEADERS)
        f->lines[f->count++] = (struct http_header){name, value};
}

/* The trace goes on, or one begins where the configuration wants that (http.start_traces). */
static void forward_trace(const struct proxied *p, struct forwarded *f)
{
    if (!trace_read(exchange_header(p->exchange, "traceparent"), &f->trace) &&
        service_config(p->service)->http.start_traces)
        trace_start(&f->trace);
    if (*trace_parent(&f->trace, f->parent))
        f->lines[f->count++] = (struct http_header){"traceparent", f->parent};
}

static struct proxied *proxied_new(const struct route_request *r, const struct proxied_plan *plan)
{
    struct proxied *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    *p = (struct proxied){
        .service = r->service,
        .exchange = r->exchange,
        .endpoint = plan->endpoint,
        .caller = r->caller, /* .key only holds in this turn of the loop */
        .options = *plan->options,
        .body_len = plan->body_len,
        .watch = plan->watch,
        .arg = plan->arg,
    };
    buf_init(&p->held, UPSTREAM_MAX_BODY_BYTES);
    p->ping = evtimer_new(service_base(r->service), on_ping, p);
    if (!p->ping) {
        free(p);
        return NULL;
    }
    p->body = plan->body;
    const char *id = exchange_header(r->exchange, "x-request-id");
    (void)snprintf(p->request_id, sizeof(p->request_id), "%s", id ? id : "");
    if (plan->options->batch)
        (void)snprintf(p->batch, sizeof(p->batch), "%s", plan->options->batch);
    if (plan->options->session)
        (void)snprintf(p->session, sizeof(p->session), "%s", plan->options->session);
    return p;
}

static void begin_call(struct proxied *p, const struct session_facts *facts)
{
    struct forwarded headers = {.count = 0};
    struct call_failure failure;
    forward_trace(p, &headers);
    exchange_headers(p->exchange, forward_header, &headers);
    struct call_spec spec = {
        .endpoint = p->endpoint,
        .body = p->body,
        .body_len = p->body_len,
        .tenant = p->caller.tenant,
        .weight = p->caller.weight,
        .class = p->options.class,
        .max_wait_ms = p->options.max_wait_ms,
        .class_given = p->options.class_given,
        .deadline_ms = p->options.deadline_ms,
        .trim = p->options.trim,
        .session = *p->session ? p->session : NULL,
        .never_shrink = p->options.never_shrink,
        .no_fallback = p->options.no_fallback,
        .cache = p->options.cache,
        .no_batch = p->options.no_batch,
        .batch = *p->batch ? p->batch : NULL,
        .headers = headers.lines,
        .header_count = headers.count,
        .caller_key = p->caller.provider_key,
        .key = p->caller.key_id,
        .models = p->caller.models,
        .tool_calls = p->options.caps_tools ? &p->options.tool_calls : NULL,
        .facts = facts,
    };
    p->body = NULL;
    p->call = call_new(service_scheduler(p->service), &spec, &sink, p, &failure);
    if (!p->call) {
        if (p->watch)
            p->watch->lost(p->arg);
        fail(p, &failure);
        return;
    }
    exchange_on_drain(p->exchange, on_drained, p);
    if (call_is_stream(p->call))
        arm_ping(p);
    call_start(p->call);
}

static void on_facts(void *arg, enum redis_status status, const struct session_facts *facts)
{
    struct proxied *p = arg;
    if (p->gone) {
        proxied_free(p);
        return;
    }
    /* Without Redis a conversation has no past: its caps hold for what the request itself shows. */
    if (status != REDIS_OK)
        log_write(LOG_WARN, "a conversation's past is not known", "redis",
                  redis_status_name(status), NULL);
    begin_call(p, facts);
}

void proxied_begin(const struct route_request *r, const struct proxied_plan *plan)
{
    struct proxied *p = proxied_new(r, plan);
    if (!p) {
        free(plan->body);
        if (plan->watch)
            plan->watch->lost(plan->arg);
        answer_error(r->exchange, wire_format_of(plan->endpoint), 503, "out_of_memory",
                     "Sluice is out of memory.");
        return;
    }
    exchange_on_gone(r->exchange, on_gone, p);
    if (*p->session && !plan->facts)
        session_store_facts(service_sessions_store(r->service), p->caller.tenant, p->session,
                            on_facts, p);
    else
        begin_call(p, plan->facts);
}

void route_proxy(const struct route_request *r)
{
    enum wire_endpoint endpoint = WIRE_CHAT;
    struct request_options options;
    struct error e;
    if (!wire_endpoint_find(exchange_path(r->exchange), &endpoint))
        return; /* the route table names only paths of endpoints */
    enum wire_format format = wire_format_of(endpoint);
    if (service_is_draining(r->service)) {
        answer_error(r->exchange, format, 503, "draining",
                     "This instance is shutting down and takes no new requests; try again.");
        return;
    }
    if (request_options_read(service_config(r->service), r->exchange, &options, &e) < 0) {
        answer_error(r->exchange, format, 400, "invalid_header", e.text);
        return;
    }
    struct proxied_plan plan = {.endpoint = endpoint, .options = &options};
    plan.body = exchange_take_body(r->exchange, &plan.body_len);
    proxied_begin(r, &plan);
}
