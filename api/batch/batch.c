#include "api/batch/batch_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/rand.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOOK_MS     2000 /* for batches whose instance is gone */
#define SWEEP_TICKS 15   /* of them; files that have expired */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct timeval tv = {.tv_sec = LOOK_MS / 1000};
    struct batches *b = arg;
    (void)fd;
    (void)what;
    (void)evtimer_add(b->tick, &tv);
    batches_look(b);
    if (b->ticks++ % SWEEP_TICKS == 0 && !b->stopped)
        batches_sweep(b);
}

int batches_make_folder(const char *data_dir, char out[BATCH_PATH_MAX], struct error *e)
{
    int n = snprintf(out, BATCH_PATH_MAX, "%s/files", data_dir);
    if (n <= 0 || n >= BATCH_PATH_MAX)
        return error_set(e, -ENAMETOOLONG, "data_dir has too long a path");
    if ((mkdir(data_dir, 0700) && errno != EEXIST) || (mkdir(out, 0700) && errno != EEXIST))
        return error_set(e, -errno, "%.200s cannot be created: %s", out, strerror(errno));
    return 0;
}

struct batches *batches_new(const struct batches_options *options)
{
    struct batches *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->options = *options;
    b->folder = strdup(options->folder);
    b->instance = strdup(options->instance);
    b->tick = evtimer_new(options->base, on_tick, b);
    list_init(&b->runs);
    if (!b->folder || !b->instance || !b->tick) {
        batches_free(b);
        return NULL;
    }
    on_tick(-1, 0, b);
    return b;
}

void batches_drain(struct batches *b)
{
    b->draining = true;
}

void batches_stop(struct batches *b)
{
    b->stopped = true;
    (void)event_del(b->tick);
    for (struct list *l = b->runs.next, *next; l != &b->runs; l = next) {
        struct batch_run *r = LIST_ITEM(l, struct batch_run, link);
        next = l->next;
        if (!r->over && !r->late && r->phase >= RUN_READING)
            record_store_unlease(b->options.store, r->id);
        batch_run_stop(r);
    }
}

void batches_free(struct batches *b)
{
    if (!b)
        return;
    while (!list_is_empty(&b->runs))
        batch_run_free(LIST_ITEM(b->runs.next, struct batch_run, link));
    if (b->tick)
        event_free(b->tick);
    free(b->folder);
    free(b->instance);
    free(b);
}

static bool is_here(const struct batches *b, const char *id)
{
    for (const struct list *l = b->runs.next; l != &b->runs; l = l->next)
        if (strcmp(LIST_ITEM(l, struct batch_run, link)->id, id) == 0)
            return true;
    return false;
}

static void on_open(void *arg, enum redis_status status, const char *id, const char *tenant)
{
    struct batches *b = arg;
    (void)status;
    if (!id) {
        b->asked--;
        return;
    }
    bool room = b->running < BATCH_MAX_RUNNING && strlen(id) < BATCH_ID_BYTES &&
                strlen(tenant) <= TENANT_NAME_BYTES;
    if (!b->stopped && !b->draining && room && !is_here(b, id))
        batch_run_start(b, id, tenant);
}

void batches_look(struct batches *b)
{
    struct record_at at = {SET_OPEN, "", NULL};
    if (b->stopped || b->draining || b->asked > 0)
        return;
    b->asked++;
    record_store_list(b->options.store, &at, on_open, b);
}

int batches_path(const struct batches *b, const char *id, char out[BATCH_PATH_MAX])
{
    size_t len = strlen(id);
    if (len == 0 || len >= BATCH_ID_BYTES ||
        strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-_") != len)
        return -EINVAL;
    int n = snprintf(out, BATCH_PATH_MAX, "%s/%s.jsonl", b->folder, id);
    return n > 0 && n < BATCH_PATH_MAX ? 0 : -ENAMETOOLONG;
}

const char *batches_folder(const struct batches *b)
{
    return b->folder;
}

struct record_store *batches_store(const struct batches *b)
{
    return b->options.store;
}

void batches_new_id(const char *prefix, char out[BATCH_ID_BYTES])
{
    char random[21];
    rand_hex(random, 20);
    (void)snprintf(out, BATCH_ID_BYTES, "%.16s%012" PRIx64 "%s", prefix,
                   (uint64_t)clock_wall_ms() & UINT64_C(0xffffffffffff), random);
}

bool batch_is_final(const char *status)
{
    return strcmp(status, "completed") == 0 || strcmp(status, "failed") == 0 ||
           strcmp(status, "expired") == 0 || strcmp(status, "cancelled") == 0;
}

json_t *batch_file_json(const char *id, const char *name, const char *purpose, int64_t bytes)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s}", "id", id, "object", "file", "bytes",
                     (json_int_t)bytes, "created_at", (json_int_t)(clock_wall_ms() / 1000),
                     "filename", name, "purpose", purpose, "status", "processed");
}
