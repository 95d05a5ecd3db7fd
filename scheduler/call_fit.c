/*
 * call_fit: makes a request as small as policy asks, and smaller when it would not fit else.
 *
 * Forms of a request are tried from the least loss on: presets of trimming, each only until it
 * fits, then a lower maximum of output where that is charged, then both. All forms are made of the
 * request as policy left it, and it changes only when one of them fits. Which cut is taken depends
 * on nothing but the request and the limit (factors that are learned are rounded up coarsely), so
 * that the next request of the conversation is cut at the same place, and provider caches stay
 * warm.
 */
#include "scheduler/call_internal.h"

#include "common/limits.h"
#include "scheduler/prompt/trim.h"
#include "scheduler/trim_named.h"
#include "storage/redis_reply.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define NO_LIMIT (INT64_MAX / 4)
/* Of what is reserved over what is counted, eighths are taken: see above. */
#define SCALE_STEPS 8
/* A limit of which the output takes more than this part is the output's matter to solve. */
#define LEAST_INPUT_PART 4

static const char *const presets[] = {"conservative", "balanced", "aggressive"};
#define PRESET_COUNT (sizeof(presets) / sizeof(presets[0]))

/* What the request is to be within, in tokens as they are reserved. */
struct room {
    int64_t input;     /* for the input alone */
    int64_t sum;       /* for input and output */
    int64_t times;     /* how often the output counts */
    bool lower_output; /* a lower maximum makes it fit */
};

/* ---- what it is */

void call_measure(struct call *c)
{
    const struct session_anchor *stored = &c->facts.anchor;
    bool same = stored->counted > 0 && strcmp(stored->model, c->model) == 0;
    struct gauge_ask ask = {
        .provider = c->provider->name,
        .model = c->model,
        .tenant = c->spec.tenant,
        .session = c->spec.session,
        .endpoint = c->spec.endpoint,
        .request = &c->request,
        .chars_per_token = c->row->chars_per_token,
        .by_characters = c->pool->profile->reserves_max_output,
        .stored = same ? (struct calibration_anchor){stored->tokens, stored->counted}
                       : (struct calibration_anchor){0},
    };
    gauge_read(scheduler_gauge(c->sched), &ask, &c->fit.size);
}

static int64_t output_of(const struct call *c)
{
    if (c->spec.endpoint == WIRE_EMBEDDINGS)
        return 0;
    return c->request.max_output_tokens >= 0 ? c->request.max_output_tokens
                                             : c->row->default_output_tokens;
}

static bool fits(const struct room *room, int64_t input, int64_t output)
{
    return input <= room->input && input + output * room->times <= room->sum;
}

static const char *wanted_policy(const struct call *c)
{
    const char *of_tenant = trim_of_tenant(c->plan->config, c->spec.tenant);
    if (c->spec.trim)
        return c->spec.trim;
    if (of_tenant)
        return of_tenant;
    return *c->settings.trim ? c->settings.trim : c->row->trim;
}

static bool may_trim(const struct call *c)
{
    const char *policy = wanted_policy(c);
    bool talks = c->spec.endpoint == WIRE_CHAT || c->spec.endpoint == WIRE_RESPONSES ||
                 c->spec.endpoint == WIRE_MESSAGES;
    return talks && c->request.body.len <= (size_t)TRIM_MAX_BODY_BYTES &&
           !(policy && strcmp(policy, "none") == 0);
}

/* ---- cutting */

static unsigned stage_bit(const char *name)
{
    for (enum trim_stage s = 0; s < TRIM_STAGE_COUNT; s++)
        if (strcmp(name, trim_stage_name(s)) == 0)
            return 1U << s;
    return 1U << TRIM_STAGE_COUNT; /* repair */
}

static void take(struct call *c, struct trim_result *r, const char *policy)
{
    struct call_fit *f = &c->fit;
    int64_t saved = r->before.tokens - r->after.tokens;
    for (size_t i = 0; i < r->action_count; i++)
        f->stages |= stage_bit(r->actions[i].stage);
    if (call_replace_body(c, &r->body) < 0)
        return; /* what was proved legal is also read: without memory the request stays */
    buf_init(&r->body, 0);
    f->policy = policy;
    f->trimmed += saved > 0 ? saved : 0;
    call_measure(c);
}

