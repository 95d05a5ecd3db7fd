#include "tests/simulation/provider.h"

#include "scheduler/call.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTE_US 20000000
#define CROSSING_US   300000
#define ASTRAY_US     8000000 /* the next heartbeat tells it */

enum ending { WHOLE, REFUSED, UNSENT, SILENT, BROKEN, CUT };
enum step { ARRIVES, HEAD, BODY, END };

struct http_transfer {
    struct list link;
    struct http_client *client;
    struct http_handlers handlers;
    struct call *call;
    struct happening next;
    enum step step;
    enum ending ending;
    int status, pieces;
    bool stream, sent, paused, waits, local, fresh, charged, told, gone, inside;
    char id[TICKET_ID_BYTES], pool[POOL_NAME_BYTES], retry_after[24];
    int64_t cost[POOL_MAX_DIMS], used[POOL_MAX_DIMS], input, output;
    int64_t fence; /* 0: without one of Redis */
    int64_t astray_us;
    size_t number; /* in the ledger */
};

/* ---- whether it may be sent at all */

static void check_local(struct http_transfer *t)
{
    struct http_client *c = t->client;
    size_t n = 0;
    c->provider->local++;
    while (n < c->provider->ledger_count && strcmp(c->provider->ledgers[n].pool, t->pool) != 0)
        n++;
    if (n == c->provider->ledger_count)
        return;
    c->local_total[n]++;
    if (c->share_of == 0)
        return;
    /* I14: what its share earned since, and nothing more. */
    const struct dim_limit *d = &pool_agent_pool(call_pool(t->call)->agent)->limits.dims[0];
    if (c->rates[n] < d->rate)
        c->rates[n] = d->rate;
    int64_t ms = (loop_now_us() - c->cut_off_us) / 1000;
    int64_t most = c->rates[n] * ms / (d->period * d->tick_ms) / (2 * c->share_of) + 1;
    if (++c->local_sent[n] > most)
        broken("I14: instance %d sent %" PRId64 " requests without Redis, its share is %" PRId64,
               c->process->number, c->local_sent[n], most);
}

/* Each grant is used once, by whom it was given to, while it holds. */
static void check_grant(struct http_transfer *t, struct record *r)
{
    struct provider *p = t->client->provider;
    bool excused = loop_now_us() == t->client->woken_us || loop_now_us() < p->leapt_us;
    excused |= r && loop_now_us() - r->changed_us < CROSSING_US; /* it changed on the way here */
    bool holds = r && r->state == TICKET_RUNNING && r->owner == t->client->process->number &&
                 call_holds(t->call, r->fence);
    if (holds && r->sent_fence == r->fence)
        broken("I4: %s was sent twice under fence %" PRId64, r->id, r->fence);
    if (holds)
        t->fence = r->sent_fence = r->fence;
    else if (!excused && p->server->losses == 0)
        broken("I7: instance %d sends %s, which %s", t->client->process->number, t->id,
               !r                                       ? "has no ticket"
               : r->state != TICKET_RUNNING             ? "does not run"
               : r->owner != t->client->process->number ? "is another's"
                                                        : "runs under another fence");
    t->fresh = holds && loop_now_us() - r->granted_us <= LEDGER_FRESH_US / 2;
    if (p->strict && !t->fresh)
        broken("a grant of %s was used late in a run without faults", t->id);
}

static void identify(struct http_transfer *t)
{
    struct provider *p = t->client->provider;
    struct pool_agent *agent = call_pool(t->call)->agent;
    struct record *r = server_find(p->server, call_id(t->call));
    (void)snprintf(t->id, sizeof(t->id), "%s", call_id(t->call));
    (void)snprintf(t->pool, sizeof(t->pool), "%s", pool_agent_pool(agent)->id);
    t->local = pool_agent_is_local(agent, t->id);
    if (r)
        memcpy(t->cost, r->cost, sizeof(t->cost));
    if (!t->local)
        check_grant(t, r);
}

/* ---- what becomes of it */

static enum ending draw_failure(struct http_transfer *t)
{
    static const int statuses[] = {429, 429, 429, 500, 503, 529};
    static const enum ending endings[] = {REFUSED, REFUSED, REFUSED, UNSENT, SILENT, BROKEN, CUT};
    enum ending e = endings[chance_below(7)];
    if (e == REFUSED)
        t->status = statuses[chance_below(6)];
    if (e == REFUSED && chance_permille(500))
        (void)snprintf(t->retry_after, sizeof(t->retry_after), "%d", (int)chance_between(0, 6));
    return e;
}

