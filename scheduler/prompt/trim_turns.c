/*
 * trim_turns: the stages that take whole turns from the beginning: window, deletion, reset.
 *
 * Each cuts in big steps that are counted from the beginning of the conversation, which the
 * next request has too: so the same turns go again, until a whole step more must.
 */
#include "scheduler/prompt/trim_state.h"

#define STEP_PART 4 /* a step is a quarter of what may stay */

#define WHY_WINDOW   "outside of the last messages"
#define WHY_AGE      "too old"
#define WHY_DELETION "the oldest turns, as the request did not fit"
#define WHY_RESET    "before the last turns, as the threshold was passed"

static int64_t round_up(int64_t value, int64_t step)
{
    return step > 1 ? (value + step - 1) / step * step : value;
}

static int64_t count_messages(const struct trim_state *s)
{
    int64_t count = 0;
    for (uint32_t turn = 0; turn <= s->t->turns; turn++)
        count += trim_turn_size(s, turn).messages;
    return count;
}

static bool is_too_old(const struct trim_state *s, uint32_t turn)
{
    const struct trim_input *in = s->in;
    uint32_t end = s->turn_first[turn + 1];
    if (s->policy->max_age_ms == 0 || !in->message_ms || in->message_ms_count != s->t->count)
        return false;
    return end == s->turn_first[turn] ||
           in->now_ms - in->message_ms[end - 1] > s->policy->max_age_ms;
}

void trim_window(struct trim_state *s)
{
    uint32_t kept = trim_kept_turn(s);
    for (uint32_t turn = 0; turn < kept && is_too_old(s, turn); turn++)
        if (trim_turn_may_go(s, turn))
            (void)trim_drop_turn(s, turn, WHY_AGE);
    int64_t most = s->policy->max_messages, have = count_messages(s);
    int64_t drop = have > most ? round_up(have - most, most / STEP_PART) : 0;
    for (uint32_t turn = 0; turn < kept && drop > 0; turn++) {
        if (!trim_turn_may_go(s, turn))
            continue;
        drop -= trim_turn_size(s, turn).messages;
        (void)trim_drop_turn(s, turn, WHY_WINDOW);
    }
}

/* Where it must, it takes turns that keep_turns protects as well, but then no more than it must:
 * the alternative is a request that is refused. */
void trim_deletion(struct trim_state *s)
{
    uint32_t kept = trim_kept_turn(s);
    int64_t need = s->total - s->policy->max_context_tokens;
    if (trim_fits(s))
        return;
    int64_t goal = round_up(need, s->policy->max_context_tokens / STEP_PART);
    for (uint32_t turn = 0; turn < s->t->turns && goal > 0; turn++) {
        if (turn >= kept && trim_fits(s))
            return;
        if (trim_turn_may_go(s, turn))
            goal -= trim_drop_turn(s, turn, WHY_DELETION);
    }
}

/* Plays the conversation again: whenever it had passed the threshold, all but the last turns
 * were left behind. So the cut stays where it was until the rest passes the threshold too. */
static uint32_t reset_cut(const struct trim_state *s, int64_t fixed)
{
    int64_t tokens = fixed;
    uint32_t keep =
        (uint32_t)(s->policy->reset_turns < UINT32_MAX ? s->policy->reset_turns : UINT32_MAX);
    uint32_t cut = 0;
    for (uint32_t turn = 0; turn <= s->t->turns; turn++) {
        tokens += trim_turn_size(s, turn).tokens;
        if (tokens <= s->policy->reset_threshold || turn + 1 <= keep)
            continue;
        while (cut < turn + 1 - keep)
            tokens -= trim_turn_size(s, cut++).tokens;
    }
    return cut;
}

void trim_reset(struct trim_state *s)
{
    int64_t fixed = s->total;
    for (uint32_t turn = 0; turn <= s->t->turns; turn++)
        fixed -= trim_turn_size(s, turn).tokens;
    uint32_t cut = reset_cut(s, fixed);
    for (uint32_t turn = 0; turn < cut; turn++)
        if (trim_turn_may_go(s, turn))
            (void)trim_drop_turn(s, turn, WHY_RESET);
}
