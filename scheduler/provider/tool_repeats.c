#include "scheduler/provider/tool_repeats.h"

#include "common/buf.h"
#include "common/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a over what counts. */
struct print {
    uint64_t hash;
    bool in_string, escaped, any;
};

struct seen {
    int64_t choice, index;
    uint64_t id;
    struct print print;
    bool whole, judged, repeat;
};

struct tool_repeats {
    enum wire_endpoint endpoint;
    int64_t most;
    uint64_t *before;
    size_t before_count, count, open;
    struct seen seen[TOOL_FILTER_MAX_BLOCKS];
};

/* ---- prints */

static void add_byte(struct print *p, unsigned char byte)
{
    p->hash = (p->hash ^ byte) * UINT64_C(0x100000001b3);
}

static void add_bytes(struct print *p, const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = at[i];
        bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
        if (blank && !p->in_string)
            continue;
        if (!p->escaped && c == '"')
            p->in_string = !p->in_string;
        p->escaped = p->in_string && !p->escaped && c == '\\';
        p->any = true;
        add_byte(p, (unsigned char)c);
    }
}

static int add_value(struct print *p, struct json_span value)
{
    struct buf text;
    if (!value.at)
        return 0;
    if (json_kind(value) != JSON_STR) {
        add_bytes(p, value.at, value.len);
        return 0;
    }
    buf_init(&text, SSE_MAX_EVENT_BYTES);
    int rc = json_text(value, &text);
    if (rc == 0 && text.len > 0)
        add_bytes(p, text.data, text.len);
    buf_release(&text);
    return rc;
}

static struct print begin_print(struct json_span name)
{
    struct print p = {.hash = UINT64_C(0xcbf29ce484222325)};
    struct json_span inside = json_inside(name);
    for (size_t i = 0; inside.at && i < inside.len; i++)
        add_byte(&p, (unsigned char)inside.at[i]);
    add_byte(&p, 0);
    return p;
}

/* No arguments are told as nothing in a stream, and as an empty object elsewhere. */
static uint64_t end_print(struct print *p)
{
    if (!p->any)
        add_bytes(p, "{}", 2);
    return p->hash;
}

int tool_call_print(struct json_span name, struct json_span arguments, uint64_t *ret)
{
    struct print p = begin_print(name);
    int rc = add_value(&p, arguments);
    *ret = end_print(&p);
    return rc;
}

/* ---- life */

int tool_repeats_new(enum wire_endpoint endpoint, int64_t most, const uint64_t *before,
                     size_t before_count, struct tool_repeats **ret)
{
    struct tool_repeats *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    *r = (struct tool_repeats){.endpoint = endpoint, .most = most, .before_count = before_count};
    r->before = calloc(before_count + 1, sizeof(*before));
    if (!r->before) {
        free(r);
        return -ENOMEM;
    }
    if (before_count > 0)
        memcpy(r->before, before, before_count * sizeof(*before));
    *ret = r;
    return 0;
}

void tool_repeats_free(struct tool_repeats *r)
{
    if (r)
        free(r->before);
    free(r);
}

/* ---- judging */

static void judge(struct tool_repeats *r, size_t number)
{
    struct seen *s = &r->seen[number];
    int64_t like = 0;
    s->print.hash = end_print(&s->print);
    for (size_t i = 0; i < r->before_count; i++)
        like += r->before[i] == s->print.hash;
    for (size_t i = 0; i < number; i++)
        like += r->seen[i].choice == s->choice && r->seen[i].print.hash == s->print.hash;
    s->judged = true;
    s->repeat = like >= r->most;
}

static void judge_all(struct tool_repeats *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (!r->seen[i].judged)
            judge(r, i);
}

static void end_call(struct tool_repeats *r, struct seen *s)
{
    if (!s || s->whole)
        return;
    s->whole = true;
    r->open--;
}

static struct seen *begin_call(struct tool_repeats *r, int64_t choice, int64_t index,
                               struct json_span name)
{
    if (r->count == TOOL_FILTER_MAX_BLOCKS)
        return NULL;
    struct seen *s = &r->seen[r->count++];
    *s = (struct seen){.choice = choice, .index = index, .print = begin_print(name)};
    r->open++;
    return s;
}

static bool is_call(struct json_span part)
{
    struct json_span type = json_get(part, "type");
    return json_equals(type, "tool_use") || json_equals(type, "function_call") ||
           json_equals(type, "custom_tool_call");
}

static struct json_span arguments_of(enum wire_endpoint endpoint, struct json_span call)
{
    struct json_span arguments = json_get(call, "arguments");
    if (endpoint == WIRE_MESSAGES || !arguments.at)
        return json_get(call, "input");
    return arguments;
}

/* The function (or custom tool) of a chat call; other formats have no such level. */
static struct json_span inner(enum wire_endpoint endpoint, struct json_span call)
{
    struct json_span function = json_get(call, "function");
    if (endpoint != WIRE_CHAT)
        return call;
    return function.at ? function : json_get(call, "custom");
}

int tool_repeats_add(struct tool_repeats *r, int64_t choice, struct json_span call)
{
    struct json_span what = inner(r->endpoint, call);
    struct seen *s = begin_call(r, choice, (int64_t)r->count, json_get(what, "name"));
    if (!s)
        return 0;
    int rc = add_value(&s->print, arguments_of(r->endpoint, what));
    end_call(r, s);
    judge_all(r);
    return rc;
}

/* ---- streams */

