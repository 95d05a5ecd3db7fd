#include "api/demo/demo_phase.h"

#include "api/demo/demo_agent.h"
#include "api/demo/demo_serve.h"
#include "api/simulate/sim_core.h"
#include "api/simulate/simulate.h"
#include "common/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#define PROGRESS_MS 100

struct phase {
    struct event_base *base;
    const struct demo_work *work;
    const char *title;
    struct sim *sim;
    struct demo_serve serve;
    struct http_client *client;
    struct demo_agent *agents;
    struct demo_tally tally;
    struct event *progress, *interrupt, *deadline;
    int64_t started_ms;
    bool interrupted, shows;
};

static void on_progress(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    const struct phase *p = arg;
    int64_t running = p->work->agents - p->tally.finished - p->tally.died;
    (void)fprintf(stderr,
                  "\r\033[K%-15s %5.1f s   %" PRId64 " running   %" PRId64 " finished   %" PRId64
                  " failed   429s %" PRId64 "   %" PRId64 " tokens",
                  p->title, (double)(clock_mono_ms() - p->started_ms) / 1000, running,
                  p->tally.finished, p->tally.died, p->tally.refusals, p->tally.tokens);
}

static void on_interrupt(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct phase *p = arg;
    p->interrupted = true;
    (void)event_base_loopbreak(p->base);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct phase *p = arg;
    (void)event_base_loopbreak(p->base);
}

static void on_agent_end(void *arg)
{
    struct phase *p = arg;
    if (p->tally.finished + p->tally.died == p->work->agents)
        (void)event_base_loopbreak(p->base);
}

static int start_provider(struct phase *p, struct error *e)
{
    struct sim_options *o = malloc(sizeof(*o));
    if (!o)
        return error_set(e, -ENOMEM, "out of memory");
    sim_options_init(o);
    (void)snprintf(o->listen, sizeof(o->listen), "127.0.0.1:0");
    o->rules[0].limits[SIM_RPM] = p->work->rpm;
    o->rules[0].limits[SIM_TPM] = p->work->tpm;
    o->latency_ms = DEMO_LATENCY_MS;
    o->us_per_token = DEMO_MS_PER_TOKEN * 1000;
    o->output_min = o->output_max = DEMO_OUTPUT_TOKENS;
    p->sim = sim_new(p->base, o, e);
    free(o);
    return p->sim ? 0 : -EIO;
}

static int start_agents(struct phase *p, const char *url, struct error *e)
{
    char v1[160];
    (void)snprintf(v1, sizeof(v1), "%.150s/v1", url);
    for (int64_t i = 0; i < p->work->agents; i++) {
        struct demo_agent *a = &p->agents[i];
        a->base = p->base;
        a->client = p->client;
        a->work = p->work;
        a->tally = &p->tally;
        a->on_end = on_agent_end;
        a->arg = p;
        a->number = i;
        if (demo_agent_start(a, v1) < 0)
            return error_set(e, -ENOMEM, "out of memory");
    }
    return 0;
}

static int start_events(struct phase *p, struct error *e)
{
    const struct timeval often = {.tv_usec = PROGRESS_MS * 1000};
    const struct timeval patience = {.tv_sec = p->work->seconds * DEMO_PATIENCE};
    p->shows = isatty(STDERR_FILENO);
    p->progress = event_new(p->base, -1, EV_PERSIST, on_progress, p);
    p->interrupt = evsignal_new(p->base, SIGINT, on_interrupt, p);
    p->deadline = event_new(p->base, -1, 0, on_deadline, p);
    if (!p->progress || !p->interrupt || !p->deadline || event_add(p->interrupt, NULL) < 0 ||
        event_add(p->deadline, &patience) < 0 || (p->shows && event_add(p->progress, &often) < 0))
        return error_set(e, -ENOMEM, "out of memory");
    return 0;
}

static int start(struct phase *p, bool through_sluice, struct error *e)
{
    const struct demo_work *w = p->work;
    p->agents = calloc((size_t)w->agents, sizeof(*p->agents));
    p->tally.waits_ms = calloc((size_t)(w->agents * w->turns), sizeof(*p->tally.waits_ms));
    p->client = http_client_new(p->base);
    if (!p->agents || !p->tally.waits_ms || !p->client)
        return error_set(e, -ENOMEM, "out of memory");
    int rc = start_provider(p, e);
    if (rc == 0 && through_sluice)
        rc = demo_serve_start(&p->serve, w, sim_url(p->sim), e);
    if (rc == 0)
        rc = start_agents(p, through_sluice ? p->serve.url : sim_url(p->sim), e);
    return rc == 0 ? start_events(p, e) : rc;
}

static void stop(struct phase *p)
{
    struct event *const events[] = {p->progress, p->interrupt, p->deadline};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (events[i])
            event_free(events[i]);
    for (int64_t i = 0; p->agents && i < p->work->agents; i++)
        demo_agent_release(&p->agents[i]);
    if (p->client)
        http_client_free(p->client);
    /* The provider goes first: a service that drains would wait for its answers. */
    sim_free(p->sim);
    demo_serve_stop(&p->serve);
    free(p->agents);
    free(p->tally.waits_ms);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void read_result(struct phase *p, struct demo_result *ret)
{
    struct demo_tally *t = &p->tally;
    size_t turns = (size_t)t->turns;
    if (turns > 0)
        qsort(t->waits_ms, turns, sizeof(*t->waits_ms), by_size);
    *ret = (struct demo_result){
        .finished = t->finished,
        .failed = t->died,
        .unfinished = p->work->agents - t->finished - t->died,
        .refusals = t->refusals,
        .provider_refusals = p->sim->ledger.total.outcomes[SIM_REFUSED],
        .turns = t->turns,
        .tokens = t->tokens,
        .elapsed_ms = clock_mono_ms() - p->started_ms,
        .wait_p50_ms = turns > 0 ? t->waits_ms[(turns - 1) / 2] : 0,
        .wait_max_ms = turns > 0 ? t->waits_ms[turns - 1] : 0,
        .interrupted = p->interrupted,
    };
}

int demo_phase_run(struct event_base *base, const struct demo_work *w, bool through_sluice,
                   struct demo_result *ret, struct error *e)
{
    struct phase p = {
        .base = base,
        .work = w,
        .title = through_sluice ? "through Sluice" : "directly",
    };
    int rc = start(&p, through_sluice, e);
    if (rc == 0) {
        p.started_ms = clock_mono_ms();
        if (event_base_dispatch(base) < 0)
            rc = error_set(e, -EIO, "the event loop failed");
        else
            read_result(&p, ret);
        if (p.shows) {
            on_progress(-1, 0, &p);
            (void)fputc('\n', stderr);
        }
    }
    stop(&p);
    return rc;
}
