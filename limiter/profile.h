/*
 * profile: what a provider charges for a request, when, and what comes back. Data, not code.
 *
 * The same request costs different amounts against different providers:
 *
 *   openai     tokens per minute are charged at admission as input + max_tokens (the rate-limit
 *              guide says "the maximum of max_tokens and the estimated number of tokens"; the
 *              help centre adds both; the sum is the safe reading). Unused max_tokens are not
 *              known to come back, so they are kept; an input estimate that was too high is
 *              corrected, to no less than a quarter of the characters, which is how OpenAI
 *              estimates. Failed requests count.
 *   anthropic  input tokens are charged at the start and adjusted; what is read from the cache
 *              does not count; output counts as it is produced, max_tokens does not
 *              (platform.claude.com rate limits page, 2026). A predicted output is reserved so
 *              that many streams cannot collide, and settled to what was produced.
 *   generic    input + output, settled to what was used.
 *   azure      as openai ("estimated max processed-token count": prompt + max_tokens + best_of);
 *              nothing is known to come back.
 *   gemini     tokens per minute count input only.
 *   groq       input + output; what is read from the cache is free.
 *   mistral    input + output, settled to what was used.
 *   openrouter input + output; its free models count requests of a day.
 *   ollama, vllm  no limits of their own but how many run at a time.
 *
 * Embeddings: OpenAI and Azure tell 2,048 inputs and 300,000 tokens for a request (API reference,
 * 2026), Gemini 100 inputs; of Mistral 32 inputs and 16,384 tokens are in use by its clients.
 *
 *   units      tokens, requests; periods in ticks (limiter/pool.h)
 *   threads    none; all tables are constant.
 */
#ifndef LIMITER_PROFILE_H
#define LIMITER_PROFILE_H

#include "limiter/hint.h"
#include "limiter/pool.h"

enum profile_cost {
    COST_REQUEST, /* 1 */
    COST_INPUT,   /* estimated input */
    COST_OUTPUT,  /* predicted output */
    COST_SUM_MAX, /* estimated input + the most output it asks for */
    COST_SUM,     /* estimated input + predicted output */
};

enum profile_settle {
    SETTLE_REQUEST,     /* 1, also when the request failed */
    SETTLE_UNCACHED,    /* input that was not read from a cache */
    SETTLE_OUTPUT,      /* output */
    SETTLE_KEEP_OUTPUT, /* input as charged by characters or usage, and the reserved output */
    SETTLE_TOTAL,       /* input and output */
    SETTLE_INPUT,
    SETTLE_UNCACHED_TOTAL, /* output, and input that was not read from a cache */
};

struct profile_dim {
    char name[8];
    enum profile_cost cost;
    enum profile_settle settle;
    enum dim_rule rule;
};

/* How many inputs, and tokens of them together, one request for embeddings may have. */
struct profile_embeddings {
    int64_t inputs; /* 0: there are none */
    int64_t tokens; /* 0: not limited */
    bool known;     /* told by the provider; else what most accept, and larger ones are passed on */
};

struct profile {
    const char *name;
    struct profile_dim dims[POOL_MAX_DIMS];
    size_t dim_count;
    bool reserves_max_output;  /* lowering max_tokens makes a request cheaper here */
    enum hint_dialect dialect; /* of its headers */
    struct profile_embeddings embeddings;
};

/* NULL when there is none of that name. */
const struct profile *profile_find(const char *name);

/* Limits per dimension; <= 0 means not limited. Same order as the names in profile.c. */
struct profile_rates {
    int64_t rpm, tpm, itpm, otpm, rpd, tpd, max_parallel;
    enum dim_algorithm algorithm; /* of every dimension, the daily ones too */
};

struct profile_queue {
    int64_t bypass_permille, batch_permille, max_depth, lease_ms, max_losses, headroom_ms;
};

/* The limits of a pool: one dimension for each rate that is set, capacity one period, headroom
 * what is refilled in headroom_ms (at most 5 % of the capacity): of a sliding window, so much time.
 */
void profile_limits(const struct profile *p, const struct profile_rates *rates,
                    const struct profile_queue *queue, struct pool_limits *ret);

struct profile_estimate {
    int64_t input;      /* estimated */
    int64_t output;     /* predicted */
    int64_t max_output; /* the most it may produce: asked for, or the model's default */
};

/* Cost of a request in the order of limits->dims, and its fair cost (tokens, 1 to
 * FAIR_MAX_TOKENS). A predicted output is cut to the capacity of its dimension, so that it alone
 * never makes a request unfit. */
void profile_reserve(const struct profile *p, const struct pool_limits *limits,
                     const struct profile_estimate *estimate, int64_t *ret_cost, int64_t *ret_fair);

struct profile_usage {
    int64_t input;      /* all input tokens */
    int64_t cache_read; /* of these, read from a cache */
    int64_t output;
    int64_t input_bytes; /* of the request's text */
};

/* What was really used, in the order of limits->dims, against what was reserved. usage NULL:
 * nothing is known (-1), but requests count. Returns the fair actual, -1 unknown. */
int64_t profile_actual(const struct profile *p, const struct pool_limits *limits,
                       const struct profile_estimate *reserved, const struct profile_usage *usage,
                       int64_t *ret_actual);

#endif
