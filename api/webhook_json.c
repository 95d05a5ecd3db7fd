#include "api/webhook_json.h"

#include "api/job_json.h"

#include "scheduler/webhook_field.h"
#include "scheduler/webhook_url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int webhook_json_field(const struct service *s, const char *tenant, struct json_span given,
                       char **ret, struct call_failure *f)
{
    struct error e = {.text = ""};
    struct buf out;
    *ret = NULL;
    buf_init(&out, WEBHOOK_MAX_FIELD_BYTES);
    int rc = webhook_field_read(given, service_config(s), tenant, &out, &e);
    if (rc == -EINVAL) {
        call_failure_set(f, 400, "invalid_value", "webhook%s.", e.text);
        f->param = "webhook";
    } else if (rc < 0) {
        call_failure_set(f, 503, "out_of_memory", "Sluice is out of memory.");
    } else if (out.len > 0) {
        *ret = buf_take(&out);
    }
    buf_release(&out);
    return rc;
}

/* ---- a job's event */

static void omit(json_t *job, json_t *parent, const char *key, const char *path)
{
    json_t *omitted = json_object_get(job, "omitted");
    if (!json_is_object(parent) || json_is_null(json_object_get(parent, key)))
        return;
    if (!omitted) {
        (void)json_object_set_new(job, "omitted", json_array());
        omitted = json_object_get(job, "omitted");
    }
    (void)json_array_append_new(omitted, json_string(path));
    (void)json_object_set_new(parent, key, json_null());
}

char *webhook_json_job(const struct job_record *record)
{
    static const char *const large[] = {"metadata", "error", "trim"};
    json_t *job = job_json(record);
    json_t *response = json_object_get(job, "response");
    if (!job)
        return NULL;
    (void)json_object_del(job, "explain");
    if (record->body_len > WEBHOOK_MAX_ANSWER_BYTES)
        omit(job, response, "body", "response.body");
    char *text = json_dumps(job, JSON_COMPACT);
    if (text && strlen(text) > WEBHOOK_MAX_PAYLOAD_BYTES) {
        omit(job, response, "body", "response.body");
        for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
            omit(job, job, large[i], large[i]);
        free(text);
        text = json_dumps(job, JSON_COMPACT);
    }
    json_decref(job);
    return text;
}

/* ---- a delivery */

static json_t *attempts(const char *lines)
{
    json_t *list = json_array();
    while (list && *lines) {
        size_t len = strcspn(lines, "\n");
        json_t *one = json_loadb(lines, len, 0, NULL);
        if (one)
            (void)json_array_append_new(list, one);
        lines += len + (lines[len] == '\n');
    }
    return list;
}

static json_t *object_of(const char *id, const char *prefix, const char *other)
{
    bool is = strncmp(id, prefix, strlen(prefix)) == 0 ||
              (other && strncmp(id, other, strlen(other)) == 0);
    return is ? json_string(id) : json_null();
}

json_t *webhook_json_delivery(const struct webhook_record *r, bool with_tenant)
{
    char shown[WEBHOOK_SHOWN_BYTES];
    bool waits = strcmp(r->status, "waiting") == 0;
    json_t *d = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "id", r->id, "object",
        "webhook.delivery", "type", r->type, "status", r->status, "url",
        webhook_url_shown(r->url, shown), "created_at", (json_int_t)(r->created_us / 1000000), "job",
        object_of(r->object, "job_", NULL), "batch", object_of(r->object, "batch_", "msgbatch_"),
        "next_attempt_ms", waits ? json_integer(r->next_ms) : json_null(), "ended_at",
        r->ended_ms > 0 ? json_integer(r->ended_ms / 1000) : json_null(), "attempts",
        attempts(r->attempts));
    if (d && with_tenant && json_object_set_new(d, "tenant", json_string(r->tenant)) < 0) {
        json_decref(d);
        d = NULL;
    }
    return d;
}
