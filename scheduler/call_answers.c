#include "scheduler/call_answers.h"

#include "common/clock.h"
#include "common/json_canon.h"
#include "scheduler/answers_internal.h"
#include "scheduler/call_flight.h"
#include "scheduler/call_internal.h"
#include "scheduler/call_vectors.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define KEY_ROOM (ANSWER_MAX_REQUEST_BYTES + 64 * KIB) /* with headers and names */

/* ---- the key */

static const char *const caller_names[] = {
    "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "metadata", NULL};
static const char *const all_but_input[] = {
    "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "metadata", "input",
    NULL};
/* An answer follows the order of its schema. */
static const char *const schemas[] = {
    "tools", "functions", "response_format", "text", "output_format", "output_config", NULL};

/* Of the client, its connection and its tracing; no provider answers by them. */
static bool is_silent(const char *name)
{
    static const char *const names[] = {
        "user-agent",    "accept",          "accept-language", "cache-control", "pragma",
        "origin",        "referer",         "priority",        "dnt",           "via",
        "x-request-id",  "traceparent",     "tracestate",      "baggage",       "sentry-trace",
        "uber-trace-id", "x-correlation-id"};
    static const char *const prefixes[] = {"x-stainless-", "sec-",      "x-b3-",
                                           "x-amzn-",      "x-datadog", "x-cloud-trace"};
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

static void add(struct buf *out, const char *text)
{
    (void)buf_addf(out, "%zu:%s\n", text ? strlen(text) : 0, text ? text : "");
}

/* In the order in which they came: clients keep theirs. */
static void add_headers(const struct call *c, struct buf *out)
{
    for (size_t i = 0; i < c->spec.header_count; i++) {
        if (is_silent(c->headers[i].name))
            continue;
        add(out, c->headers[i].name);
        add(out, c->headers[i].value);
    }
}

/* left_out: of the body; NULL nothing. Consumes text. */
static bool finish_key(const struct call *c, const char *const *left_out, struct buf *text,
                       char ret[DIGEST_HEX_BYTES])
{
    struct json_canon_rules rules = {
        .most_members = ANSWER_MAX_MEMBERS, .left_out = left_out, .in_order = schemas};
    add(text, c->spec.tenant);
    add(text, c->provider->name);
    add(text, c->provider->base_url);
    add(text, c->account ? "" : c->pool->account);
    add(text, c->spec.models);
    add_headers(c, text);
    int rc = json_canon(c->request.body, &rules, text);
    if (rc == 0 && text->failed == 0)
        digest_hex(text->data, text->len, ret, DIGEST_HEX_BYTES - 1);
    else
        rc = -1;
    buf_release(text);
    return rc == 0;
}

bool call_answer_key(const struct call *c, char ret[DIGEST_HEX_BYTES])
{
    bool responses = c->spec.endpoint == WIRE_RESPONSES;
    struct buf text;
    if (c->request.body.len > ANSWER_MAX_REQUEST_BYTES)
        return false;
    buf_init(&text, KEY_ROOM);
    add(&text, c->spec.batch); /* else others might be given what a joint request said */
    (void)buf_addf(&text, "%d %d %d %d\n", (int)c->spec.endpoint, c->hide_usage,
                   c->spec.never_shrink, c->spec.no_fallback);
    return finish_key(c, responses ? NULL : caller_names, &text, ret);
}

bool call_inputs_key(const struct call *c, char ret[DIGEST_HEX_BYTES])
{
    struct buf text;
    if (c->request.body.len > VECTORS_MAX_REQUEST_BYTES)
        return false;
    buf_init(&text, KEY_ROOM);
    (void)buf_adds(&text, "inputs\n");
    return finish_key(c, all_but_input, &text, ret);
}

/* ---- who may */

/* Whether the model would say the same again, as far as the caller could ask for that. */
static bool is_steady(const struct call *c)
{
    double temperature = 1;
    int64_t seed;
    if (c->spec.endpoint == WIRE_EMBEDDINGS)
        return true;
    return (json_double(json_get(c->request.body, "temperature"), &temperature) &&
            temperature == 0) ||
           json_int(json_get(c->request.body, "seed"), &seed);
}

/* What depends on more than the request: a conversation, caps of calls that count its past. */
static bool has_past(const struct call *c)
{
    return c->spec.session || c->spec.facts || c->tools.on || c->request.remote_history;
}

bool call_may_have_answer(struct call *c)
{
    const struct config *config = c->plan->config;
    const struct answer_wish *wish = &c->spec.cache;
    bool asked = wish->mode == ANSWER_ON || (config->cache.enabled && is_steady(c));
    bool kept = config->cache.memory_bytes > 0 || config->cache.redis;
    if (!scheduler_options(c->sched)->answers || c->spec.is_job || c->spec.is_batch ||
        c->sink.result)
        return false;
    bool allowed = asked && kept && wish->mode != ANSWER_OFF && !has_past(c);
    if (!allowed && (config->cache.enabled || wish->mode != ANSWER_AUTO))
        c->shared.word = "bypass";
    return allowed;
}

static bool take_kept(struct answers *a, struct call *c, const char *key)
{
    int64_t now_ms = clock_wall_ms();
    struct answer *kept = answer_cache_get(&a->cache, key, now_ms);
    return kept &&
           answer_wish_takes(&c->spec.cache, now_ms - kept->head.stored_ms,
                             kept->head.until_ms - now_ms) &&
           call_replay(a, c, kept);
}

bool call_may_wait(const struct call *c)
{
    return c->spec.max_wait_ms > 2 * ANSWER_LOOK_MS;
}

bool call_may_look(const struct call *c)
{
    const struct answers *a = scheduler_options(c->sched)->answers;
    return a->store && c->plan->config->cache.redis && answer_store_is_up(a->store) &&
           !c->spec.cache.no_cache && call_may_wait(c);
}

bool call_take_answer(struct call *c)
{
    struct answers *a = scheduler_options(c->sched)->answers;
    const struct answer_wish *wish = &c->spec.cache;
    bool whole = c->spec.endpoint != WIRE_EMBEDDINGS; /* else inputs are kept, and it is shared */
    char key[DIGEST_HEX_BYTES];
    if (!call_may_have_answer(c) || (!whole && !call_vectors_may_share(c)))
        return false;
    if (!call_answer_key(c, key)) {
        c->shared.word = whole ? "bypass" : c->shared.word;
        return false;
    }
    if (whole && take_kept(a, c, key))
        return true;
    bool alone = wish->no_store || wish->no_cache;
    if (!alone && call_may_wait(c) && call_flight_join(a, c, key))
        return true;
    struct flight_plan plan = {
        .key = key,
        .may_look = whole && call_may_look(c),
        .may_share = !wish->no_store,
        .may_keep = whole && !wish->no_store,
    };
    return call_flight_begin(a, c, &plan);
}
