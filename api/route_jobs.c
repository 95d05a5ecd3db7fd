/*
 * route_jobs: durable jobs over HTTP: submit (one, or many as NDJSON), look, list, cancel, watch.
 */
#include "api/answer.h"
#include "api/job_json.h"
#include "api/request_options.h"
#include "api/route.h"
#include "api/webhook_json.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/trace.h"
#include "scheduler/job.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_STREAM "text/event-stream"
#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)
#define LOOK_MS      2000 /* a lost event is made good by looking again */

static void fail(const struct route_request *r, const struct call_failure *f)
{
    answer_failure(r->exchange, WIRE_OPENAI, f);
}

/* Checked by route_jobs_submit(). */
static void take_cutting(const struct route_request *r, struct job_spec *spec)
{
    struct request_options options = {0};
    struct error e;
    if (request_options_cutting(r->exchange, &options, &e) < 0)
        return;
    spec->trim = options.trim;
    spec->never_shrink = options.never_shrink;
}

/* A job out of its text, with what else the request says of it. Nothing is kept on failure. */
static int read_job(const struct route_request *r, struct json_span text, struct job_input *ret,
                    char **ret_webhook, struct call_failure *f)
{
    int rc = job_input_read(text.at, text.len, &r->caller, ret, f);
    if (rc < 0)
        return rc;
    rc = webhook_json_field(r->service, r->caller.tenant, ret->webhook, ret_webhook, f);
    if (rc < 0) {
        free(ret->spec.body);
        job_input_release(ret);
        return rc;
    }
    ret->spec.webhook = *ret_webhook;
    take_cutting(r, &ret->spec);
    return 0;
}

/* ---- submit one */

struct single {
    struct exchange *exchange;
    bool gone;
};

static void on_gone_single(void *arg)
{
    struct single *s = arg;
    s->gone = true; /* the job goes on: it was promised to nobody but the store */
}

static void on_submitted(void *arg, const struct job_record *record, bool replayed,
                         const struct call_failure *failure)
{
    struct single *s = arg;
    char location[TICKET_ID_BYTES + 16];
    if (!s->gone && failure) {
        answer_failure(s->exchange, WIRE_OPENAI, failure);
    } else if (!s->gone) {
        (void)snprintf(location, sizeof(location), "/v1/jobs/%s", record->id);
        if (exchange_set_header(s->exchange, "Location", location) < 0 ||
            (replayed && exchange_set_header(s->exchange, "Idempotent-Replayed", "true") < 0))
            log_write(LOG_WARN, "no memory for a header", NULL);
        answer_json(s->exchange, 202, job_json(record));
    }
    free(s);
}

/* A job's own span: those of one body are told apart by it. */
static void take_trace(const struct route_request *r, struct job_spec *spec,
                       char room[TRACE_PARENT_BYTES])
{
    struct trace t;
    (void)trace_read(exchange_header(r->exchange, "traceparent"), &t);
    spec->trace = trace_parent(&t, room);
}

static void submit_single(const struct route_request *r, const char *text, size_t len)
{
    struct job_input in;
    struct call_failure f;
    char trace[TRACE_PARENT_BYTES];
    struct single *s = calloc(1, sizeof(*s));
    char *webhook = NULL;
    if (!s || read_job(r, (struct json_span){text, len}, &in, &webhook, &f) < 0) {
        if (!s)
            call_failure_set(&f, 503, "out_of_memory", "Sluice is out of memory.");
        free(s);
        fail(r, &f);
        return;
    }
    in.spec.idempotency_key = exchange_header(r->exchange, "idempotency-key");
    take_trace(r, &in.spec, trace);
    s->exchange = r->exchange;
    exchange_on_gone(r->exchange, on_gone_single, s);
    job_submit(service_jobs(r->service), &in.spec, on_submitted, s);
    job_input_release(&in);
    free(webhook);
}

/* ---- submit many: every line for itself, answers in the order of the lines */

struct many {
    struct exchange *exchange;
    bool gone, reading;
    size_t open;
    json_t *data;
    const char *key;            /* Idempotency-Key of all lines; NULL none. Valid while reading */
    char group[GROUP_ID_BYTES]; /* "": a list */
};

/* index: its place among the answers; number: in the body, which may hold empty lines */
struct line {
    struct many *many;
    size_t index, number;
};

static void on_gone_many(void *arg)
{
    struct many *m = arg;
    m->gone = true;
}

static void many_done(struct many *m)
{
    if (m->open > 0 || m->reading)
        return;
    if (m->gone)
        json_decref(m->data);
    else
        answer_json(m->exchange, 202,
                    json_pack("{s:s, s:o, s:b, s:s}", "object", "list", "data", m->data, "has_more",
                              0, "group", m->group));
    free(m);
}

