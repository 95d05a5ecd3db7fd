#include "api/batch/batch_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/scheduler.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS     1000
#define LEASE_MS    5000
#define CHECK_BYTES (256 * KIB) /* of the input, in one turn of the loop */

static struct record_at at(const struct batch_run *r, const char *set)
{
    bool all = strcmp(set, SET_OPEN) == 0;
    return (struct record_at){set, all ? "" : r->tenant, r->id};
}

static const char *text_of(const struct batch_run *r, const char *key)
{
    const char *text = json_string_value(json_object_get(r->batch, key));
    return text ? text : "";
}

static void set(struct batch_run *r, const char *key, json_t *value)
{
    if (!value || json_object_set_new(r->batch, key, value) < 0)
        log_write(LOG_WARN, "no memory for the record of a batch", "batch", r->id, NULL);
}

static void set_status(struct batch_run *r, const char *status)
{
    char key[64];
    (void)snprintf(key, sizeof(key), "%s_at", status);
    set(r, "status", json_string(status));
    set(r, key, json_integer(clock_wall_ms() / 1000));
}

/* ---- life */

void batch_run_free(struct batch_run *r)
{
    list_remove(&r->link);
    r->all->running--;
    if (r->tick)
        event_free(r->tick);
    if (r->soon)
        event_free(r->soon);
    batch_remote_free(r->remote);
    batch_journal_release(&r->journal);
    batch_input_release(&r->input);
    json_decref(r->record);
    free(r->done);
    free(r);
}

void batch_run_settled(struct batch_run *r)
{
    if (r->over && r->asked == 0)
        batch_run_wake(r);
}

void batch_run_stop(struct batch_run *r)
{
    if (r->over)
        return;
    r->over = true;
    batch_slots_stop(r);
    batch_remote_free(r->remote);
    r->remote = NULL;
    batch_journal_release(&r->journal);
    batch_run_settled(r);
}

void batch_run_wake(struct batch_run *r)
{
    event_active(r->soon, EV_TIMEOUT, 0);
}

bool batch_run_answered(struct batch_run *r)
{
    r->asked--;
    batch_run_settled(r);
    return r->over;
}

static void rest_until_tick(struct batch_run *r)
{
    struct timeval tv = {.tv_sec = TICK_MS / 1000};
    (void)evtimer_add(r->tick, &tv);
}

/* ---- its record */

static void write_counts(struct batch_run *r)
{
    json_t *counts = json_pack("{s:I, s:I, s:I}", "total", (json_int_t)r->input.count, "completed",
                               (json_int_t)r->counts[BATCH_OK], "failed",
                               (json_int_t)(r->counts[BATCH_FAILED] + r->counts[BATCH_EXPIRED]));
    set(r, "request_counts", counts);
    json_t *all = json_pack("[I, I, I, I]", (json_int_t)r->counts[0], (json_int_t)r->counts[1],
                            (json_int_t)r->counts[2], (json_int_t)r->counts[3]);
    if (!all || json_object_set_new(r->record, "counts", all) < 0)
        log_write(LOG_WARN, "no memory for the record of a batch", "batch", r->id, NULL);
    batch_usage_write(r);
}

void batch_run_save(struct batch_run *r, record_fn fn)
{
    struct record_at place = at(r, SET_BATCHES);
    char *text = json_dumps(r->record, JSON_COMPACT);
    if (text) {
        r->asked += fn != NULL;
        record_store_put(r->all->options.store, &place, text, fn, r);
    }
    free(text);
}

/* ---- its end */

static void close_batch(struct batch_run *r)
{
    struct record_at open = at(r, SET_OPEN), cancel = at(r, SET_CANCELS);
    record_store_remove(r->all->options.store, &open, NULL, NULL);
    record_store_remove(r->all->options.store, &cancel, NULL, NULL);
    if (!r->late)
        record_store_unlease(r->all->options.store, r->id);
    batch_run_stop(r);
}

static void on_told(void *arg, bool kept)
{
    struct batch_run *r = arg;
    r->telling = false;
    if (!batch_run_answered(r) && kept)
        close_batch(r); /* else the next tick tries again */
}

/* Before it leaves the list of open ones: who finds it there tells it again. */
static void tell_end(struct batch_run *r)
{
    const struct batches_options *o = &r->all->options;
    struct batch_end end = {r->tenant, r->record, on_told, r};
    r->phase = RUN_TELLING;
    if (r->telling)
        return;
    int rc = o->ended ? o->ended(o->arg, &end) : 1;
    r->telling = rc == 0;
    r->asked += rc == 0;
    if (rc > 0)
        close_batch(r);
}

