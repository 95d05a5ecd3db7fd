#include "scheduler/call_given.h"

#include "common/clock.h"
#include "scheduler/call_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

void call_join(struct call *c, const char *decision, const struct call_giver *giver, void *arg)
{
    assert(call_is_ready(c));
    c->given.giver = giver;
    c->given.arg = arg;
    c->given.decision = decision;
    if (c->state != CALL_JOINED) /* else another one has just given it back */
        call_enter(c, CALL_JOINED);
    c->queued_us = clock_mono_us();
    call_arm(c, call_wait_left_ms(c));
}

void call_part(struct call *c)
{
    c->given.giver = NULL;
    c->given.decision = NULL;
    call_leave_queue(c);
    if (c->sink.requeued) /* what it was joined to may have been sent */
        c->sink.requeued(c->arg);
    call_start(c);
}

void call_given_leave(struct call *c)
{
    const struct call_giver *giver = c->given.giver;
    c->given.giver = NULL;
    if (giver)
        giver->left(c->given.arg);
}

void call_given_too_late(struct call *c)
{
    struct call_failure f;
    call_failure_set(&f, 504, "queue_timeout",
                     "The request waited %" PRId64 " ms for an answer that it shares with others "
                     "(%s), which did not come in time (x-sluice-max-wait-ms).",
                     call_queue_ms(c), c->given.decision);
    call_fail(c, &f);
}

void call_given_sent(struct call *c)
{
    if (c->state != CALL_JOINED)
        return;
    call_leave_queue(c);
    if (c->sink.granted)
        c->sink.granted(c->arg);
}

void call_given_waits(struct call *c)
{
    if (c->state != CALL_JOINED || c->queued_us > 0)
        return;
    c->queued_us = clock_mono_us();
    call_arm(c, call_wait_left_ms(c));
    if (c->sink.requeued)
        c->sink.requeued(c->arg);
}

void call_given_by(struct call *c, const struct call *source, size_t batch_size,
                   const struct wire_usage *usage)
{
    if (usage)
        c->usage = *usage;
    c->given.source = source;
    c->given.batch_size = batch_size;
    if (batch_size == 0)
        c->given.decision = call_decision(source);
    c->sends = source->sends;
    c->sent_us = source->sent_us;
    c->first_us = source->first_us;
}

void call_given_start(struct call *c, int status, const char *type, enum pool_counter counter)
{
    struct pool_stats *stats = pool_agent_stats(c->pool->agent);
    call_leave_queue(c);
    c->status = status;
    (void)snprintf(c->given.type, sizeof(c->given.type), "%s", type ? type : "");
    pool_stats_add(stats, counter, 1);
    pool_stats_wait(stats, c->queue_ms);
    call_enter(c, CALL_STREAMING);
    c->started = true;
    c->sink.start(c->arg);
}

void call_given_data(struct call *c, const char *bytes, size_t len)
{
    if (c->state == CALL_STREAMING && len > 0)
        c->sink.data(c->arg, bytes, len);
}

void call_given_end(struct call *c, const struct wire_usage *usage)
{
    bool good = c->status < 400;
    if (c->state != CALL_STREAMING)
        return;
    c->given.giver = NULL;
    if (usage)
        c->usage = *usage;
    call_count_saved(c, usage);
    call_count_given(c, good ? COUNT_succeeded : COUNT_failed);
    call_enter(c, CALL_DONE);
    c->sink.end(c->arg);
    c->given.source = NULL;
    call_bury(c);
}

void call_given_fail(struct call *c, const struct call_failure *failure)
{
    c->given.giver = NULL;
    if (!call_state_is_final(c->state))
        call_fail(c, failure);
}

bool call_is_paused(const struct call *c)
{
    return c->given.paused;
}