static int run_trim(struct call *c, const struct trim_policy *policy, struct trim_result *ret)
{
    struct trim_summarizer summarizer = call_summarizer(c);
    struct trim_input in = {
        .summarizer = &summarizer,
        .counter = gauge_counter(scheduler_gauge(c->sched)),
        .endpoint = c->spec.endpoint,
        .body = c->request.body.at,
        .len = c->request.body.len,
        .policy = policy,
    };
    struct error e;
    return trim(&in, ret, &e);
}

static void trim_by_policy(struct call *c)
{
    struct trim_policy policy;
    struct trim_result r;
    const char *name = wanted_policy(c);
    if (!name || !may_trim(c) || !trim_named(c->plan->config, name, &policy) ||
        run_trim(c, &policy, &r) < 0)
        return; /* what cannot be read as a conversation is the provider's to judge */
    if (r.action_count > 0 && !c->order)
        take(c, &r, name);
    trim_result_release(&r);
}

/* In tokens as trim() counts them. */
static int64_t counted(const struct call *c, int64_t reserved)
{
    const struct gauge_reading *size = &c->fit.size;
    int64_t of = size->counted > 0 ? size->counted : size->reserved;
    int64_t eighths = (size->reserved * SCALE_STEPS + of - 1) / of;
    return reserved * SCALE_STEPS / (eighths > SCALE_STEPS ? eighths : SCALE_STEPS);
}

/* Trims to at most so many reserved tokens of input, by the mildest preset that does it. */
static bool trim_to(struct call *c, int64_t most)
{
    struct trim_policy policy;
    struct trim_result r;
    if (most < 1 || !may_trim(c))
        return false;
    int64_t target = counted(c, most);
    for (size_t i = 0; i < PRESET_COUNT; i++) {
        (void)trim_policy_preset(presets[i], &policy);
        policy.always = false;
        policy.max_context_tokens = target > 0 ? target : 1;
        c->fit.forms++;
        if (run_trim(c, &policy, &r) < 0)
            return false;
        if (r.fits && r.action_count > 0) {
            take(c, &r, presets[i]);
            trim_result_release(&r);
            return c->fit.size.reserved <= most;
        }
        trim_result_release(&r);
    }
    return false;
}

static bool lower_output(struct call *c, int64_t tokens)
{
    struct buf changed;
    int64_t before = c->request.max_output_tokens;
    if (before >= 0 && before <= tokens)
        return true;
    buf_init(&changed, HTTP_MAX_BODY_BYTES + KIB);
    if (wire_request_set_output(c->spec.endpoint, &c->request, tokens, &changed) < 0) {
        buf_release(&changed);
        return false;
    }
    if (call_replace_body(c, &changed) < 0)
        return false;
    c->fit.output_lowered = true;
    return true;
}

/* The lowest maximum that may be set: what is set apart for thinking stays. */
static int64_t lowest_output(const struct call *c)
{
    return c->row->min_output_tokens + wire_request_thinking(c->spec.endpoint, &c->request);
}

/* For an output of `want` tokens, or more when there is room for more. */
static bool fit_with(struct call *c, const struct room *room, int64_t output, int64_t want)
{
    int64_t most = room->sum - want * room->times;
    most = most < room->input ? most : room->input;
    bool lower = want < output;
    if (!(lower && c->fit.size.reserved <= most) && !trim_to(c, most))
        return false;
    int64_t left = (room->sum - c->fit.size.reserved) / room->times;
    return output <= left || lower_output(c, left);
}

static bool shrink_to(struct call *c, const struct room *room)
{
    int64_t output = output_of(c), lowest = lowest_output(c);
    int64_t half = output / 2 > lowest ? output / 2 : lowest;
    if (fits(room, c->fit.size.reserved, output))
        return true;
    if (c->spec.never_shrink)
        return false;
    bool lower = room->lower_output && lowest < output;
    if ((!lower || room->sum - output * room->times >= room->sum / LEAST_INPUT_PART) &&
        fit_with(c, room, output, output))
        return true;
    return lower && (fit_with(c, room, output, half) || fit_with(c, room, output, lowest));
}

static void note_shrunk(struct call *c, bool done)
{
    c->fit.shrunk |= done;
}

/* ---- the model's own limits */

static int refuse_output(const struct call *c, struct call_failure *f)
{
    int64_t asked = c->request.max_output_tokens, most = c->row->max_output_tokens;
    if (wire_format_of(c->spec.endpoint) == WIRE_ANTHROPIC)
        call_failure_set(f, 400, "",
                         "max_tokens: %" PRId64 " > %" PRId64 ", which is the maximum allowed "
                         "number of output tokens for %.100s",
                         asked, most, c->model);
    else
        call_failure_set(f, 400, "invalid_value",
                         "max_tokens is too large: %" PRId64
                         ". This model supports at most %" PRId64
                         " completion tokens, whereas you provided %" PRId64 ".",
                         asked, most, asked);
    f->param = "max_tokens";
    return -E2BIG;
}

