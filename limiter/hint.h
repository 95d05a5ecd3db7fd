/*
 * hint: what the headers of a provider's answer tell about its limits.
 *
 * Each provider writes the same three numbers (limit, what remains, when it is full again) under
 * other names and in other forms. A dialect is one table of names; nothing here knows a
 * provider. Mapping traps that the tables hold:
 *
 *   openai     x-ratelimit-{limit,remaining,reset}-{requests,tokens}: per minute; a reset is a Go
 *              duration until the bucket is full, not until one more fits. The project's own token
 *              limit (-project-tokens) is a second bucket: the tighter of both counts.
 *   azure      the same names; a reset is a bare number, taken for seconds; limits of -1 and 0
 *              mean that nothing is told. A lowered limit is the limit for now.
 *   groq       the same names, but requests are per day.
 *   anthropic  anthropic-ratelimit-{requests,input-tokens,output-tokens}-*: tokens are rounded to
 *              thousands, a reset is a date. -tokens-* is "the most restrictive limit currently in
 *              effect", perhaps of another scope: read only where the pair is missing.
 *   mistral    x-ratelimitbysize-*-minute, else ratelimitbysize-*: tokens.
 *   openrouter x-ratelimit-{limit,remaining,reset}, on its own refusals only: requests of a minute
 *              or a day, which the reset tells apart; milliseconds of the epoch.
 *   generic    OpenAI's names, and the IETF draft's fields.
 *
 * A limit header that is 0 or negative, and any number that cannot be read, counts as not told.
 *
 *   units      tokens or requests, ms
 *   ownership  nothing is kept. Header values are borrowed during the call.
 *   threads    none; no clock: the wall clock's time is an argument.
 *   sources    the vendors' rate limit pages of 2025-2026; draft-ietf-httpapi-ratelimit-headers.
 */
#ifndef LIMITER_HINT_H
#define LIMITER_HINT_H

#include "limiter/dim.h"

#include <stddef.h>
#include <stdint.h>

enum hint_dialect {
    HINT_NONE,
    HINT_OPENAI,
    HINT_AZURE,
    HINT_GROQ,
    HINT_ANTHROPIC,
    HINT_MISTRAL,
    HINT_OPENROUTER,
    HINT_GENERIC,
    HINT_DIALECTS,
};

const char *hint_dialect_name(enum hint_dialect d); /* "openai"; "?" for what is none */

struct hint {
    char dim[DIM_NAME_BYTES];
    int64_t limit, remaining; /* -1: not told */
    int64_t reset_ms;         /* until it is full again; -1: not told */
    int64_t grain;            /* what remaining is rounded to; 0: exact */
    int64_t debt;             /* below a remaining of 0, by the reset; at most the limit */
};

#define HINT_MAX 6 /* dimensions of one answer */
struct hints {
    struct hint list[HINT_MAX];
    size_t count;
};

/* A header's value by its lower-case name; NULL when absent. Of two values only the draft's two
 * fields are in use at the same time. */
typedef const char *(*hint_header_fn)(void *arg, const char *name);

struct hint_source {
    hint_header_fn header;
    void *arg;
};

/* A bucket in debt tells that 0 remains; but it takes longer than a period to be full again, and by
 * that the debt is known. Where remaining is not told but limit and reset are, it is what the reset
 * implies: a bucket that is full in t has limit * t / period to go; a second of uncertainty is in
 * grain. */
void hints_read(enum hint_dialect dialect, const struct hint_source *source, int64_t now_wall_ms,
                struct hints *ret);

/* Adds one, or tightens the one of the same dimension: the lower limit and the lower rest. */
void hints_add(struct hints *h, const struct hint *one);

#endif
