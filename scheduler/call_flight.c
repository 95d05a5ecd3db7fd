#include "scheduler/call_flight_internal.h"

#include "common/clock.h"
#include "scheduler/call_answers.h"
#include "scheduler/provider/wire_whole.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(CALL_TYPE_BYTES == ANSWER_TYPE_BYTES, "a content type fits both");

void flight_unmap(struct flight *f)
{
    if (f->mapped)
        (void)map_remove(&f->owner->flights, f->head.key);
    f->mapped = false;
}

void flight_free(struct flight *f)
{
    flight_unmap(f);
    list_remove(&f->link);
    if (f->patience)
        event_free(f->patience);
    buf_release(&f->bytes);
    free(f);
}

/* ---- who leads */

/* Whether the transfer of the leader is to stand still. */
void flight_mind_flow(struct flight *f)
{
    bool alone = list_is_empty(&f->readers) || f->own_behind > FLIGHT_MAX_BYTES;
    bool stop = f->leader && f->has_own && f->own_paused && alone;
    if (!f->leader || stop == f->stopped)
        return;
    f->stopped = stop;
    if (stop)
        call_hold_back(f->leader);
    else
        call_let_flow(f->leader);
}

bool call_flight_flows(struct call *c)
{
    struct flight *f = c->shared.flight;
    if (!f)
        return false;
    f->own_paused = true;
    flight_mind_flow(f);
    return true;
}

void call_flight_resumed(struct call *c)
{
    struct flight *f = c->shared.flight;
    if (!f)
        return;
    f->own_paused = false;
    f->own_behind = 0;
    flight_mind_flow(f);
}

static void nobody_queued(void *arg, int64_t eta_ms, const char *binding)
{
    (void)arg;
    (void)eta_ms;
    (void)binding;
}

static void nobody(void *arg)
{
    (void)arg;
}

static void nobody_data(void *arg, const char *bytes, size_t len)
{
    (void)arg;
    (void)bytes;
    (void)len;
}

static void nobody_failed(void *arg, const struct call_failure *failure)
{
    (void)arg;
    (void)failure;
}

/* Of a call whose owner has left. */
static const struct call_sink nobodys = {.queued = nobody_queued,
                                         .start = nobody,
                                         .data = nobody_data,
                                         .end = nobody,
                                         .fail = nobody_failed};

/* From here on its answer is its owner's only, if it has one. */
static void step_down(struct flight *f)
{
    struct call *c = f->leader;
    f->leader = NULL;
    c->shared.flight = NULL;
    c->sink = f->has_own ? f->own : nobodys;
    c->arg = f->has_own ? f->own_arg : NULL;
    f->has_own = f->own_paused = f->stopped = false;
    f->own_behind = 0;
}

void call_flight_apart(struct call *c)
{
    struct flight *f = c->shared.flight;
    if (!f)
        return;
    step_down(f);
    if (list_is_empty(&f->readers))
        flight_look_after(f);
    else
        flight_promote(f);
}

/* Frees a flight that nobody needs, and ends a call that goes on for nobody. */
void flight_look_after(struct flight *f)
{
    if (!list_is_empty(&f->readers)) {
        flight_mind_flow(f);
        return;
    }
    if (f->leader && !f->has_own) {
        call_cancel(f->leader); /* which comes back here without it */
        return;
    }
    if (f->leader)
        flight_mind_flow(f);
    else if (!f->asked)
        flight_free(f);
    else
        flight_unmap(f);
}

bool call_flight_goes_on(struct call *c)
{
    struct flight *f = c->shared.flight;
    if (!f)
        return false;
    if (!f->has_own || list_is_empty(&f->readers)) {
        step_down(f);
        flight_look_after(f);
        return false;
    }
    f->has_own = f->own_paused = false;
    flight_mind_flow(f);
    return true;
}

bool call_flight_has_owner(const struct call *c)
{
    return !c->shared.flight || c->shared.flight->has_own;
}

/* ---- what the leader is told */

static void all_due(struct flight *f)
{
    for (struct list *at = f->readers.next; at != &f->readers; at = at->next)
        reader_make_due(LIST_ITEM(at, struct reader, link));
}

