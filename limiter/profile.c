#include "limiter/profile.h"

#include <string.h>

#define DAY_S     86400
#define MINUTE_MS 60000

/* rpm and rpd are the same everywhere: a request is a request, and counts when it failed, too. */
#define REQUESTS(name)                                                                             \
    {                                                                                              \
        name, COST_REQUEST, SETTLE_REQUEST, DIM_KEEP                                               \
    }
#define INPUT                                                                                      \
    {                                                                                              \
        "itpm", COST_INPUT, SETTLE_UNCACHED, DIM_REFUND                                            \
    }
#define OUTPUT                                                                                     \
    {                                                                                              \
        "otpm", COST_OUTPUT, SETTLE_OUTPUT, DIM_ACCRUE                                             \
    }

/* All six dimensions, where tokens of both kinds cost and settle by the rules given. */
#define DIMS(cost, settle, rule)                                                                   \
    .dims = {REQUESTS("rpm"), {"tpm", cost, settle, rule}, INPUT, OUTPUT,                          \
             REQUESTS("rpd"), {"tpd", cost, settle, rule}},                                        \
    .dim_count = 6

/* 96 is the least maximum that is known of a provider which takes arrays at all (Cohere). */
#define USUAL                                                                                      \
    {                                                                                              \
        .inputs = 96, .tokens = 100000                                                             \
    }

static const struct profile profiles[] = {
    {.name = "openai",
     DIMS(COST_SUM_MAX, SETTLE_KEEP_OUTPUT, DIM_REFUND),
     .reserves_max_output = true,
     .dialect = HINT_OPENAI,
     .embeddings = {.inputs = 2048, .tokens = 300000, .known = true}},
    {.name = "azure",
     DIMS(COST_SUM_MAX, SETTLE_KEEP_OUTPUT, DIM_KEEP),
     .reserves_max_output = true,
     .dialect = HINT_AZURE,
     .embeddings = {.inputs = 2048, .tokens = 300000, .known = true}},
    {.name = "anthropic", DIMS(COST_SUM, SETTLE_TOTAL, DIM_REFUND), .dialect = HINT_ANTHROPIC},
    {.name = "gemini",
     DIMS(COST_INPUT, SETTLE_INPUT, DIM_REFUND),
     .dialect = HINT_NONE,
     .embeddings = {.inputs = 100, .known = true}},
    {.name = "groq",
     DIMS(COST_SUM, SETTLE_UNCACHED_TOTAL, DIM_REFUND),
     .dialect = HINT_GROQ,
     .embeddings = USUAL},
    {.name = "mistral",
     DIMS(COST_SUM, SETTLE_TOTAL, DIM_REFUND),
     .dialect = HINT_MISTRAL,
     .embeddings = {.inputs = 32, .tokens = 16384}},
    {.name = "openrouter",
     DIMS(COST_SUM, SETTLE_TOTAL, DIM_REFUND),
     .dialect = HINT_OPENROUTER,
     .embeddings = USUAL},
    {.name = "ollama",
     DIMS(COST_SUM, SETTLE_TOTAL, DIM_REFUND),
     .dialect = HINT_NONE,
     .embeddings = USUAL},
    {.name = "vllm",
     DIMS(COST_SUM, SETTLE_TOTAL, DIM_REFUND),
     .dialect = HINT_NONE,
     .embeddings = USUAL},
    {.name = "generic",
     DIMS(COST_SUM, SETTLE_TOTAL, DIM_REFUND),
     .dialect = HINT_GENERIC,
     .embeddings = USUAL},
};

const struct profile *profile_find(const char *name)
{
    for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    }
    return NULL;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t rate_of(const struct profile_rates *r, const char *name)
{
    const struct {
        const char *name;
        int64_t rate;
    } rates[] = {
        {"rpm", r->rpm},   {"tpm", r->tpm}, {"itpm", r->itpm},
        {"otpm", r->otpm}, {"rpd", r->rpd}, {"tpd", r->tpd},
    };
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        if (strcmp(rates[i].name, name) == 0)
            return rates[i].rate;
    }
    return 0;
}

