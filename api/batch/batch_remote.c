#include "api/batch/batch_remote.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/scheduler.h"
#include "scheduler/spending.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STEP_BYTES (256 * KIB) /* of lines, in one turn of the loop */
#define FIRST_PART 8           /* the first look comes after this part of provider_poll_ms */
#define MOST_PARTS 10          /* failures are waited for up to so many of them */
#define SKEW_S     300         /* between the clock of a provider and ours */
#define PATH_BYTES 512
#define GIVE_UP_S  3600 /* after the window's end, an unreachable provider is waited for no more */
#define PAGE_SIZE  "100"
#define AWAY_MS    1000

static struct scheduler *scheduler_of(const struct batch_remote *m)
{
    return m->run->all->options.scheduler;
}

static const struct config *config_of(const struct batch_remote *m)
{
    return scheduler_plan(scheduler_of(m))->config;
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

static int64_t number(const struct batch_remote *m, const char *key)
{
    return json_integer_value(json_object_get(m->state, key));
}

static void put(struct batch_remote *m, const char *key, json_t *value)
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
    return batch_way_find(config_of(m), remote_text(m, "provider"), remote_text(m, "account"), ret);
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
    ms = ms - ms / 4 + rand_below(scheduler_rand(scheduler_of(m)), ms / 2 + 1);
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
    int64_t poll_ms = config_of(m)->batches.provider_poll_ms;
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

/* ---- plan, build, upload */

static void fail_plan(struct batch_remote *m)
{
    const json_t *first = json_array_get(m->run->input.errors, 0);
    if (m->run->anthropic)
        remote_fail(m, "", json_string_value(json_object_get(first, "message")));
    else
        batch_run_fail(m->run);
}

static void plan(struct batch_remote *m)
{
    struct batch_run *r = m->run;
    if (!m->config) {
        m->config = plan_use(scheduler_plan(scheduler_of(m)));
        m->plan =
            (struct batch_plan){.config = m->config->config,
                                .endpoint = r->endpoint,
                                .models = json_string_value(json_object_get(r->record, "models"))};
    }
    int rc = batch_plan_step(&m->plan, &r->input, STEP_BYTES);
    if (rc > 0) {
        remote_go(m, REMOTE_PLAN);
        return;
    }
    if (rc == 0 && json_array_size(r->input.errors) > 0) {
        fail_plan(m);
    } else if (rc == 0) {
        put(m, "provider", json_string(m->plan.ways[0].provider->name));
        put(m, "account", json_string(m->plan.ways[0].account->name));
        remote_keep(m, REMOTE_BUILD);
    } else {
        remote_again(m, "there is no memory", 0, REMOTE_PLAN);
    }
    plan_drop(m->config);
    m->config = NULL;
}

static void build(struct batch_remote *m)
{
    char tag[BATCH_TAG_BYTES];
    struct batch_form_source s = {.input = &m->run->input,
                                  .done = m->run->done,
                                  .endpoint = m->run->endpoint,
                                  .tag = tag,
                                  .name = m->run->id};
    remote_tag(m, tag);
    int rc = remote_way(m, &s.way)
                 ? batch_form_step(&m->form, &s, batches_folder(m->run->all), STEP_BYTES)
                 : -ESRCH;
    if (rc > 0) {
        remote_go(m, REMOTE_BUILD);
    } else if (rc < 0) {
        batch_form_release(&m->form);
        remote_again(m,
                     rc == -ESRCH
                         ? "its account at the provider is not in the configuration any more"
                         : strerror(-rc),
                     0, REMOTE_BUILD);
    } else if (m->form.len == 0) {
        remote_go(m, REMOTE_END); /* every line is done already */
    } else {
        remote_go(m, remote_is_openai(m) ? REMOTE_UPLOAD : REMOTE_MARK);
    }
}

static void upload(struct batch_remote *m)
{
    char type[128];
    (void)snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", m->form.boundary);
    remote_talk(m, &(struct batch_talk_ask){.method = "POST",
                                            .path = "/files",
                                            .type = type,
                                            .body = m->form.body,
                                            .body_len = m->form.len,
                                            .fd = -1});
}

static json_t *read_json(const struct batch_talk_answer *a)
{
    return a->status >= 200 && a->status < 300 ? json_loadb(a->body, a->len, 0, NULL) : NULL;
}

static bool is_refusal(const struct batch_talk_answer *a)
{
    return a->status >= 400 && a->status < 500 && a->status != 408 && a->status != 409 &&
           a->status != 429;
}

static void uploaded(struct batch_remote *m, const struct batch_talk_answer *a)
{
    json_t *file = read_json(a);
    const char *id = json_string_value(json_object_get(file, "id"));
    if (id) {
        put(m, "file_id", json_string(id));
        batch_form_release(&m->form);
        remote_keep(m, REMOTE_MARK);
    } else if (is_refusal(a)) {
        remote_fail(m, "provider_refused_file", a->why);
    } else {
        remote_again(m, a->why, a->retry_after_ms, REMOTE_UPLOAD);
    }
    json_decref(file);
}

/* ---- make it */

static bool may_spend(const struct batch_remote *m)
{
    const struct batch_run *r = m->run;
    struct spending *s = scheduler_options(scheduler_of(m))->spending;
    struct spending_limit limits[SPENDING_MAX_LIMITS];
    struct spending_state state;
    const char *key = json_string_value(json_object_get(r->record, "key"));
    size_t n = s ? spending_limits(s, config_of(m), r->tenant, key ? key : "", limits) : 0;
    for (size_t i = 0; i < n; i++)
        if (!spending_allows(s, &limits[i], &state))
            return false;
    return true;
}

static void mark(struct batch_remote *m)
{
    if (!may_spend(m)) {
        remote_fail(m, CALL_NO_MONEY,
                    "A budget (max_budget) is used up; nothing was sent to the provider.");
        return;
    }
    if (!remote_is_openai(m) && !m->form.body) {
        remote_go(m, REMOTE_BUILD);
        return;
    }
    put(m, "tried_at", json_integer(clock_wall_ms() / 1000));
    put(m, "attempt", json_integer(number(m, "attempt") + 1));
    remote_keep(m, REMOTE_CREATE);
}

static void create(struct batch_remote *m)
{
    char attempt[24];
    struct batch_talk_ask ask = {.method = "POST", .fd = -1};
    if (!remote_is_openai(m)) {
        ask.path = "/messages/batches";
        ask.body = m->form.body;
        ask.body_len = m->form.len;
        remote_talk(m, &ask);
        return;
    }
    (void)snprintf(attempt, sizeof(attempt), "%" PRId64, number(m, "attempt"));
    json_t *body =
        json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "input_file_id", remote_text(m, "file_id"),
                  "endpoint", wire_path(m->run->endpoint), "completion_window", "24h", "metadata",
                  "sluice_batch_id", m->run->id, "sluice_attempt", attempt);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    free(m->body);
    m->body = text;
    ask.path = "/batches";
    ask.body = text;
    ask.body_len = text ? strlen(text) : 0;
    if (text)
        remote_talk(m, &ask);
    else
        remote_again(m, "there is no memory", 0, REMOTE_CREATE);
}

