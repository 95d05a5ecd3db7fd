#include "api/message_batch_json.h"

#include "api/batch/batch.h"
#include "api/batch/batch_result.h"
#include "api/batch_ask.h"

#include <stdio.h>
#include <time.h>

#define TIME_BYTES 40
#define URL_BYTES  512

static json_t *time_text(const json_t *at)
{
    char text[TIME_BYTES];
    struct tm tm;
    time_t when = (time_t)json_integer_value(at);
    if (!json_is_integer(at) || !gmtime_r(&when, &tm) ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return json_null();
    return json_string(text);
}

static const json_t *ended_at(const json_t *batch)
{
    static const char *const keys[] = {"completed_at", "cancelled_at", "expired_at", "failed_at"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (json_is_integer(json_object_get(batch, keys[i])))
            return json_object_get(batch, keys[i]);
    return NULL;
}

static json_int_t count(const json_t *record, size_t which)
{
    return json_integer_value(json_array_get(json_object_get(record, "counts"), which));
}

static json_t *counts(const json_t *record)
{
    json_t *batch = json_object_get(record, "batch");
    json_int_t total =
        json_integer_value(json_object_get(json_object_get(batch, "request_counts"), "total"));
    json_int_t done = count(record, BATCH_OK) + count(record, BATCH_FAILED) +
                      count(record, BATCH_CANCELLED) + count(record, BATCH_EXPIRED);
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "processing", total > done ? total - done : 0,
                     "succeeded", count(record, BATCH_OK), "errored", count(record, BATCH_FAILED),
                     "canceled", count(record, BATCH_CANCELLED), "expired",
                     count(record, BATCH_EXPIRED));
}

static json_t *results_url(const json_t *record, const char *origin, const char *id)
{
    char url[URL_BYTES];
    if (!batch_ask_is_ended(record))
        return json_null();
    (void)snprintf(url, sizeof(url), "%.300s/v1/messages/batches/%.64s/results", origin, id);
    return json_string(url);
}

json_t *message_batch_json(const json_t *record, const char *origin)
{
    json_t *batch = json_object_get(record, "batch");
    const char *id = json_string_value(json_object_get(batch, "id"));
    const json_t *cancelled = json_object_get(batch, "cancelling_at");
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:n, s:o, s:o, s:O*}", "id", id, "type",
                     "message_batch", "processing_status",
                     batch_ask_is_ended(record)   ? "ended"
                     : json_is_integer(cancelled) ? "canceling"
                                                  : "in_progress",
                     "request_counts", counts(record), "ended_at", time_text(ended_at(batch)),
                     "created_at", time_text(json_object_get(batch, "created_at")), "expires_at",
                     time_text(json_object_get(batch, "expires_at")), "archived_at",
                     "cancel_initiated_at", time_text(cancelled), "results_url",
                     results_url(record, origin, id ? id : ""), "x_sluice",
                     json_object_get(batch, "x_sluice"));
}
