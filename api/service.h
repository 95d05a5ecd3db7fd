/*
 * service: all parts of a serving process, wired together.
 *
 * It owns the loop, the store, the scheduler and the listener; routes get it as their context.
 *
 *   ownership  opaque but for what routes need, below. Configuration is given to it.
 *   threads    one event loop.
 */
#ifndef API_SERVICE_H
#define API_SERVICE_H

#include "common/config.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct service;
struct scheduler;
struct jobs;
struct joint_board;
struct permits;
struct pool_store;
struct job_store;
struct session_store;
struct sessions;
struct instance;
struct history_store;
struct tally_store;
struct loop_lag;
struct stats;
struct access;
struct answers;
struct redis_link;
struct settings;
struct batches;
struct webhooks;
struct spending;

struct service_options {
    const char *config_path; /* NULL: from the environment; read again on SIGHUP */
    const char *listen;      /* NULL: as the configuration says */
    const char *data_dir;    /* NULL: as the configuration says */
    const char *redis_url;   /* NULL: as the configuration says (a worker: its supervisor's) */
    bool reuse_port;         /* other processes listen on the same port */
    bool allow_volatile;     /* a Redis that may lose jobs is warned about, not refused */
};

/* Starts everything. NULL with the reason in e. */
struct service *service_new(const struct service_options *options, struct config *config,
                            struct error *e);
/* Runs until a drain has ended or a second SIGTERM came. The process's exit code. */
int service_run(struct service *s);
void service_free(struct service *s);
const char *service_address(const struct service *s);
const char *service_scheme(const struct service *s); /* "http" or "https" */

/* ---- for routes */
struct event_base *service_base(const struct service *s);
struct scheduler *service_scheduler(const struct service *s);
struct jobs *service_jobs(const struct service *s);
const struct joint_board *service_joint_board(const struct service *s);
struct batches *service_batches(const struct service *s);
struct webhooks *service_webhooks(const struct service *s);
struct permits *service_permits(const struct service *s);
struct pool_store *service_store(const struct service *s);
struct job_store *service_job_store(const struct service *s);
struct session_store *service_sessions_store(const struct service *s);
struct sessions *service_sessions(const struct service *s);
struct instance *service_presence(const struct service *s);
struct stats *service_stats(const struct service *s);
struct history_store *service_history(const struct service *s);
struct tally_store *service_tallies(const struct service *s);
struct loop_lag *service_loop_lag(const struct service *s);
struct spending *service_spending(const struct service *s);
struct redis_link *service_link(const struct service *s);
struct access *service_access(const struct service *s);
struct answers *service_answers(const struct service *s);
struct settings *service_settings(const struct service *s);
const struct config *service_config(const struct service *s);
const char *service_instance(const struct service *s);
/* Not draining, and calls are taken: Redis is up, or redis.on_outage is not `closed`. */
bool service_is_ready(const struct service *s, const char **ret_why);
bool service_is_draining(const struct service *s);
/* Told to an instance's own channel: it is to drain. */
#define SERVICE_DRAIN_MESSAGE "drain"
void service_drain(struct service *s);               /* as SIGTERM does; again: nothing */
int64_t service_started_ms(const struct service *s); /* wall clock */
size_t service_open_exchanges(const struct service *s);

#endif
