/*
 * trim_repair: makes a conversation legal that came illegal.
 *
 * Clients that cut their own history leave results without calls and calls without results;
 * the provider would refuse the request for ever. Results without a call go (nobody can tell
 * what they answer), calls without a result get a short one (the model sees that it tried),
 * empty blocks go, and an Anthropic conversation that begins with the assistant gets a first
 * message of the user. What this cannot mend is given back as it came.
 */
#include "scheduler/prompt/trim_state.h"

#include <string.h>

#define NO_RESULT "[no result]"
#define EARLIER   "{\"role\":\"user\",\"content\":\"[earlier messages were removed]\"}"

#define WHY_ORPHAN    "a result without its call"
#define WHY_EMPTY     "an empty block"
#define WHY_REASONING "reasoning without what it led to"
#define WHY_MISSING   "the call had no result"
#define WHY_FIRST     "the first message must be the user's"

static bool is_orphan(const struct trim_state *s, uint32_t k)
{
    const struct transcript_block *b = &s->t->blocks[k];
    return b->kind == BLOCK_RESULT && b->pair == TRANSCRIPT_NONE && !s->t->remote_history;
}

static bool is_empty_text(const struct transcript_block *b)
{
    return b->kind == BLOCK_TEXT && b->listed && json_inside(b->value).len == 0;
}

/* Blocks that go; a message of nothing else goes whole. */
static void drop_blocks(struct trim_state *s, uint32_t i)
{
    const struct transcript_message *m = &s->t->messages[i];
    bool strict = s->t->endpoint == WIRE_MESSAGES;
    uint32_t bad = 0;
    const char *why = "";
    for (uint32_t k = m->block; k < m->block + m->block_count; k++) {
        bool orphan = is_orphan(s, k);
        if (!orphan && !(strict && is_empty_text(&s->t->blocks[k])))
            continue;
        bad++;
        why = orphan ? WHY_ORPHAN : WHY_EMPTY;
    }
    if (bad == 0)
        return;
    if (bad == m->block_count) {
        trim_drop_message(s, i, why);
        return;
    }
    for (uint32_t k = m->block; k < m->block + m->block_count; k++) {
        if (is_orphan(s, k))
            trim_drop_block(s, k, WHY_ORPHAN);
        else if (strict && is_empty_text(&s->t->blocks[k]))
            trim_drop_block(s, k, WHY_EMPTY);
    }
}

/* ---- results that are missing */

static void add_span(struct buf *out, struct json_span span)
{
    if (span.at)
        (void)buf_add(out, span.at, span.len);
    else
        (void)buf_adds(out, "\"\"");
}

static void add_result(struct buf *out, const struct transcript *t,
                       const struct transcript_block *call)
{
    bool custom = json_equals(json_get(call->span, "type"), "custom_tool_call");
    if (t->endpoint == WIRE_CHAT && !call->listed) {
        (void)buf_adds(out, "{\"role\":\"function\",\"name\":");
        add_span(out, call->name);
        (void)buf_adds(out, ",\"content\":\"" NO_RESULT "\"}");
        return;
    }
    (void)buf_adds(out, t->endpoint == WIRE_CHAT ? "{\"role\":\"tool\",\"tool_call_id\":"
                        : t->endpoint == WIRE_MESSAGES
                            ? "{\"type\":\"tool_result\",\"tool_use_id\":"
                        : custom ? "{\"type\":\"custom_tool_call_output\",\"call_id\":"
                                 : "{\"type\":\"function_call_output\",\"call_id\":");
    add_span(out, call->id);
    (void)buf_adds(out, t->endpoint == WIRE_RESPONSES ? ",\"output\":\"" NO_RESULT "\"}"
                                                      : ",\"content\":\"" NO_RESULT "\"}");
}

static bool is_unanswered(const struct transcript_block *b)
{
    return b->kind == BLOCK_CALL && b->pair == TRANSCRIPT_NONE;
}

/* Where results of message i belong: behind those that are there. */
static uint32_t behind_results(const struct transcript *t, uint32_t i)
{
    uint32_t at = i + 1;
    bool responses = t->endpoint == WIRE_RESPONSES;
    while (at < t->count &&
           (t->messages[at].role == ROLE_TOOL || (responses && transcript_is_assistant(t, at))))
        at++;
    return at;
}

/* In chat and responses each result is a message of its own. */
static void answer_calls(struct trim_state *s, uint32_t i)
{
    const struct transcript_message *m = &s->t->messages[i];
    for (uint32_t k = m->block; k < m->block + m->block_count; k++) {
        if (!is_unanswered(&s->t->blocks[k]))
            continue;
        size_t start = s->texts.len;
        add_result(&s->texts, s->t, &s->t->blocks[k]);
        trim_insert(s, behind_results(s->t, i), s->texts.len - start, WHY_MISSING);
    }
}

/* With Anthropic they are blocks of the user's next message. One that is there already cannot
 * take blocks here, so this only mends a conversation without one: where the assistant's turn
 * is the last, or is followed by a plain text, which a message of results may precede. */
static void answer_turn(struct trim_state *s, uint32_t i)
{
    const struct transcript_message *m = &s->t->messages[i];
    size_t start = s->texts.len;
    bool any = false;
    for (uint32_t k = m->block; k < m->block + m->block_count; k++) {
        if (!is_unanswered(&s->t->blocks[k]))
            continue;
        (void)buf_adds(&s->texts, any ? "," : "{\"role\":\"user\",\"content\":[");
        add_result(&s->texts, s->t, &s->t->blocks[k]);
        any = true;
    }
    if (!any)
        return;
    (void)buf_adds(&s->texts, "]}");
    trim_insert(s, i + 1, s->texts.len - start, WHY_MISSING);
}

/* ---- the beginning */

/* Anthropic wants the user first; a conversation of which nothing is left needs something. */
static void begin_with_user(struct trim_state *s)
{
    uint32_t first = 0;
    while (first < s->t->count && s->messages[first].dropped)
        first++;
    bool none = first == s->t->count && s->insert_count == 0;
    bool assistants = first < s->t->count && s->t->endpoint == WIRE_MESSAGES &&
                      transcript_is_assistant(s->t, first);
    if (!none && !assistants)
        return;
    (void)buf_adds(&s->texts, EARLIER);
    trim_insert(s, first, strlen(EARLIER), WHY_FIRST);
}

static void drop_reasoning(struct trim_state *s, uint32_t i)
{
    const struct transcript_message *m = &s->t->messages[i];
    bool lonely = m->block_count == 1 && s->t->blocks[m->block].kind == BLOCK_THINKING &&
                  (i + 1 >= s->t->count || !transcript_is_assistant(s->t, i + 1));
    /* One that led only to such reasoning is lonely as well. */
    for (uint32_t k = i; lonely; k--) {
        trim_drop_message(s, k, WHY_REASONING);
        lonely = k > 0 && s->t->messages[k - 1].block_count == 1 &&
                 s->t->blocks[s->t->messages[k - 1].block].kind == BLOCK_THINKING;
    }
}

void trim_repair(struct trim_state *s)
{
    const struct transcript *t = s->t;
    if (!t->list.at)
        return;
    for (uint32_t i = 0; i < t->count; i++) {
        drop_blocks(s, i);
        if (t->endpoint == WIRE_RESPONSES)
            drop_reasoning(s, i);
        if (t->endpoint == WIRE_MESSAGES)
            answer_turn(s, i);
        else
            answer_calls(s, i);
    }
    begin_with_user(s);
}
