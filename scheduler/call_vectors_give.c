#include "scheduler/batch/share_out.h"
#include "scheduler/call_answers.h"
#include "scheduler/call_flight.h"
#include "scheduler/call_vectors_internal.h"
#include "scheduler/vector.h"

#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char not_one_each[] = "The provider's answer does not hold one vector for each input.";

/* ---- what it was worth */

static struct wire_usage usage_of_kept(const struct vectors *v)
{
    struct wire_usage all = {.known = true};
    for (size_t i = 0; i < v->input_count; i++) {
        const struct answer *kept = v->slots[v->slot_of[i]].kept;
        all.known = all.known && (!kept || kept->head.usage.known);
        all.input += kept ? kept->head.usage.input : 0;
    }
    return all;
}

static void count_tokens_saved(const struct vectors *v, const struct wire_usage *usage)
{
    if (usage->known)
        pool_stats_add(pool_agent_stats(v->call->pool->agent), COUNT_tokens_saved, usage->input);
}

/* ---- putting together */

/* fresh: items of those that were sent, in their order. */
static int write_items(const struct vectors *v, const struct json_span *fresh, struct buf *out)
{
    int rc = 0;
    for (size_t i = 0; i < v->input_count && rc == 0; i++) {
        const struct vector_slot *s = &v->slots[v->slot_of[i]];
        struct vector known;
        if (i > 0)
            (void)buf_adds(out, ",");
        if (!s->kept)
            rc = embed_answer_item(fresh[s->sent], i, out);
        else if (vector_read(s->kept->bytes, s->kept->len, &known))
            rc = vector_put(&known, i, out);
    }
    return rc;
}

static int compose_kept(struct vectors *v)
{
    struct vector first;
    struct buf items;
    const struct answer *a = v->slots[0].kept;
    buf_init(&items, UPSTREAM_MAX_BODY_BYTES);
    int rc = vector_read(a->bytes, a->len, &first) ? write_items(v, NULL, &items) : -EINVAL;
    if (rc == 0)
        rc = vector_answer(&first, &items, &v->out);
    buf_release(&items);
    return rc;
}

static int compose(struct vectors *v, const struct embed_answer *answer,
                   const struct json_span *fresh)
{
    struct buf items;
    buf_init(&items, UPSTREAM_MAX_BODY_BYTES);
    int rc = write_items(v, fresh, &items);
    if (rc == 0)
        rc = embed_answer_write(answer, &items, &answer->usage, &v->out);
    buf_release(&items);
    return rc;
}

static int64_t age_of_oldest(const struct vectors *v)
{
    int64_t now_ms = clock_wall_ms(), age_ms = 0;
    for (size_t i = 0; i < v->slot_count; i++) {
        int64_t age = now_ms - v->slots[i].kept->head.stored_ms;
        age_ms = age > age_ms ? age : age_ms;
    }
    return age_ms;
}

void vectors_give(struct vectors *v)
{
    struct call *c = v->call;
    struct call_failure f;
    struct wire_usage usage = usage_of_kept(v);
    int rc = compose_kept(v);
    if (rc < 0) {
        call_failure_set(&f, 502, "provider_answer_too_large",
                         "The vectors that are kept are more than this service gives in one "
                         "answer: send fewer inputs.");
        call_given_fail(c, &f);
        return;
    }
    c->shared.word = v->from_redis ? "hit-redis" : "hit-memory";
    c->shared.age_ms = age_of_oldest(v);
    v->owner->stats.hits_redis += v->from_redis;
    v->owner->stats.hits_memory += !v->from_redis;
    v->owner->stats.inputs_kept += (int64_t)v->kept_inputs;
    count_tokens_saved(v, &usage);
    call_given_start(c, 200, v->slots[0].kept->head.type, COUNT_cached);
    call_given_data(c, v->out.data, v->out.len);
    call_given_end(c, &usage);
}

/* ---- keeping */

/* Of an answer that came from where the inputs' keys say. What an equal request was given may be
 * from elsewhere; it is kept by that one, if it is not. */
static bool is_as_asked(const struct vectors *v)
{
    const struct call *c = v->call, *source = c->given.source;
    char base[DIGEST_HEX_BYTES];
    if (source && (source->provider != c->provider || strcmp(source->model, c->model) != 0))
        return false;
    if (c->given.decision && strcmp(c->given.decision, "shared") == 0)
        return false;
    return call_inputs_key(c, base) && strcmp(base, v->base) == 0;
}

/* Each one's part of what was billed. NULL: not known. */
static int64_t *share_tokens(const struct vectors *v, const struct embed_answer *answer,
                             size_t count)
{
    int64_t total = embed_usage_of(&answer->usage, "prompt_tokens");
    int64_t *shares = calloc(2 * count, sizeof(*shares));
    for (size_t i = 0; shares && i < v->slot_count; i++) {
        if (!v->slots[i].kept)
            shares[count + v->slots[i].sent] = v->slots[i].tokens;
    }
    if (shares && (total < 0 || share_out(total, shares + count, count, shares) < 0)) {
        free(shares);
        return NULL;
    }
    return shares;
}

