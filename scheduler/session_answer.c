#include "scheduler/session_answer.h"

#include "common/json_edit.h"
#include "common/limits.h"
#include "scheduler/provider/sse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A block of Anthropic's, or a tool call of chat. */
struct piece {
    struct buf head;            /* the block as it began; of a call its id */
    struct buf name;            /* of a call */
    struct buf text, signature; /* what was added, as JSON writes it, without quotes */
};

struct session_answer {
    enum wire_endpoint endpoint;
    bool stream, finished;
    int failed;
    struct buf body; /* plain: the answer; stream of responses: the last event */
    struct sse sse;
    struct buf content, refusal; /* of chat */
    struct piece *pieces;
    size_t count;
    bool seen; /* a choice, or a message that began */
};

struct session_answer *session_answer_new(enum wire_endpoint endpoint, bool stream)
{
    struct session_answer *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->endpoint = endpoint;
    a->stream = stream;
    buf_init(&a->body, UPSTREAM_MAX_BODY_BYTES);
    buf_init(&a->content, UPSTREAM_MAX_BODY_BYTES);
    buf_init(&a->refusal, UPSTREAM_MAX_BODY_BYTES);
    sse_init(&a->sse);
    return a;
}

void session_answer_free(struct session_answer *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->count; i++) {
        buf_release(&a->pieces[i].head);
        buf_release(&a->pieces[i].name);
        buf_release(&a->pieces[i].text);
        buf_release(&a->pieces[i].signature);
    }
    free(a->pieces);
    buf_release(&a->body);
    buf_release(&a->content);
    buf_release(&a->refusal);
    sse_release(&a->sse);
    free(a);
}

/* The piece of that index, made with all below it. */
static struct piece *piece_at(struct session_answer *a, int64_t index)
{
    if (index < 0 || index >= TOOL_FILTER_MAX_BLOCKS) {
        a->failed = -E2BIG;
        return NULL;
    }
    if ((size_t)index >= a->count) {
        struct piece *grown = realloc(a->pieces, ((size_t)index + 1) * sizeof(*grown));
        if (!grown) {
            a->failed = -ENOMEM;
            return NULL;
        }
        a->pieces = grown;
        for (; a->count <= (size_t)index; a->count++) {
            struct piece *p = &grown[a->count];
            buf_init(&p->head, UPSTREAM_MAX_BODY_BYTES);
            buf_init(&p->name, UPSTREAM_MAX_BODY_BYTES);
            buf_init(&p->text, UPSTREAM_MAX_BODY_BYTES);
            buf_init(&p->signature, UPSTREAM_MAX_BODY_BYTES);
        }
    }
    return &a->pieces[index];
}

static void append(struct session_answer *a, struct buf *to, struct json_span string)
{
    struct json_span inside = json_inside(string);
    if (inside.len > 0 && buf_add(to, inside.at, inside.len) < 0)
        a->failed = to->failed;
}

/* ---- events */

static void chat_event(struct session_answer *a, struct json_span root)
{
    struct json_iter it = json_iter(json_get(root, "choices"));
    while (json_next(&it)) {
        int64_t choice = 0;
        (void)json_int(json_get(it.value, "index"), &choice);
        struct json_span delta = json_get(it.value, "delta");
        if (choice != 0)
            continue;
        a->seen = true;
        append(a, &a->content, json_get(delta, "content"));
        append(a, &a->refusal, json_get(delta, "refusal"));
        struct json_iter calls = json_iter(json_get(delta, "tool_calls"));
        while (json_next(&calls)) {
            int64_t index = 0;
            (void)json_int(json_get(calls.value, "index"), &index);
            struct json_span function = json_get(calls.value, "function");
            struct piece *p = piece_at(a, index);
            if (!p)
                return;
            if (p->head.len == 0)
                append(a, &p->head, json_get(calls.value, "id"));
            append(a, &p->name, json_get(function, "name"));
            append(a, &p->text, json_get(function, "arguments"));
        }
    }
}

static void messages_event(struct session_answer *a, struct json_span root)
{
    struct json_span type = json_get(root, "type"), delta = json_get(root, "delta");
    int64_t index = 0;
    if (json_equals(type, "message_start"))
        a->seen = true;
    if (json_equals(type, "message_stop"))
        a->finished = true;
    bool starts = json_equals(type, "content_block_start");
    if ((!starts && !json_equals(type, "content_block_delta")) ||
        !json_int(json_get(root, "index"), &index))
        return;
    struct piece *p = piece_at(a, index);
    struct json_span block = json_get(root, "content_block");
    if (!p)
        return;
    if (starts && buf_add(&p->head, block.at, block.len) < 0)
        a->failed = p->head.failed;
    append(a, &p->text, json_get(block, "text"));
    append(a, &p->text, json_get(block, "thinking"));
    append(a, &p->text, json_get(delta, "text"));
    append(a, &p->text, json_get(delta, "thinking"));
    append(a, &p->text, json_get(delta, "partial_json"));
    append(a, &p->signature, json_get(delta, "signature"));
}

