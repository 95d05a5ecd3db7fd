#include "scheduler/prompt/trim_state.h"

#include "common/limits.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *stage_name(const struct trim_state *s)
{
    return s->repaired ? trim_stage_name(s->stage) : "repair";
}

static void find_turns(struct trim_state *s)
{
    const struct transcript *t = s->t;
    uint32_t turn = 0;
    for (uint32_t i = 0; i < t->count; i++)
        while (turn <= t->messages[i].turn)
            s->turn_first[turn++] = i;
    while (turn <= t->turns + 1)
        s->turn_first[turn++] = t->count;
}

int trim_state_init(struct trim_state *s, const struct trim_input *in, const struct transcript *t)
{
    *s = (struct trim_state){.in = in, .policy = in->policy, .t = t};
    buf_init(&s->texts, (size_t)HTTP_MAX_BODY_BYTES);
    struct count_size *sizes = calloc((size_t)t->count + 1, sizeof(*sizes));
    s->messages = calloc((size_t)t->count + 1, sizeof(*s->messages));
    s->blocks = calloc((size_t)t->block_count + 1, sizeof(*s->blocks));
    s->turn_first = calloc((size_t)t->turns + 2, sizeof(*s->turn_first));
    bool enough = sizes && s->messages && s->blocks && s->turn_first;
    if (!enough || counter_model_of(in->counter, t->model, &s->model) < 0) {
        free(sizes);
        return -ENOMEM;
    }
    s->total = count_transcript(in->counter, &s->model, t, sizes).total;
    for (uint32_t i = 0; i < t->count; i++) {
        s->messages[i].size = sizes[i];
        s->messages[i].tokens = count_message(&s->model, sizes[i]);
    }
    free(sizes);
    find_turns(s);
    return 0;
}

void trim_state_release(struct trim_state *s)
{
    free(s->messages);
    free(s->blocks);
    free(s->turn_first);
    free(s->inserts);
    free(s->actions);
    buf_release(&s->texts);
}

/* ---- edits */

static void note(struct trim_state *s, uint32_t message, int64_t saved, const char *why)
{
    if (s->action_count == s->action_room) {
        size_t room = s->action_room ? s->action_room * 2 : 64;
        struct trim_action *grown = realloc(s->actions, room * sizeof(*grown));
        if (!grown) {
            s->failed = -ENOMEM;
            return;
        }
        s->actions = grown;
        s->action_room = room;
    }
    s->actions[s->action_count++] = (struct trim_action){
        .stage = stage_name(s), .message = message, .saved_tokens = saved, .why = why};
    s->total -= saved;
}

void trim_drop_message(struct trim_state *s, uint32_t message, const char *why)
{
    struct trim_message *m = &s->messages[message];
    if (m->dropped)
        return;
    m->dropped = true;
    note(s, message, m->tokens, why);
}

/* The size of a call's or result's value as the message's size has it: arguments that are an
 * object are billed as JSON, all else as the text it holds. */
static struct count_size value_size(struct trim_state *s, struct json_span value, bool call)
{
    if (call && json_kind(value) == JSON_OBJ)
        return count_json(s->in->counter, &s->model, value);
    return count_value(s->in->counter, &s->model, value);
}

static uint32_t less(uint32_t all, uint32_t part)
{
    return all > part ? all - part : 0;
}

/* Gives the message its new size; the tokens that saves. */
static int64_t resize(struct trim_state *s, uint32_t message, struct count_size from,
                      struct count_size to)
{
    struct trim_message *m = &s->messages[message];
    int64_t before = m->tokens;
    m->size.text = less(m->size.text, from.text) + to.text;
    m->size.flat = less(m->size.flat, from.flat) + to.flat;
    m->tokens = count_message(&s->model, m->size);
    return before - m->tokens;
}

void trim_drop_block(struct trim_state *s, uint32_t block, const char *why)
{
    const struct transcript_block *b = &s->t->blocks[block];
    if (s->blocks[block].dropped)
        return;
    s->blocks[block].dropped = true;
    struct count_size size = count_value(s->in->counter, &s->model, b->span);
    note(s, b->message, resize(s, b->message, size, (struct count_size){0}), why);
}

