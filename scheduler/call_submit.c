#include "scheduler/call_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/call_flight.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RESUBMIT_MS 250
#define GO_HOME_MS  5000
/* A submit is repeated over a short outage before it is refused. */
#define OUTAGE_PATIENCE_MS 5000

static void fail_submit(struct call *c, const struct call_failure *f)
{
    if (c->home.pool && f->status == 503) {
        /* A job is told no such thing: it goes back to where it came from. */
        c->outcome = (struct retry_plan){.delay_ms = GO_HOME_MS};
        call_requeue(c);
        return;
    }
    if (c->starting) {
        c->failure = *f;
        call_arm(c, 0);
        return;
    }
    call_fail(c, f);
}

static void store_failed(struct call *c, enum redis_status status)
{
    struct call_failure f;
    int64_t gone_ms = (clock_mono_us() - c->born_us) / 1000;
    if (redis_status_passes(status) && gone_ms < OUTAGE_PATIENCE_MS &&
        gone_ms < c->spec.max_wait_ms && !c->starting) {
        call_arm(c, RESUBMIT_MS);
        return;
    }
    call_failure_set(&f, 503, "storage_unavailable",
                     "Sluice cannot reach its shared budget store (redis: %s); nothing was sent to "
                     "the provider. Try again in a moment.",
                     redis_status_name(status));
    f.retry_after_ms = 1000;
    if (c->place == PLACE_UNSURE) /* by this submit, or one before it */
        pool_agent_abandon(c->pool->agent, c->held.id);
    fail_submit(c, &f);
}

static void refuse(struct call *c, const struct store_turn *turn)
{
    struct call_failure f;
    const char *pool = pool_agent_pool(c->pool->agent)->id;
    c->place = PLACE_NOWHERE;
    if (call_move(c, INT64_MAX) ||
        (turn->submit == SUBMIT_FULL && call_fall_back(c, "queue full")) ||
        (turn->submit == SUBMIT_CIRCUIT && call_fall_back(c, "circuit open")))
        return;
    call_count_refused(c, turn);
    if (turn->submit == SUBMIT_FULL) {
        call_failure_set(&f, 503, "queue_full",
                         "The queue of %s is full: %" PRId64
                         " requests wait in it (queue.max_depth). "
                         "Try again later.",
                         pool, turn->queued);
        f.retry_after_ms = 5000;
    } else if (turn->submit == SUBMIT_TENANT_FULL) {
        call_failure_tenant_full(&f, c->spec.tenant, pool, turn);
    } else if (turn->submit == SUBMIT_CIRCUIT) {
        call_failure_circuit(&f, pool, turn);
    } else {
        call_failure_too_large(&f, c->spec.tenant, pool_agent_pool(c->pool->agent), c->cost, turn);
    }
    fail_submit(c, &f);
}

static void wait_in_queue(struct call *c)
{
    if (c->state == CALL_QUEUED)
        return; /* asked again after an outage: it waits on */
    call_enter(c, CALL_QUEUED);
    call_enter_queue(c);
}

/* ---- too late: a smaller form takes its place, or it is refused at once */

static bool is_late(const struct call *c, const struct store_turn *turn)
{
    /* Without Redis the wait is foreseen from a share that may grow again at any moment. */
    return c->place == PLACE_STORE && !c->spec.is_job && turn->eta_ms > call_wait_left_ms(c);
}

static void submit(struct call *c);
static bool take_new_id(struct call *c);

/* The larger ticket goes first: whether it waits still or was granted meanwhile, it is taken out
 * or given back under its own id, which nobody here knows any more. When this process dies in
 * between, both end with it. So of all forms at most one is ever sent. */
static bool take_smaller(struct call *c, const struct store_turn *turn)
{
    int64_t left = call_wait_left_ms(c), late = turn->eta_ms - left;
    if (!call_fit_sooner(c, turn->detail, late + left / CALL_MARGIN_PART))
        return false;
    call_flight_apart(c); /* others may wait for longer */
    pool_agent_abandon(c->pool->agent, c->held.id);
    if (!take_new_id(c))
        return false;
    call_price(c);
    submit(c);
    return true;
}