static void forget_try(struct batch_remote *m)
{
    (void)json_object_del(m->state, "tried_at");
}

static void made(struct batch_remote *m, const char *id)
{
    put(m, "batch_id", json_string(id));
    batch_form_release(&m->form);
    m->poll_ms = 0;
    log_write(LOG_INFO, "batch handed to its provider", "batch", m->run->id, "provider",
              remote_text(m, "provider"), "its_id", id, NULL);
    remote_keep(m, REMOTE_POLL);
}

static void created(struct batch_remote *m, const struct batch_talk_answer *a)
{
    json_t *batch = read_json(a);
    const char *id = json_string_value(json_object_get(batch, "id"));
    if (id) {
        made(m, id);
    } else if (is_refusal(a)) {
        remote_fail(m, "provider_refused_batch", a->why);
    } else if (a->status == 429 || a->unsent) {
        forget_try(m);
        remote_again(m, a->why, a->retry_after_ms, REMOTE_MARK);
    } else {
        remote_again(m, a->why, config_of(m)->batches.provider_poll_ms, REMOTE_FIND);
    }
    json_decref(batch);
}

/* ---- look whether it was made */

static void find(struct batch_remote *m)
{
    char path[PATH_BYTES];
    bool openai = remote_is_openai(m);
    (void)snprintf(path, sizeof(path), "%s?limit=" PAGE_SIZE "%s%s",
                   openai ? "/batches" : "/messages/batches",
                   !*m->page ? ""
                   : openai  ? "&after="
                             : "&after_id=",
                   m->page);
    remote_talk(m, &(struct batch_talk_ask){.method = "GET", .path = path, .fd = -1});
}

