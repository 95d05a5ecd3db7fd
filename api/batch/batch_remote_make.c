#include "api/batch/batch_remote.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/scheduler.h"
#include "scheduler/spending.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP_BYTES (256 * KIB) /* of lines, in one turn of the loop */
#define SKEW_S     300         /* between the clock of a provider and ours */
#define PATH_BYTES 512
#define PAGE_SIZE  "100"

/* ---- plan, build, upload */

static void fail_plan(struct batch_remote *m)
{
    const json_t *first = json_array_get(m->run->input.errors, 0);
    if (m->run->anthropic)
        remote_fail(m, "", json_string_value(json_object_get(first, "message")));
    else
        batch_run_fail(m->run);
}

void remote_plan(struct batch_remote *m)
{
    struct batch_run *r = m->run;
    if (!m->config) {
        m->config = plan_use(scheduler_plan(remote_scheduler(m)));
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
        remote_put(m, "provider", json_string(m->plan.ways[0].provider->name));
        remote_put(m, "account", json_string(m->plan.ways[0].account->name));
        remote_keep(m, REMOTE_BUILD);
    } else {
        remote_again(m, "there is no memory", 0, REMOTE_PLAN);
    }
    plan_drop(m->config);
    m->config = NULL;
}

void remote_build(struct batch_remote *m)
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

void remote_upload(struct batch_remote *m)
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

static bool is_refusal(const struct batch_talk_answer *a)
{
    return a->status >= 400 && a->status < 500 && a->status != 408 && a->status != 409 &&
           a->status != 429;
}

void remote_uploaded(struct batch_remote *m, const struct batch_talk_answer *a)
{
    json_t *file = remote_json(a);
    const char *id = json_string_value(json_object_get(file, "id"));
    if (id) {
        remote_put(m, "file_id", json_string(id));
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
    struct spending *s = scheduler_options(remote_scheduler(m))->spending;
    struct spending_limit limits[SPENDING_MAX_LIMITS];
    struct spending_state state;
    const char *key = json_string_value(json_object_get(r->record, "key"));
    size_t n = s ? spending_limits(s, remote_config(m), r->tenant, key ? key : "", limits) : 0;
    for (size_t i = 0; i < n; i++)
        if (!spending_allows(s, &limits[i], &state))
            return false;
    return true;
}

void remote_mark(struct batch_remote *m)
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
    remote_put(m, "tried_at", json_integer(clock_wall_ms() / 1000));
    remote_put(m, "attempt", json_integer(remote_number(m, "attempt") + 1));
    remote_keep(m, REMOTE_CREATE);
}

void remote_create(struct batch_remote *m)
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
    (void)snprintf(attempt, sizeof(attempt), "%" PRId64, remote_number(m, "attempt"));
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

void remote_forget_try(struct batch_remote *m)
{
    (void)json_object_del(m->state, "tried_at");
}

static void made(struct batch_remote *m, const char *id)
{
    remote_put(m, "batch_id", json_string(id));
    batch_form_release(&m->form);
    m->poll_ms = 0;
    m->page[0] = '\0';
    log_write(LOG_INFO, "batch handed to its provider", "batch", m->run->id, "provider",
              remote_text(m, "provider"), "its_id", id, NULL);
    remote_keep(m, REMOTE_POLL);
}

void remote_created(struct batch_remote *m, const struct batch_talk_answer *a)
{
    json_t *batch = remote_json(a);
    const char *id = json_string_value(json_object_get(batch, "id"));
    if (id) {
        made(m, id);
    } else if (is_refusal(a)) {
        remote_fail(m, "provider_refused_batch", a->why);
    } else if (a->status == 429 || a->unsent) {
        remote_forget_try(m);
        remote_again(m, a->why, a->retry_after_ms, REMOTE_MARK);
    } else {
        remote_again(m, a->why, remote_config(m)->batches.provider_poll_ms, REMOTE_FIND);
    }
    json_decref(batch);
}

/* ---- look whether it was made */

void remote_find(struct batch_remote *m)
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
               made_at(m, batch) >= remote_number(m, "tried_at") - SKEW_S && !is_known_other(m, id);
    (void)snprintf(attempt, sizeof(attempt), "%" PRId64, remote_number(m, "attempt"));
    return ours && its && strcmp(ours, m->run->id) == 0 && strcmp(its, attempt) == 0;
}

void remote_found(struct batch_remote *m, const struct batch_talk_answer *a)
{
    size_t i;
    json_t *one, *list = remote_json(a), *data = json_object_get(list, "data");
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
        old = made_at(m, one) < remote_number(m, "tried_at") - SKEW_S;
    }
    bool more = json_is_true(json_object_get(list, "has_more")) && *last && !old;
    (void)snprintf(m->page, sizeof(m->page), "%.120s", more ? last : "");
    json_decref(list);
    if (!more)
        remote_forget_try(m);
    remote_go(m, more                                        ? REMOTE_FIND
                 : openai && *remote_text(m, "file_id") != 0 ? REMOTE_MARK
                                                             : REMOTE_BUILD);
}