static void draw(struct http_transfer *t, const char *body)
{
    struct provider *p = t->client->provider;
    int64_t total = t->cost[1] > 0 ? t->cost[1] : 100;
    t->stream = strstr(body, "\"stream\":true") != NULL;
    t->status = 200;
    t->ending = chance_permille(p->fail_permille) ? draw_failure(t) : WHOLE;
    t->pieces = t->stream ? (int)chance_between(1, 6) : 1;
    total = total * chance_between(20, chance_permille(50) ? 130 : 100) / 100;
    t->input = total / 3;
    t->output = total - t->input;
}

static void after(struct http_transfer *t, int64_t us)
{
    happening_at(&t->next, loop_now_us() + us);
}

static int64_t service_us(const struct http_transfer *t)
{
    int64_t us = chance_between(30000, 1500000);
    if (t->status != 200)
        return us / 10;
    return chance_permille(25) ? chance_between(4000000, 19000000) : us;
}

static void transfer_free(struct http_transfer *t)
{
    if (!t->gone) {
        t->gone = true;
        happening_drop(&t->next);
        list_remove(&t->link);
        t->client->provider->running--;
    }
    if (!t->inside)
        free(t);
}

static void end(struct http_transfer *t, enum http_result result)
{
    trace("answered", t->id, result, t->status);
    t->inside = true;
    t->handlers.on_done(t->call, t, result,
                        t->step > ARRIVES && result != HTTP_FIRST_BYTE ? t->status : 0,
                        result == HTTP_DONE ? "" : "simulated");
    t->inside = false;
    transfer_free(t);
}

static void arrive(struct http_transfer *t)
{
    struct provider *p = t->client->provider;
    t->step = HEAD;
    t->next.process = t->client->process;
    if (t->ending == UNSENT) {
        t->step = END;
        after(t, chance_latency_us(100000));
        return;
    }
    t->sent = true;
    struct record *r = t->local ? NULL : server_find(p->server, t->id);
    if (r && (r->fence == t->fence || r->arrived_fence == 0))
        r->arrived_fence = r->fence == t->fence ? t->fence : -1;
    trace("arrived", t->id, t->client->process->number, t->fresh);
    p->requests++;
    p->refused += t->status == 429;
    if (!t->local && t->fresh) {
        bool judged = loop_now_us() >= p->excused_us;
        p->judged += judged;
        t->charged = true;
        t->number = ledger_charge(p, t->pool, t->cost, judged);
    } else if (t->local) {
        check_local(t);
    } else {
        p->late++;
    }
    after(t, t->ending == SILENT ? FIRST_BYTE_US : service_us(t));
}

/* The usage is in the bytes that go out now. */
static void tell_usage(struct http_transfer *t)
{
    int64_t back[POOL_MAX_DIMS] = {0};
    if (!t->charged || t->told)
        return;
    t->told = true;
    back[1] = t->cost[1] - t->input - t->output;
    ledger_refund(t->client->provider, t->pool, t->number, back);
}

static void deliver(struct http_transfer *t, const char *bytes)
{
    t->inside = true;
    t->handlers.on_body(t->call, t, bytes, strlen(bytes));
    t->inside = false;
}

static void body(struct http_transfer *t)
{
    char text[400];
    bool last = --t->pieces <= 0;
    if (t->status != 200) {
        deliver(t, t->status == 429 ? "{\"error\":{\"message\":\"Rate limit reached\",\"type\":"
                                      "\"requests\",\"code\":\"rate_limit_exceeded\"}}"
                                    : "{\"error\":{\"message\":\"no\",\"type\":\"server_error\"}}");
    } else if (t->stream && !last) {
        deliver(t, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},"
                   "\"finish_reason\":null}]}\n\n");
    } else {
        (void)snprintf(text, sizeof(text),
                       t->stream ? "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%" PRId64
                                   ",\"completion_tokens\":%" PRId64 "}}\n\ndata: [DONE]\n\n"
                                 : "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"}}],"
                                   "\"usage\":{\"prompt_tokens\":%" PRId64
                                   ",\"completion_tokens\":%" PRId64 "}}",
                       t->input, t->output);
        tell_usage(t);
        deliver(t, text);
    }
    if (t->gone) {
        transfer_free(t);
        return;
    }
    t->step = last ? END : BODY;
    after(t, last ? 0 : chance_between(1000, 400000));
}

