#include "tests/simulation/world.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBMIT_PATIENCE_MS 120000 /* a job's submit is repeated 20 times, each 2 s at most */
#define SERVICE_MS         400000 /* attempts together, at the worst */
#define WAIT_SLACK_MS      1500
#define UNHEARD_US         13500000 /* a silent channel is noticed in 7 s, and back in 5 */
#define ASTRAY_US          12000000 /* an idle instance tells that it lives within 10 s */

/* ---- calls */

static bool told(struct client *c, const char *what)
{
    if (c->calling)
        broken("client %" PRId64 " was told '%s' before its start had returned", c->number, what);
    if (c->answered)
        broken("client %" PRId64 " was told '%s' after its end", c->number, what);
    if (c->left && !c->gone)
        broken("client %" PRId64 " was told '%s' after it had left", c->number, what);
    return !c->gone;
}

static void answered(struct client *c, bool good)
{
    c->answered = true;
    c->call = NULL;
    happening_drop(&c->leaves);
    trace(good ? "answer" : "failure", "", c->number, c->instance->process.number);
    c->world->answers += good;
    c->world->failures += !good;
}

static void on_queued(void *arg, int64_t eta_ms, const char *binding)
{
    struct client *c = arg;
    (void)binding;
    (void)told(c, "queued");
    if (eta_ms < 0)
        broken("client %" PRId64 " is told to wait %" PRId64 " ms", c->number, eta_ms);
}

static void on_start(void *arg)
{
    struct client *c = arg;
    (void)told(c, "start");
    if (c->begun)
        broken("the answer of client %" PRId64 " begins twice", c->number);
    c->begun = true;
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct client *c = arg;
    (void)bytes;
    (void)told(c, "data");
    if (!c->begun || len == 0)
        broken("client %" PRId64 " gets bytes before its answer begins", c->number);
    if (chance_permille(40)) {
        call_pause(c->call);
        call_resume(c->call);
    }
}

static void on_end(void *arg)
{
    struct client *c = arg;
    if (told(c, "end"))
        answered(c, true);
}

static void on_fail(void *arg, const struct call_failure *failure)
{
    struct client *c = arg;
    if (!told(c, "fail"))
        return;
    if (!failure)
        broken("client %" PRId64 " fails without a reason", c->number);
    answered(c, false);
}

static const struct call_sink sink = {
    .queued = on_queued, .start = on_start, .data = on_data, .end = on_end, .fail = on_fail};

static void on_leaves(void *arg)
{
    struct client *c = arg;
    struct call *call = c->call;
    c->left = true;
    c->call = NULL;
    c->world->cancels++;
    trace("leaves", call_id(call), c->number, 0);
    call_cancel(call);
}

static char *make_body(const struct world *w, size_t *ret_len)
{
    static const char words[] = "one two three four five six seven eight nine ten eleven twelve "
                                "thirteen fourteen fifteen sixteen seventeen eighteen nineteen ";
    char *text = malloc(512);
    int64_t model = chance_below(w->settings.model_count);
    int64_t most = w->settings.models[model].tpm / (chance_permille(60) ? 4 : 100) + 10;
    assert(text);
    int n = snprintf(text, 512,
                     "{\"model\":\"m%" PRId64 "\",\"max_tokens\":%" PRId64
                     ",%s\"messages\":[{\"role\":\"user\",\"content\":\"%.*s\"}]}",
                     model, chance_between(5, most), chance_permille(350) ? "\"stream\":true," : "",
                     (int)chance_between(4, 100), words);
    *ret_len = (size_t)n;
    return text;
}

static const char *draw_tenant(int64_t *ret_weight)
{
    static const char *const names[] = {"a", "b", "c"};
    int64_t n = chance_below(3);
    *ret_weight = n + 1;
    return names[n];
}

static void arrive_call(struct client *c)
{
    struct call_failure f;
    struct call_spec spec = {.endpoint = WIRE_CHAT,
                             .class = (enum pool_class)chance_below(CLASS_COUNT),
                             .max_wait_ms = c->max_wait_ms};
    spec.tenant = draw_tenant(&spec.weight);
    spec.body = make_body(c->world, &spec.body_len);
    c->calling = true;
    c->call = call_new(c->instance->scheduler, &spec, &sink, c, &f);
    if (!c->call) {
        c->calling = false;
        broken("a call was refused at once: %s", f.message);
        answered(c, false);
        return;
    }
    trace("call", call_id(c->call), c->number, c->instance->process.number);
    if (chance_permille(80))
        happening_at(&c->leaves, loop_now_us() + chance_between(0, 20000000));
    call_start(c->call);
    c->calling = false;
}

/* ---- jobs */