static void on_queued(void *arg, int64_t eta_ms, const char *binding)
{
    struct flight *f = arg;
    if (f->has_own)
        f->own.queued(f->own_arg, eta_ms, binding);
}

/* An answer that another attempt might not be given: it is the leader's only. */
static bool is_chance(int status)
{
    return status == 401 || status == 403 || status == 408 || status == 409 || status == 429 ||
           status >= 500;
}

/* Nobody leads, and nothing is out: the next one goes its own way, or all are told. */
static void go_on(struct flight *f, const struct call_failure *failure)
{
    if (list_is_empty(&f->readers)) {
        flight_look_after(f);
    } else if (f->failures >= FLIGHT_MAX_FAILURES) {
        f->failure = *failure;
        f->ended = f->failed = true;
        flight_unmap(f);
        all_due(f);
    } else {
        flight_promote(f);
    }
}

/* Nobody waits for a budget now. */
static void on_granted(void *arg)
{
    struct flight *f = arg;
    f->sent = true;
    for (struct list *at = f->readers.next; at != &f->readers; at = at->next) {
        const struct reader *r = LIST_ITEM(at, struct reader, link);
        if (r->call)
            call_given_sent(r->call);
    }
    if (f->has_own && f->own.granted)
        f->own.granted(f->own_arg);
}

/* Its budget is waited for again, by each for as long as it may. */
static void wait_again(struct flight *f)
{
    f->sent = false;
    for (struct list *at = f->readers.next; at != &f->readers; at = at->next) {
        const struct reader *r = LIST_ITEM(at, struct reader, link);
        if (r->call)
            call_given_waits(r->call);
    }
}

static void on_requeued(void *arg)
{
    struct flight *f = arg;
    wait_again(f);
    if (f->has_own && f->own.requeued)
        f->own.requeued(f->own_arg);
}

static void on_start(void *arg)
{
    struct flight *f = arg;
    struct call *c = f->leader;
    struct call_failure failure;
    const char *type = call_reply_header(c, "content-type");
    f->status = c->status;
    (void)snprintf(f->head.type, sizeof(f->head.type), "%s", type ? type : "");
    if (is_chance(c->status)) {
        f->failures += call_attempts(c) > 0;
        call_failure_set(&failure, c->status, "provider_error",
                         "The provider answered %d to this and to equal requests (%s).", c->status,
                         c->provider->name);
        step_down(f);
        go_on(f, &failure);
        c->sink.start(c->arg);
        return;
    }
    f->begun = true;
    all_due(f);
    if (f->has_own)
        f->own.start(f->own_arg);
}

/* The place up to which all have read who are not too far behind. */
static uint64_t slowest(const struct flight *f)
{
    uint64_t least = f->dropped + f->bytes.len;
    for (struct list *at = f->readers.next; at != &f->readers; at = at->next) {
        const struct reader *r = LIST_ITEM(at, struct reader, link);
        if (!r->behind && r->at < least)
            least = r->at;
    }
    return least;
}

static void drop_read(struct flight *f)
{
    size_t read = (size_t)(slowest(f) - f->dropped);
    buf_consume(&f->bytes, read);
    f->dropped += read;
}

/* Those who have not read up to this place. */
static void leave_behind(struct flight *f, uint64_t until)
{
    call_failure_set(&f->failure, 502, "answer_too_far_behind",
                     "The answer is shared with others, and this reader was more than %ld bytes "
                     "behind them.",
                     FLIGHT_MAX_BYTES);
    for (struct list *at = f->readers.next; at != &f->readers; at = at->next) {
        struct reader *r = LIST_ITEM(at, struct reader, link);
        r->behind = r->behind || r->at < until;
        if (r->behind)
            reader_make_due(r);
    }
}

/* An answer that does not stream is given whole or not at all, and nobody is faster than others. */
static size_t most_kept(const struct flight *f)
{
    bool streams = answer_is_stream(&f->head);
    if (!list_is_empty(&f->readers) || (f->mapped && streams))
        return streams ? FLIGHT_MAX_BYTES : UPSTREAM_MAX_BODY_BYTES;
    return f->keeps ? (size_t)f->leader->plan->config->cache.max_entry_bytes : 0;
}

