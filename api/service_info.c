#include "api/service_internal.h"

#include "api/access.h"
#include "api/server.h"

#include "scheduler/scheduler.h"
#include "scheduler/settings.h"

const char *service_scheme(const struct service *s)
{
    return s->tls ? "https" : "http";
}

const char *service_address(const struct service *s)
{
    return server_address(s->server);
}

struct event_base *service_base(const struct service *s)
{
    return s->base;
}

struct scheduler *service_scheduler(const struct service *s)
{
    return s->scheduler;
}

struct jobs *service_jobs(const struct service *s)
{
    return s->jobs;
}

const struct joint_board *service_joint_board(const struct service *s)
{
    return s->joint_board;
}

struct batches *service_batches(const struct service *s)
{
    return s->batches;
}

struct webhooks *service_webhooks(const struct service *s)
{
    return s->webhooks;
}

struct permits *service_permits(const struct service *s)
{
    return s->permits;
}

struct pool_store *service_store(const struct service *s)
{
    return s->store;
}

struct job_store *service_job_store(const struct service *s)
{
    return s->job_store;
}

struct session_store *service_sessions_store(const struct service *s)
{
    return s->session_store;
}

struct sessions *service_sessions(const struct service *s)
{
    return s->sessions;
}

struct instance *service_presence(const struct service *s)
{
    return s->presence;
}

struct stats *service_stats(const struct service *s)
{
    return s->stats;
}

struct history_store *service_history(const struct service *s)
{
    return s->history_store;
}

struct tally_store *service_tallies(const struct service *s)
{
    return s->tally_store;
}

struct loop_lag *service_loop_lag(const struct service *s)
{
    return s->loop_lag;
}

struct access *service_access(const struct service *s)
{
    return s->access;
}

struct answers *service_answers(const struct service *s)
{
    return s->answers;
}

struct redis_link *service_link(const struct service *s)
{
    return s->link;
}

struct settings *service_settings(const struct service *s)
{
    return s->settings;
}

const struct config *service_config(const struct service *s)
{
    return scheduler_plan(s->scheduler)->config;
}

const char *service_instance(const struct service *s)
{
    return s->instance;
}

bool service_is_ready(const struct service *s, const char **ret_why)
{
    struct scheduler_outage outage;
    scheduler_outage(s->scheduler, &outage);
    if (s->draining)
        *ret_why = "draining";
    else if (!outage.serves)
        *ret_why = "redis is not reachable";
    else if (!access_is_known(s->access))
        *ret_why = "the access keys are not read yet";
    else if (scheduler_is_connected(s->scheduler) && !settings_is_known(s->settings))
        *ret_why = "the saved settings are not read yet";
    else
        *ret_why = scheduler_is_connected(s->scheduler)
                       ? "ready"
                       : "ready for calls, not for jobs: redis is not reachable";
    return !s->draining && outage.serves && access_is_known(s->access) &&
           (settings_is_known(s->settings) || !scheduler_is_connected(s->scheduler));
}

bool service_is_draining(const struct service *s)
{
    return s->draining;
}

int64_t service_started_ms(const struct service *s)
{
    return s->started_ms;
}

size_t service_open_exchanges(const struct service *s)
{
    return server_open_exchanges(s->server);
}
