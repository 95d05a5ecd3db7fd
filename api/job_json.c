#include "api/job_json.h"

#include "api/request_options.h"

#include "common/json_scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEADLINE_MS (INT64_C(30) * 86400000)

/* ---- out */

/* A stored text that is JSON, as JSON; what is not (a provider's HTML page) as a string. */
static json_t *parsed(const char *text, size_t len)
{
    if (len == 0)
        return json_null();
    json_t *value = json_loadb(text, len, JSON_DECODE_ANY, NULL);
    if (!value)
        value = json_stringn(text, len);
    return value ? value : json_null();
}

static json_t *parsed_text(const char *text)
{
    return parsed(text, text ? strlen(text) : 0);
}

static json_t *seconds(int64_t ms)
{
    return ms > 0 ? json_integer(ms / 1000) : json_null();
}

static json_t *response(const struct job_record *r)
{
    if (r->status_code == 0)
        return json_null();
    return json_pack("{s:I, s:o}", "status_code", (json_int_t)r->status_code, "body",
                     parsed(r->body, r->body_len));
}

/* What few jobs have. */
static int add_rare(json_t *job, const struct job_record *r)
{
    int rc = 0;
    if (r->retry_of && *r->retry_of)
        rc = json_object_set_new(job, "retry_of", json_string(r->retry_of));
    if (!r->durability || rc < 0)
        return rc;
    rc = json_object_set_new(job, "durability", json_string(r->durability));
    if (rc == 0 && r->replicas > 0)
        rc = json_object_set_new(job, "replicas", json_integer(r->replicas));
    return rc;
}

/* The hint is written by the script that settles, when the rest has been told to it already. */
static json_t *explained(const struct job_record *r)
{
    json_t *explain = parsed_text(r->explain);
    if (!json_is_object(explain))
        return explain;
    json_t *hint = r->hint && *r->hint ? json_string(r->hint) : json_null();
    if (json_object_set_new(explain, "hint", hint) == 0)
        return explain;
    json_decref(explain);
    return NULL;
}

json_t *job_json(const struct job_record *r)
{
    bool waits = strcmp(r->status, "queued") == 0;
    json_t *job =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:I}", "id", r->id, "object",
                  r->is_call ? "call" : "job", "status", r->status, "endpoint", r->endpoint,
                  "model", r->model, "priority", r->class, "created_at", seconds(r->created_ms),
                  "started_at", seconds(r->started_ms), "finished_at",
                  job_status_is_final(r->status) ? seconds(r->finished_ms) : json_null(),
                  "attempts", (json_int_t)r->attempts);
    if (!job)
        return NULL;
    json_t *rest =
        json_pack("{s:o, s:o, s:s?, s:s?, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                  "position", waits ? json_integer(r->ahead + 1) : json_null(), "eta_ms",
                  waits ? json_integer(r->eta_ms) : json_null(), "binding_limit",
                  *r->binding ? r->binding : NULL, "decision",
                  r->decision && *r->decision ? r->decision : NULL, "input_tokens",
                  (json_int_t)r->input_tokens, "trimmed_tokens", (json_int_t)r->trimmed_tokens,
                  "trim", parsed_text(r->cut), "usage", parsed_text(r->usage), "response",
                  response(r), "error", parsed_text(r->error), "metadata", parsed_text(r->metadata),
                  "webhook", parsed_text(r->webhook), "explain", explained(r), "group",
                  r->group && *r->group ? json_string(r->group) : json_null(), "batch_size",
                  r->batch_size > 0 ? json_integer(r->batch_size) : json_null());
    if (!rest || json_object_update(job, rest) < 0 || add_rare(job, r) < 0) {
        json_decref(job);
        job = NULL;
    }
    json_decref(rest);
    return job;
}

/* ---- in */

static int bad(struct call_failure *f, const char *field, const char *wanted)
{
    call_failure_set(f, 400, "invalid_value", "%s %s", field, wanted);
    f->param = field;
    return -EINVAL;
}

static int no_memory(struct call_failure *f)
{
    call_failure_set(f, 503, "out_of_memory", "Sluice is out of memory.");
    f->retry_after_ms = 1000;
    return -ENOMEM;
}

