#include "api/service_internal.h"

#include "storage/answer_store.h"
#include "storage/calibration_store.h"
#include "storage/history_store.h"
#include "storage/job_store.h"
#include "storage/pool_store.h"
#include "storage/session_store.h"
#include "storage/summary_store.h"
#include "storage/tally_store.h"

#include <errno.h>

int service_make_stores(struct service *s, const struct config *c, struct error *e)
{
    int timeout_ms = (int)c->redis.command_timeout_ms;
    struct pool_store_options pools = {
        .link = s->link,
        .instance = s->instance,
        .timeout_ms = timeout_ms,
        .alive_ms = c->queue.lease_ms * 2,
        .durable = s->durable,
        .replicas = s->replicas,
        .confirm_ms = (int)c->jobs.replicate_ms,
    };
    s->store = pool_store_new(&pools, e);
    s->job_store = job_store_new(s->link, timeout_ms);
    s->calibrations = calibration_store_new(s->link, timeout_ms);
    s->summaries = summary_store_new(s->link, timeout_ms);
    s->answer_store = answer_store_new(s->link, timeout_ms);
    s->session_store = session_store_new(s->link, timeout_ms);
    s->history_store = history_store_new(s->link, timeout_ms);
    s->tally_store = tally_store_new(s->link, timeout_ms);
    if (!s->store || !s->job_store || !s->calibrations || !s->summaries || !s->answer_store ||
        !s->session_store || !s->history_store || !s->tally_store)
        return error_set(e, -ENOMEM, "out of memory");
    job_store_use_durable(s->job_store, s->durable, timeout_ms + pools.confirm_ms);
    return 0;
}

void service_free_stores(struct service *s)
{
    pool_store_free(s->store);
    job_store_free(s->job_store);
    calibration_store_free(s->calibrations);
    summary_store_free(s->summaries);
    answer_store_free(s->answer_store);
    session_store_free(s->session_store);
    history_store_free(s->history_store);
    tally_store_free(s->tally_store);
}