static void on_end_saved(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct batch_run *r = arg;
    (void)text;
    (void)len;
    r->saving = false;
    if (batch_run_answered(r) || status != REDIS_OK)
        return; /* the next tick tries again */
    log_write(LOG_INFO, "batch ended", "batch", r->id, "status", text_of(r, "status"), NULL);
    tell_end(r);
}

static void save_end(struct batch_run *r)
{
    r->phase = RUN_SAVING;
    if (r->saving)
        return;
    r->saving = true;
    batch_run_save(r, on_end_saved);
}

static void publish(struct batch_run *r, int which);

void batch_run_fail(struct batch_run *r)
{
    for (int i = 0; i < 2; i++)
        if (r->journal.paths[i])
            publish(r, i); /* what an earlier try at the provider gave */
    set(r, "errors", json_pack("{s:s, s:O}", "object", "list", "data", r->input.errors));
    set_status(r, "failed");
    save_end(r);
}

static void file_id(const struct batch_run *r, const char *what, char out[BATCH_ID_BYTES])
{
    const char *own = strchr(r->id, '_');
    (void)snprintf(out, BATCH_ID_BYTES, "file-%.32s-%s", own ? own + 1 : r->id, what);
}

/* 0: never. */
static int64_t outputs_expire_s(const struct batch_run *r)
{
    const json_t *own = json_object_get(r->record, "output_ttl_s");
    int64_t ttl_s = r->all->options.scheduler
                        ? scheduler_plan(r->all->options.scheduler)->config->batches.output_ttl_s
                        : 0;
    if (json_is_integer(own))
        ttl_s = json_integer_value(own);
    return ttl_s > 0 ? clock_wall_ms() / 1000 + ttl_s : 0;
}

/* A file gets its record, and the batch its name, when there is anything in it. */
static void publish(struct batch_run *r, int which)
{
    static const char *const what[] = {"output", "error"};
    static const char *const keys[] = {"output_file_id", "error_file_id"};
    char id[BATCH_ID_BYTES], name[BATCH_ID_BYTES + 32];
    file_id(r, what[which], id);
    if (r->journal.bytes[which] == 0) {
        (void)unlink(r->journal.paths[which]);
        return;
    }
    (void)snprintf(name, sizeof(name), "%s_%s.jsonl", r->id, what[which]);
    json_t *file = batch_file_json(id, name, "batch_output", r->journal.bytes[which]);
    batch_file_expires(r->all->options.store, r->tenant, id, file, outputs_expire_s(r));
    char *text = file ? json_dumps(file, JSON_COMPACT) : NULL;
    struct record_at place = {SET_FILES, r->tenant, id};
    if (text)
        record_store_put(r->all->options.store, &place, text, NULL, NULL);
    free(text);
    json_decref(file);
    set(r, keys[which], json_string(id));
}

static void finish(struct batch_run *r)
{
    set_status(r, "finalizing");
    int rc = batch_journal_finish(&r->journal);
    if (rc < 0) {
        log_write(LOG_ERROR, "results of a batch cannot be written", "batch", r->id, "reason",
                  strerror(-rc), NULL);
        return; /* the next tick tries again */
    }
    write_counts(r);
    for (int i = 0; i < 2 && !r->anthropic; i++)
        publish(r, i);
    if (r->anthropic)
        batch_file_expires(r->all->options.store, r->tenant, r->id, NULL, outputs_expire_s(r));
    set_status(r, r->cancelling ? "cancelled" : r->expiring ? "expired" : "completed");
    save_end(r);
}

/* ---- running */

static void on_done_line(void *arg, int which, struct json_span line)
{
    struct batch_run *r = arg;
    long index = batch_input_find(&r->input, json_inside(json_get(line, "custom_id")));
    if (index < 0 || r->done[index])
        return;
    r->done[index] = 1;
    r->counts[batch_result_outcome(line, r->anthropic, which)]++;
}

static int open_journal(struct batch_run *r)
{
    char out[BATCH_PATH_MAX], err[BATCH_PATH_MAX], id[BATCH_ID_BYTES];
    file_id(r, "output", id);
    int rc = batches_path(r->all, id, out);
    file_id(r, "error", id);
    if (rc == 0)
        rc = batches_path(r->all, id, err);
    r->done = calloc(r->input.count + 1, 1);
    if (!r->done)
        rc = -ENOMEM;
    return rc < 0
               ? rc
               : batch_journal_open(&r->journal, out, r->anthropic ? NULL : err, on_done_line, r);
}