static void head(struct http_transfer *t)
{
    if (t->ending == SILENT || t->ending == BROKEN) {
        end(t, t->ending == SILENT ? HTTP_FIRST_BYTE : HTTP_BROKEN);
        return;
    }
    t->step = t->ending == CUT && chance_permille(300) ? END : BODY;
    t->inside = true;
    t->handlers.on_headers(t->call, t, t->status);
    t->inside = false;
    if (t->gone)
        transfer_free(t);
    else
        after(t, chance_between(0, 3000));
}

static void on_next(void *arg)
{
    struct http_transfer *t = arg;
    if (t->paused && t->step > HEAD) {
        t->waits = true;
        return;
    }
    if (t->step == ARRIVES)
        arrive(t);
    else if (t->step == HEAD)
        head(t);
    else if (t->ending == UNSENT)
        end(t, HTTP_NOT_SENT);
    else if (t->ending == CUT && (t->step == END || t->pieces <= 1))
        end(t, HTTP_BROKEN);
    else if (t->step == BODY)
        body(t);
    else
        end(t, HTTP_DONE);
}

/* ---- the interface */

struct http_transfer *http_transfer_start(struct http_client *c, const struct http_request *request,
                                          const struct http_handlers *handlers, void *arg,
                                          struct error *e)
{
    struct http_transfer *t = calloc(1, sizeof(*t));
    (void)e;
    assert(t);
    *t = (struct http_transfer){.client = c, .handlers = *handlers, .call = arg};
    list_init(&t->link);
    list_add_last(&c->running, &t->link);
    c->provider->running++;
    happening_init(&t->next, NULL, on_next, t);
    identify(t);
    draw(t, request->body);
    trace("sends", t->id, c->process->number, t->ending);
    after(t, chance_latency_us(150000));
    return t;
}

void http_transfer_cancel(struct http_transfer *t)
{
    if (t->gone)
        return;
    trace("cancels", t->id, t->step, t->sent);
    transfer_free(t);
}

void http_transfer_pause(struct http_transfer *t)
{
    t->paused = true;
}

void http_transfer_resume(struct http_transfer *t)
{
    t->paused = false;
    if (t->waits)
        after(t, 0);
    t->waits = false;
}

bool http_transfer_sent(const struct http_transfer *t)
{
    return t->sent;
}

const char *http_reply_header(const struct http_transfer *t, const char *name)
{
    if (strcasecmp(name, "content-type") == 0)
        return t->stream && t->status == 200 ? "text/event-stream" : "application/json";
    if (strcasecmp(name, "retry-after") == 0 && t->retry_after[0])
        return t->retry_after;
    return NULL;
}

void http_reply_headers(const struct http_transfer *t,
                        void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    fn(arg, "content-type", http_reply_header(t, "content-type"));
}

const char *http_result_name(enum http_result r)
{
    static const char *const names[] = {"done", "not_sent",  "broken",   "first_byte",
                                        "idle", "too_large", "no_memory"};
    return names[r];
}

void sim_http_init(struct http_client *c, struct event_base *process, struct provider *p)
{
    *c = (struct http_client){.process = process, .provider = p};
    list_init(&c->running);
}

/* A job whose lease its instance has lost, and knows to be lost, ends there. */
void sim_http_check(const struct http_client *c)
{
    for (struct list *at = c->running.next; at != &c->running; at = at->next) {
        struct http_transfer *t = LIST_ITEM(at, struct http_transfer, link);
        const struct record *r = t->fence > 0 ? server_find(c->provider->server, t->id) : NULL;
        if (!r || !r->is_job || (r->state == TICKET_RUNNING && r->owner == c->process->number))
            t->astray_us = 0;
        else if (t->astray_us == 0)
            t->astray_us = loop_now_us();
        else if (loop_now_us() - t->astray_us > ASTRAY_US)
            broken("I7: instance %d still runs job %s, whose lease it lost", c->process->number,
                   t->id);
    }
}

bool sim_http_uses(const struct http_client *c, const char *id)
{
    for (const struct list *at = c->running.next; at != &c->running; at = at->next) {
        if (strcmp(LIST_ITEM(at, struct http_transfer, link)->id, id) == 0)
            return true;
    }
    return false;
}

bool sim_http_runs(const struct http_client *c, const struct call *call)
{
    for (const struct list *at = c->running.next; at != &c->running; at = at->next) {
        if (LIST_ITEM(at, struct http_transfer, link)->call == call)
            return true;
    }
    return false;
}

void sim_http_release(struct http_client *c)
{
    while (!list_is_empty(&c->running))
        transfer_free(LIST_ITEM(c->running.next, struct http_transfer, link));
}
