#include "scheduler/session.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/rand.h"
#include "scheduler/prompt/tool_cap.h"
#include "scheduler/session_answer.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAITER_DIGITS 24
#define SAID_MAX      128 /* messages of one post */

struct sessions {
    struct sessions_options o;
};

struct session_post {
    struct sessions *owner;
    char tenant[TENANT_NAME_BYTES + 1], id[SESSION_ID_BYTES + 1], waiter[WAITER_DIGITS + 2];
    char *text; /* of the post; said borrows from it */
    size_t text_len;
    struct session_said said;
    session_post_fn fn;
    void *arg;
    struct event *timer; /* asks again, or renews */
    int64_t until_ms;
    int64_t fence;  /* 0: it waits */
    unsigned asked; /* answers of Redis that are still to come */
    bool over;

    enum wire_endpoint endpoint;
    struct session_facts facts;
    struct config_tool_calls caps;
    struct buf body;
    int64_t saved;
    struct session_answer *answer;
};

struct sessions *sessions_new(const struct sessions_options *options)
{
    struct sessions *s = calloc(1, sizeof(*s));
    if (s)
        s->o = *options;
    return s;
}

void sessions_free(struct sessions *s)
{
    free(s);
}

struct session_store *sessions_store(const struct sessions *s)
{
    return s->o.store;
}

struct counter *sessions_counter(const struct sessions *s)
{
    return s->o.counter;
}

static const struct config *config_of(const struct session_post *p)
{
    return scheduler_plan(p->owner->o.scheduler)->config;
}

/* Once nobody can come back to it. */
static void free_when_over(struct session_post *p)
{
    if (!p->over || p->asked > 0)
        return;
    if (p->timer)
        event_free(p->timer);
    session_answer_free(p->answer);
    buf_release(&p->body);
    free(p->text);
    free(p);
}

static void release(struct session_post *p)
{
    session_store_release(p->owner->o.store, p->tenant, p->id, p->fence, p->waiter);
}

static void give_up(struct session_post *p, const struct call_failure *f)
{
    release(p);
    p->over = true;
    event_del(p->timer);
    p->fn(p->arg, f);
}

static void arm(struct session_post *p, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    evtimer_add(p->timer, &tv);
}

static void fail_storage(struct call_failure *f, enum redis_status status)
{
    call_failure_set(f, 503, "storage_unavailable",
                     "Sluice cannot reach its store (redis: %s), and conversations are kept there. "
                     "Try again in a moment.",
                     redis_status_name(status));
    f->retry_after_ms = 1000;
}

/* ---- its turn */

static bool is_full(const struct session_post *p, const struct session_view *v,
                    struct call_failure *f)
{
    const struct config *c = config_of(p);
    if ((int64_t)(v->count + p->said.count + 1) > c->sessions.max_messages)
        call_failure_set(f, 413, "session_full",
                         "The conversation has %zu messages and may have %lld "
                         "(sessions.max_messages). Clear it, or begin another one.",
                         v->count, (long long)c->sessions.max_messages);
    else if (v->bytes + (int64_t)p->text_len > c->sessions.max_bytes)
        call_failure_set(f, 413, "session_full",
                         "The conversation has %lld bytes and may have %lld "
                         "(sessions.max_bytes). Clear it, or begin another one.",
                         (long long)v->bytes, (long long)c->sessions.max_bytes);
    else
        return false;
    return true;
}

int session_context(struct counter *counter, const struct session_setup_read *setup,
                    const struct session_view *view, const struct session_said *said,
                    struct buf *ret_body, struct trim_result *ret)
{
    struct trim_policy policy;
    struct error e;
    buf_init(ret_body, HTTP_MAX_BODY_BYTES);
    trim_policy_init(&policy);
    if (*setup->preset)
        (void)trim_policy_preset(setup->preset, &policy);
    else
        policy.repair = false;
    int rc = session_body(setup, view, said, ret_body);
    if (rc == 0) {
        struct trim_input in = {
            .counter = counter,
            .endpoint = setup->endpoint,
            .body = ret_body->data,
            .len = ret_body->len,
            .policy = &policy,
        };
        rc = trim(&in, ret, &e);
    }
    if (rc < 0)
        buf_release(ret_body);
    return rc;
}

