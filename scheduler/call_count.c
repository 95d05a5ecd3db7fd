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

static void count_outcome(struct call *c, enum pool_counter counter)
{
    struct pool_stats *stats = pool_agent_stats(c->pool->agent);
    int64_t calls = !c->spec.is_batch; /* those who are in it are counted themselves */
    pool_stats_add(stats, counter, calls);
    pool_stats_add(stats, COUNT_tool_calls_dropped, c->tools.filter.dropped);
    call_count_cost(c);
    if (counter == COUNT_expired)
        pool_details_bound(&stats->details, DECISION_expired, c->binding);
    if (counter == COUNT_succeeded && c->fit.trimmed > c->fit.spent)
        pool_stats_add(stats, COUNT_tokens_saved, c->fit.trimmed - c->fit.spent);
    add(c, TALLY_requests, calls);
    add(c, tally_outcome(counter), calls);
    add(c, TALLY_tokens_trimmed, c->fit.trimmed);
}

/* Of a batch only tokens are counted: the rest is counted of those that it is made of. */
void call_count_end(struct call *c, enum pool_counter counter)
{
    struct pool_stats *stats = pool_agent_stats(c->pool->agent);
    if (!c->spec.is_batch)
        count_outcome(c, counter);
    if (!c->usage.known)
        return;
    pool_stats_add(stats, COUNT_tokens_input, c->usage.input);
    pool_stats_add(stats, COUNT_tokens_output, c->usage.output);
    pool_stats_add(stats, COUNT_tokens_cached, c->usage.cache_read);
    add(c, TALLY_tokens_input, c->usage.input);
    add(c, TALLY_tokens_output, c->usage.output);
    add(c, TALLY_tokens_cached, c->usage.cache_read);
}

void call_count_given(struct call *c, enum pool_counter counter)
{
    pool_stats_add(pool_agent_stats(c->pool->agent), counter, 1);
    add(c, TALLY_requests, 1);
    add(c, tally_outcome(counter), 1);
}

void call_count_part(struct call *batch, int64_t wait_ms)
{
    struct pool_stats *stats = pool_agent_stats(batch->pool->agent);
    pool_stats_add(stats, COUNT_batched, 1);
    pool_stats_add(stats, COUNT_succeeded, 1);
    pool_stats_wait(stats, wait_ms);
    add(batch, TALLY_requests, 1);
    add(batch, TALLY_succeeded, 1);
    add(batch, TALLY_delayed, wait_ms > 0);
    for (int kind = 0; kind < TALLY_KINDS; kind++)
        tally_wait(row_of(batch, (enum tally_kind)kind), wait_ms);
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
    struct pool_details *details = &pool_agent_stats(c->pool->agent)->details;
    pool_details_time(details, c->spec.class, wait_ms);
    if (wait_ms > 0)
        pool_details_bound(details, DECISION_delayed, c->binding);
    tally_grant(c, wait_ms);
}

void call_count_grant(struct call *c)
{
    struct pool_stats *stats = pool_agent_stats(c->pool->agent);
    bool shrunk = c->fit.shrunk || c->spec.was_shrunk;
    pool_stats_add(stats, COUNT_tokens_reserved, c->fair_cost);
    if (c->spec.is_batch) {
        add(c, TALLY_tokens_reserved, c->fair_cost);
        return;
    }
    pool_stats_add(stats, shrunk ? COUNT_shrunk : c->waited ? COUNT_delayed : COUNT_admitted, 1);
    pool_stats_wait(stats, c->queue_ms);
    pool_details_time(&stats->details, c->spec.class, c->queue_ms);
    if (shrunk || c->waited)
        pool_details_bound(&stats->details, shrunk ? DECISION_shrunk : DECISION_delayed,
                           c->binding);
    tally_grant(c, c->queue_ms);
}

void call_count_refused(struct call *c, const struct store_turn *turn)
{
    struct pool_stats *stats = pool_agent_stats(c->pool->agent);
    bool full = turn->submit == SUBMIT_FULL || turn->submit == SUBMIT_TENANT_FULL;
    const char *limit = turn->submit == SUBMIT_CIRCUIT ? "circuit" : full ? "queue" : turn->detail;
    pool_stats_add(stats, COUNT_refused, 1);
    pool_details_bound(&stats->details, DECISION_refused, limit);
    add(c, TALLY_refused, 1);
}

/* A whole answer, or a whole stream, of the transfer that has just ended. */
void call_count_answered(struct call *c)
{
    int64_t ms = (clock_mono_us() - c->sent_us) / 1000;
    pool_details_time(&pool_agent_stats(c->pool->agent)->details, TIME_UPSTREAM, ms);
    for (int kind = 0; kind < TALLY_KINDS; kind++)
        tally_upstream(row_of(c, (enum tally_kind)kind), ms);
}

/* The first that a stream told. */
void call_count_first_token(struct call *c)
{
    pool_details_time(&pool_agent_stats(c->pool->agent)->details, TIME_FIRST_TOKEN,
                      (clock_mono_us() - c->sent_us) / 1000);
}

void call_count_estimate(struct call *c, int64_t used)
{
    if (c->usage.known)
        pool_details_error(&pool_agent_stats(c->pool->agent)->details, c->fair_cost, used);
}
