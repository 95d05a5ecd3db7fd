/*
 * hint_text: numbers and times as providers write them into rate limit headers.
 *
 *   units    milliseconds, rounded up; results are 0 .. HINT_MAX_MS, longer ones are cut.
 *   threads  none; no allocation. Texts are whole header values, with spaces around at most.
 *   sources  Go's time.Duration.String (OpenAI, Groq); RFC 3339 (Anthropic); plain seconds
 *            (Azure, Mistral, the IETF draft).
 */
#ifndef LIMITER_HINT_TEXT_H
#define LIMITER_HINT_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#define HINT_MAX_MS     (INT64_C(40) * 24 * 3600 * 1000) /* more than a month */
#define HINT_MAX_AMOUNT INT64_C(10000000000)             /* as CONFIG_MAX_LIMIT */

/* A whole number; a fraction behind it is dropped ("59.5" is 59 left). -1 is a number, too. False
 * for anything else; an amount above HINT_MAX_AMOUNT is cut to it. */
bool hint_number(const char *text, int64_t *ret);

/* "6m0s", "1s", "120ms", "2m59.56s", "1d2h"; and a bare number, which is seconds. */
bool hint_duration(const char *text, int64_t *ret_ms);

/* "2026-01-31T12:00:00Z", with a fraction or an offset, as the time until then: 0 when past. */
bool hint_rfc3339(const char *text, int64_t now_wall_ms, int64_t *ret_ms);

/* Milliseconds of the epoch as the time until then. */
bool hint_epoch_ms(const char *text, int64_t now_wall_ms, int64_t *ret_ms);

#endif
