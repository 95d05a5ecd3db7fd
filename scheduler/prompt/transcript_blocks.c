#include "scheduler/prompt/transcript_blocks.h"

#include "common/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add_block(struct transcript_reader *r, struct transcript_block block)
{
    struct transcript *t = r->t;
    if (t->block_count >= TRANSCRIPT_MAX_BLOCKS)
        return -E2BIG;
    if (t->block_count == r->block_room) {
        uint32_t room = r->block_room ? r->block_room * 2 : 128;
        struct transcript_block *grown = realloc(t->blocks, room * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        t->blocks = grown;
        r->block_room = room;
    }
    block.message = t->count - 1;
    block.pair = TRANSCRIPT_NONE;
    t->blocks[t->block_count++] = block;
    t->messages[block.message].block_count++;
    return 0;
}

/* ---- members, all of one object in one pass */

void transcript_members(struct json_span object, const struct transcript_wanted *wanted,
                        size_t count)
{
    struct json_iter it = json_iter(object);
    while (json_next(&it))
        for (size_t i = 0; i < count; i++)
            if (json_equals(it.key, wanted[i].name)) {
                *wanted[i].value = it.value;
                break;
            }
}

#define TAKE(object, list) transcript_members(object, list, sizeof(list) / sizeof((list)[0]))

/* Looked for in the bytes first, since hardly any block has one. */
static bool is_marked(struct json_span block)
{
    if (!memmem(block.at, block.len, "cache_control", strlen("cache_control")))
        return false;
    if (json_kind(json_get(block, "cache_control")) == JSON_OBJ)
        return true;
    struct json_iter it = json_iter(json_get(block, "content"));
    while (json_next(&it))
        if (json_kind(json_get(it.value, "cache_control")) == JSON_OBJ)
            return true;
    return false;
}

/* ---- elements of a content list */

static const struct {
    const char *type;
    enum block_kind kind;
} kinds[] = {
    {"text", BLOCK_TEXT},
    {"input_text", BLOCK_TEXT},
    {"output_text", BLOCK_TEXT},
    {"tool_use", BLOCK_CALL},
    {"tool_result", BLOCK_RESULT},
    {"thinking", BLOCK_THINKING},
    {"redacted_thinking", BLOCK_THINKING},
    {"compaction", BLOCK_COMPACTION},
    {"compaction_summary", BLOCK_COMPACTION},
};

static enum block_kind kind_of(struct json_span type)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (json_equals(type, kinds[i].type))
            return kinds[i].kind;
    return BLOCK_OTHER;
}

static int add_part(struct transcript_reader *r, struct json_span part)
{
    struct json_span type = {0}, text = {0}, id = {0}, name = {0}, input = {0}, use = {0},
                     content = {0}, error = {0};
    const struct transcript_wanted wanted[] = {
        {"type", &type},   {"text", &text},       {"id", &id},           {"name", &name},
        {"input", &input}, {"tool_use_id", &use}, {"content", &content}, {"is_error", &error}};
    TAKE(part, wanted);
    struct transcript_block b = {
        .kind = kind_of(type), .listed = true, .span = part, .marked = is_marked(part)};
    if (b.kind == BLOCK_TEXT) {
        b.value = text;
    } else if (b.kind == BLOCK_CALL) {
        b.value = input;
        b.id = id;
        b.name = name;
    } else if (b.kind == BLOCK_RESULT) {
        b.value = content;
        b.id = use;
        (void)json_bool(error, &b.failed);
    }
    return add_block(r, b);
}

static int add_content(struct transcript_reader *r, struct json_span content)
{
    if (json_kind(content) == JSON_STR)
        return add_block(
            r, (struct transcript_block){.kind = BLOCK_TEXT, .span = content, .value = content});
    int rc = 0;
    struct json_iter it = json_iter(content);
    while (rc == 0 && json_next(&it))
        rc = add_part(r, it.value);
    return rc;
}

static enum transcript_role role_of(struct json_span role)
{
    static const struct {
        const char *name;
        enum transcript_role role;
    } roles[] = {
        {"user", ROLE_USER},     {"assistant", ROLE_ASSISTANT}, {"tool", ROLE_TOOL},
        {"system", ROLE_SYSTEM}, {"developer", ROLE_SYSTEM},    {"function", ROLE_TOOL},
    };
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (json_equals(role, roles[i].name))
            return roles[i].role;
    return ROLE_OTHER;
}

/* ---- OpenAI chat */

static struct transcript_block chat_call(struct json_span call)
{
    struct json_span id = {0}, function = {0};
    const struct transcript_wanted wanted[] = {{"id", &id}, {"function", &function}};
    TAKE(call, wanted);
    struct transcript_block b = {
        .kind = BLOCK_CALL, .listed = true, .span = call, .id = id, .marked = is_marked(call)};
    const struct transcript_wanted inner[] = {{"name", &b.name}, {"arguments", &b.value}};
    TAKE(function, inner);
    return b;
}

