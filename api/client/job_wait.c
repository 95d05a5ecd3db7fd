#include "api/client/job_wait.h"

#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LONG_WAIT_MS   20000 /* for a single job */
#define SHARED_WAIT_MS 2000  /* for one of many; then some of the others are looked at */
#define GRACE_MS       30000 /* for the answer, after the wait */
#define SWEEP          50
#define AWAY_MS        500

bool job_id_is_sane(const char *id)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-";
    size_t len = strlen(id);
    return len > 0 && len < 128 && strspn(id, allowed) == len;
}

const char *job_text(const json_t *job, const char *key)
{
    const char *text = json_string_value(json_object_get(job, key));
    return text ? text : "";
}

bool job_has_succeeded(const json_t *job)
{
    return strcmp(job_text(job, "status"), "succeeded") == 0;
}

static bool has_ended(const json_t *job)
{
    static const char *const ends[] = {"succeeded", "failed", "cancelled", "expired"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (strcmp(job_text(job, "status"), ends[i]) == 0)
            return true;
    }
    return false;
}

int job_call(struct client *c, const char *method, const char *id, json_t **ret_job,
             struct error *e)
{
    char path[CLIENT_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "/v1/jobs/%s", id);
    return client_call(c, &(struct client_call){.method = method, .path = path}, ret_job, e);
}

static int look(struct job_wait *w, struct job_wait_item *item, int64_t wait_ms, struct error *e)
{
    char path[CLIENT_PATH_BYTES];
    json_t *job = NULL;
    struct client_call call = {
        .method = "GET", .path = path, .timeout_ms = (int)(wait_ms + GRACE_MS)};
    (void)snprintf(path, sizeof(path), "/v1/jobs/%s?wait=%d.%03d", item->id, (int)(wait_ms / 1000),
                   (int)(wait_ms % 1000));
    int rc = client_call(w->client, &call, &job, e);
    if (rc == -ENOENT) {
        item->over = true;
        item->error = *e;
        return 0;
    }
    if (rc < 0)
        return rc;
    json_decref(item->job);
    item->job = job;
    item->over = has_ended(job);
    return 0;
}

static struct job_wait_item *next_open(struct job_wait *w, size_t *at)
{
    for (size_t i = 0; i < w->count; i++) {
        struct job_wait_item *item = &w->items[(*at + i) % w->count];
        if (item->id && !item->over) {
            *at = (*at + i + 1) % w->count;
            return item;
        }
    }
    return NULL;
}

static size_t show(struct job_wait *w)
{
    size_t over = 0, bad = 0, total = 0;
    char note[48] = "";
    for (size_t i = 0; i < w->count; i++) {
        const struct job_wait_item *item = &w->items[i];
        total += item->id != NULL;
        over += item->id && item->over;
        bad += item->id && item->over && !job_has_succeeded(item->job);
    }
    if (bad > 0)
        (void)snprintf(note, sizeof(note), "%zu failed", bad);
    progress_show(&w->progress, over, total, note);
    return total - over;
}

/* Waits for one, then looks at some others without waiting. */
static int turn(struct job_wait *w, size_t open, int64_t left_ms, struct error *e)
{
    size_t at = 0;
    int64_t wait_ms = open > 1 ? SHARED_WAIT_MS : LONG_WAIT_MS;
    struct job_wait_item *item = next_open(w, &at);
    int rc = look(w, item, left_ms < wait_ms ? left_ms : wait_ms, e);
    for (int i = 0; rc == 0 && i < SWEEP && !item->over && open > 1; i++) {
        struct job_wait_item *other = next_open(w, &at);
        if (!other || other == item)
            break;
        rc = look(w, other, 0, e);
    }
    return rc;
}

int job_wait_run(struct job_wait *w, struct error *e)
{
    const struct timespec away = {.tv_nsec = AWAY_MS * 1000000L};
    int64_t start_ms = clock_mono_ms(), seen_ms = start_ms;
    int rc = 0;
    for (size_t open; rc == 0 && (open = show(w)) > 0;) {
        int64_t now_ms = clock_mono_ms();
        int64_t left_ms = w->timeout_ms > 0 ? start_ms + w->timeout_ms - now_ms : INT32_MAX;
        if (left_ms <= 0) {
            rc = error_set(e, -ETIMEDOUT, "%zu of the jobs have not ended in that time", open);
            break;
        }
        rc = turn(w, open, left_ms, e);
        if (rc == 0)
            seen_ms = clock_mono_ms();
        if (rc == -EAGAIN && clock_mono_ms() - seen_ms < JOB_WAIT_OUTAGE_MS) {
            (void)nanosleep(&away, NULL);
            rc = 0;
        }
    }
    progress_clear(&w->progress);
    return rc;
}

void job_wait_release(struct job_wait *w)
{
    for (size_t i = 0; i < w->count; i++)
        json_decref(w->items[i].job);
}
