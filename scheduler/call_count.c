/* What is counted of calls: by pool (pool_stats), and by tenant and model (tally). */
#include "scheduler/call_internal.h"

#include "common/clock.h"
#include "scheduler/tally.h"

static struct tally_row *row_of(const struct call *c, enum tally_kind kind)
{
    const char *name = kind == TALLY_TENANT ? c->spec.tenant : c->row ? c->row->name : c->model;
    return name ? tally_of(scheduler_options(c->sched)->tally, kind, name) : NULL;
}

static void add(const struct call *c, enum tally_counter counter, int64_t amount)
{
    for (int kind = 0; kind < TALLY_KINDS && amount != 0; kind++)
        tally_add(row_of(c, (enum tally_kind)kind), counter, amount);
}

static enum tally_counter tally_outcome(enum pool_counter counter)
{
    switch (counter) {
    case COUNT_succeeded:
        return TALLY_succeeded;
    case COUNT_cancelled:
        return TALLY_cancelled;
    case COUNT_expired:
        return TALLY_expired;
    default:
        return TALLY_failed;
    }
}

void call_count_end(struct call *c, enum pool_counter counter)
{
    struct pool_stats *stats = pool_agent_stats(c->pool->agent);
    pool_stats_add(stats, counter, 1);
    pool_stats_add(stats, COUNT_tool_calls_dropped, c->tools.filter.dropped);
    add(c, TALLY_requests, 1);
    add(c, tally_outcome(counter), 1);
    add(c, TALLY_tokens_trimmed, c->fit.trimmed);
    if (!c->usage.known)
        return;
    pool_stats_add(stats, COUNT_tokens_input, c->usage.input);
    pool_stats_add(stats, COUNT_tokens_output, c->usage.output);
    pool_stats_add(stats, COUNT_tokens_cached, c->usage.cache_read);
    add(c, TALLY_tokens_input, c->usage.input);
    add(c, TALLY_tokens_output, c->usage.output);
    add(c, TALLY_tokens_cached, c->usage.cache_read);
}

static void tally_grant(struct call *c, int64_t wait_ms)
{
    add(c, TALLY_tokens_reserved, c->fair_cost);
    add(c, TALLY_delayed, wait_ms > 0);
    for (int kind = 0; kind < TALLY_KINDS; kind++)
        tally_wait(row_of(c, (enum tally_kind)kind), wait_ms);
}

void call_count_permit(struct call *c, int64_t wait_ms)
{
    tally_grant(c, wait_ms);
}

void call_count_grant(struct call *c)
{
    struct pool_stats *stats = pool_agent_stats(c->pool->agent);
    bool shrunk = c->fit.shrunk || c->spec.was_shrunk;
    pool_stats_add(stats, shrunk ? COUNT_shrunk : c->waited ? COUNT_delayed : COUNT_admitted, 1);
    pool_stats_add(stats, COUNT_tokens_reserved, c->fair_cost);
    pool_stats_wait(stats, c->queue_ms);
    tally_grant(c, c->queue_ms);
}

void call_count_refused(struct call *c)
{
    pool_stats_add(pool_agent_stats(c->pool->agent), COUNT_refused, 1);
    add(c, TALLY_refused, 1);
}

/* A whole answer, or a whole stream, of the transfer that has just ended. */
void call_count_answered(struct call *c)
{
    int64_t ms = (clock_mono_us() - c->sent_us) / 1000;
    for (int kind = 0; kind < TALLY_KINDS; kind++)
        tally_upstream(row_of(c, (enum tally_kind)kind), ms);
}
