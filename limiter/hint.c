#include "limiter/hint.h"

#include "limiter/hint_field.h"
#include "limiter/hint_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MINUTE_MS 60000
#define DAY_MS    86400000

enum reset_form { RESET_DURATION, RESET_DATE, RESET_EPOCH };

struct row {
    const char *dim; /* "*": requests, of a minute or a day as the reset says */
    const char *limit, *remaining, *reset;
    enum reset_form form;
    int64_t grain;
    bool is_fallback; /* read only when the rows before it told nothing */
};

#define ROWS_MAX 5
#define LIKE_OPENAI(of, unit)                                                                      \
    {                                                                                              \
        of, "x-ratelimit-limit-" unit, "x-ratelimit-remaining-" unit, "x-ratelimit-reset-" unit,   \
            RESET_DURATION, 0, false                                                               \
    }
#define LIKE_ANTHROPIC(of, unit, grain, is_fallback)                                               \
    {                                                                                              \
        of, "anthropic-ratelimit-" unit "-limit", "anthropic-ratelimit-" unit "-remaining",        \
            "anthropic-ratelimit-" unit "-reset", RESET_DATE, grain, is_fallback                   \
    }

static const struct {
    const char *name;
    struct row rows[ROWS_MAX];
    bool draft; /* the IETF fields as well */
} dialects[HINT_DIALECTS] = {
    [HINT_NONE] = {.name = "none"},
    [HINT_OPENAI] = {.name = "openai",
                     .rows = {LIKE_OPENAI("rpm", "requests"), LIKE_OPENAI("tpm", "tokens"),
                              LIKE_OPENAI("tpm", "project-tokens")}},
    [HINT_AZURE] = {.name = "azure",
                    .rows = {LIKE_OPENAI("rpm", "requests"), LIKE_OPENAI("tpm", "tokens")}},
    [HINT_GROQ] = {.name = "groq",
                   .rows = {LIKE_OPENAI("rpd", "requests"), LIKE_OPENAI("tpm", "tokens")}},
    [HINT_ANTHROPIC] = {.name = "anthropic",
                        .rows = {LIKE_ANTHROPIC("itpm", "input-tokens", 1000, false),
                                 LIKE_ANTHROPIC("otpm", "output-tokens", 1000, false),
                                 LIKE_ANTHROPIC("tpm", "tokens", 1000, true),
                                 LIKE_ANTHROPIC("rpm", "requests", 0, false)}},
    [HINT_MISTRAL] = {.name = "mistral",
                      .rows = {{"tpm", "x-ratelimitbysize-limit-minute",
                                "x-ratelimitbysize-remaining-minute", NULL, RESET_DURATION, 0,
                                false},
                               {"tpm", "ratelimitbysize-limit", "ratelimitbysize-remaining",
                                "ratelimitbysize-reset", RESET_DURATION, 0, true}}},
    [HINT_OPENROUTER] = {.name = "openrouter",
                         .rows = {{"*", "x-ratelimit-limit", "x-ratelimit-remaining",
                                   "x-ratelimit-reset", RESET_EPOCH, 0, false}}},
    [HINT_GENERIC] = {.name = "generic",
                      .rows = {LIKE_OPENAI("rpm", "requests"), LIKE_OPENAI("tpm", "tokens")},
                      .draft = true},
};

const char *hint_dialect_name(enum hint_dialect d)
{
    return (unsigned)d < HINT_DIALECTS ? dialects[d].name : "?";
}

static int64_t period_ms(const char *dim)
{
    return strchr(dim, 'd') ? DAY_MS : MINUTE_MS;
}

