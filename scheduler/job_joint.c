#include "scheduler/job_joint_internal.h"

#include "common/clock.h"
#include "common/log.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_BYTES (2 * KIB)
#define RIDERS_MS  2000 /* for the records of jobs that were taken along */

/* ---- members */

static void member_free(struct member *m)
{
    if (!m)
        return;
    free(m->spec.body);
    buf_release(&m->texts);
    free(m);
}

/* Copies of what the record's reply holds, behind each other. */
static bool copy_texts(struct member *m, const struct call_spec *spec, const struct call_past *past)
{
    const char *binding = past->binding ? past->binding : "";
    const char *key = spec->key ? spec->key : "";
    size_t tenant = strlen(spec->tenant) + 1, models = strlen(spec->models) + 1;
    size_t bound = strlen(binding) + 1, of_key = strlen(key) + 1;
    buf_init(&m->texts, MIB);
    (void)buf_add(&m->texts, spec->tenant, tenant);
    (void)buf_add(&m->texts, spec->models, models);
    (void)buf_add(&m->texts, key, of_key);
    (void)buf_add(&m->texts, binding, bound);
    (void)buf_add(&m->texts, past->explained ? past->explained : "", past->explained_len);
    if (m->texts.failed)
        return false;
    m->spec.tenant = m->texts.data;
    m->spec.models = m->texts.data + tenant;
    m->spec.key = m->texts.data + tenant + models;
    m->past.binding = m->spec.key + of_key;
    m->past.explained = m->past.binding + bound;
    m->spec.headers = NULL; /* the trace of one is not that of all */
    m->spec.header_count = 0;
    return true;
}

static struct member *member_new(const struct job_granted *g)
{
    struct member *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->grant = *g->grant;
    m->spec = *g->spec;
    m->past = *g->past;
    m->rides = g->rides;
    list_init(&m->held.link);
    (void)snprintf(m->held.id, sizeof(m->held.id), "%s", g->grant->id);
    m->held.fence = g->grant->fence;
    if (!copy_texts(m, g->spec, g->past) ||
        joint_item_read(g->spec->endpoint, g->spec->body, g->spec->body_len, &m->item)) {
        m->spec.body = NULL; /* still the caller's */
        member_free(m);
        return NULL;
    }
    return m;
}

static void hold(struct joint *t, struct member *m)
{
    m->held_here = true;
    t->jobs->running++;
    scheduler_count_job(t->jobs->scheduler, 1);
    pool_agent_hold(t->agent, &m->held);
}

/* Its lease is not renewed from here any more. */
static void release(struct joint *t, struct member *m)
{
    if (m->held_here)
        pool_agent_release(t->agent, &m->held);
    m->held_here = false;
}

/* No longer of this batch. */
static void leave(struct joint *t, struct member *m)
{
    release(t, m);
    t->jobs->running--;
    scheduler_count_job(t->jobs->scheduler, -1);
    member_free(m);
}

void job_joint_free(struct joint *t)
{
    list_remove(&t->link);
    joint_board_drop(t->kind);
    for (size_t i = 0; i < t->count; i++)
        leave(t, t->member[i]);
    t->count = 0;
    if (t->timer)
        event_free(t->timer);
    t->timer = NULL;
    joint_answer_release(&t->answer);
    buf_release(&t->reply);
    buf_release(&t->text);
    buf_release(&t->usage);
    if (!t->riding)
        free(t);
    else
        t->jobs = NULL; /* the answer to its ride frees it */
}

/* ---- the joint request */

/* Its job goes back to its place in the queue, or to its end; alone: it is not to be joined again.
 */
static void give_back(struct joint *t, struct member *m, enum ticket_state state, bool alone)
{
    struct store_field key = {"bk", "", 0};
    struct store_outcome o = {.id = m->grant.id,
                              .fence = m->grant.fence,
                              .state = state,
                              .unsent = true,
                              .fair_actual = -1,
                              .fields = &key,
                              .field_count = alone};
    pool_agent_settle(t->agent, &o, NULL, NULL);
    leave(t, m);
}

