#include "scheduler/call_internal.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A call serves its model by one of several ways (keys, deployments), and, when none of them will
 * do, by another model. A proxied call that goes another way ends its ticket and takes a new one.
 *
 * A job must not: its record is its ticket, and a move of it between two pools cannot be one atomic
 * step, since the pools may stand in two slots of a cluster; each order of the two steps loses or
 * doubles the job when the instance dies between them. So the job stays where it is and runs under
 * its own lease, and what it sends elsewhere has a second ticket there, like a call's: when the
 * instance dies the first goes back to its queue and the second is dropped with its owner. Where it
 * stays it holds its slot meanwhile, and gets its tokens back at the end.
 */

struct choice {
    struct config_candidate way;
    struct pool_view *pool;
    unsigned index;
    int64_t start_ms;
};

/* The first one of a list may use the caller's own key: it is the provider that the model's name
 * leads to. To send that key to another provider would give it away. */
static const char *account_of(const struct call *c, const struct config_candidate *way,
                              unsigned index, char caller[ACCOUNT_BYTES])
{
    if (way->account)
        return way->account->name;
    bool needs_key = !c->spec.for_permit && !c->spec.unfit; /* else nothing is sent from here */
    if (c->spec.is_job || (!c->spec.caller_key && needs_key) || index > 0 || c->fallen)
        return NULL;
    if (c->spec.caller_key)
        scheduler_account(c->spec.caller_key, caller);
    return caller;
}

/* Before the price is known: by the bytes, and the output that the request may ask for. */
static int64_t start_in(const struct call *c, const struct choice *at)
{
    const struct wire_request *r = &c->request;
    int64_t cost[POOL_MAX_DIMS] = {0}, fair = 0;
    int64_t each =
        r->max_output_tokens >= 0 ? r->max_output_tokens : at->way.row->default_output_tokens;
    struct profile_estimate e = {.input = 1 + r->input_bytes / 4, .max_output = each * r->choices};
    int64_t foreseen = call_foreseen_output(at->pool);
    e.output = foreseen < e.max_output ? foreseen : e.max_output;
    profile_reserve(at->pool->profile, &pool_agent_pool(at->pool->agent)->limits, &e, cost, &fair);
    return pool_agent_start_in(at->pool->agent, cost);
}

/* The earliest start; of equals the least loaded, then any. */
static bool is_better(struct call *c, const struct choice *at, const struct choice *best,
                      unsigned *equals)
{
    if (!best->pool || at->start_ms != best->start_ms) {
        *equals = 1;
        return !best->pool || at->start_ms < best->start_ms;
    }
    size_t load = pool_agent_load(at->pool->agent), least = pool_agent_load(best->pool->agent);
    if (load != least) {
        *equals = 1;
        return load < least;
    }
    return rand_below(scheduler_rand(c->sched), ++*equals) == 0;
}

/* What is sent was made to fit the first way; it is not cut again for a narrower one. Nothing is
 * known before it was measured. */
static bool is_wide_enough(const struct call *c, const struct config_model *row)
{
    int64_t input = c->fit.size.tokens;
    bool asked = c->request.max_output_tokens > 0 && !c->settings.added_output;
    int64_t output = asked ? c->request.max_output_tokens : 0;
    bool fits = row->context_window <= 0 || input + output <= row->context_window;
    return input == 0 ||
           (fits && (row->max_output_tokens <= 0 || output <= row->max_output_tokens));
}

/* False: none is left. skip: bits of those that will not do. aside: also those that are set
 * aside. */