/* Without its beginning nobody joins it, and it is not kept. */
static void keep_bytes(struct flight *f, const char *bytes, size_t len)
{
    bool alone = list_is_empty(&f->readers);
    size_t most = most_kept(f);
    if (f->bytes.len + len > most) {
        flight_unmap(f);
        f->keeps = false;
        drop_read(f);
    }
    if (alone && !f->keeps && !f->mapped)
        return;
    if (f->bytes.len + len > most) {
        leave_behind(f, f->dropped + f->bytes.len + len - most);
        drop_read(f);
    }
    if (buf_add(&f->bytes, bytes, len) < 0) {
        f->keeps = false;
        flight_unmap(f);
        leave_behind(f, UINT64_MAX);
    }
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct flight *f = arg;
    keep_bytes(f, bytes, len);
    all_due(f);
    if (f->own_paused) {
        f->own_behind += len;
        flight_mind_flow(f);
    }
    if (f->has_own)
        f->own.data(f->own_arg, bytes, len);
}

/* On its way it may have been made smaller, or have gone to another model: then it is an answer to
 * another request. */
static bool is_as_asked(const struct flight *f, const struct call *c)
{
    char key[DIGEST_HEX_BYTES];
    return call_answer_key(c, key) && strcmp(key, f->head.key) == 0;
}

static void keep_answer(struct flight *f, const struct call *c)
{
    const struct config *config = c->plan->config;
    struct answers_fresh fresh = {
        .head = &f->head, .stamp = f->stamp, .bytes = f->bytes.data, .len = f->bytes.len};
    if (!f->keeps || f->dropped > 0 || f->status >= 300 || f->bytes.len == 0 ||
        f->bytes.len > (size_t)config->cache.max_entry_bytes || !is_as_asked(f, c) ||
        !wire_is_whole(c->spec.endpoint, answer_is_stream(&f->head), f->bytes.data, f->bytes.len))
        return;
    f->head.stored_ms = clock_wall_ms();
    f->head.until_ms = f->head.stored_ms + config->cache.ttl_s * 1000;
    answers_keep(f->owner, config, &fresh);
}

static void on_end(void *arg)
{
    struct flight *f = arg;
    struct call *c = f->leader;
    f->head.usage = *call_usage(c);
    f->ended = true;
    flight_unmap(f);
    keep_answer(f, c);
    step_down(f);
    all_due(f);
    flight_look_after(f);
    c->sink.end(c->arg);
}

static void on_fail(void *arg, const struct call_failure *failure)
{
    struct flight *f = arg;
    struct call *c = f->leader;
    f->failures += call_attempts(c) > 0;
    step_down(f);
    if (f->begun) {
        f->failure = *failure;
        f->ended = f->failed = true;
        flight_unmap(f);
        all_due(f);
        flight_look_after(f);
    } else {
        go_on(f, failure);
    }
    c->sink.fail(c->arg, failure);
}

static const struct call_sink filter = {.queued = on_queued,
                                        .start = on_start,
                                        .data = on_data,
                                        .end = on_end,
                                        .fail = on_fail,
                                        .granted = on_granted,
                                        .requeued = on_requeued};

void flight_lead(struct flight *f, struct call *c)
{
    f->leader = c;
    f->own = c->sink;
    f->own_arg = c->arg;
    f->has_own = true;
    c->sink = filter;
    c->arg = f;
    c->shared.flight = f;
    c->shared.word = "miss";
}

/* The most urgent of those who wait, and of these the first. */
void flight_promote(struct flight *f)
{
    struct reader *next = NULL;
    for (struct list *at = f->readers.next; at != &f->readers; at = at->next) {
        struct reader *r = LIST_ITEM(at, struct reader, link);
        if (r->call && !r->started && (!next || r->call->spec.class < next->call->spec.class))
            next = r;
    }
    if (!next)
        return;
    struct call *c = next->call;
    next->call = NULL;
    flight_lead(f, c);
    reader_free(next);
    wait_again(f);
    call_part(c);
}
