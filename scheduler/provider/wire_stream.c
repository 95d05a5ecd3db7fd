#include "scheduler/provider/wire.h"
#include "scheduler/provider/wire_usage.h"

#include <string.h>

/* One event: its JSON and what it calls itself. */
struct event {
    struct json_span root;
    struct json_span type; /* the member "type" */
    const char *name;      /* of the SSE event; "" when it has none */
};

void wire_stream_init(struct wire_stream *s, enum wire_endpoint endpoint, bool hide_usage)
{
    *s = (struct wire_stream){.endpoint = endpoint, .hide_usage = hide_usage};
}

/* The data names its type in both formats that have types; the event's name is only looked
 * at when it does not. */
static bool is_type(const struct event *ev, const char *type)
{
    return json_kind(ev->type) == JSON_STR ? json_equals(ev->type, type)
                                           : strcmp(ev->name, type) == 0;
}

static bool has_content(struct json_span value)
{
    switch (json_kind(value)) {
    case JSON_OBJ:
    case JSON_ARR: {
        struct json_iter it = json_iter(value);
        return json_next(&it);
    }
    case JSON_STR:
        return value.len > 2;
    case JSON_NUM:
    case JSON_BOOL:
        return true;
    default:
        return false;
    }
}

static enum wire_verdict fail(struct wire_stream *s)
{
    s->failed = true;
    return WIRE_FAIL;
}

/* ---- OpenAI chat and completions */

/* Any member of a delta but the role is output: providers add theirs (reasoning_content). */
static bool delta_has_output(struct json_span delta)
{
    struct json_iter it = json_iter(delta);
    while (json_next(&it))
        if (!json_equals(it.key, "role") && has_content(it.value))
            return true;
    return false;
}

static bool choice_has_output(struct json_span choice)
{
    return delta_has_output(json_get(choice, "delta")) || has_content(json_get(choice, "text")) ||
           has_content(json_get(choice, "finish_reason"));
}

static enum wire_verdict chat_event(struct wire_stream *s, const struct event *ev)
{
    struct json_span choices = json_get(ev->root, "choices");
    bool told = wire_usage_object(s->endpoint, json_get(ev->root, "usage"), &s->usage);
    s->usage.known |= told;
    /* Some providers put the usage into the last chunk with choices; that one is the
     * caller's. Only the extra chunk that has none was not asked for. */
    if (!has_content(choices))
        return told && s->hide_usage ? WIRE_DROP : WIRE_PASS;

    struct json_iter it = json_iter(choices);
    while (json_next(&it))
        s->output_seen |= choice_has_output(it.value);
    return WIRE_PASS;
}

/* ---- OpenAI responses */

static enum wire_verdict responses_event(struct wire_stream *s, const struct event *ev)
{
    struct json_span usage = json_get(json_get(ev->root, "response"), "usage");
    s->usage.known |= wire_usage_object(s->endpoint, usage, &s->usage);
    if (is_type(ev, "response.failed"))
        return fail(s);
    if (is_type(ev, "response.completed") || is_type(ev, "response.incomplete"))
        s->finished = true;
    /* Items and parts are announced before their first delta and the caller keeps them, so
     * all but the frame counts as output. */
    if (!is_type(ev, "response.created") && !is_type(ev, "response.in_progress") &&
        !is_type(ev, "response.queued") && !is_type(ev, "keepalive"))
        s->output_seen = true;
    return WIRE_PASS;
}

/* ---- Anthropic messages */

static bool block_has_output(struct json_span block)
{
    struct json_span type = json_get(block, "type");
    if (json_equals(type, "text"))
        return has_content(json_get(block, "text"));
    if (json_equals(type, "thinking"))
        return has_content(json_get(block, "thinking"));
    return true; /* the name of a tool, a result of a server's tool */
}

/* As they stand in the JSON, without their quotes. */
static int64_t delta_bytes(struct json_span delta)
{
    static const char *const members[] = {"text", "thinking", "partial_json"};
    int64_t bytes = 0;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        struct json_span value = json_get(delta, members[i]);
        if (json_kind(value) == JSON_STR)
            bytes += (int64_t)value.len - 2;
    }
    return bytes;
}

static enum wire_verdict messages_event(struct wire_stream *s, const struct event *ev)
{
    if (is_type(ev, "message_start")) {
        struct json_span usage = json_get(json_get(ev->root, "message"), "usage");
        (void)wire_usage_object(s->endpoint, usage, &s->usage); /* output is not final yet */
    } else if (is_type(ev, "message_delta")) {
        s->usage.known |= wire_usage_object(s->endpoint, json_get(ev->root, "usage"), &s->usage);
        s->output_seen = true;
    } else if (is_type(ev, "content_block_start")) {
        s->output_seen |= block_has_output(json_get(ev->root, "content_block"));
    } else if (is_type(ev, "content_block_delta")) {
        s->output_seen = true;
        s->output_bytes += delta_bytes(json_get(ev->root, "delta"));
    } else if (is_type(ev, "message_stop")) {
        s->finished = true;
    }
    return WIRE_PASS;
}

/* ---- all */

static bool is_done(const char *data, size_t len)
{
    static const char done[] = "[DONE]";
    struct json_span text = json_span_of(data, len);
    return text.len == sizeof(done) - 1 && memcmp(text.at, done, text.len) == 0;
}

/* An empty string or object is no error: some providers send "error": {} or "" always. */
static bool is_error(const struct event *ev)
{
    return is_type(ev, "error") || strcmp(ev->name, "error") == 0 ||
           has_content(json_get(ev->root, "error"));
}

enum wire_verdict wire_stream_event(struct wire_stream *s, const char *name, const char *data,
                                    size_t len)
{
    if (is_done(data, len)) {
        s->finished = true;
        return WIRE_PASS;
    }
    struct event ev = {.name = name ? name : ""};
    if (json_scan_check(data, len, NULL) == 0) {
        ev.root = json_span_of(data, len);
        ev.type = json_get(ev.root, "type");
    }
    if (is_error(&ev))
        return fail(s);
    if (json_kind(ev.root) != JSON_OBJ)
        return WIRE_PASS;
    switch (s->endpoint) {
    case WIRE_RESPONSES:
        return responses_event(s, &ev);
    case WIRE_MESSAGES:
        return messages_event(s, &ev);
    default:
        return chat_event(s, &ev);
    }
}

static int add_message(struct buf *out, const char *before, const char *message, const char *behind)
{
    int rc = buf_adds(out, before);
    if (rc == 0)
        rc = buf_add_json(out, message, strlen(message));
    return rc < 0 ? rc : buf_adds(out, behind);
}

int wire_stream_error(enum wire_endpoint endpoint, const char *message, struct buf *out)
{
    switch (endpoint) {
    case WIRE_MESSAGES:
        return add_message(
            out,
            "event: error\n"
            "data: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"",
            message, "\"}}\n\n");
    case WIRE_RESPONSES:
        /* The reference documents bare members; the service sends the object, which is also
         * what makes the SDKs raise it. */
        return add_message(out,
                           "event: error\n"
                           "data: {\"type\":\"error\",\"error\":{\"type\":\"server_error\","
                           "\"code\":\"stream_interrupted\",\"param\":null,\"message\":\"",
                           message, "\"}}\n\n");
    default:
        return add_message(out,
                           "data: {\"error\":{\"type\":\"server_error\","
                           "\"code\":\"stream_interrupted\",\"param\":null,\"message\":\"",
                           message, "\"}}\n\n");
    }
}
