#include "api/permit_json.h"

#include <stdio.h>
#include <string.h>

#define WORD_BYTES 16

static json_t *amounts(const struct pool_limits *limits, const int64_t *cost)
{
    json_t *list = json_object();
    for (size_t i = 0; list && i < limits->dim_count; i++) {
        if (cost[i] > 0 &&
            json_object_set_new(list, limits->dims[i].name, json_integer(cost[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *settlement(const char *text)
{
    long long input = -1, output = -1, cached = -1;
    int status = 0;
    char outcome[WORD_BYTES] = "";
    if (sscanf(text, "%lld %lld %lld %d %15s", &input, &output, &cached, &status, outcome) != 5)
        return json_null();
    json_t *usage = json_null();
    if (input >= 0)
        usage = json_pack("{s:I, s:I, s:I}", "input_tokens", (json_int_t)input, "output_tokens",
                          (json_int_t)output, "cache_read_tokens", (json_int_t)cached);
    return json_pack("{s:i, s:s, s:o}", "status", status, "outcome", outcome, "usage", usage);
}

json_t *permit_json(const struct permit_record *r, int64_t now_wall_ms)
{
    bool open = r->status == PERMIT_GRANTED;
    /* Rounded up: a holder that trusts the second must not be told of less than it has. */
    json_t *expires = open ? json_integer((now_wall_ms + r->left_ms + 999) / 1000) : json_null();
    json_t *left = open ? json_integer(r->left_ms) : json_null();
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:I, s:I, s:o, s:I, s:I, s:o}",
                     "id", r->id, "object", "permit", "status", permit_status_name(r->status),
                     "model", r->model, "endpoint", r->endpoint, "pool", r->pool, "created_at",
                     (json_int_t)(r->asked_ms / 1000), "expires_at", expires, "expires_in_ms", left,
                     "ttl_ms", (json_int_t)r->ttl_ms, "wait_ms", (json_int_t)r->wait_ms, "reserved",
                     amounts(r->limits, r->reserved), "input_tokens", (json_int_t)r->estimate.input,
                     "max_output_tokens", (json_int_t)r->estimate.max_output, "settlement",
                     settlement(r->settlement));
}

/* Null, unless it would be made smaller. */
static json_t *cut(const struct admission *a)
{
    if (a->decision != ADMISSION_SHRINK)
        return json_null();
    json_t *most = a->max_output_tokens >= 0 ? json_integer(a->max_output_tokens) : json_null();
    return json_pack("{s:s?, s:I, s:o}", "policy", a->cut_policy, "trimmed_tokens",
                     (json_int_t)a->trimmed_tokens, "max_output_tokens", most);
}

json_t *admission_json(const struct admission *a)
{
    bool binds = *a->binding != '\0', own;
    return json_pack("{s:s, s:s, s:I, s:I, s:s?, s:s?, s:s?, s:s, s:s, s:s, s:I, s:I, s:o, s:o}",
                     "object", "admission", "decision", admission_name(a->decision), "wait_ms",
                     (json_int_t)a->wait_ms, "ahead", (json_int_t)a->ahead, "binding_limit",
                     binds ? pool_store_limit_name(a->binding, &own) : NULL, "owner",
                     binds ? pool_store_limit_whose(a->binding) : NULL, "reason",
                     *a->reason ? a->reason : NULL, "pool", a->pool, "provider", a->provider,
                     "model", a->model, "input_tokens", (json_int_t)a->input_tokens,
                     "output_tokens_reserved", (json_int_t)a->output_tokens_reserved, "reserved",
                     amounts(a->limits, a->cost), "trim", cut(a));
}
