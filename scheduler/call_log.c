/* The one line that the log has of a request: a call, a line of a batch, a job. */
#include "scheduler/call_internal.h"

#include "common/log.h"
#include "common/trace.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum number {
    N_STATUS,
    N_QUEUE,
    N_UPSTREAM,
    N_OVERHEAD,
    N_ATTEMPTS,
    N_ESTIMATE,
    N_RESERVED,
    N_IN,
    N_OUT,
    N_CACHED,
    N_TRIMMED,
    N_MAX,
    N_DROPPED,
    NUMBERS
};

static void ids(const struct call *c, struct trace *t)
{
    static const char name[] = "traceparent";
    const char *at = NULL;
    for (size_t i = 0; i < c->spec.header_count && !at; i++) {
        if (strcasecmp(c->headers[i].name, name) == 0)
            at = c->headers[i].value;
    }
    /* The span of the header is ours, as it was made for the provider. */
    if (trace_read(at, t))
        memcpy(t->span, at + sizeof("00-") - 1 + TRACE_ID_DIGITS + 1, TRACE_SPAN_DIGITS);
}

void call_log(struct call *c, const char *what, int status, const char *request_id)
{
    char n[NUMBERS][LOG_NUMBER_BYTES], cut[CALL_CUT_BYTES], cost[CALL_COST_BYTES];
    struct trace trace;
    bool own;
    if (!log_enabled(LOG_INFO))
        return;
    const struct wire_usage *u = call_usage(c);
    const char *notes = call_notes(c), *trimmed = call_cut(c, cut);
    const long long numbers[NUMBERS] = {
        [N_STATUS] = status,
        [N_QUEUE] = call_queue_ms(c),
        [N_UPSTREAM] = call_upstream_ms(c),
        [N_OVERHEAD] = call_overhead_us(c),
        [N_ATTEMPTS] = c->spec.is_job ? call_tries(c) : call_attempts(c),
        [N_ESTIMATE] = call_input_estimate(c),
        [N_RESERVED] = c->fair_cost,
        [N_IN] = u->known ? u->input : 0,
        [N_OUT] = u->known ? u->output : 0,
        [N_CACHED] = u->known ? u->cache_read : 0,
        [N_TRIMMED] = call_trimmed(c),
        [N_MAX] = call_lowered_output(c),
        [N_DROPPED] = call_tool_calls_dropped(c),
    };
    for (int i = 0; i < NUMBERS; i++)
        (void)log_number(n[i], numbers[i]);
    if (call_lowered_output(c) < 0)
        n[N_MAX][0] = '\0';
    ids(c, &trace);
    log_write(LOG_INFO, what, "job", c->held.id, "kind", c->spec.is_job ? "job" : "call",
              "request_id", request_id, "trace_id", trace.id, "span_id", trace.span, "tenant",
              c->spec.tenant, "class", pool_class_name(c->spec.class), "session",
              c->spec.session ? c->spec.session : "", "route", wire_path(c->spec.endpoint), "model",
              c->model, "pool", pool_agent_pool(c->pool->agent)->id, "status", n[N_STATUS],
              "decision", call_decision(c), "limit", pool_store_limit_name(c->binding, &own),
              "whose", pool_store_limit_whose(c->binding), "queue_ms", n[N_QUEUE], "upstream_ms",
              n[N_UPSTREAM], "overhead_us", n[N_OVERHEAD], "attempts", n[N_ATTEMPTS],
              "failed_attempts", *notes ? notes : "[]", "tokens_estimated", n[N_ESTIMATE],
              "tokens_reserved", n[N_RESERVED], "tokens_in", n[N_IN], "tokens_out", n[N_OUT],
              "tokens_cached", n[N_CACHED], "tokens_trimmed", n[N_TRIMMED], "trim",
              trimmed ? trimmed : "", "max_tokens_lowered", n[N_MAX], "tool_calls_dropped",
              n[N_DROPPED], "cost_usd", call_cost_word(c, cost), NULL);
}