/* A line of an NDJSON body; the first call takes one whose rest is the whole body. */
struct body_line {
    const char *text;
    size_t len, number;
    const char *rest, *end;
};

static bool next_line(struct body_line *l)
{
    while (l->rest < l->end) {
        const char *stop = memchr(l->rest, '\n', (size_t)(l->end - l->rest));
        l->text = l->rest;
        l->len = (size_t)((stop ? stop : l->end) - l->rest);
        l->rest += l->len + (stop != NULL);
        l->number++;
        if (strspn(l->text, " \t\r") < l->len)
            return true;
    }
    return false;
}

/* Each line is answered by at least a hundred bytes, so a body of short lines would grow. */
static bool too_many_lines(const char *text, size_t len)
{
    struct body_line l = {.rest = text, .end = text + len};
    size_t n = 0;
    while (n <= JOB_MAX_LINES && next_line(&l))
        n++;
    return n > JOB_MAX_LINES;
}

static json_t *line_error(size_t number, const struct call_failure *f)
{
    return json_pack("{s:s, s:I, s:{s:s, s:s, s:s?, s:i}}", "object", "error", "line",
                     (json_int_t)number, "error", "message", f->message, "type",
                     f->status >= 500 ? "server_error" : "invalid_request_error", "code",
                     f->code && *f->code ? f->code : NULL, "status", f->status);
}

static void set_line(struct many *m, size_t index, json_t *value)
{
    if (!value || json_array_set_new(m->data, index, value) < 0)
        log_write(LOG_WARN, "no memory for the answer to a line", NULL);
}

static void on_line(void *arg, const struct job_record *record, bool replayed,
                    const struct call_failure *failure)
{
    struct line *l = arg;
    struct many *m = l->many;
    (void)replayed;
    set_line(m, l->index, record ? job_json(record) : line_error(l->number, failure));
    free(l);
    m->open--;
    many_done(m);
}

/* One key stands for all lines, each of which is a job for itself: the number of the line makes
 * the keys different, behind a byte that no header value holds. */
static const char *line_key(const struct many *m, size_t number, char *room, size_t size)
{
    if (!m->key)
        return NULL;
    (void)snprintf(room, size, "%s\n%zu", m->key, number);
    return room;
}

static void submit_line(const struct route_request *r, struct many *m, const struct body_line *at)
{
    struct job_input in;
    struct call_failure f;
    char trace[TRACE_PARENT_BYTES];
    char key[IDEMPOTENCY_KEY_BYTES + 24];
    size_t index = json_array_size(m->data);
    struct line *l = calloc(1, sizeof(*l));
    if (!l || json_array_append_new(m->data, json_null()) < 0) {
        free(l);
        return;
    }
    char *webhook = NULL;
    if (read_job(r, (struct json_span){at->text, at->len}, &in, &webhook, &f) < 0) {
        set_line(m, index, line_error(at->number, &f));
        free(l);
        return;
    }
    *l = (struct line){m, index, at->number};
    in.spec.idempotency_key = line_key(m, at->number, key, sizeof(key));
    in.spec.group = m->group;
    take_trace(r, &in.spec, trace);
    m->open++;
    job_submit(service_jobs(r->service), &in.spec, on_line, l);
    job_input_release(&in);
    free(webhook);
}

static void submit_many(const struct route_request *r, const char *text, size_t len)
{
    struct body_line line = {.rest = text, .end = text + len};
    if (too_many_lines(text, len)) {
        answer_error(
            r->exchange, WIRE_OPENAI, 413, "too_many_jobs",
            "One request takes at most " STRING(JOB_MAX_LINES) " jobs; send the rest in another.");
        return;
    }
    struct many *m = calloc(1, sizeof(*m));
    if (m)
        m->data = json_array();
    if (!m || !m->data) {
        free(m);
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    m->exchange = r->exchange;
    m->key = exchange_header(r->exchange, "idempotency-key");
    if (!route_job_group_of(r, m->key, m->group)) {
        json_decref(m->data);
        free(m);
        return;
    }
    m->reading = true;
    exchange_on_gone(r->exchange, on_gone_many, m);
    while (next_line(&line))
        submit_line(r, m, &line);
    m->reading = false;
    many_done(m);
}

void route_jobs_submit(const struct route_request *r)
{
    size_t len = 0;
    const char *type = exchange_header(r->exchange, "content-type");
    const char *key = exchange_header(r->exchange, "idempotency-key");
    const char *body = exchange_body(r->exchange, &len);
    struct request_options options = {0};
    struct error e;
    if (service_is_draining(r->service)) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "draining",
                     "This instance is shutting down and takes no new jobs; try again.");
        return;
    }
    if (key && (!*key || strlen(key) > IDEMPOTENCY_KEY_BYTES)) {
        struct call_failure f;
        call_failure_set(&f, 400, "invalid_header", "Idempotency-Key must have 1 to %d bytes.",
                         IDEMPOTENCY_KEY_BYTES);
        fail(r, &f);
        return;
    }
    if (request_options_cutting(r->exchange, &options, &e) < 0) {
        answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_header", e.text);
        return;
    }
    if (type && (strstr(type, "ndjson") || strstr(type, "jsonl")))
        submit_many(r, body, len);
    else
        submit_single(r, body, len);
}

