#include "scheduler/provider/wire_whole.h"

#include "scheduler/provider/sse.h"

#include <string.h>

struct look {
    enum wire_endpoint endpoint;
    int64_t ended; /* choices that stopped by themselves; 1 where there is one answer */
    int64_t begun; /* choices that were seen, by the largest index */
    bool over;     /* the format's own end */
    bool bad;
};

static bool has_items(struct json_span list)
{
    struct json_iter it = json_iter(list);
    return json_kind(list) == JSON_ARR && json_next(&it);
}

static bool is_there(struct json_span value)
{
    return json_kind(value) != JSON_NONE && json_kind(value) != JSON_NUL;
}

static void look_at_choice(struct look *l, struct json_span choice, const char *message)
{
    struct json_span said = json_get(choice, message), reason = json_get(choice, "finish_reason");
    int64_t index = 0;
    (void)json_int(json_get(choice, "index"), &index);
    l->begun = index + 1 > l->begun ? index + 1 : l->begun;
    if (has_items(json_get(said, "tool_calls")) || is_there(json_get(said, "function_call")))
        l->bad = true;
    if (json_equals(reason, "stop"))
        l->ended++;
    else if (is_there(reason))
        l->bad = true;
}

static void look_at_choices(struct look *l, struct json_span root, const char *message)
{
    struct json_iter it = json_iter(json_get(root, "choices"));
    while (json_next(&it))
        look_at_choice(l, it.value, message);
}

/* Of a message, a response, or an item of one: what it holds must be text or thinking. */
static void look_at_parts(struct look *l, struct json_span list)
{
    static const char *const good[] = {"text", "thinking", "redacted_thinking", "message",
                                       "reasoning"};
    struct json_iter it = json_iter(list);
    while (json_next(&it)) {
        struct json_span type = json_get(it.value, "type");
        bool known = false;
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
            known = known || json_equals(type, good[i]);
        l->bad = l->bad || !known;
    }
}

static void look_at_stop(struct look *l, struct json_span reason)
{
    if (json_equals(reason, "end_turn") || json_equals(reason, "stop_sequence"))
        l->ended = l->begun = 1;
    else if (is_there(reason))
        l->bad = true;
}

static void look_at_response(struct look *l, struct json_span response)
{
    look_at_parts(l, json_get(response, "output"));
    if (json_equals(json_get(response, "status"), "completed"))
        l->ended = l->begun = 1;
    else
        l->bad = true;
}

static void look_at_body(struct look *l, struct json_span root)
{
    l->over = true;
    switch (l->endpoint) {
    case WIRE_MESSAGES:
        look_at_parts(l, json_get(root, "content"));
        look_at_stop(l, json_get(root, "stop_reason"));
        break;
    case WIRE_RESPONSES:
        look_at_response(l, root);
        break;
    case WIRE_EMBEDDINGS:
        l->ended = l->begun = has_items(json_get(root, "data"));
        break;
    default:
        look_at_choices(l, root, "message");
        break;
    }
}

static void look_at_message_event(struct look *l, struct json_span root, struct json_span type)
{
    if (json_equals(type, "content_block_start")) {
        struct json_span block = json_get(json_get(root, "content_block"), "type");
        l->bad = l->bad || !(json_equals(block, "text") || json_equals(block, "thinking") ||
                             json_equals(block, "redacted_thinking"));
    } else if (json_equals(type, "message_delta")) {
        look_at_stop(l, json_get(json_get(root, "delta"), "stop_reason"));
    } else if (json_equals(type, "message_stop")) {
        l->over = true;
    }
}

static void on_event(void *arg, const struct sse_event *event)
{
    static const char done[] = "[DONE]";
    struct look *l = arg;
    struct error e;
    if (!event->has_data || l->bad)
        return;
    if (event->data_len == sizeof(done) - 1 && memcmp(event->data, done, sizeof(done) - 1) == 0) {
        l->over = true;
        return;
    }
    if (json_scan_check(event->data, event->data_len, &e) < 0) {
        l->bad = true;
        return;
    }
    struct json_span root = json_span_of(event->data, event->data_len);
    struct json_span type = json_get(root, "type");
    if (is_there(json_get(root, "error")) || json_equals(type, "error") ||
        strcmp(event->name, "error") == 0)
        l->bad = true;
    if (l->endpoint == WIRE_MESSAGES) {
        look_at_message_event(l, root, type);
    } else if (l->endpoint == WIRE_RESPONSES && json_equals(type, "response.completed")) {
        l->over = true;
        look_at_response(l, json_get(root, "response"));
    } else if (l->endpoint == WIRE_CHAT || l->endpoint == WIRE_COMPLETIONS) {
        look_at_choices(l, root, "delta");
    }
}

static void look_at_stream(struct look *l, const char *bytes, size_t len)
{
    struct sse events;
    sse_init(&events);
    if (sse_feed(&events, bytes, len, on_event, l) < 0 || sse_finish(&events, on_event, l) < 0 ||
        sse_unfinished(&events) > 0)
        l->bad = true;
    sse_release(&events);
}

bool wire_is_whole(enum wire_endpoint endpoint, bool streamed, const char *bytes, size_t len)
{
    struct look l = {.endpoint = endpoint};
    struct error e;
    if (streamed)
        look_at_stream(&l, bytes, len);
    else if (json_scan_check(bytes, len, &e) == 0)
        look_at_body(&l, json_span_of(bytes, len));
    return l.over && !l.bad && l.ended > 0 && l.ended == l.begun;
}
