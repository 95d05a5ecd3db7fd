#include "scheduler/provider/wire.h"

#include "common/limits.h"
#include "scheduler/provider/wire_content.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct reader {
    struct wire_request *r;
    struct wire_content content;
    struct wire_text_count schema;
    int64_t prompts; /* of a completion */
    struct error *e;
};

/* ---- single fields */

static const char *kind_name(struct json_span value)
{
    static const char *const names[] = {
        [JSON_NONE] = "nothing", [JSON_OBJ] = "an object", [JSON_ARR] = "an array",
        [JSON_STR] = "a string", [JSON_NUM] = "a number",  [JSON_BOOL] = "true or false",
        [JSON_NUL] = "null",
    };
    return names[json_kind(value)];
}

static int unwanted(struct reader *d, const char *name, struct json_span found, const char *want)
{
    return error_set(d->e, -EINVAL, "%s: found %s, expected %s", name, kind_name(found), want);
}

static int read_model(struct reader *d, const char *name, struct json_span value)
{
    if (json_kind(value) != JSON_STR || json_inside(value).len == 0)
        return unwanted(d, name, value, "the name of a model");
    d->r->model = value;
    return 0;
}

static int read_stream(struct reader *d, const char *name, struct json_span value)
{
    return json_bool(value, &d->r->stream) ? 0 : unwanted(d, name, value, "true or false");
}

static int read_stream_options(struct reader *d, const char *name, struct json_span value)
{
    if (json_kind(value) != JSON_OBJ)
        return unwanted(d, name, value, "an object");
    struct json_span include = json_get(value, "include_usage");
    enum json_kind kind = json_kind(include);
    if (kind != JSON_NONE && kind != JSON_NUL && !json_bool(include, &d->r->usage_asked))
        return unwanted(d, "stream_options.include_usage", include, "true or false");
    d->r->stream_options = value;
    return 0;
}

static int read_number(struct reader *d, const char *name, struct json_span value, int64_t min,
                       int64_t max, int64_t *ret)
{
    int64_t number;
    if (!json_int(value, &number) || number < min || number > max)
        return error_set(
            d->e, -EINVAL, "%s: found %s, expected a whole number from %" PRId64 " to %" PRId64,
            name, json_kind(value) == JSON_NUM ? "another number" : kind_name(value), min, max);
    *ret = number;
    return 0;
}

/* max_tokens and max_completion_tokens may both be there: the larger one is reserved. */
static int read_max_tokens(struct reader *d, const char *name, struct json_span value)
{
    int64_t most = 0;
    int rc = read_number(d, name, value, 0, WIRE_MAX_TOKENS, &most);
    if (rc == 0 && most > d->r->max_output_tokens)
        d->r->max_output_tokens = most;
    return rc;
}

static int read_choices(struct reader *d, const char *name, struct json_span value)
{
    int64_t choices = 0;
    int rc = read_number(d, name, value, 1, WIRE_MAX_CHOICES, &choices);
    if (rc == 0 && choices > d->r->choices)
        d->r->choices = choices;
    return rc;
}

/* ---- input */

static int64_t count_items(struct json_span array)
{
    int64_t count = 0;
    struct json_iter it = json_iter(array);
    while (json_next(&it))
        count++;
    return count;
}

static int read_messages(struct reader *d, const char *name, struct json_span value)
{
    if (json_kind(value) != JSON_ARR)
        return unwanted(d, name, value, "an array of messages");
    d->r->messages += count_items(value);
    wire_content_add(&d->content, value);
    return 0;
}

static int read_text(struct reader *d, const char *name, struct json_span value)
{
    (void)name;
    wire_content_add(&d->content, value);
    return 0;
}

static int read_items(struct reader *d, const char *name, struct json_span value)
{
    if (json_kind(value) == JSON_ARR)
        return read_messages(d, name, value);
    if (json_kind(value) != JSON_STR)
        return unwanted(d, name, value, "a string or an array of items");
    d->r->messages = 1;
    wire_content_add(&d->content, value);
    return 0;
}

/* A list of strings, of token numbers, or of lists of token numbers. */
static void add_inputs(struct reader *d, struct json_span list)
{
    int64_t numbers = 0;
    struct json_iter it = json_iter(list);
    while (json_next(&it)) {
        enum json_kind kind = json_kind(it.value);
        if (kind == JSON_NUM) {
            numbers++;
            continue;
        }
        d->prompts++;
        if (kind == JSON_ARR)
            d->r->token_ids += count_items(it.value);
        else
            wire_content_add(&d->content, it.value);
    }
    d->r->token_ids += numbers;
    if (numbers > 0)
        d->prompts++;
}

