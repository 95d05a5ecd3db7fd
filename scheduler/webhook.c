#include "scheduler/webhook_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/http_client.h"
#include "scheduler/job_internal.h"
#include "scheduler/scheduler.h"
#include "scheduler/webhook_field.h"
#include "scheduler/webhook_retry.h"
#include "scheduler/webhook_url.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS       5000 /* for what another instance left, and what a lost message told */
#define LEASE_SPARE   5000 /* ms of a lease behind the end of an attempt: for its settle */
#define LEAST_WAIT_MS 20   /* when nothing could be taken though something is due */
#define TIME_BYTES    40

const struct config *webhooks_config(const struct webhooks *w)
{
    return scheduler_plan(w->options.scheduler)->config;
}

struct webhook_rules webhooks_rules(const struct webhooks *w)
{
    const struct config *c = webhooks_config(w);
    return (struct webhook_rules){.places = c->webhooks.max_per_endpoint,
                                  .lease_ms = c->webhooks.timeout_ms + LEASE_SPARE,
                                  .tries = WEBHOOK_TRIES,
                                  .kept_ms = c->webhooks.kept_s * 1000};
}

struct webhook_store *webhooks_store(const struct webhooks *w)
{
    return w->options.store;
}

const struct webhook_totals *webhooks_totals(const struct webhooks *w)
{
    return w->told ? &w->totals : NULL;
}

int64_t webhooks_in_flight(const struct webhooks *w)
{
    return w->in_flight;
}

/* ---- life */

static bool is_allowed(void *arg, const struct sockaddr *address)
{
    const struct webhooks *w = arg;
    return webhooks_config(w)->webhooks.allow_private || webhook_address_is_public(address);
}

static void arm(struct webhooks *w, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    if (!w->stopped)
        (void)evtimer_add(w->tick, &tv);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct webhooks *w = arg;
    (void)fd;
    (void)what;
    arm(w, LOOK_MS);
    if (!webhook_is_configured(webhooks_config(w)))
        return;
    if (clock_mono_ms() - w->swept_ms >= LOOK_MS) {
        w->swept_ms = clock_mono_ms();
        webhook_jobs_sweep(w);
    }
    webhooks_take(w);
}

struct webhooks *webhooks_new(const struct webhooks_options *options)
{
    struct webhooks *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->options = *options;
    list_init(&w->deliveries);
    list_init(&w->debts);
    rand_seed(&w->rand, options->seed);
    w->swept_ms = clock_mono_ms() - LOOK_MS;
    w->http = http_client_new(options->base);
    w->tick = evtimer_new(options->base, on_tick, w);
    if (!w->http || !w->tick) {
        webhooks_free(w);
        return NULL;
    }
    http_client_guard(w->http, is_allowed, w);
    arm(w, LOOK_MS);
    return w;
}

void webhooks_stop(struct webhooks *w)
{
    w->stopped = true;
    (void)event_del(w->tick);
    webhook_deliveries_drop(w);
}

void webhooks_free(struct webhooks *w)
{
    if (!w)
        return;
    if (w->tick)
        webhooks_stop(w);
    webhook_jobs_drop(w);
    if (w->http)
        http_client_free(w->http);
    if (w->tick)
        event_free(w->tick);
    free(w);
}

void webhooks_look(struct webhooks *w)
{
    w->swept_ms = clock_mono_ms() - LOOK_MS;
    if (!w->stopped)
        event_active(w->tick, EV_TIMEOUT, 0);
}

void webhooks_event(struct webhooks *w, const char *job)
{
    const struct store_pool *pool = job_pool(w->options.jobs, job);
    if (!w->stopped && pool)
        webhook_jobs_look(w, pool->id);
}

/* ---- out of the outbox */

static void on_taken(void *arg, enum redis_status status, const struct webhook_take *take)
{
    struct webhooks *w = arg;
    bool again = w->again;
    w->taking = w->again = false;
    if (w->stopped || status != REDIS_OK)
        return;
    w->totals = take->totals;
    w->told = true;
    for (size_t i = 0; i < take->count; i++)
        webhook_deliver(w, &take->items[i]);
    if (again || take->count > 0) {
        webhooks_take(w);
        return;
    }
    if (take->next_ms >= 0 && take->next_ms < LOOK_MS)
        arm(w, take->next_ms > LEAST_WAIT_MS ? take->next_ms : LEAST_WAIT_MS);
}