/* ---- look, and wait for the end */

struct waiting {
    struct job_watch watch; /* its id is the job's */
    struct service *service;
    struct exchange *exchange;
    struct event *timer;
    char tenant[TENANT_NAME_BYTES + 1];
    char last[16]; /* status told last (events) */
    int64_t until_ms;
    size_t looks; /* answers of the store that are still to come */
    bool events;  /* a stream of changes, not one answer */
    bool dirty;   /* changed while a look was under way */
    bool over;    /* answered, or the client left */
};

static void waiting_end(struct waiting *w)
{
    w->over = true;
    job_unwatch(&w->watch);
    event_del(w->timer);
    if (w->looks > 0)
        return;
    event_free(w->timer);
    free(w);
}

static void look(struct waiting *w);

static void rearm(struct waiting *w)
{
    int64_t ms = LOOK_MS, left = w->until_ms - clock_mono_ms();
    if (!w->events && left < ms)
        ms = left > 1 ? left : 1;
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    evtimer_add(w->timer, &tv);
}

static void write_event(struct waiting *w, const struct job_record *record)
{
    char *text = NULL;
    if (strcmp(w->last, record->status) == 0)
        return;
    (void)snprintf(w->last, sizeof(w->last), "%s", record->status);
    json_t *job = job_json(record);
    text = job ? json_dumps(job, JSON_COMPACT) : NULL;
    json_decref(job);
    if (!text)
        return;
    (void)exchange_stream_write(w->exchange, "event: job\ndata: ", 17);
    (void)exchange_stream_write(w->exchange, text, strlen(text));
    (void)exchange_stream_write(w->exchange, "\n\n", 2);
    free(text);
}

/* True when nothing is left to wait for. */
static bool answer(struct waiting *w, const struct job_record *record,
                   const struct call_failure *failure)
{
    bool last = !record || job_status_is_final(record->status);
    if (!w->events && (last || clock_mono_ms() >= w->until_ms)) {
        if (record)
            answer_json(w->exchange, 200, job_json(record));
        else
            answer_failure(w->exchange, WIRE_OPENAI, failure);
        return true;
    }
    if (!w->events)
        return false;
    if (!record && !*w->last) {
        answer_failure(w->exchange, WIRE_OPENAI, failure);
        return true;
    }
    if (!*w->last) {
        if (exchange_set_header(w->exchange, "Cache-Control", "no-store") < 0)
            log_write(LOG_WARN, "no memory for a header", NULL);
        exchange_stream_start(w->exchange, 200, EVENT_STREAM);
    }
    if (record)
        write_event(w, record);
    if (last)
        exchange_stream_end(w->exchange);
    return last;
}

static void on_looked(void *arg, const struct job_record *record, bool replayed,
                      const struct call_failure *failure)
{
    struct waiting *w = arg;
    (void)replayed;
    w->looks--;
    if (w->over || answer(w, record, failure)) {
        waiting_end(w);
        return;
    }
    if (w->dirty) {
        w->dirty = false;
        look(w);
        return;
    }
    rearm(w);
}

static void look(struct waiting *w)
{
    w->looks++;
    job_get(service_jobs(w->service), w->tenant, w->watch.id, on_looked, w);
}

static void on_change(void *arg, const char *state)
{
    struct waiting *w = arg;
    (void)state;
    if (w->looks > 0)
        w->dirty = true;
    else
        look(w);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    struct waiting *w = arg;
    (void)fd;
    (void)what;
    if (w->events && *w->last)
        (void)exchange_stream_write(w->exchange, ": waiting\n\n", 11);
    if (w->looks == 0)
        look(w);
}

static void on_left(void *arg)
{
    waiting_end(arg);
}

