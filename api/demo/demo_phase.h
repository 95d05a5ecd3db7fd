/*
 * demo_phase: all agents' work once, against one URL, and what came of it.
 */
#ifndef API_DEMO_DEMO_PHASE_H
#define API_DEMO_DEMO_PHASE_H

#include "api/demo/demo_work.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;

struct demo_result {
    int64_t finished, failed, unfinished; /* agents */
    int64_t refusals;                     /* 429 that agents saw */
    int64_t provider_refusals;            /* 429 that the provider gave */
    int64_t turns, tokens;                /* answered */
    int64_t elapsed_ms;
    int64_t wait_p50_ms, wait_max_ms; /* of answered turns, beyond the provider's own time */
    bool interrupted;                 /* Ctrl-C */
};

/* Runs until every agent has ended, or for DEMO_PATIENCE times the planned seconds. With
 * through_sluice a service is started before and stopped after, outside of the time. */
#define DEMO_PATIENCE 3
int demo_phase_run(struct event_base *base, const struct demo_work *w, bool through_sluice,
                   struct demo_result *ret, struct error *e) MUST_CHECK;

#endif
