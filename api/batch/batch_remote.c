#include "api/batch/batch_remote.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/scheduler.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PART 8  /* the first look comes after this part of provider_poll_ms */
#define MOST_PARTS 10 /* failures are waited for up to so many of them */
#define PATH_BYTES 512
#define GIVE_UP_S  3600 /* after the window's end, an unreachable provider is waited for no more */
#define AWAY_MS    1000

struct scheduler *remote_scheduler(const struct batch_remote *m)
{
    return m->run->all->options.scheduler;
}

const struct config *remote_config(const struct batch_remote *m)
{
    return scheduler_plan(remote_scheduler(m))->config;
}

bool remote_is_openai(const struct batch_remote *m)
{
    return wire_format_of(m->run->endpoint) == WIRE_OPENAI;
}

void remote_tag(const struct batch_remote *m, char out[BATCH_TAG_BYTES])
{
    const char *own = strchr(m->run->id, '_');
    (void)snprintf(out, BATCH_TAG_BYTES, "%.32s", own ? own + 1 : m->run->id);
}

/* ---- its record */

const char *remote_text(const struct batch_remote *m, const char *key)
{
    const char *text = json_string_value(json_object_get(m->state, key));
    return text ? text : "";
}

int64_t remote_number(const struct batch_remote *m, const char *key)
{
    return json_integer_value(json_object_get(m->state, key));
}

void remote_put(struct batch_remote *m, const char *key, json_t *value)
{
    if (!value || json_object_set_new(m->state, key, value) < 0)
        log_write(LOG_WARN, "no memory for the record of a batch", "batch", m->run->id, NULL);
}

/* What clients may know. */
static void show(struct batch_remote *m, const char *why)
{
    static const char *const keys[] = {"provider", "batch_id", "file_id"};
    json_t *own = json_object_get(m->run->batch, "x_sluice"), *shown = json_object();
    if (!own && (own = json_object()) && json_object_set_new(m->run->batch, "x_sluice", own) < 0)
        own = NULL;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (*remote_text(m, keys[i]))
            (void)json_object_set(shown, keys[i], json_object_get(m->state, keys[i]));
    if (*why)
        (void)json_object_set_new(shown, "waits_for", json_string(why));
    if (own)
        (void)json_object_set_new(own, "provider_batch", shown);
    else
        json_decref(shown);
    m->run->changed = true;
}

bool remote_way(const struct batch_remote *m, struct batch_way *ret)
{
    return batch_way_find(remote_config(m), remote_text(m, "provider"), remote_text(m, "account"),
                          ret);
}

json_t *remote_json(const struct batch_talk_answer *a)
{
    return a->status >= 200 && a->status < 300 ? json_loadb(a->body, a->len, 0, NULL) : NULL;
}

/* ---- from step to step */

void remote_go(struct batch_remote *m, enum remote_step step)
{
    m->step = step;
    batch_run_wake(m->run);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct batch_remote *m = arg;
    (void)fd;
    (void)what;
    m->resting = false;
    batch_run_wake(m->run);
}

void remote_rest(struct batch_remote *m, int64_t ms, enum remote_step step)
{
    /* Of many batches, not all shall ask at the same moment. */
    ms = ms - ms / 4 + rand_below(scheduler_rand(remote_scheduler(m)), ms / 2 + 1);
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    m->step = step;
    m->resting = evtimer_add(m->timer, &tv) == 0;
}

static void on_kept(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct batch_run *r = arg;
    (void)text;
    (void)len;
    if (batch_run_answered(r) || !r->remote)
        return;
    r->remote->saving = false;
    if (status == REDIS_OK)
        remote_go(r->remote, r->remote->after);
    else
        remote_rest(r->remote, AWAY_MS, r->remote->step);
    r->remote->unkept = status != REDIS_OK;
}

void remote_keep(struct batch_remote *m, enum remote_step step)
{
    m->after = step;
    m->unkept = false;
    m->saving = true;
    show(m, "");
    batch_run_save(m->run, on_kept);
}

void remote_again(struct batch_remote *m, const char *why, int64_t least_ms, enum remote_step step)
{
    int64_t poll_ms = remote_config(m)->batches.provider_poll_ms;
    int64_t ms = poll_ms / FIRST_PART + 1, most = poll_ms * MOST_PARTS;
    for (unsigned i = 0; i < m->failures && ms < most; i++)
        ms *= 2;
    ms = ms < most ? ms : most;
    m->failures++;
    log_write(LOG_WARN, "a provider's batch waits", "batch", m->run->id, "reason", why, NULL);
    show(m, why);
    remote_rest(m, ms > least_ms ? ms : least_ms, step);
}

