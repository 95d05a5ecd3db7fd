/*
 * webhook: events, sent to whoever asked for them (Standard Webhooks).
 *
 *   end of a job --script--> "owed", beside its pool --+
 *   end of a batch --> its entry in "open" stays -------+--> outbox --lease--> POST --> ended
 *   webhooks_send() ------------------------------------+      ^                |
 *                                                              +--- again, later
 *
 * Nothing is lost: the script that ends a job notes in the same step that its event is owed, and
 * the note goes when the event stands in the outbox; it cannot be written there in that step, since
 * in a cluster the outbox is on another server than the pool. A batch stays in the list of open
 * ones until its event stands there. Whatever dies in between is done again, under the same id
 * (that of the job or batch), which the outbox knows. From there any instance delivers under a
 * lease, until a 2xx answer, a 410, or WEBHOOK_TRIES attempts (webhook_retry.h). So an event
 * arrives at least once; a receiver tells repetitions by webhook-id, and the order by the payload's
 * timestamp.
 *
 *   payload    {"type", "timestamp", "data"}, data being the object as GET answers it
 *   isolation  webhooks.max_per_endpoint deliveries at once to one server of one tenant, over all
 *              instances; webhooks.max_in_flight here. A server that hangs holds up its own only.
 *              Connections are not those of the providers.
 *   safety     webhook_url.h; redirects are failures; answers are read up to a maximum and thrown
 *              away; secrets, and of URLs all behind the server, are not logged.
 *   limits     WEBHOOK_MAX_WAITING deliveries of a tenant wait; one more is dropped, and logged
 *   ownership  opaque; arguments are copied before return.
 *   threads    one event loop.
 */
#ifndef SCHEDULER_WEBHOOK_H
#define SCHEDULER_WEBHOOK_H

#include "scheduler/job.h"
#include "storage/webhook_store.h"

struct webhooks;

struct webhooks_options {
    struct event_base *base;
    struct scheduler *scheduler; /* for its configuration */
    struct jobs *jobs;
    struct webhook_store *store;
    uint64_t seed;
    /* The JSON of a job inside its event, malloc'd; NULL: out of memory. */
    char *(*job_data)(const struct job_record *record);
};

struct webhooks *webhooks_new(const struct webhooks_options *options);
/* What is on its way is left to its lease. Before the connection to Redis ends; free after it. */
void webhooks_stop(struct webhooks *w);
void webhooks_free(struct webhooks *w); /* accepts NULL */

void webhooks_look(struct webhooks *w);                   /* for work of all kinds, soon */
void webhooks_event(struct webhooks *w, const char *job); /* a message of KEY_WEBHOOKS */

struct webhook_event {
    const char *tenant;
    const char *type;   /* "job.succeeded", "budget.alert", … */
    const char *data;   /* JSON */
    const char *object; /* id of what it is about; NULL nothing */
    const char *field;  /* webhook_field.h: who wants it; NULL: the tenant's configured URL */
    const char *id;     /* the same for the same event, however often it is sent; NULL: a new one */
    int64_t at_ms;      /* wall clock; 0: now */
};
/* kept: it stands in the outbox, or never will (too many wait); else Redis did not say. */
typedef void (*webhook_sent_fn)(void *arg, bool kept);
/* 0: fn (may be NULL) will be told. 1: nobody wants it, and fn will not be called; neither with
 * -ENOMEM or -ENOSPC. */
int webhooks_send(struct webhooks *w, const struct webhook_event *event, webhook_sent_fn fn,
                  void *arg) MUST_CHECK;

int64_t webhooks_in_flight(const struct webhooks *w); /* of this instance */
/* When Redis was last asked, which is after each attempt of this instance and every 5 s. NULL: it
 * was not yet, or no webhooks are configured; a counter that began at 0 with each process would
 * seem to have stepped back. */
const struct webhook_totals *webhooks_totals(const struct webhooks *w);
struct webhook_store *webhooks_store(const struct webhooks *w);
struct webhook_rules webhooks_rules(const struct webhooks *w);

#endif