static struct seen *find(struct tool_repeats *r, int64_t choice, int64_t index)
{
    for (size_t i = r->count; i > 0; i--)
        if (r->seen[i - 1].choice == choice && r->seen[i - 1].index == index)
            return &r->seen[i - 1];
    return NULL;
}

static struct seen *find_top(struct tool_repeats *r, int64_t choice)
{
    for (size_t i = r->count; i > 0; i--)
        if (r->seen[i - 1].choice == choice)
            return &r->seen[i - 1];
    return NULL;
}

static int watch_chat_call(struct tool_repeats *r, int64_t choice, struct json_span call)
{
    struct json_span id = json_inside(json_get(call, "id")), what = inner(WIRE_CHAT, call);
    struct print of_id = {.hash = UINT64_C(0xcbf29ce484222325)};
    struct seen *top = find_top(r, choice), *s = NULL;
    int64_t index = 0;
    (void)json_int(json_get(call, "index"), &index);
    for (size_t i = 0; id.at && i < id.len; i++)
        add_byte(&of_id, (unsigned char)id.at[i]);
    bool named = id.at && id.len > 0;
    if (!top || index > top->index || (index == top->index && named && of_id.hash != top->id)) {
        s = begin_call(r, choice, index, json_get(what, "name"));
        if (s)
            s->id = named ? of_id.hash : 0;
    } else {
        s = find(r, choice, index);
    }
    return s && !s->whole ? add_value(&s->print, arguments_of(WIRE_CHAT, what)) : 0;
}

static void end_choice(struct tool_repeats *r, int64_t choice)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->seen[i].choice == choice)
            end_call(r, &r->seen[i]);
}

static int watch_chat(struct tool_repeats *r, struct json_span event)
{
    struct json_iter choices = json_iter(json_get(event, "choices"));
    int rc = 0;
    while (rc == 0 && json_next(&choices)) {
        int64_t choice = 0;
        (void)json_int(json_get(choices.value, "index"), &choice);
        struct json_span calls = json_get(json_get(choices.value, "delta"), "tool_calls");
        struct json_iter it = json_iter(calls);
        while (json_kind(calls) == JSON_ARR && rc == 0 && json_next(&it))
            rc = watch_chat_call(r, choice, it.value);
        if (json_kind(json_get(choices.value, "finish_reason")) == JSON_STR)
            end_choice(r, choice);
    }
    if (json_get(event, "error").at)
        tool_repeats_close(r);
    return rc;
}

static int watch_messages(struct tool_repeats *r, struct json_span event)
{
    struct json_span type = json_get(event, "type"), block = json_get(event, "content_block");
    struct json_span part = json_get(json_get(event, "delta"), "partial_json");
    int64_t index = 0;
    if (!json_int(json_get(event, "index"), &index)) {
        if (!json_equals(type, "ping") && !json_equals(type, "message_start"))
            tool_repeats_close(r);
        return 0;
    }
    if (json_equals(type, "content_block_start") && is_call(block)) {
        struct seen *s = begin_call(r, 0, index, json_get(block, "name"));
        struct json_span input = json_get(block, "input");
        struct json_iter it = json_iter(input);
        return s && json_kind(input) == JSON_OBJ && json_next(&it) ? add_value(&s->print, input)
                                                                   : 0;
    }
    struct seen *s = find(r, 0, index);
    if (json_equals(type, "content_block_stop"))
        end_call(r, s);
    return s && !s->whole ? add_value(&s->print, part) : 0;
}

static int watch_responses(struct tool_repeats *r, struct json_span event)
{
    struct json_span type = json_get(event, "type"), item = json_get(event, "item");
    int64_t index = 0;
    if (!json_int(json_get(event, "output_index"), &index)) {
        if (!json_equals(type, "response.in_progress"))
            tool_repeats_close(r);
        return 0;
    }
    if (json_equals(type, "response.output_item.added") && is_call(item))
        (void)begin_call(r, 0, index, json_get(item, "name"));
    struct seen *s = find(r, 0, index);
    if (!s || s->whole || !json_equals(type, "response.output_item.done"))
        return 0;
    int rc = add_value(&s->print, arguments_of(WIRE_RESPONSES, item)); /* the whole of them */
    end_call(r, s);
    return rc;
}

int tool_repeats_watch(struct tool_repeats *r, struct json_span event, bool *ret_hold)
{
    int rc = 0;
    if (r->endpoint == WIRE_CHAT)
        rc = watch_chat(r, event);
    else if (r->endpoint == WIRE_MESSAGES)
        rc = watch_messages(r, event);
    else if (r->endpoint == WIRE_RESPONSES)
        rc = watch_responses(r, event);
    *ret_hold = r->open > 0;
    if (r->open == 0)
        judge_all(r);
    return rc;
}

void tool_repeats_close(struct tool_repeats *r)
{
    for (size_t i = 0; i < r->count; i++)
        end_call(r, &r->seen[i]);
    judge_all(r);
}

bool tool_repeats_has(const struct tool_repeats *r, size_t number)
{
    return number < r->count && r->seen[number].repeat;
}

bool tool_repeats_at(const struct tool_repeats *r, int64_t choice, int64_t index,
                     int64_t *ret_before)
{
    bool repeat = false;
    *ret_before = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct seen *s = &r->seen[i];
        if (s->choice != choice)
            continue;
        *ret_before += s->repeat && s->index < index;
        if (s->index == index)
            repeat = s->repeat;
    }
    return repeat;
}