/* No id of ours is as long as a watch cannot hold. */
static bool is_no_id(const struct route_request *r)
{
    struct call_failure f;
    if (strlen(r->id) < TICKET_ID_BYTES)
        return false;
    call_failure_set(&f, 404, "job_not_found", "There is no job of this id here.");
    fail(r, &f);
    return true;
}

static void wait_for(const struct route_request *r, int64_t wait_ms, bool events)
{
    if (is_no_id(r))
        return;
    struct waiting *w = calloc(1, sizeof(*w));
    if (w)
        w->timer = evtimer_new(service_base(r->service), on_time, w);
    if (!w || !w->timer) {
        free(w);
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    w->service = r->service;
    w->exchange = r->exchange;
    w->until_ms = clock_mono_ms() + wait_ms;
    w->events = events;
    w->watch.fn = on_change;
    w->watch.arg = w;
    (void)snprintf(w->watch.id, sizeof(w->watch.id), "%.*s", TICKET_ID_BYTES - 1, r->id);
    (void)snprintf(w->tenant, sizeof(w->tenant), "%s", r->caller.tenant);
    job_watch(service_jobs(r->service), &w->watch);
    exchange_on_gone(r->exchange, on_left, w);
    look(w);
}

#define MOST_WAIT_S 300

void route_jobs_get(const struct route_request *r)
{
    char text[16];
    int rc = exchange_query(r->exchange, "wait", text, sizeof(text));
    char *end = text;
    double seconds = rc == 0 ? strtod(text, &end) : 0;
    if ((rc < 0 && rc != -ENOENT) ||
        (rc == 0 && (end == text || *end || !(seconds >= 0 && seconds <= MOST_WAIT_S)))) {
        answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_value",
                     "wait must be a number of seconds from 0 to 300.");
        return;
    }
    wait_for(r, (int64_t)(seconds * 1000), false);
}

void route_jobs_events(const struct route_request *r)
{
    wait_for(r, 0, true);
}

/* ---- cancel and list */

static void on_cancelled(void *arg, const struct job_record *record, bool replayed,
                         const struct call_failure *failure)
{
    struct single *s = arg;
    (void)replayed;
    if (!s->gone && failure)
        answer_failure(s->exchange, WIRE_OPENAI, failure);
    else if (!s->gone)
        answer_json(s->exchange, 200, job_json(record));
    free(s);
}

void route_jobs_cancel(const struct route_request *r)
{
    if (is_no_id(r))
        return;
    struct single *s = calloc(1, sizeof(*s));
    if (!s) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    s->exchange = r->exchange;
    exchange_on_gone(r->exchange, on_gone_single, s);
    job_cancel(service_jobs(r->service), r->caller.tenant, r->id, on_cancelled, s);
}

static void on_listed(void *arg, const struct job_record *record, bool has_more,
                      const struct call_failure *failure)
{
    struct many *m = arg;
    if (record) {
        json_t *job = job_json(record);
        if (!job || json_array_append_new(m->data, job) < 0)
            log_write(LOG_WARN, "no memory for a list entry", NULL);
        return;
    }
    if (m->gone || failure) {
        json_decref(m->data);
        if (!m->gone)
            answer_failure(m->exchange, WIRE_OPENAI, failure);
    } else {
        answer_json(
            m->exchange, 200,
            json_pack("{s:s, s:o, s:b}", "object", "list", "data", m->data, "has_more", has_more));
    }
    free(m);
}

void route_jobs_list(const struct route_request *r)
{
    char limit[16], after[ROUTE_ID_BYTES];
    struct job_page page = {.tenant = r->caller.tenant};
    long asked = 20;
    int has_limit = exchange_query(r->exchange, "limit", limit, sizeof(limit));
    int has_after = exchange_query(r->exchange, "after", after, sizeof(after));
    char *end = limit;
    if (has_limit == 0)
        asked = strtol(limit, &end, 10);
    bool bad_limit = has_limit == 0 ? end == limit || *end : has_limit != -ENOENT;
    if (bad_limit || asked < 1 || asked > JOB_PAGE_MAX || (has_after < 0 && has_after != -ENOENT)) {
        answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_value",
                     "limit must be a whole number from 1 to 100, and after the id of a job.");
        return;
    }
    page.limit = (int)asked;
    if (has_after == 0)
        page.after = after;
    struct many *m = calloc(1, sizeof(*m));
    if (m)
        m->data = json_array();
    if (!m || !m->data) {
        free(m);
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    m->exchange = r->exchange;
    exchange_on_gone(r->exchange, on_gone_many, m);
    job_list(service_jobs(r->service), &page, on_listed, m);
}
