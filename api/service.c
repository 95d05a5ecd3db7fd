#include "api/service_internal.h"

#include "api/access.h"
#include "api/answer.h"
#include "api/auth.h"
#include "api/batch/batch.h"
#include "api/history.h"
#include "api/loop_lag.h"
#include "api/route.h"
#include "api/server.h"
#include "api/stats.h"
#include "api/tls.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/rand.h"
#include "scheduler/answers.h"
#include "scheduler/batch/embedder.h"
#include "scheduler/http_client.h"
#include "scheduler/job.h"
#include "scheduler/joint/joint_calls.h"
#include "scheduler/permit.h"
#include "scheduler/scheduler.h"
#include "scheduler/session.h"
#include "scheduler/settings.h"
#include "scheduler/spending.h"
#include "scheduler/webhook.h"
#include "storage/calibration_store.h"
#include "storage/history_store.h"
#include "storage/instance.h"
#include "storage/redis_check.h"
#include "storage/redis_server.h"
#include "storage/summary_store.h"
#include "storage/tally_store.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define DRAIN_LOOK_MS  100
#define FLUSH_MS       500  /* at the very end: for what is on its way to Redis */
#define SETTLE_WAIT_MS 3000 /* after the last request: for settles that Redis has not answered */

/* ---- Redis */

static void volatile_redis(struct service *s, const char *reason, bool mended_by_flag)
{
    if (mended_by_flag && s->allow_volatile) {
        log_write(LOG_WARN, "this redis may lose accepted jobs", "reason", reason, NULL);
        return;
    }
    log_write(LOG_ERROR, "this redis cannot be used", "reason", reason, "help",
              "mend it, or start with --allow-volatile", NULL);
    s->exit_code = EXIT_FAILURE;
    event_base_loopbreak(s->base);
}

static void on_fsync(void *arg, enum redis_status status, bool always)
{
    struct service *s = arg;
    if (redis_status_passes(status))
        return; /* asked anew when it is back; submits are refused until then */
    if (s->allow_volatile || (status == REDIS_OK && always))
        pool_store_trust_disk(s->store);
    if (status == REDIS_OK && always)
        return;
    if (status == REDIS_OK)
        volatile_redis(s,
                       "jobs.durability is always, and this redis has another appendfsync: set "
                       "appendfsync always there, or jobs.durability: everysec here",
                       true);
    else
        volatile_redis(s,
                       "jobs.durability is always, and this redis does not tell its appendfsync: "
                       "allow CONFIG GET, or use Redis 7.2, or set jobs.durability: everysec",
                       true);
}

/* From 7.2 on every job is confirmed by WAITAOF; before, the server has to do it for all. */
static void check_disk(struct service *s, const struct redis_facts *facts)
{
    if (s->durability != CONFIG_ALWAYS || !s->durable || facts->version >= REDIS_WAITAOF_VERSION)
        return;
    if (redis_check_fsync(s->link, 5000, on_fsync, s) < 0)
        log_write(LOG_WARN, "no memory to check redis", NULL);
}

static void on_checked(void *arg, enum redis_status status, const struct redis_facts *facts)
{
    struct service *s = arg;
    struct error e = {.text = ""};
    if (status != REDIS_OK)
        return; /* the connection went again; it is asked anew when it is back */
    enum redis_verdict verdict = redis_facts_judge(facts, &e);
    check_disk(s, facts);
    redis_facts_warn_replicas(facts, s->replicas);
    if (verdict != REDIS_SAFE)
        volatile_redis(s, e.text, verdict == REDIS_VOLATILE);
}

static void on_durable(void *arg, bool up, const char *reason)
{
    (void)arg;
    if (!up)
        log_write(LOG_WARN, "redis connection for jobs lost", "reason", reason, NULL);
}

static void on_redis(void *arg, bool up, const char *reason)
{
    struct service *s = arg;
    log_write(up ? LOG_INFO : LOG_WARN, up ? "redis connected" : "redis connection lost", "reason",
              reason, NULL);
    s->linked = up;
    settings_connected(s->settings, up);
    /* The first time the pools are told to Redis once the saved limits are known: for a moment
     * they would be the configured ones, and what was learned of the others would be forgotten. */
    if (!up || settings_is_known(s->settings))
        scheduler_connected(s->scheduler, up);
    if (s->presence)
        instance_connected(s->presence, up);
    if (s->access)
        access_connected(s->access, up);
    if (up && redis_check(s->link, 5000, on_checked, s) < 0)
        log_write(LOG_WARN, "no memory to check redis", NULL);
}

