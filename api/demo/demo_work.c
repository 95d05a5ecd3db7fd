#include "api/demo/demo_work.h"

#include <errno.h>
#include <inttypes.h>

int64_t demo_work_cost(const struct demo_work *w, int64_t turn)
{
    int64_t asked = turn * (w->text_tokens + DEMO_MESSAGE_TOKENS);
    int64_t answered = (turn - 1) * (DEMO_OUTPUT_TOKENS + DEMO_MESSAGE_TOKENS);
    return asked + answered + DEMO_OUTPUT_TOKENS;
}

static int64_t total_cost(const struct demo_work *w)
{
    int64_t sum = 0;
    for (int64_t turn = 1; turn <= w->turns; turn++)
        sum += demo_work_cost(w, turn);
    return sum * w->agents;
}

/* What a limit per minute offers in the time, as far as the agents are to use it. */
static int64_t offered(int64_t per_minute, int64_t seconds)
{
    return per_minute + per_minute * seconds / 60 * DEMO_LOAD_PERCENT / 100;
}

int demo_work_plan(struct demo_work *w, struct error *e)
{
    int64_t turns = offered(w->rpm, w->seconds) / w->agents;
    w->turns = turns < DEMO_MAX_TURNS ? turns : DEMO_MAX_TURNS;
    w->text_tokens = DEMO_MIN_TEXT;
    while (w->turns > 0 && total_cost(w) > offered(w->tpm, w->seconds))
        w->turns--;
    if (w->turns == 0)
        return error_set(e, -EINVAL,
                         "%" PRId64 " agents cannot do one turn each in %" PRId64
                         " s within these limits",
                         w->agents, w->seconds);
    /* Turn k holds k texts: one token more in each costs the sum of 1..turns. */
    int64_t spare = offered(w->tpm, w->seconds) - total_cost(w);
    w->text_tokens += spare / (w->agents * (w->turns * (w->turns + 1) / 2));
    while (w->text_tokens > DEMO_MIN_TEXT && demo_work_cost(w, w->turns) > w->tpm / 2)
        w->text_tokens--;
    return 0;
}