static int read_chat(struct transcript_reader *r, struct transcript_message *m)
{
    struct json_span role = {0}, calls = {0}, id = {0}, function = {0}, content = {0};
    const struct transcript_wanted wanted[] = {{"role", &role},
                                               {"content", &content},
                                               {"tool_calls", &calls},
                                               {"tool_call_id", &id},
                                               {"function_call", &function}};
    TAKE(m->span, wanted);
    m->role = role_of(role);
    m->content = content;
    if (m->role == ROLE_TOOL)
        return add_block(r, (struct transcript_block){.kind = BLOCK_RESULT,
                                                      .span = m->span,
                                                      .value = content,
                                                      .id = id,
                                                      .marked = is_marked(m->span)});
    int rc = add_content(r, content);
    struct json_iter it = json_iter(calls);
    while (rc == 0 && json_next(&it))
        rc = add_block(r, chat_call(it.value));
    if (rc < 0 || json_kind(function) != JSON_OBJ)
        return rc;
    struct transcript_block old = {.kind = BLOCK_CALL, .span = function};
    const struct transcript_wanted inner[] = {{"name", &old.name}, {"arguments", &old.value}};
    TAKE(function, inner);
    return add_block(r, old);
}

/* ---- Anthropic messages */

static int read_messages(struct transcript_reader *r, struct transcript_message *m)
{
    struct json_span role = {0}, content = {0};
    const struct transcript_wanted wanted[] = {{"role", &role}, {"content", &content}};
    TAKE(m->span, wanted);
    m->role = role_of(role);
    m->content = content;
    int rc = add_content(r, content);
    bool results = m->block_count > 0 && m->role == ROLE_USER;
    for (uint32_t k = 0; results && k < m->block_count; k++)
        results = r->t->blocks[m->block + k].kind == BLOCK_RESULT;
    if (results)
        m->role = ROLE_TOOL;
    return rc;
}

/* ---- OpenAI responses */

static bool ends_with(struct json_span string, const char *text)
{
    struct json_span inside = json_inside(string);
    size_t len = strlen(text);
    return inside.len >= len && memcmp(inside.at + inside.len - len, text, len) == 0;
}

/* Calls of other types (shell, computer) are not paired: what bears the id differs by type. They
 * stay with what follows them, as every item of an answer does. */
static int add_item(struct transcript_reader *r, struct transcript_message *m,
                    struct json_span type)
{
    struct transcript_block b = {.kind = BLOCK_OTHER, .span = m->span};
    struct json_span id = {0}, output = {0};
    const struct transcript_wanted wanted[] = {
        {"call_id", &id}, {"output", &output}, {"name", &b.name}, {"arguments", &b.value}};
    TAKE(m->span, wanted);
    bool custom = json_equals(type, "custom_tool_call");
    if (custom || json_equals(type, "function_call")) {
        b.kind = BLOCK_CALL;
        b.id = id;
    } else if (json_equals(type, "function_call_output") ||
               json_equals(type, "custom_tool_call_output")) {
        b.kind = BLOCK_RESULT;
        b.id = id;
        b.value = output;
    } else if (json_equals(type, "reasoning")) {
        b.kind = BLOCK_THINKING;
    } else if (json_equals(type, "compaction") || json_equals(type, "compaction_summary")) {
        b.kind = BLOCK_COMPACTION;
    } else if (json_equals(type, "item_reference")) {
        r->t->remote_history = true;
    }
    bool answer = ends_with(type, "_output") || json_equals(type, "mcp_approval_response");
    m->role = answer ? ROLE_TOOL : ROLE_ASSISTANT;
    return add_block(r, b);
}

static int read_item(struct transcript_reader *r, struct transcript_message *m)
{
    struct json_span role = {0}, content = {0}, type = {0};
    const struct transcript_wanted wanted[] = {
        {"role", &role}, {"content", &content}, {"type", &type}};
    TAKE(m->span, wanted);
    if (type.at && !json_equals(type, "message"))
        return add_item(r, m, type);
    m->role = role_of(role);
    m->content = content;
    return add_content(r, content);
}

int transcript_blocks_read(struct transcript_reader *r, struct transcript_message *m)
{
    if (json_kind(m->span) != JSON_OBJ) {
        m->role = ROLE_OTHER;
        return 0;
    }
    if (r->t->endpoint == WIRE_CHAT)
        return read_chat(r, m);
    if (r->t->endpoint == WIRE_RESPONSES)
        return read_item(r, m);
    return read_messages(r, m);
}