/* There is no joint request: who has a request charged runs alone, the others wait for one. */
static void part(struct joint *t)
{
    size_t count = t->count;
    t->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct member *m = t->member[i];
        struct job_granted g = {.agent = t->agent,
                                .grant = &m->grant,
                                .spec = &m->spec,
                                .past = &m->past,
                                .key = "",
                                .batch = ""};
        if (m->rides) {
            give_back(t, m, TICKET_QUEUED, count > 1);
            continue;
        }
        release(t, m);
        m->spec.pool = scheduler_pool_of(t->jobs->scheduler, t->agent);
        joint_breaker_note(&t->kind->breaker, t->settings.most, 1, 0);
        job_run_alone(t->jobs, &g);
        m->spec.body = NULL;
        leave(t, m);
    }
    job_joint_free(t);
}

/* Those that were cancelled leave; one whose request is charged comes first. */
static void set_order(struct joint *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++) {
        struct member *m = t->member[i];
        if (m->cancelled)
            give_back(t, m, TICKET_CANCELLED, false);
        else
            t->member[kept++] = m;
    }
    t->count = kept;
    for (size_t i = 1; i < t->count && t->member[0]->rides; i++) {
        struct member *m = t->member[i];
        t->member[i] = t->member[0];
        t->member[0] = m;
    }
}

static struct call *make_call(struct joint *t)
{
    struct scheduler *s = t->jobs->scheduler;
    struct joint_item items[JOINT_MAX_ITEMS];
    struct call_failure f;
    struct call_spec spec = t->member[0]->spec;
    struct buf body;
    for (size_t i = 0; i < t->count; i++)
        items[i] = t->member[i]->item;
    int64_t most = joint_most_output(scheduler_plan(s)->config, &items[0]);
    joint_names_draw(&t->names);
    buf_init(&body, HTTP_MAX_BODY_BYTES);
    if (joint_request_write(items, t->count, &t->names, most, &body) < 0) {
        buf_release(&body);
        return NULL;
    }
    spec.body = body.data;
    spec.body_len = body.len;
    spec.is_batch = true;
    spec.pool = scheduler_pool_of(s, t->agent);
    return call_new(s, &spec, &job_joint_sink, t, &f);
}

static void on_given_back(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    (void)arg; /* when it was lost, their settles give it back */
    (void)pool;
    (void)turn;
}

/* Only one request goes out: what the others were granted is given back before it does. */
static void give_back_requests(struct joint *t)
{
    const struct member *first = t->member[0];
    struct store_ride r = {.lead = {first->grant.id, first->grant.fence}, .key = t->key};
    for (size_t i = 1; i < t->count; i++) {
        const struct member *m = t->member[i];
        if (!m->rides)
            r.with[r.with_count++] = (struct store_lease){m->grant.id, m->grant.fence};
    }
    if (r.with_count > 0)
        pool_agent_ride(t->agent, &r, on_given_back, NULL);
}

static void go(struct joint *t)
{
    event_del(t->timer);
    t->sent = true;
    set_order(t);
    if (t->count > 1 && !t->member[0]->rides)
        t->call = make_call(t);
    if (t->call)
        give_back_requests(t);
    if (!t->call) {
        part(t);
        return;
    }
    struct member *first = t->member[0];
    release(t, first); /* the call holds it from now on */
    call_start_granted(t->call, &first->grant, &first->past);
}

/* ---- gathering */

static void arm(struct joint *t, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    evtimer_add(t->timer, &tv);
}

static void look(struct joint *t);

static void on_ridden(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct joint *t = arg;
    (void)pool;
    t->riding = false;
    if (!t->jobs) {
        free(t);
        return;
    }
    t->coming = turn->grant_count;
    look(t);
}

static void ride(struct joint *t)
{
    const struct member *first = t->member[0];
    struct store_ride r = {.lead = {first->grant.id, first->grant.fence},
                           .key = t->key,
                           .most = (int)(t->most - t->count)};
    t->riding = t->rode = true;
    t->coming = t->most - t->count; /* others that are granted meanwhile begin another batch */
    pool_agent_ride(t->agent, &r, on_ridden, t);
}

/* Full, or its time is over and all that were taken along are here. Nobody is taken along before,
 * though the queue is long: the start of a burst is granted more than it needs, and what was
 * granted should fill a batch first. */