void remote_fail(struct batch_remote *m, const char *code, const char *why)
{
    log_write(LOG_WARN, "a provider's batch failed", "batch", m->run->id, "reason", why, NULL);
    if (m->run->anthropic) {
        (void)snprintf(m->lost, sizeof(m->lost), "%.190s", why);
        remote_go(m, REMOTE_END);
        return;
    }
    json_t *error =
        json_pack("{s:s, s:n, s:s, s:n}", "code", code, "line", "message", why, "param");
    (void)json_array_append_new(m->run->input.errors, error);
    batch_run_fail(m->run);
}

void remote_talk(struct batch_remote *m, const struct batch_talk_ask *ask)
{
    struct batch_way way;
    struct error e = {.text = ""};
    if (!remote_way(m, &way))
        remote_again(m, "its account at the provider is not in the configuration any more", 0,
                     m->step);
    else if (batch_talk_start(&m->talk, &way, ask, &e) < 0)
        remote_again(m, e.text, 0, m->step);
}

static bool wants_end(const struct batch_remote *m)
{
    return m->run->cancelling || m->run->expiring;
}

/* ---- wait for it */

static void poll(struct batch_remote *m, const char *method, const char *what)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%.200s%s",
                   remote_is_openai(m) ? "/batches" : "/messages/batches",
                   remote_text(m, "batch_id"), what);
    remote_talk(m, &(struct batch_talk_ask){.method = method, .path = path, .fd = -1});
}

static void rest_and_poll(struct batch_remote *m)
{
    int64_t most = remote_config(m)->batches.provider_poll_ms;
    m->poll_ms = m->poll_ms > 0 ? m->poll_ms + m->poll_ms / 2 : most / FIRST_PART + 1;
    if (m->poll_ms > most)
        m->poll_ms = most;
    remote_rest(m, m->poll_ms, REMOTE_POLL);
}

/* It has no room for it now: later again, under another number. */
static bool is_full(const json_t *batch)
{
    const json_t *errors = json_object_get(json_object_get(batch, "errors"), "data");
    const char *code = json_string_value(json_object_get(json_array_get(errors, 0), "code"));
    return code && strcmp(code, "token_limit_exceeded") == 0;
}

static void failed_there(struct batch_remote *m, const json_t *batch)
{
    json_t *errors = json_object_get(json_object_get(batch, "errors"), "data");
    if (is_full(batch)) {
        (void)json_object_del(m->state, "batch_id");
        remote_forget_try(m);
        remote_again(m, "the provider has no room for more batches (token_limit_exceeded)",
                     remote_config(m)->batches.provider_poll_ms, REMOTE_MARK);
        return;
    }
    if (!m->run->anthropic && json_array_size(errors) > 0) {
        (void)json_array_extend(m->run->input.errors, errors);
        batch_run_fail(m->run);
        return;
    }
    remote_fail(m, "provider_batch_failed", "The provider says that its batch failed.");
}

static void take_ids(struct batch_remote *m, const json_t *batch)
{
    static const char *const keys[] = {"output_file_id", "error_file_id"};
    for (size_t i = 0; i < 2; i++) {
        const char *id = json_string_value(json_object_get(batch, keys[i]));
        (void)snprintf(m->outputs[i], sizeof(m->outputs[i]), "%.120s", id ? id : "");
    }
}

static void polled(struct batch_remote *m, const struct batch_talk_answer *a)
{
    json_t *batch = remote_json(a);
    const char *status = json_string_value(
        json_object_get(batch, remote_is_openai(m) ? "status" : "processing_status"));
    if (a->status == 404) {
        (void)snprintf(m->lost, sizeof(m->lost), "The provider has this batch no more.");
        remote_go(m, REMOTE_END);
    } else if (!status) {
        remote_again(m, a->why, a->retry_after_ms, REMOTE_POLL);
    } else if (strcmp(status, "failed") == 0) {
        failed_there(m, batch);
    } else if (strcmp(status, "ended") == 0 || batch_is_final(status)) {
        m->run->expiring |= strcmp(status, "expired") == 0;
        m->which = 0;
        take_ids(m, batch);
        remote_go(m, REMOTE_FETCH);
    } else {
        m->failures = 0;
        show(m, "");
        rest_and_poll(m);
    }
    json_decref(batch);
}

static void cancelled(struct batch_remote *m, const struct batch_talk_answer *a)
{
    m->cancel_sent = a->status >= 200 && a->status < 500 && a->status != 429;
    if (m->cancel_sent)
        remote_go(m, REMOTE_POLL);
    else
        remote_again(m, a->why, a->retry_after_ms, REMOTE_POLL);
}

/* ---- the end */