static int check_output(struct call *c, struct call_failure *f)
{
    int64_t most = c->row->max_output_tokens;
    if (most <= 0 || c->request.max_output_tokens <= most)
        return 0;
    bool may = !c->spec.never_shrink && most >= lowest_output(c);
    if (!may || !lower_output(c, most))
        return refuse_output(c, f);
    note_shrunk(c, true);
    return 0;
}

static int refuse_window(const struct call *c, int64_t output, struct call_failure *f)
{
    int64_t input = c->fit.size.tokens, window = c->row->context_window;
    if (wire_format_of(c->spec.endpoint) == WIRE_ANTHROPIC && input > window)
        call_failure_set(f, 400, "", "prompt is too long: %" PRId64 " tokens > %" PRId64 " maximum",
                         input, window);
    else if (wire_format_of(c->spec.endpoint) == WIRE_ANTHROPIC)
        call_failure_set(f, 400, "",
                         "input length and `max_tokens` exceed context limit: %" PRId64
                         " + %" PRId64 " > %" PRId64
                         ", decrease input length or `max_tokens` and try again",
                         input, output, window);
    else
        call_failure_set(f, 400, "context_length_exceeded",
                         "This model's maximum context length is %" PRId64
                         " tokens. However, you requested %" PRId64 " tokens (%" PRId64
                         " in the messages, %" PRId64
                         " in the completion). Please reduce the length of the messages or "
                         "completion.",
                         window, input + output, input, output);
    f->param = c->spec.endpoint == WIRE_RESPONSES ? "input" : "messages";
    return -E2BIG;
}

/* A count that is only an estimate refuses nothing that the provider might still accept. */
static bool is_surely_above(const struct call *c, int64_t output)
{
    const struct gauge_reading *size = &c->fit.size;
    int64_t input = size->method == GAUGE_estimated ? size->tokens * 4 / 5 : size->tokens;
    return input + output > c->row->context_window;
}

static int check_window(struct call *c, struct call_failure *f)
{
    int64_t named = c->request.max_output_tokens > 0 ? c->request.max_output_tokens : 0;
    struct room room = {.input = c->row->context_window - 1,
                        .sum = c->row->context_window,
                        .times = named > 0 ? 1 : 0,
                        .lower_output = named > 0};
    /* Of embeddings each input has the window to itself. */
    bool apart = c->spec.endpoint == WIRE_EMBEDDINGS && c->request.messages > 1;
    if (c->row->context_window <= 0 || apart)
        return 0;
    if (fits(&room, c->fit.size.reserved, named))
        return 0;
    if (room.times == 0)
        room = (struct room){.input = room.input, .sum = NO_LIMIT, .times = 1};
    bool done = shrink_to(c, &room);
    note_shrunk(c, done);
    named = c->request.max_output_tokens > 0 ? c->request.max_output_tokens : 0;
    return done || !is_surely_above(c, named) ? 0 : refuse_window(c, named, f);
}

/* ---- the pool's limits */

static enum profile_cost cost_rule(const struct call *c, const char *dim)
{
    const struct profile *p = c->pool->profile;
    for (size_t i = 0; i < p->dim_count; i++)
        if (strcmp(p->dims[i].name, dim) == 0)
            return p->dims[i].cost;
    return COST_REQUEST;
}

static void narrow(const struct call *c, const char *dim, int64_t most, struct room *room)
{
    enum profile_cost rule = cost_rule(c, dim);
    int64_t *limit = rule == COST_SUM_MAX ? &room->sum : &room->input;
    if ((rule == COST_INPUT || rule == COST_SUM || rule == COST_SUM_MAX) && most < *limit)
        *limit = most;
}

static void room_of_pool(const struct call *c, struct room *ret)
{
    const struct pool_limits *l = &pool_agent_pool(c->pool->agent)->limits;
    *ret = (struct room){
        .input = NO_LIMIT,
        .sum = NO_LIMIT,
        .times = c->request.choices,
        .lower_output = c->pool->profile->reserves_max_output,
    };
    for (size_t i = 0; i < l->dim_count; i++)
        narrow(c, l->dims[i].name, l->dims[i].capacity, ret);
}