static void on_channel(void *arg, bool up, const char *reason)
{
    struct service *s = arg;
    if (!up) {
        log_write(LOG_WARN, "redis channel lost", "reason", reason, NULL);
        return;
    }
    /* What was published meanwhile is gone: whoever watches a job asks again. */
    scheduler_channel_back(s->scheduler);
    access_changed(s->access);
    answers_channel_back(s->answers);
    settings_load(s->settings);
    jobs_channel_back(s->jobs);
    webhooks_look(s->webhooks);
}

static void on_message(void *arg, const char *channel, const char *payload, size_t len)
{
    struct service *s = arg;
    (void)len;
    if (strcmp(channel, KEY_EVENTS) == 0)
        jobs_event(s->jobs, payload);
    else if (strcmp(channel, KEY_ACCESS_CHANGED) == 0)
        access_changed(s->access);
    else if (strcmp(channel, KEY_ANSWERS_PURGE) == 0)
        answers_purged(s->answers, payload);
    else if (strcmp(channel, KEY_WEBHOOKS) == 0)
        webhooks_event(s->webhooks, payload);
    else if (strcmp(channel, KEY_SETTINGS_CHANGED) == 0)
        settings_load(s->settings);
    else if (strcmp(payload, SERVICE_DRAIN_MESSAGE) == 0)
        service_drain(s);
    else
        scheduler_message(s->scheduler, payload);
}

static int connect_redis(struct service *s, const struct config *c, const char *given,
                         struct error *e)
{
    struct redis_address address;
    const char *url = given ? given : c->redis.url;
    if (!*url) {
        struct redis_server_options options = {.data_dir = c->data_dir,
                                               .fsync_always = c->jobs.durability == CONFIG_ALWAYS};
        s->redis = redis_server_start(s->base, &options, e);
        if (!s->redis)
            return -EIO;
        url = redis_server_url(s->redis);
    }
    int rc = redis_address_parse(url, &address, e);
    if (rc < 0)
        return rc;
    s->link = redis_link_new(s->base, &address, on_redis, s, e);
    bool confirmed = c->jobs.durability == CONFIG_REPLICATED ||
                     (c->jobs.durability == CONFIG_ALWAYS && !s->redis);
    if (s->link && confirmed)
        s->durable = redis_link_new(s->base, &address, on_durable, s, e);
    if (s->link && (s->durable || !confirmed))
        s->channel = redis_link_subscriber(s->base, &address, on_channel, s, e);
    explicit_bzero(&address, sizeof(address));
    if (!s->channel)
        return -EIO;
    s->durability = c->jobs.durability;
    s->replicas = s->durability == CONFIG_REPLICATED ? (int)c->jobs.replicas : 0;
    redis_link_on_message(s->channel, on_message, s);
    struct key mine = key_instance_channel(s->instance);
    if (redis_link_subscribe(s->channel, mine.text) < 0 ||
        redis_link_subscribe(s->channel, KEY_EVENTS) < 0 ||
        redis_link_subscribe(s->channel, KEY_ANSWERS_PURGE) < 0 ||
        redis_link_subscribe(s->channel, KEY_ACCESS_CHANGED) < 0 ||
        redis_link_subscribe(s->channel, KEY_WEBHOOKS) < 0 ||
        redis_link_subscribe(s->channel, KEY_SETTINGS_CHANGED) < 0)
        return error_set(e, -ENOMEM, "out of memory");
    return 0;
}

/* ---- the end */

/* Runs until no request is open and every settle was answered, or the time is up. */
static void on_drain_tick(evutil_socket_t fd, short what, void *arg)
{
    struct service *s = arg;
    struct timeval tv = {.tv_usec = DRAIN_LOOK_MS * 1000};
    int64_t now_ms = clock_mono_ms();
    bool open = server_open_exchanges(s->server) > 0 || scheduler_active(s->scheduler) > 0;
    (void)fd;
    (void)what;
    if (open)
        s->idle_since_ms = now_ms;
    bool settled = scheduler_unsettled(s->scheduler) == 0;
    if ((!open && (settled || now_ms - s->idle_since_ms > SETTLE_WAIT_MS)) ||
        now_ms >= s->drain_until_ms) {
        log_write(LOG_INFO, open ? "drain time is over, stopping now" : "drained", NULL);
        event_base_loopexit(s->base, NULL);
        return;
    }
    evtimer_add(s->drain_tick, &tv);
}

