#include "scheduler/webhook_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/job_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_MS 5000 /* another instance may look after them then */

/* The jobs of one pool that owe an event, one after the other: their records may be large. */
struct debt {
    struct list link;
    struct webhooks *w;
    char pool[POOL_NAME_BYTES];
    char ids[WEBHOOK_MAX_OWED][TICKET_ID_BYTES];
    size_t count, at;
    int64_t until_ms; /* when the record of the present one would go by itself */
    bool again;       /* another job has ended meanwhile */
};

static void debt_free(struct debt *d)
{
    list_remove(&d->link);
    free(d);
}

void webhook_jobs_drop(struct webhooks *w)
{
    while (!list_is_empty(&w->debts))
        debt_free(LIST_ITEM(w->debts.next, struct debt, link));
}

static void ask(struct debt *d);
static void next(struct debt *d);

static void paid(struct debt *d)
{
    webhook_store_paid(d->w->options.store, d->pool, d->ids[d->at], d->until_ms);
}

static void on_sent(void *arg, bool kept)
{
    struct debt *d = arg;
    if (kept)
        paid(d);
    d->at++;
    next(d);
}

/* True when its outcome will be told to on_sent(). */
static bool send(struct debt *d, const struct job_record *record)
{
    char type[32], id[WEBHOOK_ID_BYTES];
    (void)snprintf(type, sizeof(type), "job.%s", record->status);
    (void)snprintf(id, sizeof(id), "msg_%s", record->id);
    char *data = d->w->options.job_data(record);
    struct webhook_event event = {.tenant = record->tenant,
                                  .type = type,
                                  .data = data,
                                  .object = record->id,
                                  .field = record->webhook,
                                  .id = id,
                                  .at_ms = record->finished_ms};
    int rc = data ? webhooks_send(d->w, &event, on_sent, d) : -ENOMEM;
    free(data);
    if (rc == 1)
        paid(d);
    if (rc < 0)
        log_write(LOG_WARN, "a webhook event could not be made, it is tried again", "job",
                  record->id, "reason", strerror(-rc), NULL);
    return rc == 0;
}

static void on_job(void *arg, const struct job_record *record, bool replayed,
                   const struct call_failure *failure)
{
    struct debt *d = arg;
    (void)replayed;
    if (!record && failure->status == 404) {
        log_write(LOG_WARN, "a job was gone before its webhook event was made", "job",
                  d->ids[d->at], NULL);
        paid(d);
    } else if (record && !job_status_is_final(record->status)) {
        paid(d);
    } else if (record) {
        const struct store_pool *pool = job_pool(d->w->options.jobs, record->id);
        bool known = pool && !pool->guest && pool->finished_ttl_ms > 0;
        d->until_ms = known ? record->finished_ms + pool->finished_ttl_ms : 0;
        if (send(d, record))
            return;
    }
    d->at++;
    next(d);
}

static void next(struct debt *d)
{
    bool more = d->count == WEBHOOK_MAX_OWED || d->again;
    d->until_ms = 0;
    if (d->w->stopped || (d->at == d->count && !more)) {
        debt_free(d);
        return;
    }
    if (d->at == d->count) {
        ask(d);
        return;
    }
    struct jobs *jobs = d->w->options.jobs;
    struct store_pool *pool = job_pool(jobs, d->ids[d->at]);
    if (pool) {
        job_look(jobs, pool, NULL, d->ids[d->at], on_job, d);
        return;
    }
    debt_free(d); /* a reload has taken it away; it comes back with a look */
}

static void on_owed(void *arg, enum redis_status status, const char *id)
{
    struct debt *d = arg;
    (void)status;
    if (!id)
        next(d);
    else if (d->count < WEBHOOK_MAX_OWED)
        (void)snprintf(d->ids[d->count++], TICKET_ID_BYTES, "%s", id);
}

static void ask(struct debt *d)
{
    d->count = d->at = 0;
    d->again = false;
    webhook_store_owed(d->w->options.store, d->pool, LEASE_MS, on_owed, d);
}

void webhook_jobs_look(struct webhooks *w, const char *pool)
{
    for (struct list *at = w->debts.next; at != &w->debts; at = at->next) {
        struct debt *d = LIST_ITEM(at, struct debt, link);
        if (strcmp(d->pool, pool) == 0) {
            d->again = true;
            return;
        }
    }
    struct debt *d = calloc(1, sizeof(*d));
    if (!d)
        return; /* the next sweep finds them */
    d->w = w;
    (void)snprintf(d->pool, sizeof(d->pool), "%s", pool);
    list_add_last(&w->debts, &d->link);
    ask(d);
}

void webhook_jobs_sweep(struct webhooks *w)
{
    struct job_cursor at = {.pool = 0};
    for (const struct store_pool *pool; (pool = job_next_pool(w->options.jobs, &at));)
        webhook_jobs_look(w, pool->id);
}
