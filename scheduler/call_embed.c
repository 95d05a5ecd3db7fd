#include "scheduler/call_embed.h"

#include "scheduler/batch/embedder.h"
#include "scheduler/call_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define KEY_MAX_BYTES (64 * KIB)
/* Of the tokens that a limit holds: estimates of the parts and of the whole differ. */
#define PART_OF_LIMIT 9
#define WHOLE         10

/* ---- header lines */

static bool begins(const char *name, const char *const *prefixes)
{
    for (; *prefixes; prefixes++) {
        if (strncasecmp(name, *prefixes, strlen(*prefixes)) == 0)
            return true;
    }
    return false;
}

/* Of one request alone: meaningless or misleading in another one. */
static bool is_personal(const char *name)
{
    static const char *const prefixes[] = {"x-request-id",
                                           "x-correlation-id",
                                           "traceparent",
                                           "tracestate",
                                           "baggage",
                                           "x-stainless-",
                                           "x-cloud-trace-",
                                           "x-amzn-",
                                           "sentry-",
                                           "b3",
                                           "x-b3-",
                                           "x-real-ip",
                                           "origin",
                                           "referer",
                                           "sec-",
                                           "x-datadog-",
                                           "via",
                                           "priority",
                                           "x-client-ip",
                                           NULL};
    return begins(name, prefixes);
}

/* Sent as the first one's, but no reason to keep two apart. */
static bool is_indifferent(const char *name)
{
    static const char *const prefixes[] = {"user-agent", "accept", NULL};
    return begins(name, prefixes);
}

void call_liken(const struct call *c, bool alone, struct call_likeness *ret)
{
    const struct call_spec *s = &c->spec;
    size_t n = 0;
    for (size_t i = 0; i < s->header_count; i++) {
        if (alone || !is_personal(s->headers[i].name))
            ret->headers[n++] = s->headers[i];
    }
    ret->spec = (struct call_spec){
        .endpoint = s->endpoint,
        .tenant = s->tenant,
        .weight = s->weight,
        .models = s->models,
        .key = c->money.key,
        .class = s->class,
        .class_given = true,
        .headers = ret->headers,
        .header_count = n,
        .caller_key = s->caller_key,
        .never_shrink = true,
        .no_fallback = s->no_fallback,
        .is_batch = true,
    };
}

struct scheduler *call_scheduler(const struct call *c)
{
    return c->sched;
}

int64_t call_patience_ms(const struct call *c)
{
    return call_wait_left_ms(c);
}

void call_hand_over(struct call *c)
{
    call_release_cost(c);
}

int call_cut_inputs(struct call *c, json_cut_fn cut, void *arg)
{
    struct json_edits edits;
    struct buf out;
    buf_init(&out, HTTP_MAX_BODY_BYTES + KIB);
    json_edits_init(&edits, c->request.body.at, c->request.body.len);
    json_edit_cut(&edits, json_get(c->request.body, "input"), cut, arg);
    int rc = json_edits_apply(&edits, &out);
    json_edits_release(&edits);
    if (rc == 0)
        return call_replace_body(c, &out);
    buf_release(&out);
    return rc;
}

/* ---- which may go together */

static void add_word(struct buf *out, const char *word)
{
    (void)buf_adds(out, word ? word : "");
    (void)buf_add(out, "", 1); /* its NUL, which no word holds */
}

void call_add_common(const struct call *c, struct buf *out)
{
    const struct call_spec *s = &c->spec;
    add_word(out, s->tenant);
    add_word(out, pool_class_name(s->class));
    add_word(out, s->caller_key);
    add_word(out, s->models);
    add_word(out, c->money.key);
    add_word(out, s->no_fallback ? "alone" : "");
    for (size_t i = 0; i < s->header_count; i++) {
        const char *name = s->headers[i].name;
        if (is_personal(name) || is_indifferent(name))
            continue;
        add_word(out, name);
        add_word(out, s->headers[i].value);
    }
}

static int write_key(const struct call *c, char ret[DIGEST_HEX_BYTES])
{
    struct buf text;
    buf_init(&text, KEY_MAX_BYTES);
    call_add_common(c, &text);
    int rc = embed_inputs_rest(json_span_of(c->spec.body, c->spec.body_len), &text);
    if (rc == 0)
        digest_hex(text.data, text.len, ret, DIGEST_HEX_BYTES - 1);
    if (text.data)
        explicit_bzero(text.data, text.len);
    buf_release(&text);
    return rc;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The most tokens that one request may have, by the limits of the pool and of the tenant in it. */
static int64_t pool_tokens(const struct call *c)
{
    struct pool_limits limits;
    const struct profile *p = c->pool->profile;
    int64_t most = INT64_MAX / WHOLE;
    pool_limits_of_tenant(&pool_agent_pool(c->pool->agent)->limits, c->spec.tenant, &limits);
    for (size_t i = 0; i < limits.dim_count; i++) {
        for (size_t k = 0; k < p->dim_count; k++) {
            bool of_input = p->dims[k].cost != COST_REQUEST && p->dims[k].cost != COST_OUTPUT;
            if (of_input && strcmp(p->dims[k].name, limits.dims[i].name) == 0)
                most = least(most, limits.dims[i].capacity);
        }
    }
    return most;
}

static void set_terms(const struct call *c, struct json_span body, struct embed_terms *t)
{
    const struct config *config = c->plan->config;
    const struct profile_embeddings *p = &c->pool->profile->embeddings;
    int64_t inputs = config->batcher.embeddings.max_inputs;
    int64_t tokens = config->batcher.embeddings.max_tokens;
    bool known = p->known || inputs > 0;
    int64_t answers = EMBED_ANSWER_BYTES / embed_vector_bytes(body);
    if (inputs <= 0)
        inputs = p->inputs;
    if (tokens <= 0)
        tokens = p->tokens > 0 ? p->tokens : INT64_MAX / WHOLE;
    t->wait_ms = config->batcher.embeddings.wait_ms;
    t->split_inputs = known ? (size_t)inputs : EMBED_MAX_CALL_INPUTS;
    t->max_inputs = (size_t)least(inputs, answers > 0 ? answers : 1);
    t->max_tokens = least(tokens, pool_tokens(c)) * PART_OF_LIMIT / WHOLE;
}

static bool may_join(const struct call *c)
{
    const struct call_spec *s = &c->spec;
    bool plain = !s->is_job && !s->is_batch && !s->no_batch && !s->for_permit && !s->unfit;
    return s->endpoint == WIRE_EMBEDDINGS && plain && !c->request.stream &&
           c->plan->config->batcher.embeddings.enabled && c->pool->profile->embeddings.inputs > 0 &&
           scheduler_options(c->sched)->embedder;
}

bool call_embed(struct call *c)
{
    struct embed_terms terms;
    struct embed_inputs inputs;
    struct json_span body = json_span_of(c->spec.body, c->spec.body_len);
    if (!may_join(c))
        return false;
    set_terms(c, body, &terms);
    if (embed_inputs_read(body, c->estimate.input, EMBED_MAX_CALL_INPUTS, &inputs) < 0)
        return false;
    if (write_key(c, terms.key) == 0 &&
        embedder_take(scheduler_options(c->sched)->embedder, c, &terms, &inputs))
        return true;
    embed_inputs_release(&inputs);
    return false;
}