static struct dim_limit dim_of(const struct profile_dim *from, int64_t rate, int64_t headroom_ms,
                               enum dim_algorithm algorithm)
{
    struct dim_limit d = {
        .rate = rate, .capacity = rate, .rule = from->rule, .algorithm = algorithm};
    bool daily = strchr(from->name, 'd') != NULL; /* rpd, tpd */

    memcpy(d.name, from->name, sizeof(d.name));
    d.period = daily ? DAY_S : MINUTE_MS;
    d.tick_ms = daily ? 1000 : 1;
    d.headroom = least(rate * (headroom_ms / d.tick_ms), d.capacity * d.period / 20);
    return d;
}

void profile_limits(const struct profile *p, const struct profile_rates *rates,
                    const struct profile_queue *queue, struct pool_limits *ret)
{
    *ret = (struct pool_limits){
        .max_parallel = most(rates->max_parallel, 0),
        .bypass_permille = queue->bypass_permille,
        .batch_permille = queue->batch_permille,
        .max_depth = queue->max_depth,
        .lease_ms = queue->lease_ms,
        .max_losses = queue->max_losses,
    };
    for (size_t i = 0; i < p->dim_count; i++) {
        int64_t rate = rate_of(rates, p->dims[i].name);
        if (rate > 0)
            ret->dims[ret->dim_count++] =
                dim_of(&p->dims[i], rate, queue->headroom_ms, rates->algorithm);
    }
}

/* The profile's row of a dimension; every dimension of a pool was made from one. */
static const struct profile_dim *row_of(const struct profile *p, const char *name)
{
    for (size_t i = 0; i < p->dim_count; i++) {
        if (strcmp(p->dims[i].name, name) == 0)
            return &p->dims[i];
    }
    return NULL;
}

static int64_t cost_of(enum profile_cost rule, const struct profile_estimate *e, int64_t capacity)
{
    switch (rule) {
    case COST_INPUT:
        return e->input;
    case COST_OUTPUT:
        return least(e->output, capacity);
    case COST_SUM_MAX:
        return e->input + e->max_output;
    case COST_SUM:
        return most(e->input, least(e->input + e->output, capacity));
    case COST_REQUEST:
    default:
        return 1;
    }
}

/* Tags of the fair order are sums of these, which Lua must be able to hold. */
static int64_t fair_cost(int64_t tokens)
{
    return most(1, least(tokens, FAIR_MAX_TOKENS));
}

void profile_reserve(const struct profile *p, const struct pool_limits *limits,
                     const struct profile_estimate *estimate, int64_t *ret_cost, int64_t *ret_fair)
{
    for (size_t i = 0; i < limits->dim_count; i++) {
        const struct profile_dim *row = row_of(p, limits->dims[i].name);
        ret_cost[i] = row ? cost_of(row->cost, estimate, limits->dims[i].capacity) : 0;
    }
    *ret_fair = fair_cost(estimate->input +
                          (p->reserves_max_output ? estimate->max_output : estimate->output));
}

static int64_t actual_of(enum profile_settle rule, const struct profile_estimate *reserved,
                         const struct profile_usage *u)
{
    switch (rule) {
    case SETTLE_UNCACHED:
        return most(u->input - u->cache_read, 0);
    case SETTLE_OUTPUT:
        return u->output;
    case SETTLE_KEEP_OUTPUT:
        return most(u->input, (u->input_bytes + 3) / 4) + most(reserved->max_output, u->output);
    case SETTLE_TOTAL:
        return u->input + u->output;
    case SETTLE_INPUT:
        return u->input;
    case SETTLE_UNCACHED_TOTAL:
        return most(u->input - u->cache_read, 0) + u->output;
    case SETTLE_REQUEST:
    default:
        return 1;
    }
}

int64_t profile_actual(const struct profile *p, const struct pool_limits *limits,
                       const struct profile_estimate *reserved, const struct profile_usage *usage,
                       int64_t *ret_actual)
{
    for (size_t i = 0; i < limits->dim_count; i++) {
        const struct profile_dim *row = row_of(p, limits->dims[i].name);
        bool told = row && (usage || row->settle == SETTLE_REQUEST);
        ret_actual[i] = told ? actual_of(row->settle, reserved, usage) : -1;
    }
    if (!usage)
        return -1;
    return fair_cost(usage->input + (p->reserves_max_output
                                         ? most(reserved->max_output, usage->output)
                                         : usage->output));
}
