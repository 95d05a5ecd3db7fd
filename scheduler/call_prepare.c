/*
 * call_prepare: a call that needs a summary before it can be counted waits for it.
 *
 * Trimming itself never waits: it takes a summary that is in memory, and orders one that is not.
 * The stages behind it run when the summary is there, or is not to be had in time; then the
 * results of tools are cut in its place.
 */
#include "scheduler/call_internal.h"

#include <event2/event.h>
#include <stdlib.h>

static int on_ask(void *arg, const struct trim_summary_ask *ask, struct buf *out)
{
    struct call *c = arg;
    const struct config *config = c->plan->config;
    struct summaries *all = scheduler_summaries(c->sched);
    struct summary_order order;
    if (!config->summaries.model)
        return -1;
    summary_order_init(&order, c->spec.tenant, config->summaries.model, ask);
    if (summaries_find(all, &order, out))
        return 0;
    /* Looking at a request must not have a summary made: it is read as without one. */
    if (!c->ordered && !c->order && !c->spec.unfit && summary_order_fill(&order, ask) == 0) {
        c->order = malloc(sizeof(*c->order));
        if (c->order) {
            order.weight = c->spec.weight;
            order.caller_key = c->spec.caller_key;
            *c->order = order;
            return -1;
        }
    }
    summary_order_release(&order);
    return -1;
}

struct trim_summarizer call_summarizer(struct call *c)
{
    return (struct trim_summarizer){.make = on_ask, .arg = c};
}

void call_drop_order(struct call *c)
{
    summaries_forget(&c->summary);
    if (c->order)
        summary_order_release(c->order);
    free(c->order);
    c->order = NULL;
}

bool call_is_ready(const struct call *c)
{
    return !c->order;
}

static void ready(struct call *c)
{
    struct call_failure f;
    event_del(c->timer);
    call_drop_order(c);
    int rc = call_read_on(c, &f);
    c->on_ready(c->ready_arg, rc < 0 ? &f : NULL);
}

static void on_made(void *arg, int64_t spent)
{
    struct call *c = arg;
    c->fit.spent = spent;
    ready(c);
}

void call_not_ready_in_time(struct call *c)
{
    ready(c);
}

void call_make_ready(struct call *c, void (*fn)(void *arg, const struct call_failure *failure),
                     void *arg)
{
    int64_t most = c->plan->config->summaries.timeout_ms;
    c->on_ready = fn;
    c->ready_arg = arg;
    c->ordered = true;
    c->summary.fn = on_made;
    c->summary.arg = c;
    /* A job has its deadline, and nobody who waits for it to be queued. */
    call_arm(c, !c->spec.is_job && c->spec.max_wait_ms < most ? c->spec.max_wait_ms : most);
    summaries_make(scheduler_summaries(c->sched), c->order, &c->summary);
}