void service_drain(struct service *s)
{
    if (s->draining)
        return;
    log_write(LOG_INFO, "draining: running requests finish, new ones are refused", NULL);
    s->draining = true;
    s->idle_since_ms = clock_mono_ms();
    s->drain_until_ms = s->idle_since_ms + service_config(s)->drain_timeout_ms;
    batches_drain(s->batches);
    scheduler_drain(s->scheduler);
    server_drain(s->server);
    on_drain_tick(-1, 0, s);
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    struct service *s = arg;
    (void)fd;
    (void)what;
    if (!s->draining) {
        service_drain(s);
        return;
    }
    log_write(LOG_WARN, "second signal: stopping now", NULL);
    event_base_loopexit(s->base, NULL);
}

/* A listener that was plain stays so, and the other way round, until the next start. */
static void reload_tls(struct service *s, const struct config *fresh)
{
    struct error e;
    if (!s->tls != !fresh->tls.certificate)
        log_write(LOG_WARN, "tls takes effect with the next start only", NULL);
    else if (s->tls && tls_reload(s->tls, fresh->tls.certificate, fresh->tls.key, &e) < 0)
        log_write(LOG_ERROR, "the old certificate stays", "reason", e.text, NULL);
}

static void on_reload(evutil_socket_t fd, short what, void *arg)
{
    struct service *s = arg;
    struct config *fresh = NULL;
    struct error e;
    (void)fd;
    (void)what;
    int rc = s->config_path ? config_load(s->config_path, &fresh, &e)
                            : config_from_environment(&fresh, &e);
    if (rc < 0) {
        log_write(LOG_ERROR, "configuration not reloaded, the old one stays", "reason", e.text,
                  NULL);
        return;
    }
    reload_tls(s, fresh);
    scheduler_reload(s->scheduler, fresh);
    if (access_configure(s->access, fresh) < 0)
        log_write(LOG_ERROR, "no memory for the access keys, the old ones stay", NULL);
    log_write(LOG_INFO, "configuration reloaded", "file", s->config_path, NULL);
}

/* ---- start */

static int watch_signals(struct service *s)
{
    signal(SIGPIPE, SIG_IGN);
    s->on_term = evsignal_new(s->base, SIGTERM, on_stop, s);
    s->on_int = evsignal_new(s->base, SIGINT, on_stop, s);
    s->on_hup = evsignal_new(s->base, SIGHUP, on_reload, s);
    s->drain_tick = evtimer_new(s->base, on_drain_tick, s);
    if (!s->on_term || !s->on_int || !s->on_hup || !s->drain_tick)
        return -ENOMEM;
    return evsignal_add(s->on_term, NULL) | evsignal_add(s->on_int, NULL) |
           evsignal_add(s->on_hup, NULL);
}

static int may_upload(void *arg, const char *key, struct error *e)
{
    const struct service *s = arg;
    const struct access_key *found;
    struct auth_rules rules = {service_config(s), service_access(s), SCOPE_JOBS};
    int rc = auth_key(&rules, *key ? key : NULL, &found, e);
    return rc < 0 ? auth_status(rc) : 0;
}

static int listen_on(struct service *s, const struct service_options *o, struct error *e)
{
    const struct config *c = service_config(s);
    if (c->tls.certificate) {
        s->tls = tls_new(c->tls.certificate, c->tls.key, e);
        if (!s->tls)
            return -EINVAL;
    }
    struct server_options options = {
        .listen = o->listen ? o->listen : c->listen,
        .tls = s->tls,
        .reuse_port = o->reuse_port,
        .max_body_bytes = (size_t)c->http.max_body_bytes,
        .max_connections = (int)c->http.max_connections,
        .header_ms = (int)c->http.header_timeout_ms,
        .idle_ms = (int)c->http.idle_timeout_ms,
        .write_error = answer_write_error,
        .upload_target = "/v1/files",
        .upload_folder = batches_folder(s->batches),
        .may_upload = may_upload,
    };
    s->server = server_new(s->base, &options, route_dispatch, s, e);
    return s->server ? 0 : -EIO;
}

