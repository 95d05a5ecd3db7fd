/*
 * webhook_internal: what scheduler/webhook*.c share.
 *
 *   webhook.c          the outbox: into it, and out of it again
 *   webhook_deliver.c  one attempt
 *   webhook_jobs.c     ended jobs that owe an event
 */
#ifndef SCHEDULER_WEBHOOK_INTERNAL_H
#define SCHEDULER_WEBHOOK_INTERNAL_H

#include "scheduler/webhook.h"

#include "common/list.h"
#include "common/rand.h"

struct webhooks {
    struct webhooks_options options;
    struct http_client *http;
    struct rand rand;
    struct event *tick;
    struct list deliveries;
    struct list debts;
    struct webhook_totals totals;
    int64_t in_flight;
    int64_t swept_ms;
    bool taking, again, stopped;
    bool told; /* totals are what Redis said */
};

const struct config *webhooks_config(const struct webhooks *w);
void webhooks_take(struct webhooks *w);

/* webhook_deliver.c */
void webhook_deliver(struct webhooks *w, const struct webhook_taken *taken);
void webhook_deliveries_drop(struct webhooks *w);

/* webhook_jobs.c */
void webhook_jobs_look(struct webhooks *w, const char *pool); /* of one pool */
void webhook_jobs_sweep(struct webhooks *w);                  /* of all that are known */
void webhook_jobs_drop(struct webhooks *w);                   /* Redis has answered all */

#endif