static void give_up_late(struct call *c, const struct store_turn *turn)
{
    struct call_failure f;
    int64_t left = call_wait_left_ms(c);
    if (call_move(c, left) || call_fall_back(c, "wait too long"))
        return;
    pool_agent_abandon(c->pool->agent, c->held.id);
    call_failure_set(&f, 504, "queue_timeout",
                     "The request would wait about %" PRId64 " ms in the queue of %s (%s), and may "
                     "wait %" PRId64 " ms (x-sluice-deadline-ms, x-sluice-max-wait-ms)%s; nothing "
                     "was sent to the provider.",
                     turn->eta_ms, pool_agent_pool(c->pool->agent)->id, turn->detail, left,
                     c->spec.never_shrink ? "" : ", also in a smaller form");
    f.retry_after_ms = turn->eta_ms - left > 1000 ? turn->eta_ms - left : 1000;
    fail_submit(c, &f);
}

static bool take_new_id(struct call *c)
{
    scheduler_remove_call(c->sched, c->held.id);
    key_new_id(pool_agent_pool(c->pool->agent)->hash, c->held.id);
    c->last_fence = 0;
    c->place = PLACE_NOWHERE;
    return scheduler_add_call(c->sched, c, c->held.id) == 0;
}

/* Its ticket ended without it (its instance was taken for dead): a new one, at the end. */
void call_submit_anew(struct call *c)
{
    struct call_failure f;
    if (take_new_id(c)) {
        submit(c);
        return;
    }
    call_failure_set(&f, 503, "out_of_memory", "Sluice is out of memory; try again in a moment.");
    f.retry_after_ms = 1000;
    call_fail(c, &f);
}

/* The ticket stood already, by an earlier submit of ours. */
static void known(struct call *c, const struct store_turn *turn)
{
    if (strcmp(turn->detail, "queued") == 0 || strcmp(turn->detail, "delayed") == 0)
        wait_in_queue(c);
    else if (strcmp(turn->detail, "running") != 0)
        call_submit_anew(c);
    else if (turn->fence > c->last_fence)
        call_granted(c, turn->fence);
}

static void not_submitted(struct call *c, enum redis_status status)
{
    if (c->place != PLACE_STORE && (status == REDIS_LOST || c->place != PLACE_UNSURE))
        c->place = status == REDIS_LOST ? PLACE_UNSURE : PLACE_NOWHERE;
    if (c->state == CALL_SUBMITTING)
        store_failed(c, status);
    else if (c->place != PLACE_STORE)
        call_arm(c, call_wait_left_ms(c) < RESUBMIT_MS ? call_wait_left_ms(c) : RESUBMIT_MS);
    /* Else Redis holds the ticket: it asks again when Redis is back once more. */
}

/* It waits here, and would start sooner elsewhere, or would not start within its wait at all. True:
 * it is there now. Asked once, at its first place: what is known of others is a guess. */
static bool is_too_late(struct call *c, int64_t eta_ms, bool first)
{
    int64_t left_ms = call_wait_left_ms(c);
    uint32_t tried = c->tried;
    bool moved = first && eta_ms > 0 && call_move(c, eta_ms < left_ms ? eta_ms : left_ms);
    c->tried = tried;
    return moved || (eta_ms > left_ms && call_fall_back(c, "wait too long"));
}

static void submitted(struct call *c, const struct store_turn *turn)
{
    bool first = c->state == CALL_SUBMITTING;
    if (turn->status != REDIS_OK) {
        not_submitted(c, turn->status);
        return;
    }
    c->place = pool_agent_is_local(c->pool->agent, c->held.id) ? PLACE_LOCAL : PLACE_STORE;
    if (turn->submit != SUBMIT_KNOWN)
        c->last_fence = 0; /* Redis has just made the ticket: its fences begin again */
    switch (turn->submit) {
    case SUBMIT_GRANTED:
        call_granted(c, turn->fence);
        break;
    case SUBMIT_QUEUED:
        if (first && is_late(c, turn)) {
            if (!take_smaller(c, turn))
                give_up_late(c, turn);
            break;
        }
        wait_in_queue(c);
        pool_agent_note_eta(c->pool->agent, turn->eta_ms);
        (void)snprintf(c->binding, sizeof(c->binding), "%s", turn->detail);
        if (is_too_late(c, turn->eta_ms, first))
            break;
        if (first)
            c->sink.queued(c->arg, turn->eta_ms, turn->detail);
        break;
    case SUBMIT_KNOWN:
        known(c, turn);
        break;
    default:
        refuse(c, turn);
        break;
    }
}

