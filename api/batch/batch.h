/*
 * batch: files of requests, run line by line as durable jobs of class `batch`.
 *
 * A batch is a record in Redis (its object as clients see it, with what it needs beside it) and
 * three files in the folder of files: its input, and output and errors as they grow. Any instance
 * that has the input and gets the lease runs it; when its process ends, another one goes on.
 *
 *   once      a line that stands in the output is never run again. One that ran, but does not stand
 *             there, is found by its Idempotency-Key (batch and line), so only what was at the
 *             provider at the moment of a kill may be asked again, as with every job.
 *   window    BATCH_WINDOW lines of a batch are in the queue at once, so that one batch fills
 *             neither the queue nor Redis.
 *   threads   one event loop.
 */
#ifndef API_BATCH_BATCH_H
#define API_BATCH_BATCH_H

#include "scheduler/job.h"
#include "storage/record_store.h"

#include <jansson.h>

#define BATCH_ID_BYTES 64 /* of files and batches */
#define BATCH_PATH_MAX 4096

#define SET_FILES   "files"
#define SET_BATCHES "batches"
#define SET_CANCELS "cancels"
#define SET_OPEN    "open"
#define SET_EXPIRY  "expiry" /* of all tenants: "SECONDS TENANT" */

struct batches;

/* record: as it is kept, {"shape", "batch", "webhook", ...}. told: true when whoever wants to know
 * will hear of it. */
struct batch_end {
    const char *tenant;
    const json_t *record;
    void (*told)(void *arg, bool kept);
    void *arg;
};

struct batches_options {
    struct event_base *base;
    struct jobs *jobs;
    struct scheduler *scheduler; /* the configuration, prices and money are its */
    struct http_client *http;    /* for the batches of providers */
    struct record_store *store;
    const char *folder;   /* of files; copied */
    const char *instance; /* copied */
    /* A batch is at its end and its record stands. 0: end->told follows, and until it says yes the
     * batch stays in the list of open ones, so that a crash before that has it told again. Else
     * nobody is to be told (1), or it cannot be done now (negative). May be NULL. */
    int (*ended)(void *arg, const struct batch_end *end);
    void *arg;
};

/* The folder of files below data_dir, which is made when it is missing. */
int batches_make_folder(const char *data_dir, char out[BATCH_PATH_MAX], struct error *e) MUST_CHECK;

struct batches *batches_new(const struct batches_options *options);
void batches_look(struct batches *b);  /* for batches that nobody runs, soon */
void batches_drain(struct batches *b); /* nothing new is sent to the queue */
/* Before jobs_stop(); free when Redis and the jobs have answered all. */
void batches_stop(struct batches *b);
void batches_free(struct batches *b); /* accepts NULL */

/* The path of a file; -EINVAL when the id is none of ours. */
int batches_path(const struct batches *b, const char *id, char out[BATCH_PATH_MAX]) MUST_CHECK;
const char *batches_folder(const struct batches *b);
struct record_store *batches_store(const struct batches *b);
/* "PREFIX" and 32 hex digits, which sort by time. */
void batches_new_id(const char *prefix, char out[BATCH_ID_BYTES]);

/* Whether nothing more happens to a batch with this status. */
bool batch_is_final(const char *status);
json_t *batch_file_json(const char *id, const char *name, const char *purpose, int64_t bytes);

/* batch_sweep.c: files go when their time has come, wherever their record is looked at, and from
 * the disk within a minute. A batch's id stands for its record and files. */
/* expires_at_s 0: never. file: told of it; NULL: of a batch. */
void batch_file_expires(struct record_store *store, const char *tenant, const char *id,
                        json_t *file, int64_t expires_at_s);
bool batch_file_is_expired(const json_t *file);
void batches_sweep(struct batches *b);

#endif
