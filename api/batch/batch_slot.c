#include "api/batch/batch_internal.h"

#include "common/clock.h"
#include "common/log.h"

#include "scheduler/price/price.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 5000 /* an event that was lost is made good by looking */

static void slot_free(struct batch_slot *s)
{
    job_unwatch(&s->watch);
    s->state = SLOT_FREE;
    s->run->busy--;
    batch_run_wake(s->run);
}

/* 0: the line is at its end. A disk that is full is waited for. */
int batch_line_end(struct batch_run *r, size_t line, struct batch_result *result)
{
    struct buf out;
    result->custom = r->input.lines[line].custom;
    result->batch = r->id;
    result->number = r->input.lines[line].number;
    buf_init(&out, UPSTREAM_MAX_BODY_BYTES + MIB);
    int rc = batch_result_write(result, r->anthropic, &out);
    if (rc == 0)
        rc = batch_journal_add(&r->journal, result->outcome == BATCH_OK ? 0 : 1, out.data, out.len);
    buf_release(&out);
    if (rc < 0) {
        log_write(LOG_ERROR, "a result of a batch cannot be written, it is tried again", "batch",
                  r->id, "reason", strerror(-rc), NULL);
        return rc;
    }
    r->done[line] = 1;
    r->counts[result->outcome]++;
    r->changed = true;
    return 0;
}

/* As call_usage_json() wrote it. */
static void count_usage(struct batch_run *r, const char *usage)
{
    struct json_span json = json_span_of(usage ? usage : "", usage ? strlen(usage) : 0);
    struct batch_usage u = {.input = 0};
    double dollars = 0;
    (void)json_int(json_get(json, "input_tokens"), &u.input);
    (void)json_int(json_get(json, "cached_tokens"), &u.cached);
    (void)json_int(json_get(json, "output_tokens"), &u.output);
    if (json_double(json_get(json, "cost_usd"), &dollars) && dollars > 0)
        u.pico = (int64_t)(dollars * (double)PRICE_DOLLAR);
    batch_run_used(r, &u);
}

static void end(struct batch_slot *s, struct batch_result *result)
{
    if (batch_line_end(s->run, s->line, result) == 0)
        slot_free(s);
    else
        s->state = SLOT_AGAIN;
}

static void ended(struct batch_slot *s, const struct job_record *job)
{
    struct batch_result result = {.outcome = BATCH_FAILED,
                                  .status = (int)job->status_code,
                                  .body = job->body,
                                  .body_len = job->body_len,
                                  .error = job->error};
    if (job->status_code >= 200 && job->status_code < 300)
        result.outcome = BATCH_OK;
    else if (job->status_code == 0 && strcmp(job->status, "cancelled") == 0)
        result.outcome = BATCH_CANCELLED;
    else if (job->status_code == 0 && strcmp(job->status, "expired") == 0)
        result.outcome = BATCH_EXPIRED;
    count_usage(s->run, job->usage);
    end(s, &result);
}

static void refused(struct batch_slot *s, const struct call_failure *f)
{
    struct wire_error e = {.status = f->status,
                           .type = f->type,
                           .code = f->code && *f->code ? f->code : NULL,
                           .param = f->param && *f->param ? f->param : NULL,
                           .message = f->message};
    struct buf body;
    /* A budget that begins anew in days would keep the batch open until it expires. */
    bool no_money = e.code && strcmp(e.code, CALL_NO_MONEY) == 0;
    if (f->status >= 500 || (f->status == 429 && !no_money)) {
        s->state = SLOT_AGAIN;
        return;
    }
    buf_init(&body, BATCH_MAX_RECORD);
    if (wire_error(s->run->anthropic ? WIRE_ANTHROPIC : WIRE_OPENAI, &e, &body) < 0) {
        s->state = SLOT_AGAIN;
    } else {
        struct batch_result result = {
            .outcome = BATCH_FAILED, .status = f->status, .body = body.data, .body_len = body.len};
        end(s, &result);
    }
    buf_release(&body);
}

static bool is_over(struct batch_slot *s)
{
    s->run->asked--;
    if (!s->run->over)
        return false;
    slot_free(s);
    batch_run_settled(s->run);
    return true;
}

static void wait_for(struct batch_slot *s, const struct job_record *job)
{
    (void)snprintf(s->watch.id, sizeof(s->watch.id), "%s", job->id);
    s->state = SLOT_WAITING;
    s->looked_ms = clock_mono_ms();
    job_unwatch(&s->watch);
    job_watch(s->run->all->options.jobs, &s->watch);
}

static void look(struct batch_slot *s);

static void on_job(void *arg, const struct job_record *job, bool replayed,
                   const struct call_failure *failure)
{
    struct batch_slot *s = arg;
    (void)replayed;
    if (is_over(s))
        return;
    if (job && job_status_is_final(job->status))
        ended(s, job);
    else if (job)
        wait_for(s, job);
    else
        refused(s, failure);
}