/* The owner left before the answer: whatever it says, the ticket must not stay. */
static void take_back(struct call *c, const struct store_turn *turn)
{
    bool runs = turn->submit == SUBMIT_GRANTED ||
                (turn->submit == SUBMIT_KNOWN && strcmp(turn->detail, "running") == 0);
    if (turn->status == REDIS_OK && runs) {
        c->outcome.unsent = true;
        c->held.fence = turn->fence;
        pool_agent_hold(c->pool->agent, &c->held);
        if (c->home.pool)
            call_close_ticket(c); /* the job itself was settled when it left */
        else
            call_settle(c, TICKET_CANCELLED, NULL);
    } else if (turn->status == REDIS_OK || turn->status == REDIS_LOST) {
        pool_agent_abandon(c->pool->agent, c->held.id);
    }
}

static void on_submitted(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct call *c = arg;
    (void)pool;
    c->submitting = false;
    if (c->state == CALL_SUBMITTING || c->state == CALL_QUEUED)
        submitted(c, turn);
    else if (c->abandoned)
        take_back(c, turn);
    if (c->asks_again && !c->submitting)
        call_ask_again(c);
    if (call_state_is_final(c->state) && list_is_empty(&c->grave))
        call_bury(c);
}

static void submit(struct call *c)
{
    struct pool_agent *agent = c->pool->agent;
    struct store_ticket t;
    /* To be granted here: a ticket that Redis may hold as well must not be granted twice. */
    if (c->place == PLACE_UNSURE && pool_agent_is_cut_off(agent)) {
        pool_agent_abandon(agent, c->held.id);
        if (!take_new_id(c))
            log_write(LOG_ERROR, "no memory to index a call", "id", c->held.id, NULL);
    }
    /* Its fences begin again where it goes now, and a grant may be heard before the answer. */
    if (c->place == PLACE_LOCAL)
        c->last_fence = 0;
    call_ticket(c, &t);
    c->submitting = true;
    pool_agent_submit(agent, &t, on_submitted, c);
}

void call_ask_again(struct call *c)
{
    const struct pool_agent *agent = c->pool->agent;
    /* What was told while a submit is unanswered may be news of a grant that its answer, from
     * before, does not know of. */
    c->asks_again = c->submitting;
    if (c->state != CALL_QUEUED || c->submitting || pool_agent_is_local(agent, c->held.id))
        return;
    if (c->place == PLACE_LOCAL || pool_agent_is_central(agent))
        submit(c);
}

/* Its ticket is nowhere, or nobody knows, since a submit failed while it moved over. */
static bool must_resubmit(const struct call *c)
{
    bool lost = c->place == PLACE_NOWHERE || c->place == PLACE_UNSURE;
    return lost && call_queue_ms(c) < c->spec.max_wait_ms;
}

void call_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct call *c = arg;
    struct call_failure f;
    (void)fd;
    (void)what;
    if (c->failure.status != 0) {
        f = c->failure;
        call_fail(c, &f);
        return;
    }
    if (c->state == CALL_JOINED) {
        call_given_too_late(c);
        return;
    }
    if (c->state == CALL_PREPARING) {
        call_not_ready_in_time(c);
        return;
    }
    if (c->state == CALL_SUBMITTING) {
        submit(c);
        return;
    }
    if (must_resubmit(c)) {
        call_arm(c, call_wait_left_ms(c));
        if (!c->submitting)
            submit(c);
        return;
    }
    /* Nobody may have heard of a grant in this moment: it is given back, not left to its lease. */
    pool_agent_abandon(c->pool->agent, c->held.id);
    call_failure_set(&f, 504, "queue_timeout",
                     "The request waited %" PRId64 " ms in the queue of %s and its budget did not "
                     "come free in time (x-sluice-max-wait-ms); nothing was sent to the provider.",
                     call_queue_ms(c), pool_agent_pool(c->pool->agent)->id);
    call_fail(c, &f);
}

static void on_ready(void *arg, const struct call_failure *failure)
{
    struct call *c = arg;
    if (!failure && call_take_way(c))
        return;
    call_enter(c, CALL_SUBMITTING);
    if (failure)
        fail_submit(c, failure);
    else
        submit(c);
}

void call_start(struct call *c)
{
    c->starting = true;
    call_reserve_cost(c);
    if (call_is_ready(c))
        on_ready(c, NULL);
    else
        call_make_ready(c, on_ready, c);
    c->starting = false;
}
