#include "common/utf8.h"

#include <string.h>

static bool is_tail(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

/* What may follow a lead byte: how many bytes in all, and the range of the second
 * (Unicode 16.0, table 3-7). The range is what keeps overlong forms and numbers above
 * U+10FFFF out. */
struct lead {
    unsigned char total, low, high;
};

static struct lead lead_of(unsigned char byte)
{
    if (byte >= 0xC2 && byte <= 0xDF)
        return (struct lead){2, 0x80, 0xBF};
    if (byte == 0xE0)
        return (struct lead){3, 0xA0, 0xBF};
    if (byte == 0xED)
        return (struct lead){3, 0x80, 0x9F};
    if (byte >= 0xE1 && byte <= 0xEF)
        return (struct lead){3, 0x80, 0xBF};
    if (byte == 0xF0)
        return (struct lead){4, 0x90, 0xBF};
    if (byte >= 0xF1 && byte <= 0xF3)
        return (struct lead){4, 0x80, 0xBF};
    if (byte == 0xF4)
        return (struct lead){4, 0x80, 0x8F};
    return (struct lead){1, 1, 0};
}

static bool is_surrogate(const unsigned char *p, size_t left)
{
    return left >= 3 && p[0] == 0xED && p[1] >= 0xA0 && p[1] <= 0xBF && is_tail(p[2]);
}

uint32_t utf8_next_long(const unsigned char *p, const unsigned char *end, size_t *ret_len)
{
    size_t left = (size_t)(end - p);
    struct lead lead = lead_of(p[0]);
    *ret_len = 1;
    if (left < 2 || p[1] < lead.low || p[1] > lead.high) {
        if (is_surrogate(p, left))
            *ret_len = 3;
        return UTF8_REPLACEMENT;
    }

    uint32_t point = p[0] & (0x7Fu >> lead.total);
    size_t n = 1;
    for (; n < lead.total && n < left && is_tail(p[n]); n++)
        point = point << 6 | (p[n] & 0x3Fu);
    *ret_len = n;
    return n == lead.total ? point : UTF8_REPLACEMENT;
}

/* U+FFFD spelled out is valid: of three bytes that start with EF, and a surrogate starts
 * with ED. */
bool utf8_valid(const void *bytes, size_t len)
{
    const unsigned char *p = bytes, *end = p + len;
    while (p < end) {
        size_t n;
        uint32_t point = utf8_next(p, end, &n);
        if (point == UTF8_REPLACEMENT && (n != 3 || p[0] != 0xEF))
            return false;
        p += n;
    }
    return true;
}

size_t utf8_repair(const void *bytes, size_t len, unsigned char *out)
{
    const unsigned char *p = bytes, *end = p + len;
    static const unsigned char replacement[UTF8_REPLACEMENT_BYTES] = {0xEF, 0xBF, 0xBD};
    unsigned char *to = out;
    while (p < end) {
        size_t n;
        if (utf8_next(p, end, &n) == UTF8_REPLACEMENT) {
            memcpy(to, replacement, sizeof(replacement));
            to += UTF8_REPLACEMENT_BYTES;
        } else {
            memcpy(to, p, n);
            to += n;
        }
        p += n;
    }
    return (size_t)(to - out);
}

size_t utf8_floor(const void *bytes, size_t len, size_t at)
{
    const unsigned char *p = bytes;
    if (at >= len || !is_tail(p[at]))
        return at;
    for (size_t back = 1; back <= 3 && back <= at; back++) {
        size_t n;
        if (is_tail(p[at - back]))
            continue;
        utf8_next(p + at - back, p + len, &n);
        return n > back ? at - back : at;
    }
    return at;
}