static bool choose(struct call *c, uint32_t skip, bool aside, struct choice *ret)
{
    struct config_candidate ways[CONFIG_MAX_ROUTES];
    enum wire_format format = wire_format_of(c->spec.endpoint);
    const char *model = NULL;
    unsigned equals = 1;
    size_t n =
        config_candidates(c->plan->config, (enum config_format)format, c->asked, ways, &model);
    *ret = (struct choice){.pool = NULL};
    for (unsigned i = 0; i < n; i++) {
        char caller[ACCOUNT_BYTES] = "default";
        struct choice at = {.way = ways[i], .index = i};
        const char *account = account_of(c, &ways[i], i, caller);
        if ((skip & (UINT32_C(1) << i)) || !account || !is_wide_enough(c, ways[i].row))
            continue;
        at.pool = scheduler_pool(c->sched, ways[i].provider, ways[i].row, account);
        if (!at.pool || (!aside && pool_is_set_aside(at.pool, clock_mono_ms())))
            continue;
        at.pool->has_others |= n > 1 || ways[i].row->fallback_count > 0;
        at.start_ms = n > 1 ? start_in(c, &at) : 0;
        if (is_better(c, &at, ret, &equals))
            *ret = at;
    }
    return ret->pool != NULL;
}

static int take_way(struct call *c, const struct choice *to)
{
    const char *name = NULL;
    enum wire_format format = wire_format_of(c->spec.endpoint);
    const struct config_provider *first;
    const struct config_model *row;
    if (!config_route(c->plan->config, (enum config_format)format, c->asked, &first, &row, &name))
        return -ENOENT;
    char *model = strdup(name);
    if (!model)
        return -ENOMEM;
    free(c->model);
    c->model = model;
    c->provider = to->way.provider;
    c->row = to->way.row;
    c->account = to->way.account;
    c->way = to->index;
    to->pool->users++;
    if (c->pool)
        c->pool->users--;
    c->pool = to->pool;
    int rc = call_rename_model(c, c->row->upstream_model ? c->row->upstream_model : c->model);
    return rc < 0 ? rc : call_settings_again(c);
}

/* ---- before it has a ticket */

/* The row that names the fallbacks of what was asked for. */
static const struct config_model *asked_row(const struct call *c)
{
    return c->fallen ? c->fallen : c->row;
}

static bool next_fallback(struct call *c, struct choice *ret)
{
    const struct config_model *row = asked_row(c);
    /* A worker that calls by itself would send the model it has asked for. */
    if (c->spec.no_fallback || c->spec.for_permit || !row)
        return false;
    while (c->next_fallback < row->fallback_count) {
        const char *other = row->fallbacks[c->next_fallback++];
        if (!call_may_use(c, other))
            continue;
        char *name = strdup(other);
        if (!name)
            return false;
        free(c->asked);
        c->asked = name;
        c->fallen = row;
        c->tried = 0;
        c->attempts = 0;
        if (choose(c, 0, false, ret))
            return true;
    }
    return false;
}

static void log_fall(const struct call *c, const char *why)
{
    log_write(LOG_INFO, "another model serves the request", "job", c->held.id, "why", why, "model",
              c->model, "pool", pool_agent_pool(c->pool->agent)->id, NULL);
}

int call_choose_way(struct call *c)
{
    struct choice to, other;
    char *asked = strdup(c->asked);
    if (!asked)
        return -ENOMEM;
    int rc = -ENOSPC;
    if (choose(c, 0, false, &to)) {
        rc = take_way(c, &to);
    } else if (choose(c, 0, true, &to)) {
        /* All are set aside: another model, or else what would come free first. */
        rc = take_way(c, &to);
        if (rc == 0 && next_fallback(c, &other)) {
            rc = take_way(c, &other);
            log_fall(c, "set aside");
        } else if (rc == 0) {
            free(c->asked);
            c->asked = asked;
            c->fallen = NULL;
            return 0;
        }
    }
    free(asked);
    return rc;
}

/* A job that was granted: its own pool's way, or, when no way of the model leads there any more
 * (its row was changed), another, to which it goes as soon as it starts. */
