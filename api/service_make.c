#include "api/service_internal.h"

#include "api/access.h"
#include "api/answer.h"
#include "api/batch/batch.h"
#include "api/history.h"
#include "api/loop_lag.h"
#include "api/stats.h"
#include "api/webhook_json.h"
#include "common/log.h"
#include "common/rand.h"
#include "scheduler/answers.h"
#include "scheduler/batch/embedder.h"
#include "scheduler/gauge.h"
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
#include "storage/summary_store.h"
#include "storage/tally_store.h"
#include <errno.h>
#include <event2/event.h>

/* ---- what is told to others */

static void on_settings(void *arg)
{
    struct service *s = arg;
    if (!s->scheduler || !s->linked)
        return;
    scheduler_apply_limits(s->scheduler, false);
    if (!scheduler_is_connected(s->scheduler))
        scheduler_connected(s->scheduler, true);
}

/* What needs no more than Redis and the loop; what is missing shows in is_whole(). */
static struct pool_store_options open_stores(struct service *s, const struct config *config,
                                             struct error *e)
{
    struct pool_store_options store = {
        .link = s->link,
        .instance = s->instance,
        .timeout_ms = (int)config->redis.command_timeout_ms,
        .alive_ms = config->queue.lease_ms * 2,
        .durable = s->durable,
        .replicas = s->replicas,
        .confirm_ms = (int)config->jobs.replicate_ms,
    };
    s->store = pool_store_new(&store, e);
    s->job_store = job_store_new(s->link, store.timeout_ms);
    job_store_use_durable(s->job_store, s->durable, store.timeout_ms + store.confirm_ms);
    s->calibrations = calibration_store_new(s->link, store.timeout_ms);
    s->summaries = summary_store_new(s->link, store.timeout_ms);
    s->answer_store = answer_store_new(s->link, store.timeout_ms);
    s->session_store = session_store_new(s->link, store.timeout_ms);
    s->history_store = history_store_new(s->link, store.timeout_ms);
    s->tally_store = tally_store_new(s->link, store.timeout_ms);
    s->presence = instance_new(s->base, s->link, s->instance);
    s->access = access_new(s->base, s->link);
    s->settings = settings_new(s->base, s->link, on_settings, s);
    return store;
}

static bool is_whole(const struct service *s)
{
    return s->store && s->job_store && s->session_store && s->calibrations && s->summaries &&
           s->answer_store && s->answers && s->history_store && s->tally_store && s->spending &&
           s->http && s->embedder && s->joint_calls && s->presence && s->access && s->settings;
}

static int make_scheduler(struct service *s, struct config *config, struct error *e)
{
    struct pool_store_options store = open_stores(s, config, e);
    struct scheduler_options options = {
        .base = s->base, .instance = s->instance, .seed = rand_system_seed()};
    tally_init(&s->tally, options.seed);
    s->joint_board = joint_board_new();
    s->joint_calls = s->joint_board ? joint_calls_new(s->base, s->joint_board) : NULL;
    options.store = s->store;
    options.jobs = s->job_store;
    options.calibrations = s->calibrations;
    options.summaries = s->summaries;
    options.settings = s->settings;
    options.tally = &s->tally;
    options.joint_calls = s->joint_calls;
    options.answers = s->answers = answers_new(s->base, s->answer_store, options.seed);
    options.http = s->http = http_client_new(s->base);
    options.embedder = s->embedder = embedder_new(s->base);
    options.spending = service_make_spending(s, store.timeout_ms);
    if (!is_whole(s) || access_configure(s->access, config) < 0) {
        config_free(config);
        return error_set(e, -ENOMEM, "out of memory");
    }
    s->scheduler = scheduler_new(&options, config);
    return s->scheduler ? 0 : error_set(e, -ENOMEM, "out of memory");
}

/* What stands on the scheduler. */
static int make_users(struct service *s, struct error *e)
{
    struct sessions_options sessions = {
        .base = s->base,
        .scheduler = s->scheduler,
        .store = s->session_store,
        .counter = gauge_counter(scheduler_gauge(s->scheduler)),
    };
    s->jobs = jobs_new(s->scheduler);
    if (s->jobs)
        jobs_use_board(s->jobs, s->joint_board);
    s->permits = permits_new(s->scheduler);
    s->sessions = sessions_new(&sessions);
    s->stats = stats_new(s);
    s->loop_lag = loop_lag_new(s->base);
    s->history = s->stats ? history_new(s, s->history_store) : NULL;
    return s->jobs && s->permits && s->sessions && s->stats && s->loop_lag && s->history
               ? 0
               : error_set(e, -ENOMEM, "out of memory");
}

static void on_budget_alert(void *arg, const char *tenant, const char *json)
{
    struct service *s = arg;
    struct webhook_event event = {.tenant = tenant, .type = "budget.alert", .data = json};
    if (webhooks_send(s->webhooks, &event, NULL, NULL) < 0)
        log_write(LOG_WARN, "no memory to send a budget alert", "tenant", tenant, NULL);
}

static int make_webhooks(struct service *s, struct error *e)
{
    struct webhooks_options options = {.base = s->base,
                                       .scheduler = s->scheduler,
                                       .jobs = s->jobs,
                                       .seed = rand_system_seed(),
                                       .job_data = webhook_json_job};
    options.store = s->webhook_store =
        webhook_store_new(s->link, (int)service_config(s)->redis.command_timeout_ms);
    s->webhooks = s->webhook_store ? webhooks_new(&options) : NULL;
    if (s->webhooks)
        spending_on_alert(s->spending, on_budget_alert, s);
    return s->webhooks ? 0 : error_set(e, -ENOMEM, "out of memory");
}

static int on_batch_ended(void *arg, const struct batch_end *end)
{
    struct service *s = arg;
    return webhook_json_batch(s->webhooks, end);
}

static int make_batches(struct service *s, struct error *e)
{
    char folder[BATCH_PATH_MAX];
    int rc = batches_make_folder(service_config(s)->data_dir, folder, e);
    if (rc < 0)
        return rc;
    struct batches_options options = {.base = s->base,
                                      .jobs = s->jobs,
                                      .scheduler = s->scheduler,
                                      .http = s->http,
                                      .folder = folder,
                                      .instance = s->instance,
                                      .ended = on_batch_ended,
                                      .arg = s};
    options.store = s->records =
        record_store_new(s->link, (int)service_config(s)->redis.command_timeout_ms);
    s->batches = s->records ? batches_new(&options) : NULL;
    return s->batches ? 0 : error_set(e, -ENOMEM, "out of memory");
}

int service_make(struct service *s, struct config *config, struct error *e)
{
    int rc = make_scheduler(s, config, e);
    if (rc == 0)
        rc = make_users(s, e);
    if (rc == 0)
        rc = make_webhooks(s, e);
    return rc < 0 ? rc : make_batches(s, e);
}
