/*
 * sim_error: errors and rate limit headers as the providers write them.
 *
 * Pure: from numbers to text. The texts follow what public issues quote and what the
 * vendors document; the organisation in them is a constant.
 *
 *   durations  Go's: "644ms", "9.816s", "6m0s", "1h0m0s" (OpenAI, Groq); whole seconds
 *              (Azure); RFC 3339 (Anthropic). Rounded up, to the millisecond or second.
 */
#ifndef API_SIMULATE_SIM_ERROR_H
#define API_SIMULATE_SIM_ERROR_H

#include "api/simulate/sim_limit.h"
#include "api/simulate/sim_options.h"
#include "api/simulate/sim_request.h"
#include "common/buf.h"

#include <stdint.h>

#define SIM_DURATION_BYTES 48

/* Where a header goes. */
struct sim_header_sink {
    void (*add)(void *arg, const char *name, const char *value);
    void *arg;
};

/* "1h2m3.5s"; out has SIM_DURATION_BYTES. */
void sim_duration(char *out, int64_t us);
/* "2026-01-31T12:00:00Z", rounded up to the second. */
void sim_rfc3339(char *out, int64_t wall_ms);

/* What the provider says to a request that met a limit. */
void sim_limit_refusal(enum sim_profile profile, const char *model, const struct sim_refused *why,
                       struct sim_refusal *r);
/* What it says with an error status of its own making (500, 503, 529, 429, ...). */
void sim_status_refusal(enum sim_profile profile, int status, struct sim_refusal *r);
/* The JSON body of a refusal. */
void sim_error_body(enum sim_profile profile, const struct sim_refusal *r, const char *request_id,
                    struct buf *out);

/* The limits as one moment shows them: headers are a snapshot of when a request was admitted or
 * refused, and not of when its answer begins. */
struct sim_rate {
    int64_t limit, remaining, reset_us; /* limit 0: not limited */
};
struct sim_rates {
    struct sim_rate dims[SIM_RATE_DIMS];
    int64_t wall_ms;
};
void sim_rates_take(struct sim_rates *r, struct sim_scope **scopes, size_t count, int64_t now_us,
                    int64_t wall_ms);
/* Limit, remaining and reset of every limited dimension, in the profile's names. */
void sim_rate_headers(enum sim_profile profile, const struct sim_rates *r,
                      const struct sim_header_sink *sink);
/* retry-after and its kin. Nothing for SIM_NEVER. */
void sim_retry_headers(enum sim_profile profile, int64_t wait_us,
                       const struct sim_header_sink *sink);

#endif