static void keep_accepted(struct world *w, const char *id, const char *tenant)
{
    for (size_t i = 0; i < w->accepted_count; i++) {
        if (strcmp(w->accepted[i].id, id) == 0)
            return; /* by its key, once more */
    }
    if (w->accepted_count == w->accepted_room) {
        w->accepted_room = w->accepted_room ? w->accepted_room * 2 : 256;
        w->accepted = realloc(w->accepted, w->accepted_room * sizeof(*w->accepted));
        assert(w->accepted);
    }
    struct accepted *a = &w->accepted[w->accepted_count++];
    *a = (struct accepted){.at_us = loop_now_us()};
    /* The answer may have been on its way while Redis lost what it tells of. */
    a->excused = w->server.losses > 0 && !server_find(&w->server, id);
    (void)snprintf(a->id, sizeof(a->id), "%s", id);
    (void)snprintf(a->tenant, sizeof(a->tenant), "%s", tenant);
}

static void on_job(void *arg, const struct job_record *record, bool replayed,
                   const struct call_failure *failure)
{
    struct client *c = arg;
    (void)replayed;
    if (!told(c, "job"))
        return;
    if (!record && !failure)
        broken("client %" PRId64 " hears neither of a job nor of a reason", c->number);
    if (record)
        keep_accepted(c->world, record->id, record->tenant);
    answered(c, record != NULL);
}

static void arrive_job(struct client *c)
{
    char key[24];
    struct job_spec spec = {.endpoint = WIRE_CHAT,
                            .class = (enum pool_class)chance_below(CLASS_COUNT),
                            .deadline_ms = chance_permille(200) ? chance_between(500, 60000) : 0};
    spec.tenant = draw_tenant(&spec.weight);
    spec.body = make_body(c->world, &spec.body_len);
    char *stream = strstr(spec.body, "\"stream\":true,");
    if (stream)
        memset(stream, ' ', strlen("\"stream\":true,"));
    (void)snprintf(key, sizeof(key), "k%" PRId64, c->number);
    if (chance_permille(250))
        spec.idempotency_key = key;
    trace("job", "", c->number, c->instance->process.number);
    job_submit(c->instance->jobs, &spec, on_job, c);
}

/* Somebody asks for a job that was accepted, at any instance, or cancels it. */
static void on_looked(void *arg, const struct job_record *record, bool replayed,
                      const struct call_failure *failure)
{
    struct client *c = arg;
    (void)replayed;
    if (!told(c, "record"))
        return;
    if (!record && failure && failure->status == 404 && c->world->server.losses == 0)
        broken("I6: a job that was accepted is not found: %s", failure->message);
    answered(c, record != NULL);
}

static void arrive_look(struct client *c)
{
    const struct world *w = c->world;
    const struct accepted *a = &w->accepted[chance_below((int64_t)w->accepted_count)];
    trace("look", a->id, c->number, c->instance->process.number);
    if (chance_permille(400))
        job_cancel(c->instance->jobs, a->tenant, a->id, on_looked, c);
    else
        job_get(c->instance->jobs, a->tenant, a->id, on_looked, c);
}

/* ---- all */

static struct instance *draw_instance(struct world *w)
{
    struct instance *found = NULL;
    int64_t n = 0;
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        struct instance *i = LIST_ITEM(at, struct instance, link);
        if (instance_serves(i) && chance_below(++n) == 0)
            found = i;
    }
    return found;
}

/* Runs in its instance's time: a stopped one takes nobody in. */
static void on_arrival(void *arg)
{
    struct client *c = arg;
    struct world *w = c->world;
    c->born_us = loop_now_us();
    if (!instance_serves(c->instance)) {
        c->left = c->gone = true; /* refused by its port: never known here */
        return;
    }
    int64_t what = chance_below(100);
    if (what < 60)
        arrive_call(c);
    else if (what < 92 || w->accepted_count == 0)
        arrive_job(c);
    else
        arrive_look(c);
}

void client_arrive(struct world *w)
{
    struct instance *i = draw_instance(w);
    if (!i)
        return;
    struct client *c = calloc(1, sizeof(*c));
    assert(c);
    *c = (struct client){.world = w, .instance = i, .number = w->made_clients++};
    c->born_us = loop_now_us();
    c->max_wait_ms = chance_permille(300) ? chance_between(100, 5000) : chance_between(5000, 90000);
    happening_init(&c->leaves, &i->process, on_leaves, c);
    list_init(&c->link);
    list_add_last(&w->clients, &c->link);
    loop_later(&i->process, 0, on_arrival, c);
}

