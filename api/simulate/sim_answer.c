#include "api/simulate/sim_core.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#define TICK_US      INT64_C(5000)  /* fastest rhythm of a stream; faster tokens come in groups */
#define UNITS_A_STEP 512            /* so that one fast stream does not hold the loop */
#define FLUSH_US     INT64_C(10000) /* how often a cut looks whether its bytes are out */

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } table[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {413, "Payload Too Large"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {529, "Overloaded"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].status == status)
            return table[i].text;
    return "Simulated";
}

static void add_header(void *arg, const char *name, const char *value)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(arg);
    (void)evhttp_remove_header(headers, name);
    (void)evhttp_add_header(headers, name, value);
}

static void send_bytes(struct evhttp_request *http, int status, const char *body, size_t len)
{
    struct evbuffer *out = evbuffer_new();
    if (out && len > 0)
        (void)evbuffer_add(out, body, len);
    evhttp_send_reply(http, out ? status : 503, reason(status), out);
    if (out)
        evbuffer_free(out);
}

void sim_send_json(struct evhttp_request *http, int status, const char *body, size_t len)
{
    add_header(http, "content-type", "application/json");
    send_bytes(http, status, body, len);
}

/* From here the connection lives on without us: nothing of ours may be called back. */
static struct evhttp_request *let_go(struct sim_call *call)
{
    struct evhttp_request *http = call->http;
    evhttp_connection_set_closecb(call->connection, NULL, NULL);
    (void)event_del(call->closed);
    call->connection = NULL;
    call->http = NULL;
    return http;
}

/* Headers that every answer has. */
static void add_common(struct sim_call *call, bool rates)
{
    char id[64], ms[32];
    bool anthropic = call->profile == SIM_PROFILE_ANTHROPIC;
    const struct sim_header_sink sink = {add_header, call->http};
    (void)snprintf(id, sizeof(id), "req_%016" PRIx64 "%08" PRIx64, call->request.body_hash,
                   (uint64_t)call->seq);
    add_header(call->http, anthropic ? "request-id" : "x-request-id", id);
    if (!anthropic) {
        (void)snprintf(ms, sizeof(ms), "%" PRId64, (sim_now_us() - call->started_us) / 1000);
        add_header(call->http, "openai-processing-ms", ms);
        add_header(call->http, "openai-version", "2020-10-01");
        add_header(call->http, "openai-organization", "org-simulated");
    }
    if (rates && !call->sim->options.no_headers)
        sim_rate_headers(call->profile, &call->rates, &sink);
}

void sim_answer_refusal(struct sim_call *call, const struct sim_refusal *r, int64_t wait_us,
                        enum sim_outcome outcome)
{
    struct buf out;
    char id[64];
    const struct sim_header_sink sink = {add_header, call->http};
    buf_init(&out, 16 * KIB);
    (void)snprintf(id, sizeof(id), "req_%016" PRIx64 "%08" PRIx64, call->request.body_hash,
                   (uint64_t)call->seq);
    sim_error_body(call->profile, r, id, &out);
    add_common(call, r->status == 429 || r->status == 413);
    sim_retry_headers(call->profile, wait_us, &sink);
    int status = r->status;
    sim_send_json(let_go(call), status, out.data, out.len);
    buf_release(&out);
    sim_call_end(call, status, outcome);
}

static void again_in(struct sim_call *call, int64_t delay_us)
{
    struct timeval delay = {.tv_sec = delay_us / 1000000, .tv_usec = delay_us % 1000000};
    (void)event_add(call->timer, &delay);
}

static size_t queued(const struct sim_call *call)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(call->connection);
    return evbuffer_get_length(bufferevent_get_output(bev));
}

/* Closes the connection in the middle of things; what was written goes out before. */
static void close_now(struct sim_call *call)
{
    if (queued(call) > 0) {
        call->closing = true;
        again_in(call, FLUSH_US);
        return;
    }
    struct evhttp_connection *connection = call->connection;
    int status = call->streaming ? 200 : 0;
    (void)let_go(call);
    sim_call_end(call, status, SIM_BROKEN);
    evhttp_connection_free(connection);
}

static void produced(struct sim_call *call, int64_t units)
{
    int64_t now_us = sim_now_us();
    int64_t tokens = units * sim_reply_unit_tokens(&call->reply);
    call->units_sent += units;
    sim_tally_output(&call->tallies, tokens, call->request.endpoint == SIM_MESSAGES ? tokens : 0,
                     now_us);
    for (size_t i = 0; i < call->scope_count; i++) {
        sim_limit_charge(&call->scopes[i]->limits[SIM_OTPM], tokens, now_us);
        if (call->request.endpoint != SIM_MESSAGES)
            continue;
        sim_limit_charge(&call->scopes[i]->limits[SIM_TPM], tokens, now_us);
        sim_limit_charge(&call->scopes[i]->limits[SIM_TPD], tokens, now_us);
    }
}

/* Sends the first part of a body and then closes, so that its length is never reached. */
static void send_part(struct sim_call *call, int status, const char *body, size_t part)
{
    struct evbuffer *out = evbuffer_new();
    evhttp_send_reply_start(call->http, status, reason(status));
    if (out && part > 0) {
        (void)evbuffer_add(out, body, part);
        evhttp_send_reply_chunk(call->http, out);
    }
    if (out)
        evbuffer_free(out);
    call->streaming = true;
    call->closing = true;
    again_in(call, FLUSH_US);
}

