/*
 * world: one simulated run: instances, clients, Redis, provider, and what goes wrong.
 *
 * Everything is drawn from the seed: how many instances, their limits, what an outage does, how
 * much is offered, and which faults. One seed in eight has no faults, and is judged more strictly.
 *
 *   world.c     the run: plan, arrivals, the rest at the end and what must hold then
 *   faults.c    what goes wrong, and its end
 *   instance.c  the code under test, put together as api/service.c does
 *   client.c    callers and submitters, and what they were promised
 */
#ifndef TESTS_SIMULATION_WORLD_H
#define TESTS_SIMULATION_WORLD_H

#include "scheduler/job.h"
#include "tests/simulation/link.h"
#include "tests/simulation/provider.h"
#include "tests/simulation/store.h"

#define WORLD_MAX_INSTANCES 5
#define WORLD_MODELS        2

struct world;

struct instance {
    struct list link;
    struct event_base process;
    struct world *world;
    struct link redis;
    struct pool_store store;
    struct job_store job_store;
    struct http_client http;
    struct scheduler *scheduler; /* NULL: it has ended */
    struct jobs *jobs;
    bool draining;
    int64_t drain_until_us, paused_us;
    int64_t heard_us; /* when it last could not hear Redis */
};

struct limits_of_model {
    int64_t rpm, tpm, parallel;
};

struct settings {
    struct limits_of_model models[WORLD_MODELS];
    int64_t model_count, max_running, max_depth;
    const char *on_outage;
};

struct client {
    struct list link; /* on the world's open ones, or gone */
    struct world *world;
    struct instance *instance;
    struct call *call; /* NULL: a submitter of a job, or answered */
    struct happening leaves;
    int64_t number, born_us, max_wait_ms, astray_us;
    bool calling, begun, answered, left, gone;
};

struct accepted {
    char id[TICKET_ID_BYTES], tenant[8];
    int64_t at_us;
    bool excused; /* lost with data that Redis may lose */
};

struct world {
    struct loop loop;
    struct server server;
    struct provider provider;
    struct settings settings;
    struct list instances, clients, past;
    struct accepted *accepted;
    size_t accepted_count, accepted_room;
    bool server_down, arrivals, strict, over;
    int64_t instance_count, made_instances, made_clients;
    int64_t gap_us;    /* mean, between two clients */
    uint32_t faults;   /* the kinds that this run may have */
    bool keeps_leases; /* none of them makes a lease end */
    uint64_t answers, failures, cancels, fault_count;
};

struct world_result {
    uint64_t hash, events, grants, requests, judged, late, local, jobs, answers, failures, faults;
    char broken[512];
};

void world_run(uint64_t seed, uint64_t events, FILE *trace, struct world_result *ret);

/* instance.c */
struct instance *instance_start(struct world *w);
void instance_kill(struct instance *i);
void instance_drain(struct instance *i);
void instance_stop(struct instance *i);
void instance_reload(struct instance *i);
void instance_free(struct instance *i);
bool instance_serves(const struct instance *i); /* clients are taken */
bool instance_hears(const struct instance *i);  /* Redis decides, and it is awake */
bool instance_is_idle(const struct instance *i);
struct instance *world_instance(struct world *w, int number);

/* client.c */
void client_arrive(struct world *w);
void clients_leave_behind(struct instance *i); /* it ends, with their calls */
void clients_check(struct world *w);
void clients_check_records(struct world *w); /* after clients_check() */
void clients_release(struct world *w);

/* faults.c */
void faults_begin(struct world *w);
void faults_end(struct world *w); /* everything is mended */

#endif