struct json_span trim_value(const struct trim_state *s, uint32_t block)
{
    const struct trim_block *b = &s->blocks[block];
    if (b->replaced)
        return (struct json_span){s->texts.data + b->at, b->len};
    return s->t->blocks[block].value;
}

bool trim_replace(struct trim_state *s, uint32_t block, size_t len, const char *why)
{
    struct trim_block *mine = &s->blocks[block];
    const struct transcript_block *b = &s->t->blocks[block];
    if (s->texts.failed) {
        s->failed = s->texts.failed;
        return false;
    }
    assert(len <= s->texts.len);
    size_t at = s->texts.len - len;
    bool call = b->kind == BLOCK_CALL;
    struct json_span fresh = {s->texts.data + at, len};
    struct count_size from = value_size(s, trim_value(s, block), call);
    struct count_size to = value_size(s, fresh, call);
    if (count_tokens(&s->model, to) >= count_tokens(&s->model, from)) {
        s->texts.len = at;
        return false;
    }
    int64_t saved = resize(s, b->message, from, to);
    *mine = (struct trim_block){.replaced = true, .at = at, .len = len};
    note(s, b->message, saved, why);
    return true;
}

void trim_insert(struct trim_state *s, uint32_t before, size_t len, const char *why)
{
    if (s->insert_count == s->insert_room) {
        size_t room = s->insert_room ? s->insert_room * 2 : 8;
        struct trim_insert *grown = realloc(s->inserts, room * sizeof(*grown));
        if (!grown) {
            s->failed = -ENOMEM;
            return;
        }
        s->inserts = grown;
        s->insert_room = room;
    }
    if (s->texts.failed) {
        s->failed = s->texts.failed;
        return;
    }
    size_t at = s->texts.len - len;
    s->inserts[s->insert_count++] = (struct trim_insert){.before = before, .at = at, .len = len};
    struct json_span fresh = {s->texts.data + at, len};
    struct count_size size = count_value(s->in->counter, &s->model, fresh);
    note(s, before, -count_message(&s->model, size), why);
}

/* ---- turns */

bool trim_turn_may_go(const struct trim_state *s, uint32_t turn)
{
    const struct transcript *t = s->t;
    if (turn >= t->turns || (s->policy->keep_first_turn && turn <= 1))
        return false;
    bool any = false;
    for (uint32_t i = s->turn_first[turn]; i < s->turn_first[turn + 1]; i++) {
        if (t->messages[i].role == ROLE_SYSTEM)
            continue;
        if (t->messages[i].pinned)
            return false;
        any = true;
    }
    return any;
}

struct trim_size trim_turn_size(const struct trim_state *s, uint32_t turn)
{
    struct trim_size size = {0};
    for (uint32_t i = s->turn_first[turn]; i < s->turn_first[turn + 1]; i++) {
        if (s->messages[i].dropped || s->t->messages[i].role == ROLE_SYSTEM)
            continue;
        size.messages++;
        size.tokens += s->messages[i].tokens;
    }
    return size;
}

int64_t trim_drop_turn(struct trim_state *s, uint32_t turn, const char *why)
{
    int64_t before = s->total;
    for (uint32_t i = s->turn_first[turn]; i < s->turn_first[turn + 1]; i++)
        if (s->t->messages[i].role != ROLE_SYSTEM)
            trim_drop_message(s, i, why);
    return before - s->total;
}

uint32_t trim_kept_turn(const struct trim_state *s)
{
    uint32_t keep =
        (uint32_t)(s->policy->keep_turns < UINT32_MAX ? s->policy->keep_turns : UINT32_MAX);
    return s->t->turns + 1 > keep ? s->t->turns + 1 - keep : 0;
}

bool trim_fits(const struct trim_state *s)
{
    return s->policy->max_context_tokens == 0 || s->total <= s->policy->max_context_tokens;
}