static int read_inputs(struct reader *d, const char *name, struct json_span value)
{
    enum json_kind kind = json_kind(value);
    if (kind == JSON_ARR) {
        add_inputs(d, value);
    } else if (kind == JSON_STR) {
        d->prompts = 1;
        wire_content_add(&d->content, value);
    } else {
        return unwanted(d, name, value, "a string or an array");
    }
    d->r->messages = d->prompts;
    return 0;
}

static int read_tools(struct reader *d, const char *name, struct json_span value)
{
    (void)name;
    d->r->tools += count_items(value);
    wire_text_add_json(&d->schema, value);
    return 0;
}

/* Only a schema is put before the model; {"type":"json_object"} costs nothing. */
static int read_answer_format(struct reader *d, const char *name, struct json_span value)
{
    (void)name;
    wire_text_add_json(&d->schema, json_get(value, "json_schema"));
    wire_text_add_json(&d->schema, json_get(value, "schema"));
    wire_text_add_json(&d->schema, json_get(json_get(value, "format"), "schema"));
    return 0;
}

static int read_remote_history(struct reader *d, const char *name, struct json_span value)
{
    (void)name;
    (void)value;
    d->r->remote_history = true;
    return 0;
}

/* ---- which fields an endpoint has */

typedef int (*field_fn)(struct reader *d, const char *name, struct json_span value);

struct field {
    const char *name;
    field_fn read;
    bool required;
};

#define FIELDS_MAX 12

static const struct field fields[WIRE_ENDPOINT_COUNT][FIELDS_MAX + 1] = {
    [WIRE_CHAT] = {{"model", read_model, true},
                   {"messages", read_messages, true},
                   {"stream", read_stream, false},
                   {"stream_options", read_stream_options, false},
                   {"max_tokens", read_max_tokens, false},
                   {"max_completion_tokens", read_max_tokens, false},
                   {"n", read_choices, false},
                   {"tools", read_tools, false},
                   {"functions", read_tools, false},
                   {"response_format", read_answer_format, false}},
    [WIRE_COMPLETIONS] = {{"model", read_model, true},
                          {"prompt", read_inputs, false},
                          {"suffix", read_text, false},
                          {"stream", read_stream, false},
                          {"stream_options", read_stream_options, false},
                          {"max_tokens", read_max_tokens, false},
                          {"n", read_choices, false},
                          {"best_of", read_choices, false}},
    [WIRE_RESPONSES] = {{"model", read_model, true},
                        {"input", read_items, false},
                        {"instructions", read_text, false},
                        {"stream", read_stream, false},
                        {"max_output_tokens", read_max_tokens, false},
                        {"tools", read_tools, false},
                        {"text", read_answer_format, false},
                        {"previous_response_id", read_remote_history, false},
                        {"conversation", read_remote_history, false},
                        {"prompt", read_remote_history, false}},
    [WIRE_EMBEDDINGS] = {{"model", read_model, true}, {"input", read_inputs, true}},
    [WIRE_MESSAGES] = {{"model", read_model, true},
                       {"messages", read_messages, true},
                       {"system", read_text, false},
                       {"stream", read_stream, false},
                       {"max_tokens", read_max_tokens, false},
                       {"tools", read_tools, false},
                       {"output_format", read_answer_format, false},
                       {"output_config", read_answer_format, false}},
};

static const struct field *find_field(const struct field *row, struct json_span key)
{
    for (; row->name; row++)
        if (json_equals(key, row->name))
            return row;
    return NULL;
}