static void look(struct joint *t)
{
    int64_t now = clock_mono_ms();
    if (t->sent || t->riding)
        return;
    if (t->count == t->most || (t->rode && t->coming == 0) || now >= t->due_ms + RIDERS_MS) {
        go(t);
        return;
    }
    if (now >= t->due_ms && !t->rode) {
        ride(t);
        return;
    }
    arm(t, now < t->due_ms ? t->due_ms - now : t->due_ms + RIDERS_MS - now);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    look(arg);
}

static struct joint *find(struct jobs *j, const struct job_granted *g)
{
    for (struct list *at = j->joints.next; at != &j->joints; at = at->next) {
        struct joint *t = LIST_ITEM(at, struct joint, link);
        size_t kept = g->rides ? 0 : t->coming;
        if (!t->sent && t->agent == g->agent && t->count + kept < t->most &&
            strcmp(t->key, g->key) == 0)
            return t;
    }
    return NULL;
}

static struct joint *joint_new(struct jobs *j, const struct job_granted *g)
{
    struct joint_kind *kind = joint_board_kind(j->board, g->key);
    struct joint_settings s = joint_settings_of(scheduler_plan(j->scheduler)->config, g->batch);
    struct joint *t = kind && s.enabled ? calloc(1, sizeof(*t)) : NULL;
    if (!t)
        return NULL;
    *t = (struct joint){.jobs = j, .agent = g->agent, .kind = kind, .settings = s};
    joint_board_use(kind);
    list_init(&t->link);
    buf_init(&t->reply, UPSTREAM_MAX_BODY_BYTES);
    buf_init(&t->text, UPSTREAM_MAX_BODY_BYTES);
    buf_init(&t->usage, NOTE_BYTES);
    buf_init(&t->answer.text, UPSTREAM_MAX_BODY_BYTES);
    (void)snprintf(t->key, sizeof(t->key), "%s", g->key);
    joint_board_note(kind, g->batch, g->model, s.most);
    t->most = (size_t)joint_breaker_size(&kind->breaker, s.most);
    t->timer = evtimer_new(scheduler_options(j->scheduler)->base, on_timer, t);
    t->due_ms = clock_mono_ms() + s.wait_ms;
    if (!t->timer) {
        job_joint_free(t);
        return NULL;
    }
    list_add_last(&j->joints, &t->link);
    return t;
}

static void join(struct joint *t, struct member *m)
{
    t->member[t->count++] = m;
    t->coming -= m->rides && t->coming > 0;
    hold(t, m);
}

bool job_joint_take(struct jobs *j, const struct job_granted *g)
{
    struct member *m = j->board && !j->stopped ? member_new(g) : NULL;
    struct joint *t = m ? find(j, g) : NULL;
    bool fresh = m && !t && !g->rides;
    if (fresh)
        t = joint_new(j, g);
    if (!t) {
        if (m)
            m->spec.body = NULL;
        member_free(m);
        return false;
    }
    join(t, m);
    look(t);
    return true;
}

void job_joint_cancel(struct jobs *j, const char *id)
{
    for (struct list *at = j->joints.next; at != &j->joints; at = at->next) {
        struct joint *t = LIST_ITEM(at, struct joint, link);
        for (size_t i = 0; i < t->count; i++) {
            if (strcmp(t->member[i]->grant.id, id) == 0)
                t->member[i]->cancelled = true;
        }
    }
}

/* Their leases are left to end. */
void job_joints_drop(struct jobs *j)
{
    while (!list_is_empty(&j->joints)) {
        struct joint *t = LIST_ITEM(j->joints.next, struct joint, link);
        if (t->call)
            call_abandon(t->call);
        job_joint_free(t);
    }
}

/* ---- when it is submitted */

void job_joint_key(struct call *c, const char *body, size_t len, const char *batch,
                   char ret[JOINT_KEY_BYTES])
{
    struct joint_item item;
    struct store_ticket t;
    struct buf besides;
    ret[0] = '\0';
    call_ticket(c, &t);
    if (joint_item_read(call_endpoint(c), body, len, &item))
        return;
    buf_init(&besides, 64 * KIB);
    (void)buf_addf(&besides, "job %s %d %s %s %s %s", pool_agent_pool(call_pool(c)->agent)->id,
                   (int)t.class, t.tenant, batch, call_models(c), call_key(c));
    if (besides.failed || joint_item_key(&item, &besides, ret) < 0)
        ret[0] = '\0'; /* it goes alone */
    buf_release(&besides);
}