static void clean(struct batch_remote *m)
{
    char path[PATH_BYTES];
    if (!*remote_text(m, "file_id")) {
        remote_go(m, REMOTE_DONE);
        return;
    }
    (void)snprintf(path, sizeof(path), "/files/%.200s", remote_text(m, "file_id"));
    remote_talk(m, &(struct batch_talk_ask){.method = "DELETE", .path = path, .fd = -1});
}

static void on_answer(void *arg, const struct batch_talk_answer *a)
{
    struct batch_remote *m = arg;
    if (a->status >= 200 && a->status < 300)
        m->failures = 0;
    switch (m->step) {
    case REMOTE_UPLOAD:
        remote_uploaded(m, a);
        break;
    case REMOTE_FIND:
        remote_found(m, a);
        break;
    case REMOTE_CREATE:
        remote_created(m, a);
        break;
    case REMOTE_CANCEL:
        cancelled(m, a);
        break;
    case REMOTE_FETCH:
        remote_fetched(m, a);
        break;
    case REMOTE_CLEAN:
        remote_go(m, REMOTE_DONE); /* a file that stays there does no harm */
        break;
    default:
        polled(m, a);
    }
}

static void take_step(struct batch_remote *m)
{
    static void (*const steps[])(struct batch_remote *) = {
        [REMOTE_PLAN] = remote_plan,     [REMOTE_BUILD] = remote_build,
        [REMOTE_UPLOAD] = remote_upload, [REMOTE_FIND] = remote_find,
        [REMOTE_MARK] = remote_mark,     [REMOTE_CREATE] = remote_create,
        [REMOTE_FETCH] = remote_fetch,   [REMOTE_READ] = remote_read,
        [REMOTE_END] = remote_end,       [REMOTE_CLEAN] = clean,
    };
    if (m->step == REMOTE_POLL)
        poll(m, "GET", "");
    else if (m->step == REMOTE_CANCEL)
        poll(m, "POST", "/cancel");
    else if (m->step == REMOTE_DONE)
        m->run->next = m->run->input.count;
    else
        steps[m->step](m);
}

/* What the wish that it ends changes: nothing is sent that was not, and what was is cancelled. */
static void heed_end(struct batch_remote *m)
{
    int64_t expires_s = json_integer_value(json_object_get(m->run->batch, "expires_at"));
    bool sent = *remote_text(m, "batch_id") || json_object_get(m->state, "tried_at");
    bool given_up = expires_s > 0 && clock_wall_ms() / 1000 >= expires_s + GIVE_UP_S;
    bool ends = !sent || given_up;
    if (!wants_end(m) || m->step > REMOTE_FETCH || (m->step == REMOTE_FETCH && !given_up))
        return;
    if (ends)
        m->step = REMOTE_END;
    else if (m->step == REMOTE_POLL && !m->cancel_sent)
        m->step = REMOTE_CANCEL;
    else
        return;
    if (m->resting && m->failures > 0 && !ends)
        return;
    (void)event_del(m->timer);
    m->resting = false;
}

void batch_remote_step(struct batch_remote *m)
{
    if (m->talk.transfer || m->saving || m->run->all->draining)
        return;
    heed_end(m);
    if (m->resting)
        return;
    if (m->unkept)
        remote_keep(m, m->after);
    else
        take_step(m);
}

/* Where another process left it. */
static enum remote_step first_step(const struct batch_remote *m)
{
    if (*remote_text(m, "batch_id"))
        return REMOTE_POLL;
    if (json_object_get(m->state, "tried_at"))
        return REMOTE_FIND;
    if (!*remote_text(m, "provider"))
        return REMOTE_PLAN;
    return *remote_text(m, "file_id") ? REMOTE_MARK : REMOTE_BUILD;
}

struct batch_remote *batch_remote_new(struct batch_run *r)
{
    struct batch_remote *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->run = r;
    m->fd = -1;
    m->state = json_object_get(r->record, "provider_batch");
    batch_form_init(&m->form);
    batch_talk_init(&m->talk, r->all->options.http, on_answer, m);
    m->timer = evtimer_new(r->all->options.base, on_timer, m);
    m->step = first_step(m);
    if (!m->timer || !m->state) {
        batch_remote_free(m);
        return NULL;
    }
    /* The provider may still be at work on a try whose answer will never be heard. */
    if (m->step == REMOTE_FIND)
        remote_rest(m, remote_config(m)->batches.provider_poll_ms, REMOTE_FIND);
    return m;
}

void batch_remote_free(struct batch_remote *m)
{
    if (!m)
        return;
    batch_talk_stop(&m->talk);
    batch_form_release(&m->form);
    remote_unmap(m);
    plan_drop(m->config);
    if (m->timer)
        event_free(m->timer);
    free(m->body);
    free(m);
}
