#include "api/batch/batch_internal.h"

#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_PREFIX "msgbatch_"
/* Longer than files and records of a batch may stay on another instance's disk: see sweep_one(). */
#define FORGET_S 86400

void batch_file_expires(struct record_store *store, const char *tenant, const char *id,
                        json_t *file, int64_t expires_at_s)
{
    char text[TENANT_NAME_BYTES + 32];
    struct record_at at = {SET_EXPIRY, "", id};
    if (expires_at_s <= 0)
        return;
    if (file && json_object_set_new(file, "expires_at", json_integer(expires_at_s)) < 0)
        log_write(LOG_WARN, "no memory for the expiry of a file", "file", id, NULL);
    (void)snprintf(text, sizeof(text), "%" PRId64 " %s", expires_at_s, tenant);
    record_store_put(store, &at, text, NULL, NULL);
}

bool batch_file_is_expired(const json_t *file)
{
    const json_t *at = json_object_get(file, "expires_at");
    return json_is_integer(at) && json_integer_value(at) <= clock_wall_ms() / 1000;
}

static bool remove_file(const struct batches *b, const char *id)
{
    char path[BATCH_PATH_MAX];
    return batches_path(b, id, path) == 0 && unlink(path) == 0;
}

/* Records go at once; the note that they were there stays until the instance that has the file,
 * when they do not share their disk, has seen it. */
static void sweep_one(struct batches *b, const char *id, const char *tenant, int64_t age_s)
{
    static const char *const what[] = {"input", "output"};
    char file[BATCH_ID_BYTES];
    size_t prefix = sizeof(MESSAGE_PREFIX) - 1;
    bool batch = strncmp(id, MESSAGE_PREFIX, prefix) == 0, removed = false;
    struct record_at at = {batch ? SET_BATCHES : SET_FILES, tenant, id};
    struct record_at note = {SET_EXPIRY, "", id};
    record_store_remove(b->options.store, &at, NULL, NULL);
    for (size_t i = 0; batch && i < 2; i++) {
        (void)snprintf(file, sizeof(file), "file-%.32s-%s", id + prefix, what[i]);
        removed |= remove_file(b, file);
    }
    removed |= !batch && remove_file(b, id);
    if (removed || age_s > FORGET_S)
        record_store_remove(b->options.store, &note, NULL, NULL);
}

static void on_note(void *arg, enum redis_status status, const char *id, const char *text)
{
    struct batches *b = arg;
    char *tenant;
    (void)status;
    if (!id) {
        b->asked--;
        return;
    }
    int64_t at_s = strtoll(text, &tenant, 10), now_s = clock_wall_ms() / 1000;
    if (at_s > 0 && at_s <= now_s && *tenant == ' ' && !b->stopped)
        sweep_one(b, id, tenant + 1, now_s - at_s);
}

void batches_sweep(struct batches *b)
{
    struct record_at at = {SET_EXPIRY, "", NULL};
    b->asked++;
    record_store_list(b->options.store, &at, on_note, b);
}
