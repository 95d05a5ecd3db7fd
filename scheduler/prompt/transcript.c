#include "scheduler/prompt/transcript.h"

#include "common/limits.h"
#include "scheduler/prompt/transcript_blocks.h"
#include "scheduler/prompt/transcript_pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list */

static int grow_messages(struct transcript_reader *r)
{
    struct transcript *t = r->t;
    if (t->count >= TRANSCRIPT_MAX_MESSAGES)
        return -E2BIG;
    if (t->count < r->message_room)
        return 0;
    uint32_t room = r->message_room ? r->message_room * 2 : 64;
    struct transcript_message *grown = realloc(t->messages, room * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    t->messages = grown;
    r->message_room = room;
    return 0;
}

static int read_list(struct transcript_reader *r)
{
    struct transcript *t = r->t;
    struct json_iter it = json_iter(t->list);
    while (json_next(&it)) {
        int rc = grow_messages(r);
        if (rc < 0)
            return rc;
        struct transcript_message *m = &t->messages[t->count++];
        *m = (struct transcript_message){.span = it.value, .block = t->block_count};
        rc = transcript_blocks_read(r, m);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- atoms and turns */

bool transcript_is_user(const struct transcript *t, uint32_t message)
{
    return t->messages[message].role == ROLE_USER;
}

bool transcript_is_assistant(const struct transcript *t, uint32_t message)
{
    return t->messages[message].role == ROLE_ASSISTANT;
}

/* The last message that i is tied to by what both are, calls apart. */
static uint32_t tied_to(const struct transcript *t, uint32_t i)
{
    uint32_t next = i + 1;
    if (next >= t->count)
        return i;
    if (t->messages[next].role == ROLE_TOOL)
        return next;
    bool one_answer = t->endpoint == WIRE_RESPONSES && transcript_is_assistant(t, i) &&
                      transcript_is_assistant(t, next);
    return one_answer ? next : i;
}

/* `atom` first holds how far a message reaches: an atom ends where nothing in it reaches on. */
static void find_atoms(struct transcript *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        t->messages[i].atom = tied_to(t, i);
    for (uint32_t k = 0; k < t->block_count; k++) {
        const struct transcript_block *b = &t->blocks[k];
        if (b->kind != BLOCK_RESULT || b->pair == TRANSCRIPT_NONE)
            continue;
        uint32_t call = t->blocks[b->pair].message;
        uint32_t first = call < b->message ? call : b->message;
        uint32_t last = call < b->message ? b->message : call;
        if (t->messages[first].atom < last)
            t->messages[first].atom = last;
    }
    for (uint32_t i = 0, start = 0, reach = 0; i < t->count; i++) {
        if (t->messages[i].atom > reach)
            reach = t->messages[i].atom;
        t->messages[i].atom = start;
        if (i >= reach)
            start = i + 1;
    }
}

static void find_turns(struct transcript *t)
{
    bool behind_user = false;
    for (uint32_t i = 0; i < t->count; i++) {
        struct transcript_message *m = &t->messages[i];
        bool own = m->role == ROLE_USER;
        if (own && !behind_user && m->atom == i) {
            t->turns++;
            t->last_turn = i;
        }
        m->turn = t->turns;
        if (m->role != ROLE_SYSTEM)
            behind_user = own;
    }
}

static bool has_compaction(const struct transcript *t, const struct transcript_message *m)
{
    for (uint32_t k = m->block; k < m->block + m->block_count; k++)
        if (t->blocks[k].kind == BLOCK_COMPACTION)
            return true;
    return false;
}

static void pin(struct transcript *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct transcript_message *m = &t->messages[i];
        m->pinned = i >= t->last_turn || m->role == ROLE_SYSTEM || m->role == ROLE_OTHER ||
                    has_compaction(t, m);
    }
}

/* ---- the body */

static bool is_given(struct json_span value)
{
    enum json_kind kind = json_kind(value);
    return kind != JSON_NONE && kind != JSON_NUL;
}

static bool begins_with(struct json_span string, const char *text)
{
    struct json_span inside = json_inside(string);
    size_t len = strlen(text);
    return inside.len >= len && memcmp(inside.at, text, len) == 0;
}

bool transcript_endpoint(struct json_span body, enum wire_endpoint *ret)
{
    struct json_span messages = {0}, input = {0}, tools = {0}, model = {0};
    struct json_span only_anthropic[4] = {{0}};
    const struct transcript_wanted wanted[] = {
        {"messages", &messages},
        {"input", &input},
        {"tools", &tools},
        {"model", &model},
        {"system", &only_anthropic[0]},
        {"stop_sequences", &only_anthropic[1]},
        {"thinking", &only_anthropic[2]},
        {"anthropic_version", &only_anthropic[3]},
    };
    transcript_members(body, wanted, sizeof(wanted) / sizeof(wanted[0]));
    if (!is_given(messages)) {
        *ret = WIRE_RESPONSES;
        return is_given(input);
    }
    bool anthropic = begins_with(model, "claude");
    for (size_t i = 0; i < 4; i++)
        anthropic = anthropic || is_given(only_anthropic[i]);
    struct json_iter it = json_iter(tools);
    if (json_next(&it) && is_given(json_get(it.value, "input_schema")))
        anthropic = true;
    *ret = anthropic ? WIRE_MESSAGES : WIRE_CHAT;
    return true;
}

static void absent_if_null(struct json_span *value)
{
    if (json_kind(*value) == JSON_NUL)
        *value = (struct json_span){0};
}

/* Members that are null count as absent. */
static int read_body(struct transcript *t, struct error *e)
{
    bool responses = t->endpoint == WIRE_RESPONSES;
    const char *name = responses ? "input" : "messages";
    struct json_span list = {0}, functions = {0}, earlier = {0}, conversation = {0};
    const struct transcript_wanted wanted[] = {
        {name, &list},
        {"model", &t->model},
        {"tools", &t->tools},
        {"functions", &functions},
        {responses ? "instructions" : "system", &t->system},
        {"previous_response_id", &earlier},
        {"conversation", &conversation},
        {"response_format", &t->formats[0]},
        {"text", &t->formats[1]},
        {"output_format", &t->formats[2]},
        {"output_config", &t->formats[3]},
    };
    size_t count = sizeof(wanted) / sizeof(wanted[0]);
    transcript_members(t->body, wanted, count);
    for (size_t i = 0; i < count; i++)
        absent_if_null(wanted[i].value);
    if (json_kind(list) == JSON_ARR)
        t->list = list;
    else if (responses && json_kind(list) == JSON_STR)
        t->input = list;
    else
        return error_set(e, -EINVAL, "%s: expected an array%s", name,
                         responses ? " or a string" : "");
    if (t->endpoint == WIRE_CHAT && !t->tools.at)
        t->tools = functions;
    if (t->endpoint == WIRE_CHAT)
        t->system = (struct json_span){0};
    t->remote_history = responses && (earlier.at || conversation.at);
    return 0;
}

int transcript_read(enum wire_endpoint endpoint, const char *body, size_t len,
                    struct transcript *ret, struct error *e)
{
    struct transcript t = {.endpoint = endpoint, .body = json_span_of(body, len)};
    struct transcript_reader r = {.t = &t};
    if (endpoint != WIRE_CHAT && endpoint != WIRE_RESPONSES && endpoint != WIRE_MESSAGES)
        return error_set(e, -EINVAL, "%s has no messages", wire_path(endpoint));
    if (json_kind(t.body) != JSON_OBJ)
        return error_set(e, -EINVAL, "the request: expected an object");
    int rc = read_body(&t, e);
    if (rc < 0)
        return rc;
    rc = read_list(&r);
    if (rc == 0)
        rc = transcript_pair(&t);
    if (rc < 0) {
        transcript_release(&t);
        if (rc == -E2BIG)
            return error_set(e, rc, "the request has more than %d messages or %d blocks",
                             TRANSCRIPT_MAX_MESSAGES, TRANSCRIPT_MAX_BLOCKS);
        return error_set(e, rc, "out of memory");
    }
    find_atoms(&t);
    find_turns(&t);
    pin(&t);
    *ret = t;
    return 0;
}

void transcript_release(struct transcript *t)
{
    free(t->messages);
    free(t->blocks);
    t->messages = NULL;
    t->blocks = NULL;
    t->count = t->block_count = 0;
}