static void on_looked(void *arg, const struct job_record *job, bool replayed,
                      const struct call_failure *failure)
{
    struct batch_slot *s = arg;
    (void)replayed;
    if (is_over(s))
        return;
    if (job && job_status_is_final(job->status))
        ended(s, job);
    else if (job || failure->status >= 500)
        s->state = SLOT_WAITING;
    else
        s->state = SLOT_AGAIN; /* its result is kept no longer: run anew */
}

static void look(struct batch_slot *s)
{
    s->state = SLOT_ASKED;
    s->looked_ms = clock_mono_ms();
    s->run->asked++;
    job_get(s->run->all->options.jobs, s->run->tenant, s->watch.id, on_looked, s);
}

static void on_event(void *arg, const char *state)
{
    struct batch_slot *s = arg;
    if (s->state == SLOT_WAITING && (!*state || job_status_is_final(state)))
        look(s);
}

static void submit(struct batch_slot *s)
{
    struct batch_run *r = s->run;
    char key[BATCH_ID_BYTES + 32];
    struct json_span body = batch_input_body(&r->input, s->line);
    struct job_spec spec = {.endpoint = r->endpoint,
                            .body = strndup(body.at, body.len),
                            .body_len = body.len,
                            .tenant = r->tenant,
                            .weight = json_integer_value(json_object_get(r->record, "weight")),
                            .models = json_string_value(json_object_get(r->record, "models")),
                            .key = json_string_value(json_object_get(r->record, "key")),
                            .class = CLASS_BATCH,
                            .class_given = true,
                            .idempotency_key = key};
    if (!spec.body) {
        s->state = SLOT_AGAIN;
        return;
    }
    (void)snprintf(key, sizeof(key), "%s line %u", r->id, r->input.lines[s->line].number);
    s->state = SLOT_ASKED;
    r->asked++;
    job_submit(r->all->options.jobs, &spec, on_job, s);
}

void batch_slots_init(struct batch_run *r)
{
    for (size_t i = 0; i < BATCH_WINDOW; i++) {
        struct batch_slot *s = &r->slots[i];
        *s = (struct batch_slot){.run = r, .watch = {.fn = on_event, .arg = s}};
        list_init(&s->watch.link);
    }
}

/* Lines that will not be run any more. */
static void give_up(struct batch_run *r)
{
    struct batch_result result = {.outcome = r->expiring ? BATCH_EXPIRED : BATCH_CANCELLED};
    for (size_t n = 0; r->next < r->input.count && n < BATCH_WINDOW; r->next++) {
        if (r->done[r->next])
            continue;
        if (batch_line_end(r, r->next, &result) < 0)
            return;
        n++;
    }
    if (r->next < r->input.count)
        batch_run_wake(r);
}

static void on_cancelled(void *arg, const struct job_record *job, bool replayed,
                         const struct call_failure *failure)
{
    on_looked(arg, job, replayed, failure);
}

static void cancel(struct batch_slot *s)
{
    struct batch_run *r = s->run;
    struct batch_result result = {.outcome = r->expiring ? BATCH_EXPIRED : BATCH_CANCELLED};
    if (s->state == SLOT_AGAIN) {
        end(s, &result);
    } else if (s->state == SLOT_WAITING && !s->cancelled) {
        s->cancelled = true;
        s->state = SLOT_ASKED;
        r->asked++;
        job_cancel(r->all->options.jobs, r->tenant, s->watch.id, on_cancelled, s);
    }
}

void batch_slots_pump(struct batch_run *r)
{
    bool ends = r->cancelling || r->expiring;
    if (ends)
        give_up(r);
    for (size_t i = 0; i < BATCH_WINDOW; i++) {
        struct batch_slot *s = &r->slots[i];
        if (ends && s->state != SLOT_FREE) {
            cancel(s);
            continue;
        }
        if (s->state != SLOT_FREE || ends || r->all->draining)
            continue;
        while (r->next < r->input.count && r->done[r->next])
            r->next++;
        if (r->next == r->input.count)
            continue;
        s->line = r->next++;
        s->cancelled = false;
        r->busy++;
        submit(s);
    }
}

void batch_slots_tick(struct batch_run *r)
{
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < BATCH_WINDOW; i++) {
        struct batch_slot *s = &r->slots[i];
        if (s->state == SLOT_AGAIN && !r->all->draining)
            submit(s);
        else if (s->state == SLOT_WAITING && now_ms - s->looked_ms > LOOK_MS)
            look(s);
    }
}

void batch_slots_stop(struct batch_run *r)
{
    for (size_t i = 0; i < BATCH_WINDOW; i++) {
        struct batch_slot *s = &r->slots[i];
        job_unwatch(&s->watch);
        if (s->state == SLOT_WAITING || s->state == SLOT_AGAIN) {
            s->state = SLOT_FREE;
            r->busy--;
        }
    }
}
