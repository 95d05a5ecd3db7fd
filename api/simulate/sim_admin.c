#include "api/simulate/sim_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>

static void send_value(struct evhttp_request *http, int status, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_INDENT(1)) : NULL;
    json_decref(value);
    if (text)
        sim_send_json(http, status, text, strlen(text));
    else
        sim_send_json(http, 503, "{}", 2);
    free(text);
}

static void send_error(struct evhttp_request *http, const char *message)
{
    json_t *error = json_object(), *outer = json_object();
    (void)json_object_set_new(error, "message", json_string(message));
    (void)json_object_set_new(outer, "error", error);
    send_value(http, 400, outer);
}

static void send_calls(struct sim *sim, struct evhttp_request *http)
{
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(http));
    struct evkeyvalq pairs = {.tqh_first = NULL};
    long long since = 0;
    if (query && evhttp_parse_query_str(query, &pairs) == 0) {
        const char *value = evhttp_find_header(&pairs, "since");
        since = value ? strtoll(value, NULL, 10) : 0;
        evhttp_clear_headers(&pairs);
    }
    send_value(http, 200, sim_ledger_calls_json(&sim->ledger, since > 0 ? since : 0));
}

/* Calls that run keep their scopes and tallies, so these are emptied and not replaced. */
static void reset(struct sim *sim, struct evhttp_request *http)
{
    int64_t now_us = sim_now_us();
    for (size_t i = 0; i < sim->scope_count; i++) {
        struct sim_scope *scope = &sim->scopes[i];
        for (enum sim_dim d = 0; d < SIM_RATE_DIMS; d++) {
            sim_limit_release(&scope->limits[d]);
            sim_limit_init(&scope->limits[d], sim_dim_window_us(d));
        }
        scope->peak_in_flight = scope->in_flight;
    }
    for (struct sim_call *call = sim->calls; call; call = call->next) {
        call->cost = (struct sim_cost){.need = {0}}; /* nothing to give back any more */
        call->reply.cached_tokens = 0;
    }
    sim_apply_rules(sim, now_us);
    sim_ledger_reset(&sim->ledger);
    sim_script_clear(&sim->script);
    sim_send_json(http, 200, "{}", 2);
}

static bool set_limits(struct sim_rule *rule, const json_t *values)
{
    for (enum sim_dim d = 0; d < SIM_DIMS; d++) {
        const json_t *value = json_object_get(values, sim_dim_name(d));
        if (!value)
            continue;
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) > SIM_MAX_AMOUNT)
            return false;
        rule->limits[d] = json_integer_value(value);
    }
    return true;
}

static bool set_rule(struct sim_options *o, const json_t *values)
{
    const char *model = json_string_value(json_object_get(values, "model"));
    const char *key = json_string_value(json_object_get(values, "key"));
    struct sim_rule *rule = sim_options_rule(o, model ? model : "", key ? key : "");
    return rule && set_limits(rule, values);
}

static bool set_rest(struct sim_options *o, const json_t *values, struct error *e)
{
    const json_t *latency = json_object_get(values, "latency_ms");
    const json_t *per_token = json_object_get(values, "ms_per_token");
    const json_t *faults = json_object_get(values, "errors");
    const char *algorithm = json_string_value(json_object_get(values, "algorithm"));
    if (json_is_integer(latency) && json_integer_value(latency) >= 0)
        o->latency_ms = json_integer_value(latency);
    if (json_is_number(per_token) && json_number_value(per_token) >= 0)
        o->us_per_token = (int64_t)(json_number_value(per_token) * 1000);
    if (algorithm && sim_algorithm_find(algorithm) >= 0)
        o->algorithm = (enum sim_algorithm)sim_algorithm_find(algorithm);
    if (!json_is_array(faults))
        return true;
    o->fault_count = 0;
    for (size_t i = 0; i < json_array_size(faults); i++) {
        const char *spec = json_string_value(json_array_get(faults, i));
        if (!spec || sim_options_add_fault(o, spec, e) < 0)
            return false;
    }
    return true;
}

static void change_limits(struct sim *sim, struct evhttp_request *http, const json_t *body)
{
    struct error e = {.text = "a limit is not a number that is allowed"};
    const json_t *list = json_object_get(body, "limits");
    struct sim_options *changed = malloc(sizeof(*changed));
    bool ok = changed && json_is_object(body);
    if (changed)
        *changed = sim->options;
    ok = ok && set_limits(&changed->rules[0], body) && set_rest(changed, body, &e);
    for (size_t i = 0; ok && i < json_array_size(list); i++)
        ok = set_rule(changed, json_array_get(list, i));
    if (ok) {
        /* In place: scopes point at the rules, whose order never changes. */
        sim->options = *changed;
        sim_apply_rules(sim, sim_now_us());
    }
    free(changed);
    if (ok)
        sim_send_json(http, 200, "{}", 2);
    else
        send_error(http, e.text);
}

static void add_script(struct sim *sim, struct evhttp_request *http, const json_t *body)
{
    struct error e;
    if (sim_script_add(&sim->script, json_object_get(body, "responses"), &e) < 0)
        send_error(http, e.text);
    else
        sim_send_json(http, 200, "{}", 2);
}

void sim_admin(struct sim *sim, struct evhttp_request *http, const char *path)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(http);
    size_t len = evbuffer_get_length(in);
    const char *bytes = len ? (const char *)evbuffer_pullup(in, -1) : NULL;
    json_t *body = bytes ? json_loadb(bytes, len, 0, NULL) : NULL;
    bool post = evhttp_request_get_command(http) == EVHTTP_REQ_POST;

    if (!post && strcmp(path, "ledger") == 0)
        send_value(http, 200,
                   sim_ledger_json(&sim->ledger, sim->scopes, sim->scope_count, sim_now_us()));
    else if (!post && strcmp(path, "calls") == 0)
        send_calls(sim, http);
    else if (post && strcmp(path, "reset") == 0)
        reset(sim, http);
    else if (post && strcmp(path, "limits") == 0)
        change_limits(sim, http, body);
    else if (post && strcmp(path, "script") == 0)
        add_script(sim, http, body);
    else
        sim_send_json(http, 404, "{}", 2);
    json_decref(body);
}