/* Changes of interest in a descriptor are collected and told to the kernel once per turn: a
 * proxied call changes its mind several times. Safe here, as nobody dups a watched descriptor. */
static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    struct event_base *base = NULL;
    if (event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct service *service_new(const struct service_options *options, struct config *config,
                            struct error *e)
{
    struct service *s = calloc(1, sizeof(*s));
    if (s) {
        s->base = base_new();
        s->config_path = options->config_path ? strdup(options->config_path) : NULL;
    }
    if (!s || !s->base || (options->config_path && !s->config_path)) {
        config_free(config);
        service_free(s);
        (void)error_set(e, -ENOMEM, "out of memory");
        return NULL;
    }
    rand_hex(s->instance, INSTANCE_DIGITS);
    s->allow_volatile = options->allow_volatile;
    s->started_ms = clock_wall_ms();
    if (connect_redis(s, config, options->redis_url, e) < 0) {
        config_free(config);
        service_free(s);
        return NULL;
    }
    if (service_make(s, config, e) < 0 || watch_signals(s) < 0 || listen_on(s, options, e) < 0) {
        service_free(s);
        return NULL;
    }
    return s;
}

int service_run(struct service *s)
{
    event_base_dispatch(s->base);
    return s->exit_code;
}

static void free_event(struct event *e)
{
    if (e)
        event_free(e);
}

/* What was just settled goes out, and what is on its way is answered; not for ever. */
static void flush(struct service *s)
{
    int64_t until_ms = clock_mono_ms() + FLUSH_MS;
    while (redis_link_is_up(s->link) && redis_link_pending(s->link) > 0 &&
           clock_mono_ms() < until_ms) {
        struct timeval soon = {.tv_usec = 10000};
        event_base_loopexit(s->base, &soon);
        event_base_loop(s->base, EVLOOP_ONCE);
    }
}

/* From the outside in, and Redis before those whom its answers go to. */
static void stop(struct service *s)
{
    if (s->server)
        server_free(s->server); /* open exchanges are told, and so their calls cancelled */
    tls_free(s->tls);
    s->tls = NULL;
    history_free(s->history);
    s->history = NULL;
    stats_free(s->stats);
    loop_lag_free(s->loop_lag);
    s->stats = NULL;
    s->loop_lag = NULL;
    if (s->batches)
        batches_stop(s->batches);
    if (s->webhooks)
        webhooks_stop(s->webhooks);
    if (s->jobs)
        jobs_stop(s->jobs);
    embedder_stop(s->embedder);
    joint_calls_stop(s->joint_calls);
    if (s->scheduler)
        scheduler_stop(s->scheduler);
    instance_free(s->presence);
    s->presence = NULL;
    if (s->spending)
        spending_stop(s->spending);
    if (s->scheduler)
        flush(s);
    s->linked = false;
    redis_link_free(s->channel);
    redis_link_free(s->durable);
    redis_link_free(s->link);
    if (s->scheduler)
        scheduler_connected(s->scheduler, false);
}

void service_free(struct service *s)
{
    if (!s)
        return;
    free_event(s->on_term);
    free_event(s->on_int);
    free_event(s->on_hup);
    free_event(s->drain_tick);
    stop(s);
    webhooks_free(s->webhooks);
    webhook_store_free(s->webhook_store);
    jobs_free(s->jobs);
    batches_free(s->batches);
    record_store_free(s->records);
    permits_free(s->permits);
    if (s->http)
        http_client_free(s->http);
    access_free(s->access);
    embedder_free(s->embedder);
    joint_calls_free(s->joint_calls);
    joint_board_free(s->joint_board);
    settings_free(s->settings);
    scheduler_free(s->scheduler);
    spending_free(s->spending);
    cost_store_free(s->costs);
    pool_store_free(s->store);
    job_store_free(s->job_store);
    answers_free(s->answers);
    answer_store_free(s->answer_store);
    session_store_free(s->session_store);
    history_store_free(s->history_store);
    tally_store_free(s->tally_store);
    tally_release(&s->tally);
    sessions_free(s->sessions);
    calibration_store_free(s->calibrations);
    summary_store_free(s->summaries);
    redis_server_stop(s->redis);
    if (s->base)
        event_base_free(s->base);
    free(s->config_path);
    free(s);
}