static int64_t made_at(const struct batch_remote *m, const json_t *batch)
{
    const json_t *at = json_object_get(batch, "created_at");
    const char *text = json_string_value(at);
    struct tm tm = {.tm_year = 0};
    if (remote_is_openai(m) || !text)
        return json_integer_value(at);
    return strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) : 0;
}

static int64_t size_of(const json_t *batch)
{
    const char *key;
    json_t *value;
    int64_t sum = 0;
    json_object_foreach(json_object_get(batch, "request_counts"), key, value)
    {
        sum += json_integer_value(value);
    }
    return sum;
}

static int64_t left_lines(const struct batch_remote *m)
{
    int64_t left = 0;
    for (size_t i = 0; i < m->run->input.count; i++)
        left += !m->run->done[i];
    return left;
}

static bool is_known_other(const struct batch_remote *m, const char *id)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(m->state, "others"), i, one)
    {
        if (strcmp(json_string_value(one), id) == 0)
            return true;
    }
    return false;
}

static bool may_be_ours(const struct batch_remote *m, const json_t *batch)
{
    char attempt[24];
    const json_t *metadata = json_object_get(batch, "metadata");
    const char *id = json_string_value(json_object_get(batch, "id"));
    const char *ours = json_string_value(json_object_get(metadata, "sluice_batch_id"));
    const char *its = json_string_value(json_object_get(metadata, "sluice_attempt"));
    if (!id)
        return false;
    if (!remote_is_openai(m))
        return size_of(batch) == left_lines(m) &&
               made_at(m, batch) >= number(m, "tried_at") - SKEW_S && !is_known_other(m, id);
    (void)snprintf(attempt, sizeof(attempt), "%" PRId64, number(m, "attempt"));
    return ours && its && strcmp(ours, m->run->id) == 0 && strcmp(its, attempt) == 0;
}

static void found(struct batch_remote *m, const struct batch_talk_answer *a)
{
    size_t i;
    json_t *one, *list = read_json(a), *data = json_object_get(list, "data");
    const char *last = "";
    bool old = false, openai = remote_is_openai(m);
    if (!json_is_array(data)) {
        remote_again(m, a->why, a->retry_after_ms, REMOTE_FIND);
        json_decref(list);
        return;
    }
    json_array_foreach(data, i, one)
    {
        const char *id = json_string_value(json_object_get(one, "id"));
        if (may_be_ours(m, one)) {
            made(m, id);
            json_decref(list);
            return;
        }
        last = id ? id : "";
        old = made_at(m, one) < number(m, "tried_at") - SKEW_S;
    }
    bool more = json_is_true(json_object_get(list, "has_more")) && *last && !old;
    (void)snprintf(m->page, sizeof(m->page), "%.120s", more ? last : "");
    json_decref(list);
    if (!more)
        forget_try(m);
    remote_go(m, more                                        ? REMOTE_FIND
                 : openai && *remote_text(m, "file_id") != 0 ? REMOTE_MARK
                                                             : REMOTE_BUILD);
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
    int64_t most = config_of(m)->batches.provider_poll_ms;
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
        forget_try(m);
        remote_again(m, "the provider has no room for more batches (token_limit_exceeded)",
                     config_of(m)->batches.provider_poll_ms, REMOTE_MARK);
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
    json_t *batch = read_json(a);
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
        uploaded(m, a);
        break;
    case REMOTE_FIND:
        found(m, a);
        break;
    case REMOTE_CREATE:
        created(m, a);
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
        [REMOTE_PLAN] = plan,          [REMOTE_BUILD] = build,      [REMOTE_UPLOAD] = upload,
        [REMOTE_FIND] = find,          [REMOTE_MARK] = mark,        [REMOTE_CREATE] = create,
        [REMOTE_FETCH] = remote_fetch, [REMOTE_READ] = remote_read, [REMOTE_END] = remote_end,
        [REMOTE_CLEAN] = clean,
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
    if (!wants_end(m) || m->step >= REMOTE_FETCH)
        return;
    if (!sent || given_up)
        m->step = REMOTE_END;
    else if (m->step == REMOTE_POLL && !m->cancel_sent)
        m->step = REMOTE_CANCEL;
    else
        return;
    if (m->resting && m->failures == 0)
        (void)event_del(m->timer);
    m->resting = m->resting && m->failures > 0;
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
        remote_rest(m, config_of(m)->batches.provider_poll_ms, REMOTE_FIND);
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
