#include "scheduler/call_flight_internal.h"

#include "common/clock.h"

#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>

#define PIECE_BYTES (64 * KIB) /* of a stream at once: a reader can be paused in between */

/* A timer: what is made active inside its own turn would be run before the loop looks at anything
 * else. */
static void serve_next(struct answers *a)
{
    static const struct timeval at_once = {0};
    evtimer_add(a->serve, &at_once);
}

void reader_make_due(struct reader *r)
{
    if (!list_is_empty(&r->due))
        return;
    list_add_last(&r->owner->due, &r->due);
    serve_next(r->owner);
}

static void on_left(void *arg)
{
    struct reader *r = arg;
    r->call = NULL;
    if (!r->busy)
        reader_free(r);
}

static void on_resume(void *arg)
{
    reader_make_due(arg);
}

static const struct call_giver giver = {.left = on_left, .resume = on_resume};

struct reader *reader_new(struct answers *a, struct call *c)
{
    struct reader *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->owner = a;
    r->call = c;
    list_init(&r->link);
    list_init(&r->due);
    return r;
}

void reader_free(struct reader *r)
{
    struct flight *f = r->flight;
    list_remove(&r->link);
    list_remove(&r->due);
    answer_drop(r->answer);
    free(r);
    if (f)
        flight_look_after(f);
}

struct given {
    const char *bytes;
    uint64_t from, end; /* places of the answer that these are */
    int status;
    const struct answer_head *head;
    const struct call_failure *failure; /* instead of an end */
    bool begun, ended;
};

static struct given given_to(const struct reader *r)
{
    const struct flight *f = r->flight;
    if (r->answer)
        return (struct given){.bytes = r->answer->bytes,
                              .end = r->answer->len,
                              .status = 200,
                              .head = &r->answer->head,
                              .begun = true,
                              .ended = true};
    return (struct given){.bytes = f->bytes.data,
                          .from = f->dropped,
                          .end = f->dropped + f->bytes.len,
                          .status = f->status,
                          .head = &f->head,
                          .failure = r->behind || f->failed ? &f->failure : NULL,
                          .begun = f->begun,
                          .ended = f->ended || r->behind};
}

static void count(const struct reader *r, const struct given *g)
{
    struct pool_stats *stats = pool_agent_stats(call_pool(r->call)->agent);
    if (g->head->usage.known)
        pool_stats_add(stats, COUNT_tokens_saved, g->head->usage.input + g->head->usage.output);
}

/* It is told the end, and belongs to nobody here any more. */
static void end_reader(struct reader *r, const struct given *g)
{
    struct call *c = r->call;
    struct call_failure failure;
    if (g->failure) {
        failure = *g->failure;
        r->call = NULL;
        call_given_fail(c, &failure);
        return;
    }
    count(r, g);
    struct wire_usage usage = g->head->usage;
    r->call = NULL;
    call_given_end(c, &usage);
}

/* Its sink may cancel the call at any of these, and then r->call is gone. */
static void serve(struct reader *r)
{
    struct given g = given_to(r);
    r->busy = true;
    if (g.begun && !r->started && !g.failure) {
        r->started = true;
        r->owner->stats.shared += r->flight != NULL;
        call_given_start(r->call, g.status, g.head->type, r->answer ? COUNT_cached : COUNT_shared);
    }
    /* What does not stream is given at once, as a sink may take it. */
    size_t piece = answer_is_stream(g.head) ? PIECE_BYTES : SIZE_MAX;
    while (r->call && r->started && !r->behind && r->at < g.end && !call_is_paused(r->call)) {
        size_t left = (size_t)(g.end - r->at), n = left < piece ? left : piece;
        const char *at = g.bytes + (r->at - g.from);
        r->at += n;
        call_given_data(r->call, at, n);
    }
    if (r->call && g.ended && (r->at == g.end || r->behind || !r->started))
        end_reader(r, &g);
    r->busy = false;
    if (!r->call)
        reader_free(r);
}

void call_flights_serve(struct answers *a)
{
    for (int i = 0; i < FLIGHT_TURN && !list_is_empty(&a->due); i++) {
        struct reader *r = LIST_ITEM(a->due.next, struct reader, due);
        list_remove(&r->due);
        serve(r);
    }
    if (!list_is_empty(&a->due))
        serve_next(a);
}

void reader_join(struct reader *r, const char *decision)
{
    call_release_cost(r->call); /* until it goes its own way */
    call_join(r->call, decision, &giver, r);
}

void reader_take(struct reader *r, struct answer *answer, const char *word)
{
    r->answer = answer_use(answer);
    r->call->shared.word = word;
    r->call->shared.age_ms = clock_wall_ms() - answer->head.stored_ms;
    r->call->given.decision = "cached";
    call_given_sent(r->call); /* it has what it waited for */
    reader_make_due(r);
}

bool call_replay(struct answers *a, struct call *c, struct answer *answer)
{
    struct reader *r = reader_new(a, c);
    if (!r)
        return false;
    a->stats.hits_memory++;
    reader_join(r, "cached");
    reader_take(r, answer, "hit-memory");
    return true;
}