static int make_body(struct session_post *p, const struct session_view *v, struct call_failure *f)
{
    struct session_setup_read setup;
    struct trim_result trimmed;
    int rc = session_setup_parse(v->setup, v->setup_len, &setup);
    if (rc == 0)
        rc = session_context(p->owner->o.counter, &setup, v, &p->said, &p->body, &trimmed);
    if (rc < 0) {
        call_failure_set(f, rc == -ENOMEM ? 503 : 400, "invalid_session",
                         "No request could be made of this conversation (%s).", strerror(-rc));
        return rc;
    }
    if (trimmed.body.len > 0) {
        p->saved = trimmed.before.tokens - trimmed.after.tokens;
        buf_release(&p->body);
        p->body = trimmed.body;
        buf_init(&trimmed.body, 0);
    }
    trim_result_release(&trimmed);
    p->endpoint = setup.endpoint;
    tool_caps_none(&p->caps);
    struct error e;
    /* The preset's word for its cap is the header's, where it has one. */
    if (strcmp(setup.preset, "conservative") == 0)
        return tool_caps_read(setup.preset, &p->caps, &e);
    return 0;
}

static void begin(struct session_post *p, const struct session_view *v)
{
    struct call_failure f;
    p->fence = v->fence;
    p->facts = v->facts;
    if (is_full(p, v, &f) || make_body(p, v, &f) < 0) {
        give_up(p, &f);
        return;
    }
    arm(p, SESSION_RENEW_MS);
    p->fn(p->arg, NULL);
}

static bool waits_on(struct session_post *p)
{
    struct call_failure f;
    if (clock_mono_ms() < p->until_ms) {
        arm(p, SESSION_POLL_MS);
        return true;
    }
    call_failure_set(&f, 504, "session_busy",
                     "Other posts to this conversation did not end in time "
                     "(x-sluice-max-wait-ms); nothing was sent to the provider.");
    give_up(p, &f);
    return false;
}

static void on_turn(void *arg, enum session_turn turn, enum redis_status status,
                    const struct session_view *v)
{
    struct session_post *p = arg;
    struct call_failure f;
    if (p->over) {
        /* Its owner left meanwhile; a turn that was granted is given back. */
        if (turn == SESSION_GO) {
            p->fence = v->fence;
            release(p);
        }
    } else if (turn == SESSION_GO) {
        begin(p, v);
    } else if (turn == SESSION_WAIT) {
        (void)waits_on(p);
    } else {
        if (turn == SESSION_NONE)
            call_failure_set(&f, 404, "session_not_found", "There is no session of this id here.");
        else if (turn == SESSION_FULL)
            call_failure_set(&f, 429, "session_busy",
                             "%d posts wait for this conversation already.", SESSION_MAX_WAITING);
        else
            fail_storage(&f, status);
        if (turn == SESSION_FULL)
            f.retry_after_ms = 1000;
        give_up(p, &f);
    }
    p->asked--; /* not before: its owner may have dropped it just now */
    free_when_over(p);
}

static void ask(struct session_post *p)
{
    p->asked++;
    session_store_begin(p->owner->o.store, p->tenant, p->id, p->waiter, on_turn, p);
}

static void on_renewed(void *arg, enum redis_status status, bool done)
{
    struct session_post *p = arg;
    p->asked--;
    if (!p->over && status == REDIS_OK && !done)
        log_write(LOG_WARN, "a post has lost its turn", "session", p->id, NULL);
    free_when_over(p);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct session_post *p = arg;
    (void)fd;
    (void)what;
    if (p->fence == 0) {
        ask(p);
        return;
    }
    p->asked++;
    session_store_renew(p->owner->o.store, p->tenant, p->id, p->fence, on_renewed, p);
    arm(p, SESSION_RENEW_MS);
}

struct session_post *session_post_new(struct sessions *s, const struct session_post_spec *spec,
                                      session_post_fn fn, void *arg, struct call_failure *failure)
{
    struct session_post *p = calloc(1, sizeof(*p));
    struct error e = {.text = "Sluice is out of memory."};
    if (!p) {
        free(spec->text);
        (void)call_fail_memory(failure);
        return NULL;
    }
    *p = (struct session_post){.owner = s, .text = spec->text, .fn = fn, .arg = arg};
    p->text_len = spec->len;
    buf_init(&p->body, HTTP_MAX_BODY_BYTES);
    p->until_ms = clock_mono_ms() + spec->max_wait_ms;
    (void)snprintf(p->tenant, sizeof(p->tenant), "%s", spec->tenant);
    (void)snprintf(p->id, sizeof(p->id), "%s", spec->id);
    p->waiter[0] = 'w'; /* so that no waiter looks like a fence */
    rand_hex(p->waiter + 1, WAITER_DIGITS);
    int rc = session_said_read(p->text, p->text_len, &p->said, &e);
    if (rc == 0 && p->said.count > SAID_MAX)
        rc = error_set(&e, -EINVAL, "messages: has %zu, and %d fit into one post.", p->said.count,
                       SAID_MAX);
    p->timer = evtimer_new(s->o.base, on_timer, p);
    if (rc < 0 || !p->timer) {
        call_failure_set(failure, rc < 0 ? 400 : 503, "invalid_request", "%s", e.text);
        p->over = true;
        free_when_over(p);
        return NULL;
    }
    ask(p);
    return p;
}

