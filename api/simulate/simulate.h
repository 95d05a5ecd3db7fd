/*
 * simulate: a metered stand-in for a provider, as a command and inside a process.
 *
 * Speaks the OpenAI and Anthropic formats on one port, keeps exact limits of its own
 * (no code is shared with limiter/), writes the real formats of headers and errors,
 * streams, fails on demand, and keeps a ledger of what it saw:
 *
 *   GET  /sim/ledger          counts, tokens, refusals, peaks, utilisation
 *   GET  /sim/calls?since=N   the calls after number N
 *   POST /sim/reset           empty ledger, full buckets, no script
 *   POST /sim/limits          {"tpm":N,"limits":[{"model":"gpt-4o","rpm":N}],"latency_ms":N,
 *                              "ms_per_token":N,"errors":["0.01:500"]}
 *   POST /sim/script          {"responses":[{"status":503,"headers":{},"body":{},"delay_ms":N,
 *                              "cut_after":N,"disconnect":true,"times":N,"path":"/v1/..."}]}
 *
 * The formats of these five are for tests of this repository, not an interface.
 *
 *   ownership  sim_free() closes every connection; the event base must outlive it.
 *   threads    one event loop.
 */
#ifndef API_SIMULATE_SIMULATE_H
#define API_SIMULATE_SIMULATE_H

#include "common/args.h"

#include "api/simulate/sim_options.h"
#include "common/error.h"

struct event_base;
struct sim;

/* `sluice simulate`; returns the exit code. argv[0] is the command's name. */
int cmd_simulate(int argc, char **argv);
extern const struct args_command cmd_simulate_usage; /* for help elsewhere */

/* Listens at once. NULL with e set when that fails. */
struct sim *sim_new(struct event_base *base, const struct sim_options *options, struct error *e);
void sim_free(struct sim *sim);
const char *sim_url(const struct sim *sim); /* "http://127.0.0.1:43117" */

#endif