static int read_endpoint(struct json_span job, enum wire_endpoint *ret, struct call_failure *f)
{
    struct json_span value = json_get(job, "endpoint");
    for (enum wire_endpoint e = 0; e < WIRE_ENDPOINT_COUNT; e++) {
        if (json_equals(value, wire_path(e))) {
            *ret = e;
            return 0;
        }
    }
    return bad(
        f, "endpoint",
        "must be one of /v1/chat/completions, /v1/completions, /v1/responses, /v1/embeddings, "
        "/v1/messages.");
}

static int read_class(struct json_span job, struct job_spec *ret, struct call_failure *f)
{
    struct error e;
    if (request_class_read(json_get(job, "priority"), &ret->class, &ret->class_given, &e) == 0)
        return 0;
    call_failure_set(f, 400, "invalid_value", "%s", e.text);
    f->param = "priority";
    return -EINVAL;
}

static int read_deadline(struct json_span job, int64_t *ret, struct call_failure *f)
{
    struct json_span value = json_get(job, "deadline_ms");
    *ret = 0;
    if (json_kind(value) == JSON_NONE || json_kind(value) == JSON_NUL)
        return 0;
    if (!json_int(value, ret) || *ret < 1 || *ret > MAX_DEADLINE_MS)
        return bad(f, "deadline_ms", "must be whole milliseconds from now, 1 to 30 days.");
    return 0;
}

static int read_metadata(struct json_span job, char **ret, struct call_failure *f)
{
    struct json_span value = json_get(job, "metadata");
    *ret = NULL;
    if (json_kind(value) == JSON_NONE || json_kind(value) == JSON_NUL)
        return 0;
    if (json_kind(value) != JSON_OBJ || value.len > JOB_MAX_METADATA_BYTES)
        return bad(f, "metadata", "must be an object of at most 16 KiB.");
    *ret = strndup(value.at, value.len);
    return *ret ? 0 : no_memory(f);
}

/* true, or the name of a group. */
static int read_batch(struct json_span job, struct job_input *ret, struct call_failure *f)
{
    struct json_span value = json_get(job, "batchable");
    struct buf name;
    bool on = false;
    ret->spec.batch = NULL;
    if (json_kind(value) == JSON_NONE || json_kind(value) == JSON_NUL)
        return 0;
    if (json_bool(value, &on)) {
        ret->spec.batch = on ? ret->batch : NULL;
        return 0;
    }
    buf_init(&name, BATCH_GROUP_BYTES);
    bool good = json_text(value, &name) == 0 && request_batch_is_good(name.data);
    if (good)
        (void)snprintf(ret->batch, sizeof(ret->batch), "%s", name.data);
    buf_release(&name);
    ret->spec.batch = ret->batch;
    return good ? 0 : bad(f, "batchable", "must be true, false, or the name of a group.");
}

static int read_fields(struct json_span job, struct job_input *ret, struct call_failure *f)
{
    int rc = read_endpoint(job, &ret->spec.endpoint, f);
    if (rc == 0)
        rc = read_class(job, &ret->spec, f);
    if (rc == 0)
        rc = read_deadline(job, &ret->spec.deadline_ms, f);
    if (rc == 0)
        rc = read_batch(job, ret, f);
    struct json_span body = json_get(job, "body");
    if (rc == 0 && json_kind(body) != JSON_OBJ)
        rc = bad(f, "body", "must be an object: the request as it would be sent to the endpoint.");
    if (rc == 0)
        rc = read_metadata(job, &ret->metadata, f);
    if (rc < 0)
        return rc;
    ret->spec.body = strndup(body.at, body.len);
    ret->spec.body_len = body.len;
    ret->spec.metadata = ret->metadata;
    ret->webhook = json_get(job, "webhook");
    if (!ret->spec.body) {
        free(ret->metadata);
        return no_memory(f);
    }
    return 0;
}

int job_input_read(const char *text, size_t len, const struct caller *caller, struct job_input *ret,
                   struct call_failure *f)
{
    struct error e;
    *ret = (struct job_input){.spec = {.tenant = caller->tenant,
                                       .weight = caller->weight,
                                       .models = caller->models,
                                       .key = caller->key_id}};
    if (json_scan_check(text, len, &e) < 0) {
        call_failure_set(f, 400, "invalid_json", "The job is %.200s.", e.text);
        return -EINVAL;
    }
    struct json_span job = json_span_of(text, len);
    if (json_kind(job) != JSON_OBJ)
        return bad(f, "job", "must be an object with endpoint and body.");
    return read_fields(job, ret, f);
}

void job_input_release(struct job_input *in)
{
    free(in->metadata);
}
