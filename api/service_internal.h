/*
 * service_internal: the fields of struct service. Only for api/service*.c.
 *
 *   service.c       its life: start, signals, reload, drain, end
 *   service_make.c  its parts, in the order in which they stand on each other
 *   service_info.c  what routes may have of it
 *   service_costs.c what money is counted with
 */
#ifndef API_SERVICE_INTERNAL_H
#define API_SERVICE_INTERNAL_H

#include "api/service.h"

#include "scheduler/tally.h"

#define INSTANCE_DIGITS 16

struct event;
struct event_base;

struct service {
    struct event_base *base;
    char *config_path;
    bool allow_volatile;
    char instance[INSTANCE_DIGITS + 1];
    struct redis_server *redis;
    struct redis_link *link, *channel;
    int replicas;               /* that must have an accepted job */
    struct redis_link *durable; /* for submits of jobs, when they are confirmed; else NULL */
    enum config_durability durability;
    struct pool_store *store;
    struct job_store *job_store;
    struct session_store *session_store;
    struct sessions *sessions;
    struct instance *presence;
    struct http_client *http;
    struct embedder *embedder;
    struct joint_board *joint_board;
    struct joint_calls *joint_calls;
    struct scheduler *scheduler;
    struct jobs *jobs;
    struct calibration_store *calibrations;
    struct summary_store *summaries;
    struct answer_store *answer_store;
    struct answers *answers;
    struct permits *permits;
    struct server *server;
    struct tls *tls; /* NULL: the listener is plain */
    struct stats *stats;
    struct tally tally;
    struct history_store *history_store;
    struct tally_store *tally_store;
    struct history *history;
    struct loop_lag *loop_lag;
    struct access *access;
    struct cost_store *costs;
    struct spending *spending;
    struct settings *settings;
    struct record_store *records;
    struct batches *batches;
    struct webhook_store *webhook_store;
    struct webhooks *webhooks;
    struct event *on_term, *on_int, *on_hup, *drain_tick;
    int64_t started_ms, drain_until_ms, idle_since_ms;
    bool draining;
    bool linked; /* Redis is there */
    int exit_code;
};

/* service_make.c. config is given. What was made is the caller's to end, also after a failure. */
int service_make(struct service *s, struct config *config, struct error *e) MUST_CHECK;

/* service_costs.c; NULL: no memory. s->access may be made later. */
struct spending *service_make_spending(struct service *s, int timeout_ms);

#endif
