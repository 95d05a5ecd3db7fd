#include "api/webhook_json.h"

#include "api/job_json.h"
#include "api/message_batch_json.h"

#include "scheduler/webhook.h"
#include "scheduler/webhook_field.h"
#include "scheduler/webhook_url.h"

#include <errno.h>
#include <stdio.h>
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

/* As text, without what makes it too large. */
static char *bounded(json_t *object, const char *const *large)
{
    char *text = json_dumps(object, JSON_COMPACT);
    for (; text && *large && strlen(text) > WEBHOOK_MAX_PAYLOAD_BYTES; large++) {
        omit(object, object, *large, *large);
        free(text);
        text = json_dumps(object, JSON_COMPACT);
    }
    return text;
}

char *webhook_json_job(const struct job_record *record)
{
    static const char *const large[] = {"response", "metadata", "error", "trim", "model", NULL};
    json_t *job = job_json(record);
    json_t *response = json_object_get(job, "response");
    if (!job)
        return NULL;
    (void)json_object_del(job, "explain");
    if (record->body_len > WEBHOOK_MAX_ANSWER_BYTES)
        omit(job, response, "body", "response.body");
    char *text = bounded(job, large);
    json_decref(job);
    return text;
}

/* ---- a batch's event */

int webhook_json_batch(struct webhooks *w, const struct batch_end *end)
{
    const char *shape = json_string_value(json_object_get(end->record, "shape"));
    const char *field = json_string_value(json_object_get(end->record, "webhook"));
    const json_t *batch = json_object_get(end->record, "batch");
    const char *batch_id = json_string_value(json_object_get(batch, "id"));
    const char *status = json_string_value(json_object_get(batch, "status"));
    static const char *const large[] = {"errors", "metadata", NULL};
    char type[32], id[WEBHOOK_ID_BYTES];
    if (!field || !batch_id || !status)
        return 1;
    json_t *shown = shape && strcmp(shape, "anthropic") == 0 ? message_batch_json(end->record, "")
                                                             : json_deep_copy(batch);
    char *data = shown ? bounded(shown, large) : NULL;
    (void)snprintf(type, sizeof(type), "batch.%s", status);
    (void)snprintf(id, sizeof(id), "msg_%s", batch_id);
    struct webhook_event event = {.tenant = end->tenant,
                                  .type = type,
                                  .data = data,
                                  .object = batch_id,
                                  .field = field,
                                  .id = id};
    int rc = data ? webhooks_send(w, &event, end->told, end->arg) : -ENOMEM;
    free(data);
    json_decref(shown);
    return rc;
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
    json_t *d =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "id", r->id, "object",
                  "webhook.delivery", "type", r->type, "status", r->status, "url",
                  webhook_url_shown(r->url, shown), "created_at",
                  (json_int_t)(r->created_us / 1000000), "job", object_of(r->object, "job_", NULL),
                  "batch", object_of(r->object, "batch_", "msgbatch_"), "next_attempt_ms",
                  waits ? json_integer(r->next_ms) : json_null(), "ended_at",
                  r->ended_ms > 0 ? json_integer(r->ended_ms / 1000) : json_null(), "attempts",
                  attempts(r->attempts));
    if (d && with_tenant && json_object_set_new(d, "tenant", json_string(r->tenant)) < 0) {
        json_decref(d);
        d = NULL;
    }
    return d;
}