static int64_t tighter(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void hints_add(struct hints *h, const struct hint *one)
{
    for (size_t i = 0; i < h->count; i++) {
        struct hint *known = &h->list[i];
        if (strcmp(known->dim, one->dim) != 0)
            continue;
        known->limit = tighter(known->limit, one->limit);
        known->remaining = tighter(known->remaining, one->remaining);
        known->reset_ms = longer(known->reset_ms, one->reset_ms);
        known->grain = longer(known->grain, one->grain);
        known->debt = longer(known->debt, one->debt);
        return;
    }
    if (h->count < HINT_MAX)
        h->list[h->count++] = *one;
}

static const char *value_of(const struct hint_source *source, const char *name)
{
    return name ? source->header(source->arg, name) : NULL;
}

static bool read_reset(const char *text, enum reset_form form, int64_t now_wall_ms, int64_t *ret_ms)
{
    switch (form) {
    case RESET_DATE:
        return hint_rfc3339(text, now_wall_ms, ret_ms);
    case RESET_EPOCH:
        return hint_epoch_ms(text, now_wall_ms, ret_ms);
    case RESET_DURATION:
    default:
        return hint_duration(text, ret_ms);
    }
}

/* limit * reset is at most 1e10 * 3.5e9, too much for 64 bits only above a day's period. */
static void imply_remaining(struct hint *h)
{
    int64_t period = period_ms(h->dim);
    if (h->remaining >= 0 || h->limit < 0 || h->reset_ms < 0)
        return;
    int64_t to_go_ms = h->reset_ms < period ? h->reset_ms : period;
    int64_t per_second = (h->limit * 1000 + period - 1) / period;
    h->remaining = longer(h->limit - (h->limit * to_go_ms + period - 1) / period, 0);
    h->grain = longer(h->grain, 2 * per_second);
}

static void imply_debt(struct hint *h)
{
    int64_t period = period_ms(h->dim);
    if (h->remaining != 0 || h->limit <= 0 || h->reset_ms <= period)
        return;
    int64_t late_ms = h->reset_ms - period < period ? h->reset_ms - period : period;
    h->debt = h->limit * late_ms / period;
}

/* False: nothing is told. */
static bool read_row(const struct row *row, const struct hint_source *source, int64_t now_wall_ms,
                     struct hint *ret)
{
    *ret = (struct hint){.limit = -1, .remaining = -1, .reset_ms = -1, .grain = row->grain};
    /* One after the other: a value is only borrowed until the next is asked for. */
    const char *value = value_of(source, row->limit);
    if (value && (!hint_number(value, &ret->limit) || ret->limit <= 0))
        return false; /* where no limit holds, nothing remains of it either */
    value = value_of(source, row->remaining);
    if (value && (!hint_number(value, &ret->remaining) || ret->remaining < 0))
        ret->remaining = -1;
    value = value_of(source, row->reset);
    if (value && !read_reset(value, row->form, now_wall_ms, &ret->reset_ms))
        ret->reset_ms = -1;
    const char *dim = row->dim;
    if (*dim == '*')
        dim = ret->reset_ms > 2 * MINUTE_MS ? "rpd" : "rpm";
    (void)snprintf(ret->dim, sizeof(ret->dim), "%s", dim);
    imply_debt(ret);
    imply_remaining(ret);
    return ret->limit >= 0 || ret->remaining >= 0;
}

/* ---- the IETF draft */

/* The dimension of a policy; "" for a window or a unit that no dimension has. A policy that counts
 * tokens says so in its name, as the draft has no unit for them. */
static const char *dim_of_policy(const struct hint_item *policy)
{
    bool of_requests =
        !policy->unit || (policy->unit_len == 8 && memcmp(policy->unit, "requests", 8) == 0);
    bool of_tokens = memmem(policy->name, policy->name_len, "token", 5) != NULL;
    if (!of_requests && !of_tokens)
        return "";
    if (policy->w == 60)
        return of_tokens ? "tpm" : "rpm";
    return policy->w == 86400 ? (of_tokens ? "tpd" : "rpd") : "";
}

static bool find_state(const char *states, const struct hint_item *policy, struct hint_item *ret)
{
    while (states && hint_field_next(&states, ret)) {
        if (ret->name_len == policy->name_len &&
            memcmp(ret->name, policy->name, ret->name_len) == 0)
            return true;
    }
    return false;
}

static void read_draft(const struct hint_source *source, struct hints *ret)
{
    const char *policies = value_of(source, "ratelimit-policy");
    const char *states = value_of(source, "ratelimit");
    struct hint_item policy, state;
    while (policies && hint_field_next(&policies, &policy)) {
        struct hint one = {.limit = policy.q > 0 ? policy.q : -1, .remaining = -1, .reset_ms = -1};
        (void)snprintf(one.dim, sizeof(one.dim), "%s", dim_of_policy(&policy));
        if (find_state(states, &policy, &state)) {
            one.remaining = state.r;
            one.reset_ms = state.t >= 0 && state.t < HINT_MAX_MS / 1000 ? state.t * 1000 : -1;
        }
        if (one.dim[0] && (one.limit >= 0 || one.remaining >= 0))
            hints_add(ret, &one);
    }
}

void hints_read(enum hint_dialect dialect, const struct hint_source *source, int64_t now_wall_ms,
                struct hints *ret)
{
    ret->count = 0;
    if ((unsigned)dialect >= HINT_DIALECTS || !source->header)
        return;
    for (size_t i = 0; i < ROWS_MAX && dialects[dialect].rows[i].dim; i++) {
        const struct row *row = &dialects[dialect].rows[i];
        struct hint one;
        if (row->is_fallback && ret->count > 0)
            continue;
        if (read_row(row, source, now_wall_ms, &one))
            hints_add(ret, &one);
    }
    if (dialects[dialect].draft)
        read_draft(source, ret);
}