static void begin(struct batch_run *r)
{
    if (json_array_size(r->input.errors) > 0) {
        batch_run_fail(r);
        return;
    }
    int rc = open_journal(r);
    if (rc == 0 && json_object_get(r->record, "provider_batch")) {
        r->remote = batch_remote_new(r);
        rc = r->remote ? 0 : -ENOMEM;
    }
    if (rc < 0) {
        log_write(LOG_ERROR, "a batch cannot be run here", "batch", r->id, "reason", strerror(-rc),
                  NULL);
        record_store_unlease(r->all->options.store, r->id);
        batch_run_stop(r);
        return;
    }
    r->phase = RUN_RUNNING;
    write_counts(r);
    if (strcmp(text_of(r, "status"), "validating") == 0)
        set_status(r, "in_progress");
    batch_run_save(r, NULL);
    batch_run_wake(r);
}

static void check(struct batch_run *r)
{
    int rc = batch_input_step(&r->input, text_of(r, "endpoint"), CHECK_BYTES);
    if (rc > 0)
        batch_run_wake(r);
    else if (rc == 0)
        begin(r);
    else
        batch_run_stop(r);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    struct batch_run *r = arg;
    (void)fd;
    (void)what;
    if (r->over) {
        if (r->asked == 0)
            batch_run_free(r);
        return;
    }
    if (r->phase == RUN_CHECKING)
        check(r);
    if (r->phase != RUN_RUNNING || r->over)
        return;
    if (r->remote)
        batch_remote_step(r->remote);
    else
        batch_slots_pump(r);
    if (r->phase == RUN_RUNNING && r->busy == 0 && r->next == r->input.count)
        finish(r);
}

static void on_cancel(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct batch_run *r = arg;
    (void)status;
    (void)len;
    if (batch_run_answered(r) || !text || r->cancelling || r->phase != RUN_RUNNING)
        return;
    r->cancelling = true;
    set(r, "status", json_string("cancelling"));
    set(r, "cancelling_at", json_integer(strtoll(text, NULL, 10)));
    r->changed = true;
    batch_run_wake(r);
}

static void on_renewed(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct batch_run *r = arg;
    (void)len;
    if (batch_run_answered(r) || status != REDIS_OK || !text || strcmp(text, r->all->instance) == 0)
        return;
    log_write(LOG_WARN, "another instance runs this batch now", "batch", r->id, NULL);
    batch_run_stop(r);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct batch_run *r = arg;
    struct record_at cancel = at(r, SET_CANCELS);
    int64_t expires_s = json_integer_value(json_object_get(r->batch, "expires_at"));
    (void)fd;
    (void)what;
    if (r->over)
        return;
    rest_until_tick(r);
    if (r->late) {
        tell_end(r);
        return;
    }
    r->asked += 2;
    record_store_lease(r->all->options.store, r->id, r->all->instance, LEASE_MS, on_renewed, r);
    record_store_get(r->all->options.store, &cancel, on_cancel, r);
    if (r->phase == RUN_SAVING)
        save_end(r);
    if (r->phase == RUN_TELLING)
        tell_end(r);
    if (r->phase != RUN_RUNNING)
        return;
    if (expires_s > 0 && clock_wall_ms() / 1000 >= expires_s)
        r->expiring = true;
    batch_slots_tick(r);
    if (r->changed) {
        r->changed = false;
        write_counts(r);
        batch_run_save(r, NULL);
    }
    batch_run_wake(r);
}

/* ---- taking one */

static enum wire_endpoint endpoint_of(const char *path)
{
    enum wire_endpoint e = 0;
    while (e < WIRE_ENDPOINT_COUNT && strcmp(wire_path(e), path) != 0)
        e++;
    return e;
}

static bool read_record(struct batch_run *r, const char *text)
{
    json_decref(r->record);
    r->record = json_loads(text, 0, NULL);
    r->batch = json_object_get(r->record, "batch");
    const char *shape = json_string_value(json_object_get(r->record, "shape"));
    r->anthropic = shape && strcmp(shape, "anthropic") == 0;
    r->endpoint = endpoint_of(text_of(r, "endpoint"));
    batch_usage_read(r);
    return r->batch && r->endpoint < WIRE_ENDPOINT_COUNT;
}

static void on_record(void *arg, enum redis_status status, const char *text, size_t len);