static void responses_event(struct session_answer *a, struct json_span root)
{
    struct json_span type = json_get(root, "type"), response = json_get(root, "response");
    if (!json_equals(type, "response.completed") && !json_equals(type, "response.incomplete"))
        return;
    buf_clear(&a->body);
    if (buf_add(&a->body, response.at, response.len) < 0)
        a->failed = a->body.failed;
    a->seen = a->finished = true;
}

static void on_event(void *arg, const struct sse_event *event)
{
    struct session_answer *a = arg;
    if (a->failed || !event->has_data)
        return;
    if (a->endpoint == WIRE_CHAT && strcmp(event->data, "[DONE]") == 0) {
        a->finished = true;
        return;
    }
    if (json_scan_check(event->data, event->data_len, NULL) < 0)
        return;
    struct json_span root = json_span_of(event->data, event->data_len);
    if (a->endpoint == WIRE_CHAT)
        chat_event(a, root);
    else if (a->endpoint == WIRE_MESSAGES)
        messages_event(a, root);
    else
        responses_event(a, root);
}

bool session_answer_add(struct session_answer *a, const char *bytes, size_t len)
{
    int rc = a->stream ? sse_feed(&a->sse, bytes, len, on_event, a) : buf_add(&a->body, bytes, len);
    if (rc < 0 && !a->failed)
        a->failed = rc;
    return a->finished;
}

bool session_answer_is_cut(const struct session_answer *a)
{
    return a->stream && !a->finished;
}

/* ---- messages */

typedef int (*message_fn)(void *arg, struct json_span message);

static int tell(const struct buf *text, message_fn fn, void *arg)
{
    return fn(arg, json_span_of(text->data, text->len));
}

static int add_string(struct buf *out, const char *before, const struct buf *inside)
{
    int rc = buf_adds(out, before);
    if (rc == 0)
        rc = buf_adds(out, "\"");
    if (rc == 0 && inside->len > 0)
        rc = buf_add(out, inside->data, inside->len);
    return rc < 0 ? rc : buf_adds(out, "\"");
}

static int chat_message(const struct session_answer *a, struct buf *out)
{
    int rc = buf_adds(out, "{\"role\":\"assistant\",\"content\":");
    if (rc == 0)
        rc = a->content.len > 0 || a->count == 0 ? add_string(out, "", &a->content)
                                                 : buf_adds(out, "null");
    if (rc == 0 && a->refusal.len > 0)
        rc = add_string(out, ",\"refusal\":", &a->refusal);
    for (size_t i = 0; i < a->count && rc == 0; i++) {
        const struct piece *p = &a->pieces[i];
        rc = add_string(out, i ? ",{\"id\":" : ",\"tool_calls\":[{\"id\":", &p->head);
        if (rc == 0)
            rc = add_string(out, ",\"type\":\"function\",\"function\":{\"name\":", &p->name);
        if (rc == 0)
            rc = add_string(out, ",\"arguments\":", &p->text);
        if (rc == 0)
            rc = buf_adds(out, "}}");
    }
    if (rc == 0 && a->count > 0)
        rc = buf_adds(out, "]");
    return rc < 0 ? rc : buf_adds(out, "}");
}

/* Pieces of JSON inside of JSON strings, decoded; {} when they make no object (a call that was cut
 * off by max_tokens). */
static int decode_input(const struct piece *p, struct buf *out)
{
    struct buf quoted;
    buf_init(&quoted, UPSTREAM_MAX_BODY_BYTES + KIB);
    int rc = add_string(&quoted, "", &p->text);
    if (rc == 0)
        rc = json_text(json_span_of(quoted.data, quoted.len), out);
    buf_release(&quoted);
    bool whole = rc == 0 && out->len > 0 && json_scan_check(out->data, out->len, NULL) == 0 &&
                 json_kind(json_span_of(out->data, out->len)) == JSON_OBJ;
    if (rc == 0 && !whole) {
        buf_clear(out);
        rc = buf_adds(out, "{}");
    }
    return rc;
}

static int set_string(struct json_edits *e, struct json_span block, const char *key,
                      const struct buf *inside)
{
    struct buf quoted;
    buf_init(&quoted, UPSTREAM_MAX_BODY_BYTES + KIB);
    int rc = add_string(&quoted, "", inside);
    if (rc == 0)
        json_edit_set(e, block, key, quoted.data);
    buf_release(&quoted);
    return rc;
}