void webhooks_take(struct webhooks *w)
{
    struct webhook_rules rules = webhooks_rules(w);
    int64_t room = webhooks_config(w)->webhooks.max_in_flight - w->in_flight;
    if (w->stopped || room <= 0)
        return; /* one that ends looks again */
    if (w->taking) {
        w->again = true;
        return;
    }
    w->taking = true;
    webhook_store_take(w->options.store, &rules,
                       (int)(room < WEBHOOK_MAX_TAKEN ? room : WEBHOOK_MAX_TAKEN), on_taken, w);
}

/* ---- into it */

struct sending {
    struct webhooks *w;
    webhook_sent_fn fn;
    void *arg;
    char id[WEBHOOK_ID_BYTES];
};

static void on_added(void *arg, enum redis_status status, const char *word)
{
    struct sending *s = arg;
    bool full = status == REDIS_OK && strcmp(word, "full") == 0;
    if (full) {
        log_write(LOG_WARN, "too many webhook deliveries of this tenant wait: one is dropped",
                  "delivery", s->id, NULL);
    }
    if (s->fn)
        s->fn(s->arg, status == REDIS_OK);
    if (status == REDIS_OK && !full && !s->w->stopped)
        webhooks_take(s->w);
    free(s);
}

static int write_payload(const struct webhook_event *event, int64_t at_ms, struct buf *out)
{
    char time[TIME_BYTES];
    time_t s = at_ms / 1000;
    struct tm tm;
    if (!gmtime_r(&s, &tm) || strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        return -EINVAL;
    (void)buf_adds(out, "{\"type\":\"");
    (void)buf_add_json(out, event->type, strlen(event->type));
    (void)buf_addf(out, "\",\"timestamp\":\"%s.%03dZ\",\"data\":", time, (int)(at_ms % 1000));
    (void)buf_adds(out, event->data);
    (void)buf_adds(out, "}");
    return out->failed;
}

static void new_id(char ret[WEBHOOK_ID_BYTES])
{
    char random[25];
    rand_hex(random, sizeof(random) - 1);
    (void)snprintf(ret, WEBHOOK_ID_BYTES, "msg_%s", random);
}

static int keep(struct webhooks *w, const struct webhook_event *event, const char *url,
                const struct sending *sending)
{
    struct webhook_rules rules = webhooks_rules(w);
    char endpoint[WEBHOOK_ENDPOINT_BYTES];
    struct buf payload;
    int64_t at_ms = event->at_ms > 0 ? event->at_ms : clock_wall_ms();
    buf_init(&payload, WEBHOOK_MAX_PAYLOAD_BYTES + KIB);
    int rc = write_payload(event, at_ms, &payload);
    struct sending *s = rc == 0 ? malloc(sizeof(*s)) : NULL;
    if (s) {
        *s = *sending;
        webhook_url_endpoint(event->tenant, url, endpoint);
        struct webhook_entry entry = {.id = s->id,
                                      .tenant = event->tenant,
                                      .type = event->type,
                                      .object = event->object ? event->object : "",
                                      .url = url,
                                      .endpoint = endpoint,
                                      .payload = payload.data,
                                      .created_us = clock_wall_ms() * 1000};
        webhook_store_add(w->options.store, &rules, &entry, on_added, s);
    } else if (rc == 0) {
        rc = -ENOMEM;
    }
    buf_release(&payload);
    return rc;
}

int webhooks_send(struct webhooks *w, const struct webhook_event *event, webhook_sent_fn fn,
                  void *arg)
{
    struct config_webhook settings = webhook_settings(webhooks_config(w), event->tenant);
    struct sending sending = {.w = w, .fn = fn, .arg = arg};
    struct buf url;
    if (event->field && (!*event->field || !webhook_field_wants(event->field, event->type)))
        return 1;
    buf_init(&url, WEBHOOK_MAX_FIELD_BYTES);
    int rc = event->field ? webhook_field_url(event->field, &url) : 0;
    if (rc == 0 && url.len == 0 && settings.url)
        rc = buf_adds(&url, settings.url);
    if (event->id)
        (void)snprintf(sending.id, sizeof(sending.id), "%s", event->id);
    else
        new_id(sending.id);
    if (rc == 0)
        rc = url.len > 0 ? keep(w, event, url.data, &sending) : 1;
    buf_release(&url);
    return rc;
}
