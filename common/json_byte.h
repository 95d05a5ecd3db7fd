/*
 * json_byte: what single bytes and words of eight bytes are in a JSON text.
 *
 * Shared by the two halves of json_scan (the check, the spans) and by those who walk
 * the text of a string themselves. Inline, since these are the inner loops.
 */
#ifndef COMMON_JSON_BYTE_H
#define COMMON_JSON_BYTE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define JSON_ONES  UINT64_C(0x0101010101010101)
#define JSON_HIGHS UINT64_C(0x8080808080808080)

static inline bool json_is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool json_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline const char *json_skip_blanks(const char *p, const char *end)
{
    while (p < end && json_is_blank(*p))
        p++;
    return p;
}

static inline uint64_t json_load8(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* High bit set in some byte of the result when a byte of word is c. Only whether the
 * result is zero is exact, which is what the callers ask: they look at the bytes then. */
static inline uint64_t json_has_byte(uint64_t word, unsigned char c)
{
    uint64_t x = word ^ (JSON_ONES * c);
    return (x - JSON_ONES) & ~x & JSON_HIGHS;
}

static inline int json_hex_digit(char c)
{
    if (json_is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The four hex digits behind \u; -1 when they are not there. */
static inline int32_t json_hex4(const char *p, const char *end)
{
    if (end - p < 4)
        return -1;
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = json_hex_digit(p[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

#endif