int call_find_way(struct call *c, struct pool_view *pool)
{
    struct config_candidate ways[CONFIG_MAX_ROUTES];
    enum wire_format format = wire_format_of(c->spec.endpoint);
    const char *model = NULL;
    size_t n =
        config_candidates(c->plan->config, (enum config_format)format, c->asked, ways, &model);
    for (unsigned i = 0; i < n; i++) {
        if (!ways[i].account ||
            scheduler_pool(c->sched, ways[i].provider, ways[i].row, ways[i].account->name) != pool)
            continue;
        struct choice own = {.way = ways[i], .pool = pool, .index = i};
        pool->has_others |= n > 1 || ways[i].row->fallback_count > 0;
        return take_way(c, &own);
    }
    int rc = call_choose_way(c);
    if (rc == 0) {
        c->astray = c->pool != pool;
        pool->users++;
        c->pool->users--;
        c->pool = pool;
    }
    return rc;
}

/* ---- with one */

static bool is_out(const struct call *c)
{
    return c->started || call_state_is_final(c->state) || c->state == CALL_STREAMING;
}

/* Ends what stands for the call in the pool that it leaves. */
static void leave(struct call *c)
{
    if (c->spec.is_job && !c->home.pool) {
        struct holding *h = &c->home.held;
        *h = c->held;
        list_init(&h->link);
        pool_agent_release(c->pool->agent, &c->held);
        pool_agent_hold(c->pool->agent, h);
        c->home.pool = c->pool;
        c->pool->users++;
        c->held.fence = 0;
        /* The index borrows its keys, and goes on to lead from the job's id to this call. */
        scheduler_remove_call(c->sched, h->id);
        if (scheduler_add_call(c->sched, c, h->id) < 0)
            log_write(LOG_ERROR, "no memory to index a job", "id", h->id, NULL);
        c->held.id[0] = '\0';
    } else if (c->held.fence > 0) {
        call_close_ticket(c);
    } else {
        pool_agent_abandon(c->pool->agent, c->held.id);
        scheduler_remove_call(c->sched, c->held.id);
    }
    call_leave_queue(c);
}

static void fail_move(struct call *c)
{
    struct call_failure f;
    (void)call_fail_memory(&f);
    call_fail(c, &f);
}

/* The call ends if memory is short; it has moved all the same. */
static void move(struct call *c, const struct choice *to)
{
    bool was_granted = c->state == CALL_SENDING;
    if (c->state != CALL_SUBMITTING)
        pool_stats_add(pool_agent_stats(c->pool->agent), COUNT_retries, 1);
    leave(c);
    c->outcome = (struct retry_plan){.again = false};
    if (take_way(c, to) < 0) {
        fail_move(c);
        return;
    }
    call_measure(c);
    call_price(c);
    if (c->state != CALL_QUEUED)
        call_enter(c, CALL_QUEUED);
    call_reply_reset(c);
    call_enter_queue(c);
    if (was_granted && c->sink.requeued)
        c->sink.requeued(c->arg);
    call_submit_anew(c);
}

bool call_move(struct call *c, int64_t before_ms)
{
    struct choice to;
    uint32_t own = UINT32_C(1) << c->way;
    if (is_out(c) || c->submitting)
        return false;
    c->tried |= own;
    if (!choose(c, c->tried, false, &to) || to.start_ms >= before_ms)
        return false;
    move(c, &to);
    return true;
}

bool call_fall_back(struct call *c, const char *why)
{
    struct choice to;
    if (is_out(c) || c->submitting || !next_fallback(c, &to))
        return false;
    if (!*c->held.id) {
        if (take_way(c, &to) < 0)
            return false;
        log_fall(c, why);
        return true;
    }
    move(c, &to);
    if (!call_state_is_final(c->state))
        log_fall(c, why);
    return true;
}

bool call_leave_home(struct call *c)
{
    struct choice to;
    if (!c->spec.is_job || c->home.pool)
        return false;
    bool aside = pool_is_set_aside(c->pool, clock_mono_ms());
    c->outcome = (struct retry_plan){.unsent = true};
    if (c->astray && choose(c, 0, false, &to)) {
        move(c, &to);
        return true;
    }
    return aside && (call_move(c, INT64_MAX) || call_fall_back(c, "set aside"));
}