void clients_leave_behind(struct instance *i)
{
    struct list *all = &i->world->clients;
    for (struct list *at = all->next; at != all; at = at->next) {
        struct client *c = LIST_ITEM(at, struct client, link);
        struct call *call = c->call;
        if (c->instance != i || c->answered)
            continue;
        happening_drop(&c->leaves);
        c->gone = c->left = true;
        c->call = NULL;
        if (call)
            call_cancel(call);
    }
}

/* A call that waits stands in the queue: when its ticket is gone, somebody must have noticed. */
static void check_ticket(struct client *c)
{
    const struct instance *i = c->instance;
    struct record *r = server_find(&c->world->server, call_id(c->call));
    if (r)
        r->seen_us = loop_now_us();
    if (!instance_hears(i) || (r && !ticket_state_is_final(r->state)) ||
        sim_http_runs(&i->http, c->call)) {
        c->astray_us = 0;
        return;
    }
    if (c->astray_us == 0)
        c->astray_us = loop_now_us();
    if (loop_now_us() - c->astray_us > ASTRAY_US)
        broken("I6: client %" PRId64 " waits with %s, which %s", c->number, call_id(c->call),
               r ? ticket_state_name(r->state) : "has no ticket");
}

void clients_check(struct world *w)
{
    for (struct list *at = w->clients.next, *next; at != &w->clients; at = next) {
        struct client *c = LIST_ITEM(at, struct client, link);
        next = at->next;
        if (c->answered || c->left) {
            list_remove(at);
            list_add_last(&w->past, at); /* kept: it may be told wrongly for as long as it runs */
            continue;
        }
        if (c->instance->process.paused) {
            c->astray_us = 0;
            continue;
        }
        if (c->call)
            check_ticket(c);
        int64_t age_ms = (loop_now_us() - c->born_us - c->instance->paused_us) / 1000;
        int64_t most_ms = c->call ? c->max_wait_ms + SERVICE_MS : SUBMIT_PATIENCE_MS;
        int64_t wait_ms = c->call ? call_queue_ms(c->call) : 0;
        if (age_ms > most_ms)
            broken("I12: client %" PRId64 " has no answer after %" PRId64 " ms", c->number, age_ms);
        if (wait_ms > c->max_wait_ms + WAIT_SLACK_MS + c->instance->paused_us / 1000)
            broken("I12: client %" PRId64 " waits %" PRId64 " ms, at most %" PRId64 " were allowed",
                   c->number, wait_ms, c->max_wait_ms);
    }
}

/* Each ticket is somebody's: a call that waits for it or a transfer that uses its grant. */
static void check_record(struct world *w, struct record *r)
{
    const struct instance *i = world_instance(w, r->owner);
    /* Of a job whose grant was in an answer that got lost, only the end of the lease tells. */
    bool unused = r->state == TICKET_RUNNING && r->sent_fence != r->fence && !r->is_job;
    if (!i || !instance_hears(i) || r->replayed || r->seen_us == 0) {
        r->seen_us = loop_now_us();
        return;
    }
    /* One whose lease was lost while its call went on comes up once more, and is given back. */
    bool comes_up = r->fence > 0 && !(r->state == TICKET_RUNNING);
    if (!r->is_job && !comes_up && loop_now_us() - r->seen_us > ASTRAY_US)
        broken("I6: ticket %s stands as %s, and nobody waits for it", r->id,
               ticket_state_name(r->state));
    int64_t since_us = r->granted_us > i->http.woken_us ? r->granted_us : i->http.woken_us;
    if (unused && sim_http_uses(&i->http, r->id))
        return; /* its lease was lost and came back: it goes on under the new one */
    if (unused && loop_now_us() - since_us > UNHEARD_US && loop_now_us() - i->heard_us > UNHEARD_US)
        broken("I6: instance %d holds a grant of %s and does not use it", r->owner, r->id);
}

void clients_check_records(struct world *w)
{
    for (struct list *at = w->instances.next; at != &w->instances; at = at->next) {
        struct instance *i = LIST_ITEM(at, struct instance, link);
        if (!instance_hears(i))
            i->heard_us = loop_now_us();
        else
            sim_http_check(&i->http);
    }
    for (size_t k = 0; k < w->server.pool_count; k++) {
        struct server_pool *p = &w->server.pools[k];
        for (struct list *at = p->open.next; p->pool && at != &p->open; at = at->next)
            check_record(w, LIST_ITEM(at, struct record, link));
    }
}

void clients_release(struct world *w)
{
    struct list *lists[] = {&w->clients, &w->past};
    for (size_t i = 0; i < 2; i++) {
        while (!list_is_empty(lists[i])) {
            struct client *c = LIST_ITEM(lists[i]->next, struct client, link);
            list_remove(&c->link);
            free(c);
        }
    }
    free(w->accepted);
}
