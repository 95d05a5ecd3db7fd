/*
 * sim_ledger: what the simulated provider saw, to be asked afterwards.
 *
 * A tally counts calls, tokens, refusals and failures of everything, of one model or of
 * one key; the call log keeps the last SIM_MAX_CALLS_KEPT calls. Keys are shown as the
 * FNV-1a 64 hash of the key in 16 hex digits ("none" for a call without one).
 *
 * Peaks are exact for requests and for what was charged at admission. Output is logged on
 * a grid of SIM_OUTPUT_GRID_US, so a window of a stream's output may be told at most one
 * step of the grid too long.
 *
 *   ownership  sim_ledger_release() frees what was added.
 */
#ifndef API_SIMULATE_SIM_LEDGER_H
#define API_SIMULATE_SIM_LEDGER_H

#include "api/simulate/sim_limit.h"
#include "api/simulate/sim_log.h"
#include "api/simulate/sim_steer.h"
#include "common/error.h"
#include "common/limits.h"

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define SIM_OUTPUT_GRID_US INT64_C(10000)

enum sim_outcome {
    SIM_RUNNING,
    SIM_ANSWERED,     /* 200, whole */
    SIM_REFUSED,      /* a limit */
    SIM_INVALID,      /* 400, 404, 413 */
    SIM_UNAUTHORIZED, /* 401 */
    SIM_FAILED,       /* an error that was asked for */
    SIM_BROKEN,       /* closed by the simulator, before or in the answer */
    SIM_GONE,         /* the client left first */
    SIM_OUTCOMES,
};

const char *sim_outcome_name(enum sim_outcome outcome);

struct sim_tally {
    char name[SIM_NAME_BYTES];
    int64_t calls, admitted;
    int64_t outcomes[SIM_OUTCOMES];
    int64_t refused[SIM_DIMS];
    int64_t too_large;
    int64_t input_tokens, output_tokens, charged_tokens;
    int64_t in_flight, peak_in_flight;
    struct sim_log requests, charged, input, output; /* of the last minute */
};

struct sim_call_record {
    int64_t seq;     /* from 1 */
    int64_t time_ms; /* wall clock */
    char id[SIM_ID_BYTES];
    char request_id[SIM_ID_BYTES]; /* the caller's x-request-id */
    char model[SIM_NAME_BYTES];
    uint64_t key, body_hash;
    int endpoint;
    bool stream;
    int status; /* 0 until answered */
    enum sim_outcome outcome;
    int64_t input_tokens, output_tokens, charged_tokens, duration_ms;
};

struct sim_ledger {
    struct sim_tally total;
    struct sim_tally *models, *keys; /* by name; the last one of a full table takes all others */
    size_t model_count, key_count;
    struct sim_call_record *calls; /* a ring: seq % SIM_MAX_CALLS_KEPT */
    int64_t last_seq;
    int64_t first_us, last_us; /* of calls; first_us -1 before any */
};

int sim_ledger_init(struct sim_ledger *ledger) MUST_CHECK; /* 0 or -ENOMEM */
void sim_ledger_release(struct sim_ledger *ledger);
/* Forgets all but what is in flight; tallies stay where they are. seq goes on. */
void sim_ledger_reset(struct sim_ledger *ledger);

/* The tallies of one call, found or made. */
struct sim_tallies {
    struct sim_tally *each[3];
    size_t count;
};
struct sim_tallies sim_ledger_tallies(struct sim_ledger *ledger, const char *model,
                                      const char *key_name);

/* A new record with its seq; never NULL; overwritten SIM_MAX_CALLS_KEPT calls later. */
struct sim_call_record *sim_ledger_call(struct sim_ledger *ledger, int64_t now_us);
/* The record of seq while it is kept, else NULL. */
struct sim_call_record *sim_ledger_find(struct sim_ledger *ledger, int64_t seq);

void sim_tally_admitted(const struct sim_tallies *t, int64_t input, int64_t charged,
                        int64_t now_us);
/* charged: of the total, beside what was charged at admission. */
void sim_tally_output(const struct sim_tallies *t, int64_t tokens, int64_t charged, int64_t now_us);
void sim_tally_refused(const struct sim_tallies *t, const struct sim_refused *why);
void sim_tally_ended(const struct sim_tallies *t, enum sim_outcome outcome, bool was_admitted);

/* NULL on no memory; given. Scopes show the limits, their use and what was offered. */
json_t *sim_ledger_json(struct sim_ledger *ledger, struct sim_scope *scopes, size_t scope_count,
                        int64_t now_us);
/* Calls after since, oldest first, at most SIM_MAX_CALLS_PAGE. */
json_t *sim_ledger_calls_json(struct sim_ledger *ledger, int64_t since);

#endif