static void keep_one(const struct vectors *v, const struct vector_slot *s,
                     const struct answers_fresh *fresh, const int64_t *shares)
{
    struct answer_head head = *fresh->head;
    struct answers_fresh one = *fresh;
    (void)snprintf(head.key, sizeof(head.key), "%s", s->key);
    head.usage =
        (struct wire_usage){.known = shares != NULL, .input = shares ? shares[s->sent] : 0};
    one.head = &head;
    answers_keep(v->owner, v->call->plan->config, &one);
}

static void keep(struct vectors *v, const struct embed_answer *answer,
                 const struct json_span *fresh, size_t count)
{
    const struct config *config = v->call->plan->config;
    const char *type = call_reply_header(v->call, "content-type");
    size_t stored = 0, most = vectors_most_stored(v);
    struct answer_head head = v->head;
    struct buf envelope, text;
    if (!v->keeps || !is_as_asked(v))
        return;
    int64_t *shares = share_tokens(v, answer, count);
    head.stored_ms = clock_wall_ms();
    head.until_ms = head.stored_ms + config->cache.ttl_s * 1000;
    (void)snprintf(head.type, sizeof(head.type), "%s", type ? type : "");
    buf_init(&envelope, ANSWER_MAX_BYTES);
    buf_init(&text, ANSWER_MAX_BYTES);
    int rc = vector_envelope(answer, &envelope);
    for (size_t i = 0; i < v->slot_count && rc == 0; i++) {
        const struct vector_slot *s = &v->slots[i];
        buf_clear(&text);
        if (s->kept || vector_write(fresh[s->sent], &envelope, &text) < 0)
            continue;
        struct answers_fresh one = {.head = &head,
                                    .stamp = stored++ < most ? v->stamp : "",
                                    .bytes = text.data,
                                    .len = text.len};
        keep_one(v, s, &one, shares);
    }
    buf_release(&envelope);
    buf_release(&text);
    free(shares);
}

/* ---- what the call is told */

/* As it came: its owner's inputs are those that were sent, or it is a refusal. */
static bool is_plain(const struct vectors *v)
{
    bool all = v->kept_slots == 0 && v->slot_count == v->input_count;
    return all || v->uncut || v->call->status >= 300;
}

static void on_queued(void *arg, int64_t eta_ms, const char *binding)
{
    struct vectors *v = arg;
    v->own.queued(v->own_arg, eta_ms, binding);
}

/* The sink may cancel the call. */
static void tell_start(struct vectors *v)
{
    if (v->kept_slots > 0 && v->call->status < 300)
        v->call->shared.word = "partial";
    v->told = true;
    v->own.start(v->own_arg);
}

static void on_start(void *arg)
{
    struct vectors *v = arg;
    if (is_plain(v))
        tell_start(v);
}

/* An answer whose call cannot have it is told so at its end, when nothing can be cancelled. */
static void give_composed(struct vectors *v, const struct embed_answer *answer,
                          const struct json_span *fresh)
{
    struct call *c = v->call;
    struct wire_usage kept = usage_of_kept(v);
    if (compose(v, answer, fresh) < 0)
        return;
    if (v->kept_slots > 0) {
        count_tokens_saved(v, &kept);
        call_count_spared(c, &kept);
    }
    tell_start(v);
    if (!call_state_is_final(c->state) && call_flight_has_owner(c))
        v->own.data(v->own_arg, v->out.data, v->out.len);
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct vectors *v = arg;
    struct embed_answer answer;
    size_t count = v->slot_count - v->kept_slots;
    struct json_span *fresh = v->call->status < 300 ? calloc(count, sizeof(*fresh)) : NULL;
    bool good = fresh && embed_answer_read(bytes, len, count, fresh, &answer) == 0;
    if (good)
        keep(v, &answer, fresh, count);
    if (is_plain(v))
        v->own.data(v->own_arg, bytes, len);
    else if (good)
        give_composed(v, &answer, fresh);
    free(fresh);
}

static void on_end(void *arg)
{
    struct vectors *v = arg;
    struct call_failure f;
    if (v->told) {
        v->own.end(v->own_arg);
        return;
    }
    call_failure_set(&f, 502, "provider_error", "%s",
                     v->out.failed ? "The answer could not be put together: send fewer inputs."
                                   : not_one_each);
    v->own.fail(v->own_arg, &f);
}

static void on_fail(void *arg, const struct call_failure *failure)
{
    struct vectors *v = arg;
    v->own.fail(v->own_arg, failure);
}

static const struct call_sink filter = {
    .queued = on_queued, .start = on_start, .data = on_data, .end = on_end, .fail = on_fail};

void vectors_watch(struct vectors *v)
{
    struct call *c = v->call;
    v->own = c->sink;
    v->own_arg = c->arg;
    c->sink = filter;
    c->arg = v;
}
