/*
 * trim_tool_results: results of old turns become a short note.
 *
 * Results are most of what an agent's history weighs, and the model has drawn from old ones
 * what it needed. The note tells that there was more, so that the model can call again.
 *
 * Turns age slowly and each is cleared once for ever, so the prefix before it stays as it was.
 * Steps inside of a turn age with every request: they are cleared keep_steps at a time.
 */
#include "scheduler/prompt/trim_state.h"

#include <inttypes.h>
#include <string.h>

#define WHY_TURN  "a result older than the turns that are kept whole"
#define WHY_STEP  "a result older than the last steps"
#define WHY_INPUT "arguments of a call whose result was cleared"

/* Below this, {} in the place of arguments saves next to nothing and hides what was called. */
#define INPUT_MIN_BYTES 64

static bool is_kept_tool(const struct trim_state *s, const struct transcript_block *result)
{
    if (result->pair == TRANSCRIPT_NONE)
        return false;
    struct json_span name = s->t->blocks[result->pair].name;
    struct json_iter it = json_iter(s->policy->keep_tools);
    while (json_next(&it))
        if (name.len == it.value.len && memcmp(name.at, it.value.at, name.len) == 0)
            return true;
    return false;
}

static bool can_clear(const struct trim_state *s, uint32_t k)
{
    const struct transcript_block *b = &s->t->blocks[k];
    return b->kind == BLOCK_RESULT && b->value.at && !s->messages[b->message].dropped &&
           !s->blocks[k].dropped && !is_kept_tool(s, b);
}

/* With a limit to meet, the turns go keep_turns at a time, or every request of a conversation would
 * lose the cache of what stands behind the boundary. A policy that always cuts means its figure as
 * it is. */
static uint32_t first_kept_turn(const struct trim_state *s)
{
    uint32_t turn = trim_kept_turn(s);
    if (s->policy->always || s->policy->keep_turns > UINT32_MAX)
        return turn;
    return turn - turn % (uint32_t)s->policy->keep_turns;
}

/* The first message whose step is young enough: all of them when there are few. */
static uint32_t first_kept_step(const struct trim_state *s)
{
    const struct transcript *t = s->t;
    int64_t steps = 0, keep = s->policy->keep_steps;
    if (keep == 0)
        return 0;
    uint32_t atom = TRANSCRIPT_NONE;
    for (uint32_t k = 0; k < t->block_count; k++) {
        if (t->blocks[k].kind != BLOCK_CALL || t->messages[t->blocks[k].message].atom == atom)
            continue;
        atom = t->messages[t->blocks[k].message].atom;
        steps++;
    }
    int64_t old = steps > keep ? (steps - keep) / keep * keep : 0;
    atom = TRANSCRIPT_NONE;
    for (uint32_t k = 0; k < t->block_count && old >= 0; k++) {
        if (t->blocks[k].kind != BLOCK_CALL || t->messages[t->blocks[k].message].atom == atom)
            continue;
        atom = t->messages[t->blocks[k].message].atom;
        old--;
    }
    return old < 0 && atom != TRANSCRIPT_NONE ? atom : 0;
}

static void clear_result(struct trim_state *s, uint32_t k, const char *why)
{
    struct json_span value = trim_value(s, k);
    int64_t tokens = count_tokens(&s->model, count_value(s->in->counter, &s->model, value));
    size_t start = s->texts.len;
    (void)buf_addf(&s->texts, "\"[tool result cleared: %" PRId64 " tokens]\"", tokens);
    (void)trim_replace(s, k, s->texts.len - start, why);
}

/* Calls of the last turn are never touched: they may bear signatures. */
static void clear_input(struct trim_state *s, uint32_t result)
{
    const struct transcript *t = s->t;
    uint32_t k = t->blocks[result].pair;
    if (k == TRANSCRIPT_NONE || t->blocks[k].message >= t->last_turn)
        return;
    const struct transcript_block *call = &t->blocks[k];
    bool extra = json_get(call->span, "extra_content").at || json_get(call->span, "signature").at;
    if (extra || s->blocks[k].replaced || call->value.len < INPUT_MIN_BYTES)
        return;
    const char *empty = json_kind(call->value) == JSON_OBJ ? "{}" : "\"{}\"";
    (void)buf_adds(&s->texts, empty);
    (void)trim_replace(s, k, strlen(empty), WHY_INPUT);
}

static const char *why_old(const struct trim_state *s, uint32_t k, uint32_t turn, uint32_t step)
{
    const struct transcript_message *m = &s->t->messages[s->t->blocks[k].message];
    if (m->turn < turn)
        return WHY_TURN;
    return m->atom < step ? WHY_STEP : NULL;
}

static int64_t possible_saving(const struct trim_state *s, uint32_t turn, uint32_t step)
{
    int64_t tokens = 0;
    for (uint32_t k = 0; k < s->t->block_count; k++)
        if (can_clear(s, k) && why_old(s, k, turn, step))
            tokens +=
                count_tokens(&s->model, count_value(s->in->counter, &s->model, trim_value(s, k)));
    return tokens;
}

void trim_tool_results(struct trim_state *s)
{
    uint32_t turn = first_kept_turn(s), step = first_kept_step(s);
    if (s->policy->min_saving_tokens > 0 &&
        possible_saving(s, turn, step) < s->policy->min_saving_tokens)
        return;
    for (uint32_t k = 0; k < s->t->block_count; k++) {
        const char *why = can_clear(s, k) ? why_old(s, k, turn, step) : NULL;
        if (!why)
            continue;
        clear_result(s, k, why);
        if (s->policy->clear_tool_inputs)
            clear_input(s, k);
    }
}