/* One that fits in no form is refused by the queue, which says by what limit. */
static void fit_pool(struct call *c)
{
    struct room room;
    room_of_pool(c, &room);
    if (!fits(&room, c->fit.size.reserved, output_of(c)))
        note_shrunk(c, shrink_to(c, &room));
}

bool call_fit_sooner(struct call *c, const char *dim, int64_t late_ms)
{
    const struct pool_limits *l = &pool_agent_pool(c->pool->agent)->limits;
    struct room room;
    if (c->spec.never_shrink || c->fit.forms >= CALL_MAX_FORMS)
        return false;
    room_of_pool(c, &room);
    for (size_t i = 0; i < l->dim_count; i++) {
        const struct dim_limit *d = &l->dims[i];
        if (strcmp(d->name, dim) != 0)
            continue;
        double less = (double)late_ms / (double)d->tick_ms * (double)d->rate / (double)d->period;
        int64_t most = c->cost[i] - (int64_t)less - 1;
        if (cost_rule(c, dim) == COST_SUM)
            most -= c->estimate.output;
        if (most < 1 || cost_rule(c, dim) == COST_REQUEST || cost_rule(c, dim) == COST_OUTPUT)
            return false;
        narrow(c, dim, most, &room);
        bool done = shrink_to(c, &room);
        note_shrunk(c, done);
        return done;
    }
    return false;
}

/* Until its cost has come, behind what waits: of that the pool knows the time alone. */
static int64_t wait_for(const struct call *c, size_t i, const struct store_turn *pool)
{
    const struct dim_limit *d = &pool_agent_pool(c->pool->agent)->limits.dims[i];
    int64_t queue_ms = reply_int(reply_at(pool->items, 2), 0);
    int64_t left = i < pool->level_count && queue_ms == 0 ? pool->levels[i].remaining : 0;
    int64_t needs = c->cost[i] + d->headroom / d->period, missing = needs > left ? needs - left : 0;
    double ms = (double)missing / (double)d->rate * (double)d->period * (double)d->tick_ms;
    return queue_ms + (int64_t)ms;
}

bool call_fit_deadline(struct call *c, const struct store_turn *pool)
{
    const struct pool_limits *l = &pool_agent_pool(c->pool->agent)->limits;
    int64_t most = 0;
    size_t dim = 0;
    call_price(c);
    for (size_t i = 0; i < l->dim_count; i++) {
        int64_t ms = wait_for(c, i, pool);
        dim = ms > most ? i : dim;
        most = ms > most ? ms : most;
    }
    int64_t late = most - c->spec.deadline_ms;
    if (c->spec.deadline_ms == 0 || l->dim_count == 0 || late <= 0)
        return true;
    bool done =
        call_fit_sooner(c, l->dims[dim].name, late + c->spec.deadline_ms / CALL_MARGIN_PART);
    call_price(c);
    return done;
}

/* ---- the stage */

static int check_name(const struct call *c, struct call_failure *f)
{
    struct trim_policy unused;
    const char *name = c->spec.trim;
    if (!name || strcmp(name, "none") == 0 || trim_named(c->plan->config, name, &unused))
        return 0;
    call_failure_set(f, 400, "invalid_header",
                     "x-sluice-trim is '%.60s'; it must be aggressive, balanced, conservative, "
                     "none, or one of trim_policies.",
                     name);
    return -EINVAL;
}

/* Who only looks is told why it does not fit, and what it would cost all the same. */
static int only_look(const struct call *c, int rc, const struct call_failure *failure)
{
    if (rc < 0)
        *c->spec.unfit = *failure;
    return 0;
}

int call_fit(struct call *c, struct call_failure *failure)
{
    int rc = check_name(c, failure);
    if (rc < 0)
        return rc;
    /* Of a permit the caller sends the request, as it is. */
    if (c->spec.prepared || c->spec.for_permit) {
        call_measure(c);
        return 0;
    }
    trim_by_policy(c);
    if (c->order)
        return 0; /* it comes here again with the summary, or without */
    call_measure(c);
    rc = check_output(c, failure);
    if (rc == 0)
        rc = check_window(c, failure);
    if (rc == 0)
        fit_pool(c);
    c->fit.trimmed -= c->fit.trimmed < c->fit.spent ? c->fit.trimmed : c->fit.spent;
    if (c->spec.unfit)
        return only_look(c, rc, failure);
    if (c->fit.trimmed > 0)
        pool_stats_add(pool_agent_stats(c->pool->agent), COUNT_tokens_trimmed, c->fit.trimmed);
    return rc;
}