void session_post_drop(struct session_post *p)
{
    release(p); /* one that waits may be granted its turn at this moment: on_turn() gives it back */
    p->over = true;
    event_del(p->timer);
    free_when_over(p);
}

/* ---- the answer */

enum wire_endpoint session_post_endpoint(const struct session_post *p)
{
    return p->endpoint;
}

char *session_post_take_body(struct session_post *p, size_t *ret_len)
{
    *ret_len = p->body.len;
    return buf_take(&p->body);
}

const struct session_facts *session_post_facts(const struct session_post *p)
{
    return &p->facts;
}

const struct config_tool_calls *session_post_caps(const struct session_post *p)
{
    return tool_caps_any(&p->caps) ? &p->caps : NULL;
}

bool session_post_data(struct session_post *p, const struct call *c, const char *bytes, size_t len)
{
    const char *type = call_reply_header(c, "content-type");
    bool stream = type && strncasecmp(type, "text/event-stream", 17) == 0;
    if (!p->answer)
        p->answer = session_answer_new(p->endpoint, stream);
    bool finished = p->answer && session_answer_add(p->answer, bytes, len);
    return finished || !stream;
}

struct entries {
    struct buf bytes;
    size_t ends[SESSION_COMMIT_MESSAGES];
    size_t count;
    int64_t now_ms;
    struct wire_usage usage;
};

static int add_entry(struct entries *e, struct json_span message, const struct wire_usage *usage)
{
    if (e->count == SESSION_COMMIT_MESSAGES)
        return -E2BIG;
    int rc = session_entry(message, e->now_ms, usage, &e->bytes);
    e->ends[e->count++] = e->bytes.len;
    return rc;
}

static int add_said(void *arg, const char *text, size_t len)
{
    return add_entry(arg, json_span_of(text, len), NULL);
}

static int add_answer(void *arg, struct json_span message)
{
    struct entries *e = arg;
    int rc = add_entry(e, message, &e->usage);
    e->usage.known = false; /* told once, at the first message of the answer */
    return rc;
}

static void on_committed(void *arg, enum redis_status status, bool done)
{
    struct session_post *p = arg;
    struct call_failure f;
    p->asked--;
    p->over = true;
    if (status == REDIS_OK && !done)
        call_failure_set(&f, 409, "session_changed",
                         "The conversation was cleared or deleted while this post ran, or its turn "
                         "was lost; the history is without it.");
    else
        fail_storage(&f, status);
    p->fn(p->arg, status == REDIS_OK && done ? NULL : &f);
    free_when_over(p);
}

static void commit(struct session_post *p, const struct entries *e, const struct call *c)
{
    const char *messages[SESSION_COMMIT_MESSAGES];
    size_t lens[SESSION_COMMIT_MESSAGES];
    struct session_delta delta;
    call_session_delta(c, &delta);
    delta.trims = p->saved > 0 || delta.trims > 0;
    delta.saved += p->saved;
    for (size_t i = 0; i < e->count; i++) {
        size_t from = i ? e->ends[i - 1] : 0;
        messages[i] = e->bytes.data + from;
        lens[i] = e->ends[i] - from;
    }
    struct session_commit what = {
        .tenant = p->tenant,
        .id = p->id,
        .fence = p->fence,
        .delta = &delta,
        .now_us = e->now_ms * 1000,
        .ttl_s = config_of(p)->sessions.ttl_s,
        .messages = messages,
        .lens = lens,
        .count = e->count,
    };
    p->asked++;
    session_store_commit(p->owner->o.store, &what, on_committed, p);
}

void session_post_end(struct session_post *p, const struct call *c, session_post_fn fn, void *arg)
{
    struct entries e = {.now_ms = clock_wall_ms(), .usage = *call_usage(c)};
    struct call_failure f;
    int rc = -EBADMSG;
    p->fn = fn;
    p->arg = arg;
    event_del(p->timer);
    /* A refusal, or a stream that broke off and has told so: passed on, and nothing is stored. */
    if (call_status(c) >= 400 || (p->answer && session_answer_is_cut(p->answer))) {
        give_up(p, NULL);
        free_when_over(p);
        return;
    }
    buf_init(&e.bytes, UPSTREAM_MAX_BODY_BYTES);
    if (p->answer)
        rc = session_said_each(&p->said, add_said, &e);
    if (rc == 0)
        rc = session_answer_each(p->answer, add_answer, &e);
    if (rc == 0) {
        commit(p, &e, c);
    } else {
        call_failure_set(&f, 502, "answer_not_kept",
                         "The provider's answer could not be read, so it was not kept: %s.",
                         strerror(-rc));
        give_up(p, &f);
        free_when_over(p);
    }
    buf_release(&e.bytes);
}
