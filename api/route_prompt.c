/*
 * route_prompt: what a request weighs, and what trimming would make of it. Nothing is sent.
 */
#include "api/answer.h"
#include "api/route.h"
#include "api/trim_report.h"

#include "common/limits.h"
#include "scheduler/gauge.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REPORT_BYTES (HTTP_MAX_BODY_BYTES * 3)

static void fail(const struct route_request *r, int rc, const char *text)
{
    enum wire_format format = answer_format(exchange_path(r->exchange));
    if (rc == -ENOMEM)
        answer_error(r->exchange, format, 503, "out_of_memory", "Sluice is out of memory.");
    else
        answer_error(r->exchange, format, rc == -E2BIG ? 413 : 400, "invalid_request", text);
}

/* The body as a checked JSON object; answers and returns false when it is none. */
static bool read_object(const struct route_request *r, struct json_span *ret)
{
    struct error e = {""};
    size_t len = 0;
    const char *body = exchange_body(r->exchange, &len);
    int rc = json_scan_check(body ? body : "", len, &e);
    if (rc == 0) {
        *ret = json_span_of(body, len);
        if (json_kind(*ret) != JSON_OBJ)
            rc = error_set(&e, -EINVAL, "the request: expected an object");
    }
    if (rc < 0)
        fail(r, rc, e.text);
    return rc == 0;
}

/* ---- counting */

/* As a call with this body would be counted, priced and reserved, by the row that serves it. */
static void read_gauge(const struct route_request *r, enum wire_endpoint endpoint,
                       const struct wire_request *request, struct gauge_reading *ret)
{
    const struct config_provider *provider = NULL;
    const struct config_model *row = NULL;
    const char *model = NULL;
    char name[MODEL_NAME_BYTES * 4] = "";
    struct json_span inside = json_inside(request->model);
    if (inside.at && inside.len < sizeof(name))
        memcpy(name, inside.at, inside.len);
    bool served =
        config_route(service_config(r->service), (enum config_format)wire_format_of(endpoint), name,
                     &provider, &row, &model);
    struct gauge_ask ask = {
        .provider = served ? provider->name : "",
        .model = served ? model : name,
        .tenant = r->caller.tenant,
        .session = exchange_header(r->exchange, "x-sluice-session"),
        .endpoint = endpoint,
        .request = request,
        .chars_per_token = served ? row->chars_per_token : 0,
        .by_characters = served && scheduler_profile(provider)->reserves_max_output,
    };
    gauge_read(scheduler_gauge(service_scheduler(r->service)), &ask, ret);
}

static int count_body(const struct route_request *r, enum wire_endpoint endpoint,
                      struct json_span body, struct gauge_reading *ret, struct error *e)
{
    struct wire_request request;
    struct transcript t;
    int rc = wire_request_read(endpoint, body.at, body.len, &request, e);
    if (rc < 0)
        return rc;
    if (endpoint != WIRE_COMPLETIONS && endpoint != WIRE_EMBEDDINGS) {
        rc = transcript_read(endpoint, body.at, body.len, &t, e); /* only to say what is wrong */
        if (rc < 0)
            return rc;
        transcript_release(&t);
    }
    read_gauge(r, endpoint, &request, ret);
    return 0;
}

/* A text that stands alone, without a request around it. */
static int count_text_alone(const struct route_request *r, struct json_span body,
                            struct json_span text, struct gauge_reading *ret)
{
    struct counter *c = gauge_counter(scheduler_gauge(service_scheduler(r->service)));
    struct count_model model;
    int rc = counter_model_of(c, json_get(body, "model"), &model);
    if (rc < 0)
        return rc;
    struct count_size size = count_value(c, &model, text);
    *ret = (struct gauge_reading){.tokens = count_tokens(&model, size),
                                  .method = model.exact ? GAUGE_exact : GAUGE_estimated};
    ret->reserved = ((int64_t)size.text * model.family->reserve + 999) / 1000 + size.flat;
    return 0;
}

static bool is_plain_list(struct json_span value)
{
    struct json_iter it = json_iter(value);
    return json_kind(value) == JSON_ARR && json_next(&it) && json_kind(it.value) == JSON_STR;
}

/* Which endpoint takes such a body; false: a text alone, or nothing that is known. */
static bool find_endpoint(struct json_span body, enum wire_endpoint *ret)
{
    struct json_span input = json_get(body, "input");
    if (json_get(body, "text").at && json_kind(json_get(body, "text")) == JSON_STR)
        return false;
    if (!json_get(body, "messages").at && is_plain_list(input)) {
        *ret = WIRE_EMBEDDINGS;
        return true;
    }
    if (!json_get(body, "messages").at && !input.at && json_get(body, "prompt").at) {
        *ret = WIRE_COMPLETIONS;
        return true;
    }
    return transcript_endpoint(body, ret);
}

