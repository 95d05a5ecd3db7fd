/*
 * batch_internal: what api/batch/batch*.c share.
 *
 *   batch.c       which batches run here
 *   batch_run.c   one of them from its record to its end
 *   batch_slot.c  its lines as jobs, or
 *   batch_remote.c, batch_remote_end.c  its lines as a batch of the provider
 */
#ifndef API_BATCH_BATCH_INTERNAL_H
#define API_BATCH_BATCH_INTERNAL_H

#include "api/batch/batch.h"
#include "api/batch/batch_input.h"
#include "api/batch/batch_journal.h"
#include "api/batch/batch_result.h"
#include "common/limits.h"
#include "common/list.h"

struct batches {
    struct batches_options options;
    char *folder, *instance;
    struct list runs;
    struct event *tick;
    size_t asked; /* lists on their way */
    unsigned ticks;
    size_t running;
    bool draining, stopped;
};

enum batch_phase {
    RUN_LOOKING,
    RUN_TAKING,
    RUN_READING,
    RUN_CHECKING,
    RUN_RUNNING,
    RUN_SAVING,
    RUN_TELLING,
};

enum slot_state { SLOT_FREE, SLOT_ASKED, SLOT_WAITING, SLOT_AGAIN };

struct batch_run;
struct batch_remote;

/* What its lines used, as far as it is known. */
struct batch_usage {
    int64_t input, cached, output;
    int64_t pico; /* of dollars */
};

/* A line in the queue. */
struct batch_slot {
    struct batch_run *run;
    struct job_watch watch; /* its id is the job's, once there is one */
    size_t line;
    enum slot_state state;
    bool cancelled;
    int64_t looked_ms;
};

struct batch_run {
    struct list link;
    struct batches *all;
    char id[BATCH_ID_BYTES];
    char tenant[TENANT_NAME_BYTES + 1];
    enum batch_phase phase;
    json_t *record; /* {"shape", "weight", "batch"} */
    json_t *batch;  /* inside of it */
    bool anthropic;
    enum wire_endpoint endpoint;
    struct batch_input input;
    struct batch_journal journal;
    uint8_t *done; /* one for each line */
    size_t next;
    int64_t counts[BATCH_OUTCOMES];
    struct batch_slot slots[BATCH_WINDOW];
    size_t busy;  /* slots that are not free */
    size_t asked; /* calls without an answer; the run stays until they are in */
    struct event *tick, *soon;
    bool cancelling, expiring, over, changed, saving, telling;
    struct batch_remote *remote; /* NULL: its lines are jobs */
    struct batch_usage used;
    bool late; /* it had ended before, under another lease */
};

/* batch_run.c */
void batch_run_start(struct batches *b, const char *id, const char *tenant);
void batch_run_stop(struct batch_run *r); /* nothing more is done; it goes when all is answered */
void batch_run_free(struct batch_run *r); /* all is answered */
void batch_run_settled(struct batch_run *r);
void batch_run_wake(struct batch_run *r);
/* Its record is kept as it is now, and fn told of it with r, for which batch_run_answered() is to
 * be asked first: true when it came too late to matter. */
void batch_run_save(struct batch_run *r, record_fn fn);
bool batch_run_answered(struct batch_run *r);
/* It fails with the errors of its input. */
void batch_run_fail(struct batch_run *r);

/* batch_usage.c */
void batch_run_used(struct batch_run *r, const struct batch_usage *u);
void batch_usage_write(struct batch_run *r); /* into its object */
void batch_usage_read(struct batch_run *r);

/* batch_slot.c */
void batch_slots_init(struct batch_run *r);
void batch_slots_pump(struct batch_run *r);
void batch_slots_tick(struct batch_run *r);
void batch_slots_stop(struct batch_run *r);
/* A line is at its end: 0 once it stands in a file. */
int batch_line_end(struct batch_run *r, size_t line, struct batch_result *result) MUST_CHECK;

/* batch_remote.c */
struct batch_remote *batch_remote_new(struct batch_run *r); /* NULL: no memory */
void batch_remote_step(struct batch_remote *m);
void batch_remote_free(struct batch_remote *m); /* accepts NULL */

#endif
