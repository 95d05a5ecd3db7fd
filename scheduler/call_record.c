#include "scheduler/call_internal.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CALL_TTL_DEFAULT_S 300 /* of storage/lua/lib.lua */

static void add_text(struct buf *out, const char *name, const char *value)
{
    (void)buf_addf(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
    if (!*value) {
        (void)buf_adds(out, "null");
        return;
    }
    (void)buf_adds(out, "\"");
    (void)buf_add_json(out, value, strlen(value));
    (void)buf_adds(out, "\"");
}

const char *call_explain(struct call *c)
{
    bool own;
    struct buf *out = &c->explain;
    const char *binding = c->waited ? c->binding : "";
    const char *notes = call_notes(c);
    buf_clear(out);
    (void)buf_adds(out, "{");
    add_text(out, "model", c->model);
    add_text(out, "asked_model", c->fallen ? c->fallen->name : c->model);
    add_text(out, "pool", pool_agent_pool(c->pool->agent)->id);
    (void)buf_addf(out, ",\"queue_ms\":%" PRId64, call_queue_ms(c));
    add_text(out, "limit", pool_store_limit_name(binding, &own));
    add_text(out, "whose", pool_store_limit_whose(binding));
    (void)buf_addf(out, ",\"failed_attempts\":%s}", *notes ? notes : "[]");
    return out->failed ? "" : out->data;
}

static struct store_field text(const char *name, const char *value)
{
    return (struct store_field){name, value, strlen(value)};
}

static struct store_field number(const char *name, int64_t value, char room[CALL_NUMBER_BYTES])
{
    int len = snprintf(room, CALL_NUMBER_BYTES, "%" PRId64, value);
    return (struct store_field){name, room, len > 0 ? (size_t)len : 0};
}

static void add_error(struct call *c, const struct call_failure *f)
{
    buf_clear(&c->record.error);
    (void)buf_addf(&c->record.error, "{\"status\":%d,\"code\":\"%s\",\"message\":\"", f->status,
                   f->code ? f->code : "");
    (void)buf_add_json(&c->record.error, f->message, strlen(f->message));
    (void)buf_adds(&c->record.error, "\"}");
}

size_t call_record(struct call *c, const struct call_failure *failure, struct store_field *out)
{
    struct call_record *r = &c->record;
    int64_t age_ms = (clock_mono_us() - c->born_us) / 1000;
    int64_t ttl_s = c->plan->config->jobs.call_ttl_s;
    size_t n = 0;
    out[n++] = text("ep", wire_path(c->spec.endpoint));
    out[n++] = text("ten", c->spec.tenant);
    out[n++] = text("mdl", c->fallen ? c->fallen->name : c->model);
    out[n++] = text("dc", call_decision(c));
    out[n++] = text("xp", call_explain(c));
    out[n++] = number("cr", (clock_wall_ms() - age_ms) * 1000, r->created);
    out[n++] = number("in", c->estimate.input, r->input);
    if (ttl_s != CALL_TTL_DEFAULT_S)
        out[n++] = number("kt", ttl_s * 1000, r->ttl);
    if (c->status > 0 && !failure)
        out[n++] = number("rc", c->status, r->code);
    if (call_usage_json(c, r->usage))
        out[n++] = text("us", r->usage);
    if (failure) {
        add_error(c, failure);
        if (!r->error.failed)
            out[n++] = text("er", r->error.data);
    }
    return n;
}

/* Attempts of an earlier grant, as its record tells them. */
void call_recall(struct call *c, const char *explained, size_t len)
{
    struct json_span list = json_get(json_span_of(explained, len), "failed_attempts");
    struct json_iter it = json_iter(list);
    while (json_kind(list) == JSON_ARR && c->note_count < CALL_MAX_NOTES && json_next(&it)) {
        (void)buf_adds(&c->notes, c->note_count > 0 ? "," : "[");
        (void)buf_add(&c->notes, it.value.at, it.value.len);
        c->note_count++;
    }
}