static int read_fields(struct reader *d, const struct field *row, unsigned *ret_seen)
{
    struct json_iter it = json_iter(d->r->body);
    while (json_next(&it)) {
        const struct field *field = find_field(row, it.key);
        if (!field)
            continue;
        unsigned bit = 1U << (field - row);
        if (*ret_seen & bit)
            return error_set(d->e, -EINVAL, "%s: stands twice in the request", field->name);
        *ret_seen |= bit;
        bool absent = json_kind(it.value) == JSON_NUL && !field->required;
        int rc = absent ? 0 : field->read(d, field->name, it.value);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int require_fields(struct reader *d, const struct field *row, unsigned seen)
{
    for (unsigned i = 0; row[i].name; i++)
        if (row[i].required && !(seen & 1U << i))
            return error_set(d->e, -EINVAL, "%s: is missing from the request", row[i].name);
    return 0;
}

static void finish(struct reader *d, enum wire_endpoint endpoint)
{
    struct wire_request *r = d->r;
    r->text = wire_text_of(&d->content.text);
    r->schema = wire_text_of(&d->schema);
    r->input_bytes = r->text.bytes + r->schema.bytes;
    r->images = d->content.images;
    r->images_low = d->content.images_low;
    r->audio_ms = d->content.audio_ms;
    r->files = d->content.files;
    r->file_bytes = d->content.file_bytes;
    r->opaque_bytes = d->content.opaque_bytes;
    if (endpoint == WIRE_COMPLETIONS && d->prompts > 1)
        r->choices *= d->prompts;
}

int wire_request_read(enum wire_endpoint endpoint, const char *body, size_t len,
                      struct wire_request *ret, struct error *e)
{
    int rc = json_scan_check(body, len, e);
    if (rc < 0)
        return rc;
    struct wire_request r = {
        .body = json_span_of(body, len),
        .max_output_tokens = -1,
        .choices = 1,
    };
    struct reader d = {.r = &r, .e = e};
    if (json_kind(r.body) != JSON_OBJ)
        return unwanted(&d, "the request", r.body, "an object");

    unsigned seen = 0;
    const struct field *row = fields[endpoint];
    rc = read_fields(&d, row, &seen);
    if (rc == 0)
        rc = require_fields(&d, row, seen);
    if (rc < 0)
        return rc;
    finish(&d, endpoint);
    *ret = r;
    return 0;
}

/* ---- edits */

static int append(struct buf *out, const char *from, const char *to)
{
    return buf_add(out, from, (size_t)(to - from));
}

/* The body with the bytes from `from` to `to` replaced by text. */
static int splice(const struct wire_request *r, const char *from, const char *to, const char *text,
                  struct buf *out)
{
    int rc = append(out, r->body.at, from);
    if (rc == 0)
        rc = buf_adds(out, text);
    return rc < 0 ? rc : append(out, to, r->body.at + r->body.len);
}

static int set_include_usage(const struct wire_request *r, struct buf *out)
{
    struct json_span options = r->stream_options;
    struct json_span include = json_get(options, "include_usage");
    if (include.at)
        return splice(r, include.at, include.at + include.len, "true", out);
    struct json_iter it = json_iter(options);
    const char *inside = options.at + 1;
    return splice(r, inside, inside,
                  json_next(&it) ? "\"include_usage\":true," : "\"include_usage\":true", out);
}

int wire_request_ask_usage(enum wire_endpoint endpoint, const struct wire_request *r,
                           struct buf *out)
{
    if ((endpoint != WIRE_CHAT && endpoint != WIRE_COMPLETIONS) || !r->stream)
        return -ENOTSUP;
    const char *inside = r->body.at + 1;
    if (r->usage_asked)
        return buf_add(out, r->body.at, r->body.len);
    if (r->stream_options.at)
        return set_include_usage(r, out);

    /* A null counts as absent, but a second member of the name would contradict it. */
    struct json_span null = json_get(r->body, "stream_options");
    if (null.at)
        return splice(r, null.at, null.at + null.len, "{\"include_usage\":true}", out);
    return splice(r, inside, inside, "\"stream_options\":{\"include_usage\":true},", out);
}

int wire_request_set_model(const struct wire_request *r, const char *model, struct buf *out)
{
    int rc = append(out, r->body.at, r->model.at + 1);
    if (rc == 0)
        rc = buf_add_json(out, model, strlen(model));
    const char *quote = r->model.at + r->model.len - 1;
    return rc < 0 ? rc : append(out, quote, r->body.at + r->body.len);
}

int wire_request_drop(const struct wire_request *r, const char *name, struct buf *out)
{
    struct json_iter it = json_iter(r->body);
    bool first = true;
    int rc = buf_adds(out, "{");
    while (rc == 0 && json_next(&it)) {
        if (json_equals(it.key, name))
            continue;
        rc = first ? 0 : buf_adds(out, ",");
        if (rc == 0)
            rc = append(out, it.key.at, it.value.at + it.value.len);
        first = false;
    }
    return rc < 0 ? rc : buf_adds(out, "}");
}
