/*
 * batch_remote: a batch that is handed to its provider's own batch endpoint.
 *
 * What was reached stands in the record ("provider_batch") before the next step is taken, so that
 * any instance goes on after a kill:
 *
 *   plan    one account serves all models of the file        {"provider","account"}
 *   upload  the file is at the provider (OpenAI)              "file_id"
 *   mark    it is about to be made                            "tried_at", "attempt"
 *   create  it is made                                        "batch_id"
 *   poll, fetch, read   until it has ended; then its results become lines of our files
 *
 * Never twice: a try whose answer was lost (a kill, a broken connection, a 5xx) is looked for in
 * the provider's list first, one poll later. OpenAI's batches carry our id in their metadata.
 * Anthropic's carry nothing: one of the right size and time is taken for ours and waited for, and
 * the custom_ids of its results, which hold our id, say whether it was. Only when it was not, and
 * no other may be, is it made anew. A kill between an upload and its record leaves a file there.
 *
 * A line that stands in our files is never written again, so results may be read again at any time.
 */
#ifndef API_BATCH_BATCH_REMOTE_H
#define API_BATCH_BATCH_REMOTE_H

#include "api/batch/batch_form.h"
#include "api/batch/batch_internal.h"
#include "api/batch/batch_talk.h"
#include "scheduler/plan.h"

enum remote_step {
    REMOTE_PLAN,
    REMOTE_BUILD,
    REMOTE_UPLOAD,
    REMOTE_FIND,
    REMOTE_MARK,
    REMOTE_CREATE,
    REMOTE_POLL,
    REMOTE_CANCEL,
    REMOTE_FETCH,
    REMOTE_READ,
    REMOTE_END,
    REMOTE_CLEAN,
    REMOTE_DONE,
};

struct batch_remote {
    struct batch_run *run;
    json_t *state; /* in the run's record */
    struct plan *config;
    struct batch_plan plan;
    struct batch_form form;
    struct batch_talk talk;
    char *body; /* of what talk sends */
    struct event *timer;
    enum remote_step step, after; /* after: once the record stands */
    unsigned failures;            /* in a row */
    int64_t poll_ms;              /* until the next look; 0: the first one */
    bool resting, saving, cancel_sent;
    bool unkept;                   /* Redis was away */
    char page[BATCH_ID_BYTES * 2]; /* of the list */
    /* results */
    char outputs[2][BATCH_ID_BYTES * 2]; /* files at the provider, "" none */
    int which, fd;
    char *map;
    size_t len, at;
    size_t ours, others; /* lines that were read */
    size_t next;         /* line of the input, at the end */
    char lost[BATCH_WHY_BYTES];
};

bool remote_is_openai(const struct batch_remote *m);
void remote_tag(const struct batch_remote *m, char out[BATCH_TAG_BYTES]);
const char *remote_text(const struct batch_remote *m, const char *key);  /* "" absent */
int64_t remote_number(const struct batch_remote *m, const char *key);    /* 0 absent */
void remote_put(struct batch_remote *m, const char *key, json_t *value); /* given */
struct scheduler *remote_scheduler(const struct batch_remote *m);
const struct config *remote_config(const struct batch_remote *m);
/* Of a good answer, else NULL. */
json_t *remote_json(const struct batch_talk_answer *a);
/* False: the account is gone from the configuration. */
bool remote_way(const struct batch_remote *m, struct batch_way *ret);
void remote_go(struct batch_remote *m, enum remote_step step);
/* The record first. */
void remote_keep(struct batch_remote *m, enum remote_step step);
void remote_rest(struct batch_remote *m, int64_t ms, enum remote_step step);
/* After a failure that may pass. */
void remote_again(struct batch_remote *m, const char *why, int64_t least_ms, enum remote_step step);
/* The batch fails, or in Anthropic's shape, which knows no such state, each of its lines. */
void remote_fail(struct batch_remote *m, const char *code, const char *why);
void remote_talk(struct batch_remote *m, const struct batch_talk_ask *ask);

/* batch_remote_make.c: until it is made */
void remote_plan(struct batch_remote *m);
void remote_build(struct batch_remote *m);
void remote_upload(struct batch_remote *m);
void remote_uploaded(struct batch_remote *m, const struct batch_talk_answer *a);
void remote_mark(struct batch_remote *m);
void remote_create(struct batch_remote *m);
void remote_created(struct batch_remote *m, const struct batch_talk_answer *a);
void remote_find(struct batch_remote *m);
void remote_found(struct batch_remote *m, const struct batch_talk_answer *a);
void remote_forget_try(struct batch_remote *m); /* nothing was made by it */

/* batch_remote_end.c */
void remote_fetch(struct batch_remote *m);
void remote_fetched(struct batch_remote *m, const struct batch_talk_answer *a);
void remote_read(struct batch_remote *m);
void remote_end(struct batch_remote *m);
void remote_unmap(struct batch_remote *m);

#endif
