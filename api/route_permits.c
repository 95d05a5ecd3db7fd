/*
 * route_permits: permits over HTTP, for workers that call the provider themselves.
 */
#include "api/answer.h"
#include "api/permit_input.h"
#include "api/permit_json.h"
#include "api/request_options.h"
#include "api/route.h"

#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

static void fail(const struct route_request *r, const struct call_failure *f)
{
    answer_failure(r->exchange, WIRE_OPENAI, f);
}

static void fail_memory(const struct route_request *r)
{
    answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
}

/* ---- ask and wait */

struct asking {
    struct exchange *exchange;
    struct permit *permit;
};

static void on_asked(void *arg, const struct permit_record *record,
                     const struct call_failure *failure)
{
    struct asking *a = arg;
    char location[TICKET_ID_BYTES + 16];
    if (record) {
        (void)snprintf(location, sizeof(location), "/v1/permits/%s", record->id);
        if (exchange_set_header(a->exchange, "Location", location) < 0)
            log_write(LOG_WARN, "no memory for a header", NULL);
        answer_json(a->exchange, 200, permit_json(record, clock_wall_ms()));
    } else {
        answer_failure(a->exchange, WIRE_OPENAI, failure);
    }
    free(a);
}

static void on_asker_gone(void *arg)
{
    struct asking *a = arg;
    permit_leave(a->permit);
    free(a);
}

static void ask(const struct route_request *r, struct permit_input *in,
                const struct request_options *options)
{
    struct call_failure f;
    struct asking *a = calloc(1, sizeof(*a));
    struct permit_ask what = {
        .call = {.endpoint = in->endpoint,
                 .body = in->body,
                 .body_len = in->body_len,
                 .tenant = r->caller.tenant,
                 .weight = r->caller.weight,
                 .class = in->class_given ? in->class : options->class,
                 .class_given = in->class_given || options->class_given,
                 .caller_key = r->caller.provider_key,
                 .models = r->caller.models,
                 .key = r->caller.key_id,
                 .provider = in->provider,
                 .input_tokens = in->input_tokens,
                 .max_output_tokens = in->max_output_tokens},
        .wait_ms = in->wait_ms >= 0 ? in->wait_ms : PERMIT_WAIT_MS,
        .ttl_ms = in->ttl_ms,
    };
    if (!a) {
        permit_input_release(in);
        fail_memory(r);
        return;
    }
    a->exchange = r->exchange;
    in->body = NULL; /* given */
    a->permit = permit_ask(service_permits(r->service), &what, on_asked, a, &f);
    if (!a->permit) {
        free(a);
        fail(r, &f);
        return;
    }
    exchange_on_gone(r->exchange, on_asker_gone, a);
}

void route_permits_ask(const struct route_request *r)
{
    size_t len = 0;
    const char *body = exchange_body(r->exchange, &len);
    const struct config *config = service_config(r->service);
    struct request_options options;
    struct permit_input in;
    struct call_failure f;
    struct error e;
    if (service_is_draining(r->service)) {
        answer_error(r->exchange, WIRE_OPENAI, 503, "draining",
                     "This instance is shutting down and grants no new permits; try again.");
        return;
    }
    if (request_options_read(config, r->exchange, &options, &e) < 0) {
        answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_header", e.text);
        return;
    }
    if (permit_input_read(body ? body : "", len, config, &in, &f) < 0) {
        permit_input_release(&in);
        fail(r, &f);
        return;
    }
    ask(r, &in, &options);
}

/* ---- what is done to one */

struct change {
    struct exchange *exchange;
    bool gone;
};

static void on_changer_gone(void *arg)
{
    struct change *c = arg;
    c->gone = true; /* what was asked is done all the same */
}

static void on_changed(void *arg, const struct permit_record *record,
                       const struct call_failure *failure)
{
    struct change *c = arg;
    if (!c->gone && failure)
        answer_failure(c->exchange, WIRE_OPENAI, failure);
    else if (!c->gone)
        answer_json(c->exchange, 200, permit_json(record, clock_wall_ms()));
    free(c);
}

/* NULL: answered already. */
static struct change *begin(const struct route_request *r, struct permit_who *ret)
{
    struct change *c = calloc(1, sizeof(*c));
    if (!c) {
        fail_memory(r);
        return NULL;
    }
    c->exchange = r->exchange;
    exchange_on_gone(r->exchange, on_changer_gone, c);
    *ret = (struct permit_who){
        .id = r->id, .tenant = r->caller.tenant, .caller_key = r->caller.provider_key};
    return c;
}

void route_permits_get(const struct route_request *r)
{
    struct permit_who who;
    struct change *c = begin(r, &who);
    if (c)
        permit_get(service_permits(r->service), &who, on_changed, c);
}

void route_permits_release(const struct route_request *r)
{
    struct permit_who who;
    struct change *c = begin(r, &who);
    if (c)
        permit_release(service_permits(r->service), &who, on_changed, c);
}

void route_permits_settle(const struct route_request *r)
{
    struct permit_who who;
    size_t len = 0;
    const char *body = exchange_body(r->exchange, &len);
    struct change *c = begin(r, &who);
    if (c)
        permit_settle(service_permits(r->service), &who, body ? body : "", len, on_changed, c);
}

void route_permits_renew(const struct route_request *r)
{
    struct permit_who who;
    struct call_failure f;
    size_t len = 0;
    int64_t ttl_ms;
    const char *body = exchange_body(r->exchange, &len);
    if (permit_renewal_read(body ? body : "", len, &ttl_ms, &f) < 0) {
        fail(r, &f);
        return;
    }
    struct change *c = begin(r, &who);
    if (c)
        permit_renew(service_permits(r->service), &who, ttl_ms, on_changed, c);
}