void route_tokens_count(const struct route_request *r)
{
    struct json_span body;
    if (!read_object(r, &body))
        return;
    struct gauge_reading size = {0};
    struct error e = {""};
    enum wire_endpoint endpoint = WIRE_CHAT;
    struct json_span text = json_get(body, "text"), prompt = json_get(body, "prompt");
    int rc = 0;
    if (json_kind(text) == JSON_STR)
        rc = count_text_alone(r, body, text, &size);
    else if (json_get(body, "model").at && find_endpoint(body, &endpoint))
        rc = count_body(r, endpoint, body, &size, &e);
    else if (json_kind(prompt) == JSON_STR || is_plain_list(json_get(body, "input")))
        rc = count_text_alone(r, body, prompt.at ? prompt : json_get(body, "input"), &size);
    else if (find_endpoint(body, &endpoint))
        rc = count_body(r, endpoint, body, &size, &e);
    else
        rc = error_set(&e, -EINVAL, "found neither messages nor input, prompt or text");
    if (rc < 0) {
        fail(r, rc, e.text);
        return;
    }
    answer_json(r->exchange, 200,
                json_pack("{s:I, s:s, s:I}", "input_tokens", (json_int_t)size.tokens, "method",
                          gauge_method_name(size.method), "reserved", (json_int_t)size.reserved));
}

void route_messages_count(const struct route_request *r)
{
    struct json_span body;
    struct gauge_reading size;
    struct error e = {""};
    if (!read_object(r, &body))
        return;
    int rc = count_body(r, WIRE_MESSAGES, body, &size, &e);
    if (rc < 0)
        fail(r, rc, e.text);
    else
        answer_json(r->exchange, 200, json_pack("{s:I}", "input_tokens", (json_int_t)size.tokens));
}

/* ---- trimming */

static int read_policy(struct json_span body, struct trim_policy *ret, struct error *e)
{
    struct json_span preset = json_get(body, "preset"), policy = json_get(body, "policy");
    struct json_span most = json_get(body, "max_context_tokens");
    char name[24] = "balanced";
    int rc = 0;
    if (preset.at && policy.at)
        return error_set(e, -EINVAL, "preset and policy: give one of them");
    if (policy.at) {
        rc = trim_policy_read(policy, ret, e);
    } else {
        struct json_span inside = json_inside(preset);
        if (preset.at)
            (void)snprintf(name, sizeof(name), "%.*s", (int)(inside.len < 23 ? inside.len : 23),
                           inside.at ? inside.at : "");
        if (!trim_policy_preset(name, ret))
            rc = error_set(e, -EINVAL, "preset: expected aggressive, balanced or conservative");
    }
    if (rc == 0 && most.at &&
        (!json_int(most, &ret->max_context_tokens) || ret->max_context_tokens < 0))
        rc = error_set(e, -EINVAL, "max_context_tokens: expected a whole number from 0");
    return rc;
}

static int read_input(struct json_span request, struct trim_input *in, struct error *e)
{
    struct json_span body = json_get(request, "body"), format = json_get(request, "format");
    if (json_kind(body) != JSON_OBJ)
        return error_set(e, -EINVAL, "body: expected the body of a call, an object");
    if (!transcript_endpoint(body, &in->endpoint))
        return error_set(e, -EINVAL, "body: found neither messages nor input");
    if (json_equals(format, "anthropic"))
        in->endpoint = WIRE_MESSAGES;
    else if (json_equals(format, "openai") && in->endpoint == WIRE_MESSAGES)
        in->endpoint = WIRE_CHAT;
    else if (format.at && !json_equals(format, "openai"))
        return error_set(e, -EINVAL, "format: expected openai or anthropic");
    in->body = body.at;
    in->len = body.len;
    return 0;
}

void route_context_trim(const struct route_request *r)
{
    struct json_span request;
    struct trim_policy policy;
    struct trim_result result;
    struct trim_input in = {.counter =
                                gauge_counter(scheduler_gauge(service_scheduler(r->service))),
                            .policy = &policy};
    struct error e = {""};
    if (!read_object(r, &request))
        return;
    int rc = read_input(request, &in, &e);
    if (rc == 0)
        rc = read_policy(request, &policy, &e);
    if (rc == 0)
        rc = trim(&in, &result, &e);
    if (rc < 0) {
        fail(r, rc, e.text);
        return;
    }
    struct buf out;
    buf_init(&out, (size_t)REPORT_BYTES);
    rc = trim_report(&result, (struct json_span){in.body, in.len}, &out);
    if (rc == 0)
        exchange_reply(r->exchange, 200, "application/json", out.data, out.len);
    else
        fail(r, -ENOMEM, "");
    buf_release(&out);
    trim_result_release(&result);
}
