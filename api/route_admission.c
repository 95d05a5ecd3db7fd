/*
 * route_admission: what would happen to a request now, without anything happening.
 */
#include "api/answer.h"
#include "api/permit_input.h"
#include "api/permit_json.h"
#include "api/request_options.h"
#include "api/route.h"

#include <stdlib.h>

struct checking {
    struct exchange *exchange;
    bool gone;
};

static void on_gone(void *arg)
{
    struct checking *c = arg;
    c->gone = true;
}

static void on_checked(void *arg, const struct admission *a, const struct call_failure *failure)
{
    struct checking *c = arg;
    if (!c->gone && failure)
        answer_failure(c->exchange, WIRE_OPENAI, failure);
    else if (!c->gone)
        answer_json(c->exchange, 200, admission_json(a));
    free(c);
}

static void check(const struct route_request *r, const struct permit_input *in,
                  const struct request_options *options)
{
    struct call_failure f;
    struct call_spec spec = {
        .endpoint = in->endpoint,
        .body = in->body,
        .body_len = in->body_len,
        .tenant = r->caller.tenant,
        .weight = r->caller.weight,
        .class = in->class_given ? in->class : options->class,
        .class_given = in->class_given || options->class_given,
        .max_wait_ms = in->wait_ms >= 0 ? in->wait_ms : options->max_wait_ms,
        .caller_key = r->caller.provider_key,
        .models = r->caller.models,
        .key = r->caller.key_id,
        .trim = options->trim,
        .never_shrink = options->never_shrink,
        .no_fallback = options->no_fallback,
        .tool_calls = options->caps_tools ? &options->tool_calls : NULL,
        .provider = in->provider,
        .input_tokens = in->input_tokens,
        .max_output_tokens = in->max_output_tokens,
    };
    struct checking *c = calloc(1, sizeof(*c));
    if (!c) {
        free(spec.body);
        answer_error(r->exchange, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    c->exchange = r->exchange;
    exchange_on_gone(r->exchange, on_gone, c);
    if (!admission_check(service_scheduler(r->service), &spec, on_checked, c, &f)) {
        answer_failure(r->exchange, WIRE_OPENAI, &f);
        free(c);
    }
}

void route_admission_check(const struct route_request *r)
{
    size_t len = 0;
    const struct config *config = service_config(r->service);
    const char *body = exchange_body(r->exchange, &len);
    struct request_options options;
    struct permit_input in;
    struct call_failure f;
    struct error e;
    if (request_options_read(config, r->exchange, &options, &e) < 0) {
        answer_error(r->exchange, WIRE_OPENAI, 400, "invalid_header", e.text);
        return;
    }
    if (permit_input_read(body ? body : "", len, config, &in, &f) < 0) {
        permit_input_release(&in);
        answer_failure(r->exchange, WIRE_OPENAI, &f);
        return;
    }
    check(r, &in, &options);
}