static void answer_whole(struct sim_call *call)
{
    struct buf out;
    buf_init(&out, SIM_MAX_REPLY_BYTES);
    sim_reply_whole(&call->reply, &out);
    int64_t units = sim_reply_units(&call->reply);
    add_common(call, true);
    add_header(call->http, "content-type", "application/json");
    if (call->cut_after >= 0) {
        produced(call, call->cut_after < units ? call->cut_after : units);
        send_part(call, 200, out.data, out.len / 2);
        buf_release(&out);
        return;
    }
    produced(call, units);
    send_bytes(let_go(call), out.failed ? 500 : 200, out.data, out.len);
    buf_release(&out);
    sim_call_end(call, 200, SIM_ANSWERED);
}

static void answer_scripted(struct sim_call *call)
{
    const struct sim_scripted *entry = call->scripted;
    const char *name;
    json_t *value;
    int status = entry->status;
    add_common(call, true);
    add_header(call->http, "content-type", "application/json");
    json_object_foreach(entry->headers, name, value) if (json_is_string(value))
        add_header(call->http, name, json_string_value(value));
    if (entry->cut_after >= 0 && (size_t)entry->cut_after < entry->body_len) {
        send_part(call, status, entry->body, (size_t)entry->cut_after);
        return;
    }
    struct evhttp_request *http = let_go(call);
    send_bytes(http, status, entry->body, entry->body_len);
    sim_call_end(call, status, status < 400 ? SIM_ANSWERED : SIM_FAILED);
}

/* ---- streams */

static int64_t earliest(int64_t a, int64_t b)
{
    return b >= 0 && b < a ? b : a;
}

/* Units that may be sent by now: the first at the first byte, the others in their time. */
static int64_t due_units(const struct sim_call *call)
{
    int64_t units = sim_reply_units(&call->reply);
    int64_t unit_us = call->us_per_token * sim_reply_unit_tokens(&call->reply);
    int64_t due = units;
    if (unit_us > 0)
        due = (sim_now_us() - call->stream_us) / unit_us + 1;
    due = earliest(due, units);
    return earliest(due, call->units_sent + UNITS_A_STEP);
}

static void send_chunk(struct sim_call *call, const struct buf *bytes)
{
    struct evbuffer *out = evbuffer_new();
    if (out && bytes->len > 0 && evbuffer_add(out, bytes->data, bytes->len) == 0)
        evhttp_send_reply_chunk(call->http, out);
    if (out)
        evbuffer_free(out);
}

static void start_stream(struct sim_call *call, struct buf *out)
{
    add_common(call, true);
    add_header(call->http, "content-type", "text/event-stream; charset=utf-8");
    add_header(call->http, "cache-control", "no-cache");
    evhttp_send_reply_start(call->http, 200, reason(200));
    call->streaming = true;
    call->stream_us = sim_now_us();
    sim_reply_head(&call->reply, out);
}

static void end_stream(struct sim_call *call, struct buf *out, bool failed)
{
    if (failed)
        sim_reply_error(&call->reply, out);
    else
        sim_reply_tail(&call->reply, out);
    send_chunk(call, out);
    evhttp_send_reply_end(let_go(call));
    sim_call_end(call, 200, failed ? SIM_FAILED : SIM_ANSWERED);
}

static void stream_on(struct sim_call *call, struct buf *out)
{
    int64_t units = sim_reply_units(&call->reply);
    int64_t stop = earliest(units, call->cut_after);
    stop = earliest(stop, call->stall_after);
    stop = earliest(stop, call->error_after);
    int64_t due = earliest(due_units(call), stop);
    int64_t from = call->units_sent;
    for (int64_t i = from; i < due; i++)
        sim_reply_unit(&call->reply, i, out);
    if (due > from)
        produced(call, due - from);
    if (call->units_sent == stop && stop == call->error_after) {
        end_stream(call, out, true);
        return;
    }
    if (call->units_sent == stop && stop != call->cut_after && stop != call->stall_after) {
        end_stream(call, out, false);
        return;
    }
    send_chunk(call, out);
    if (call->units_sent < stop) {
        int64_t unit_us = call->us_per_token * sim_reply_unit_tokens(&call->reply);
        again_in(call, unit_us == 0 ? 0 : unit_us > TICK_US ? unit_us : TICK_US);
    } else if (stop == call->cut_after) {
        close_now(call);
    }
}

static void answer_stream(struct sim_call *call)
{
    if (call->streaming && queued(call) > HTTP_STREAM_HIGH_BYTES) {
        again_in(call, FLUSH_US);
        return;
    }
    struct buf out;
    buf_init(&out, SIM_MAX_REPLY_BYTES);
    if (!call->streaming)
        start_stream(call, &out);
    stream_on(call, &out);
    buf_release(&out);
}

void sim_answer_step(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sim_call *call = arg;
    enum sim_endpoint endpoint = call->request.endpoint;
    bool streams = endpoint != SIM_EMBEDDINGS && endpoint != SIM_COUNT_TOKENS;
    int64_t retry_ms = call->request.steer.retry_after_ms;
    if (call->closing || call->plan == SIM_PLAN_CLOSE)
        close_now(call);
    else if (call->plan == SIM_PLAN_ERROR)
        sim_answer_refusal(call, &call->refusal, retry_ms >= 0 ? retry_ms * 1000 : SIM_NEVER,
                           SIM_FAILED);
    else if (call->plan == SIM_PLAN_SCRIPTED)
        answer_scripted(call);
    else if (call->request.stream && streams)
        answer_stream(call);
    else if (call->stall_after < 0)
        answer_whole(call);
}