static int edit_block(const struct piece *p, struct json_span block, struct json_edits *e)
{
    struct json_span type = json_get(block, "type");
    int rc = 0;
    if (json_equals(type, "text")) {
        rc = set_string(e, block, "text", &p->text);
    } else if (json_equals(type, "thinking")) {
        rc = set_string(e, block, "thinking", &p->text);
        if (rc == 0 && p->signature.len > 0)
            rc = set_string(e, block, "signature", &p->signature);
    } else if (p->text.len > 0) { /* tool_use and its like */
        struct buf input;
        buf_init(&input, UPSTREAM_MAX_BODY_BYTES);
        rc = decode_input(p, &input);
        if (rc == 0)
            json_edit_set(e, block, "input", input.data);
        buf_release(&input);
    }
    return rc;
}

static int messages_message(const struct session_answer *a, struct buf *out)
{
    int rc = buf_adds(out, "{\"role\":\"assistant\",\"content\":[");
    bool begun = false;
    for (size_t i = 0; i < a->count && rc == 0; i++) {
        const struct piece *p = &a->pieces[i];
        struct json_edits edits;
        struct json_span block = json_span_of(p->head.data, p->head.len);
        bool empty_text = json_equals(json_get(block, "type"), "text") && p->text.len == 0;
        if (json_kind(block) != JSON_OBJ || empty_text)
            continue;
        json_edits_init(&edits, block.at, block.len);
        rc = edit_block(p, block, &edits);
        if (rc == 0 && begun)
            rc = buf_adds(out, ",");
        if (rc == 0)
            rc = json_edits_apply(&edits, out);
        begun = true;
        json_edits_release(&edits);
    }
    return rc < 0 ? rc : buf_adds(out, "]}");
}

static bool is_empty(struct json_span list)
{
    struct json_iter it = json_iter(list);
    return !json_next(&it);
}

static int tell_stream(struct session_answer *a, message_fn fn, void *arg)
{
    struct buf message;
    buf_init(&message, UPSTREAM_MAX_BODY_BYTES);
    int rc = a->endpoint == WIRE_CHAT ? chat_message(a, &message) : messages_message(a, &message);
    /* An empty turn of the assistant's would be refused in the next request. */
    bool empty = rc == 0 && a->endpoint == WIRE_MESSAGES &&
                 is_empty(json_get(json_span_of(message.data, message.len), "content"));
    if (rc == 0 && !empty)
        rc = tell(&message, fn, arg);
    buf_release(&message);
    return rc;
}

static int tell_output(struct json_span root, message_fn fn, void *arg)
{
    struct json_span output = json_get(root, "output");
    struct json_iter it = json_iter(output);
    int rc = json_kind(output) == JSON_ARR ? 0 : -EBADMSG;
    while (rc == 0 && json_next(&it))
        rc = fn(arg, it.value);
    return rc;
}

static int tell_plain(struct json_span root, enum wire_endpoint endpoint, message_fn fn, void *arg)
{
    if (endpoint == WIRE_RESPONSES)
        return tell_output(root, fn, arg);
    if (endpoint == WIRE_CHAT) {
        struct json_iter it = json_iter(json_get(root, "choices"));
        struct json_span message = {0};
        if (json_next(&it))
            message = json_get(it.value, "message");
        return json_kind(message) == JSON_OBJ ? fn(arg, message) : -EBADMSG;
    }
    struct json_span content = json_get(root, "content");
    struct buf message;
    if (json_kind(content) != JSON_ARR)
        return -EBADMSG;
    if (is_empty(content))
        return 0;
    buf_init(&message, UPSTREAM_MAX_BODY_BYTES + KIB);
    int rc = buf_adds(&message, "{\"role\":\"assistant\",\"content\":");
    if (rc == 0)
        rc = buf_add(&message, content.at, content.len);
    if (rc == 0)
        rc = buf_adds(&message, "}");
    if (rc == 0)
        rc = tell(&message, fn, arg);
    buf_release(&message);
    return rc;
}

int session_answer_each(struct session_answer *a, message_fn fn, void *arg)
{
    if (a->stream && !a->failed && sse_finish(&a->sse, on_event, a) < 0)
        a->failed = -E2BIG;
    if (a->failed)
        return a->failed;
    if (a->stream && (!a->finished || !a->seen))
        return -EBADMSG;
    if (a->stream && a->endpoint != WIRE_RESPONSES)
        return tell_stream(a, fn, arg);
    if (a->body.len == 0 || json_scan_check(a->body.data, a->body.len, NULL) < 0)
        return -EBADMSG;
    return tell_plain(json_span_of(a->body.data, a->body.len), a->endpoint, fn, arg);
}