static void on_lease(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct batch_run *r = arg;
    struct record_at place = at(r, SET_BATCHES);
    (void)len;
    if (batch_run_answered(r))
        return;
    if (status != REDIS_OK || !text || strcmp(text, r->all->instance) != 0) {
        batch_run_stop(r);
        return;
    }
    /* Who had it before may have changed it since it was read. */
    r->phase = RUN_READING;
    r->asked++;
    record_store_get(r->all->options.store, &place, on_record, r);
}

/* ---- an input that is not on this disk */

static void give_up(struct batch_run *r)
{
    if (r->phase == RUN_READING)
        record_store_unlease(r->all->options.store, r->id);
    batch_run_stop(r);
}

static void fail_without_input(struct batch_run *r)
{
    json_t *error = json_pack("{s:s, s:n, s:s, s:s}", "code", "input_file_missing", "line",
                              "message", "The input file was deleted before the batch had ended.",
                              "param", "input_file_id");
    r->input.errors = json_array();
    if (!error || !r->input.errors || json_array_append_new(r->input.errors, error) < 0) {
        json_decref(r->input.errors);
        r->input.errors = NULL;
        give_up(r);
        return;
    }
    rest_until_tick(r);
    batch_run_fail(r);
}

static void take(struct batch_run *r)
{
    r->phase = RUN_TAKING;
    r->asked++;
    record_store_lease(r->all->options.store, r->id, r->all->instance, LEASE_MS, on_lease, r);
}

static void on_input_record(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct batch_run *r = arg;
    (void)len;
    if (batch_run_answered(r))
        return;
    if (status != REDIS_OK || text)
        give_up(r); /* it is on another instance's disk, and so the batch is its */
    else if (r->phase == RUN_READING)
        fail_without_input(r);
    else
        take(r);
}

/* Without its record nobody will ever have the file again, and the batch must not stay open: it
 * fails. That is written under the lease only, since an instance that has the file open runs on.
 * Inputs in Anthropic's shape have no record, and go with their batch only. */
static void find_input(struct batch_run *r)
{
    struct record_at input = {SET_FILES, r->tenant, text_of(r, "input_file_id")};
    if (r->anthropic) {
        give_up(r);
        return;
    }
    r->asked++;
    record_store_get(r->all->options.store, &input, on_input_record, r);
}

static void start_checking(struct batch_run *r)
{
    char path[BATCH_PATH_MAX];
    int rc = batches_path(r->all, text_of(r, "input_file_id"), path);
    if (rc == 0)
        rc = batch_input_open(&r->input, path);
    if (rc == -ENOENT) {
        find_input(r);
        return;
    }
    if (rc < 0) {
        give_up(r);
        return;
    }
    r->phase = RUN_CHECKING;
    rest_until_tick(r);
    batch_run_wake(r);
}

static void on_record(void *arg, enum redis_status status, const char *text, size_t len)
{
    struct batch_run *r = arg;
    struct record_at open = at(r, SET_OPEN);
    char path[BATCH_PATH_MAX];
    (void)len;
    if (batch_run_answered(r))
        return;
    if (status != REDIS_OK || (text && !read_record(r, text))) {
        batch_run_stop(r);
    } else if (!text) {
        record_store_remove(r->all->options.store, &open, NULL, NULL);
        batch_run_stop(r);
    } else if (batch_is_final(text_of(r, "status"))) {
        r->late = r->phase != RUN_READING;
        rest_until_tick(r);
        tell_end(r);
    } else if (r->phase == RUN_READING) {
        start_checking(r);
    } else if (batches_path(r->all, text_of(r, "input_file_id"), path) < 0) {
        batch_run_stop(r);
    } else if (access(path, R_OK) == 0) {
        take(r);
    } else {
        find_input(r);
    }
}

void batch_run_start(struct batches *b, const char *id, const char *tenant)
{
    struct batch_run *r = calloc(1, sizeof(*r));
    if (!r)
        return;
    r->all = b;
    r->journal.fds[0] = r->journal.fds[1] = -1;
    (void)snprintf(r->id, sizeof(r->id), "%s", id);
    (void)snprintf(r->tenant, sizeof(r->tenant), "%s", tenant);
    batch_slots_init(r);
    list_add_last(&b->runs, &r->link);
    b->running++;
    r->tick = evtimer_new(b->options.base, on_tick, r);
    r->soon = evtimer_new(b->options.base, on_soon, r);
    if (!r->tick || !r->soon) {
        batch_run_free(r);
        return;
    }
    struct record_at place = at(r, SET_BATCHES);
    r->asked++;
    record_store_get(b->options.store, &place, on_record, r);
}
