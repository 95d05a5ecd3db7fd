#include "common/json_scan.h"

#include "common/json_byte.h"
#include "common/limits.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT_CHAR UINT32_C(0xFFFD)

/* ---- spans: the text is valid here, but no byte past it is read even if it is not */

struct json_span json_span_of(const char *text, size_t len)
{
    const char *end = text + len;
    const char *at = json_skip_blanks(text, end);
    while (end > at && json_is_blank(end[-1]))
        end--;
    return (struct json_span){at == end ? NULL : at, (size_t)(end - at)};
}

enum json_kind json_kind(struct json_span value)
{
    if (!value.at || value.len == 0)
        return JSON_NONE;
    switch (*value.at) {
    case '{':
        return JSON_OBJ;
    case '[':
        return JSON_ARR;
    case '"':
        return JSON_STR;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NUL;
    default:
        return JSON_NUM;
    }
}

/* p stands on the opening quote; the result is behind the closing one. */
static const char *skip_string(const char *p, const char *end)
{
    p++;
    while (p < end) {
        while (end - p >= 8) {
            uint64_t word = json_load8(p);
            if (json_has_byte(word, '"') | json_has_byte(word, '\\'))
                break;
            p += 8;
        }
        while (p < end && *p != '"' && *p != '\\')
            p++;
        if (p == end)
            return end;
        if (*p == '"')
            return p + 1;
        p += end - p >= 2 ? 2 : 1;
    }
    return end;
}

static const char *skip_container(const char *p, const char *end)
{
    size_t depth = 0;
    while (p < end) {
        char c = *p;
        if (c == '"') {
            p = skip_string(p, end);
            continue;
        }
        p++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return p;
    }
    return end;
}

static const char *skip_value(const char *p, const char *end)
{
    if (p == end)
        return end;
    if (*p == '"')
        return skip_string(p, end);
    if (*p == '{' || *p == '[')
        return skip_container(p, end);
    while (p < end && *p != ',' && *p != '}' && *p != ']' && !json_is_blank(*p))
        p++;
    return p;
}

struct json_iter json_iter(struct json_span container)
{
    enum json_kind kind = json_kind(container);
    if (kind != JSON_OBJ && kind != JSON_ARR)
        return (struct json_iter){.pos = NULL};
    return (struct json_iter){
        .object = kind == JSON_OBJ,
        .pos = container.at + 1,
        .end = container.at + container.len,
    };
}

bool json_next(struct json_iter *it)
{
    const char *p = json_skip_blanks(it->pos, it->end);
    if (p < it->end && *p == ',')
        p = json_skip_blanks(p + 1, it->end);
    it->pos = it->end;
    if (p == it->end || *p == '}' || *p == ']')
        return false;

    if (it->object) {
        if (*p != '"')
            return false;
        it->key.at = p;
        p = skip_string(p, it->end);
        it->key.len = (size_t)(p - it->key.at);
        p = json_skip_blanks(p, it->end);
        if (p == it->end)
            return false;
        p = json_skip_blanks(p + 1, it->end);
    }
    it->value.at = p;
    p = skip_value(p, it->end);
    it->value.len = (size_t)(p - it->value.at);
    it->pos = p;
    return it->value.len > 0;
}

struct json_span json_get(struct json_span obj, const char *key)
{
    struct json_span found = {0};
    if (json_kind(obj) != JSON_OBJ)
        return found;
    struct json_iter it = json_iter(obj);
    while (json_next(&it))
        if (json_equals(it.key, key))
            found = it.value;
    return found;
}

/* ---- typed reads */

bool json_int(struct json_span value, int64_t *ret)
{
    if (json_kind(value) != JSON_NUM)
        return false;
    const char *p = value.at, *end = value.at + value.len;
    bool negative = *p == '-';
    if (negative)
        p++;
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t sum = 0;
    if (p == end)
        return false;
    for (; p < end; p++) {
        if (!json_is_digit(*p))
            return false;
        uint64_t digit = (uint64_t)(*p - '0');
        if (sum > (limit - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    /* Negated as unsigned, since -INT64_MIN does not exist. */
    *ret = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return true;
}

bool json_double(struct json_span value, double *ret)
{
    /* strtod() wants a NUL behind the number, which the text does not have. */
    char text[JSON_NUMBER_BYTES + 1];
    if (json_kind(value) != JSON_NUM || value.len > JSON_NUMBER_BYTES)
        return false;
    memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    char *end;
    double number = strtod(text, &end);
    if (*end != '\0' || !isfinite(number))
        return false;
    *ret = number;
    return true;
}

bool json_bool(struct json_span value, bool *ret)
{
    if (json_kind(value) != JSON_BOOL)
        return false;
    *ret = *value.at == 't';
    return true;
}

/* ---- strings */

static size_t utf8_write(uint32_t point, char *out)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    out[0] = (char)(first[len] | point);
    return len;
}

/* The code point of \uXXXX at p (behind the backslash and the u), with the low half of a
 * pair when one follows; *ret_next is behind what was used. */
static uint32_t unicode_escape(const char *p, const char *end, const char **ret_next)
{
    int32_t high = json_hex4(p, end);
    *ret_next = high < 0 ? end : p + 4;
    if (high < 0)
        return REPLACEMENT_CHAR;
    if (high < 0xD800 || high > 0xDFFF)
        return (uint32_t)high;
    p += 4;
    if (high < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        int32_t low = json_hex4(p + 2, end);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            *ret_next = p + 6;
            return 0x10000 + (((uint32_t)high & 0x3FF) << 10) + ((uint32_t)low & 0x3FF);
        }
    }
    return REPLACEMENT_CHAR;
}

uint32_t json_escape(const char *p, const char *end, const char **ret_next)
{
    if (end - p < 2) {
        *ret_next = end;
        return REPLACEMENT_CHAR;
    }
    if (p[1] == 'u')
        return unicode_escape(p + 2, end, ret_next);
    *ret_next = p + 2;
    switch (p[1]) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return (unsigned char)p[1];
    }
}

struct json_span json_inside(struct json_span value)
{
    if (json_kind(value) != JSON_STR || value.len < 2)
        return (struct json_span){0};
    return (struct json_span){value.at + 1, value.len - 2};
}

bool json_equals(struct json_span value, const char *text)
{
    struct json_span inside = json_inside(value);
    size_t left = strlen(text);
    if (!inside.at)
        return false;
    if (!memchr(inside.at, '\\', inside.len))
        return inside.len == left && memcmp(inside.at, text, left) == 0;

    const char *p = inside.at, *end = p + inside.len;
    while (p < end) {
        char bytes[4];
        size_t len = 1;
        bytes[0] = *p;
        if (*p == '\\')
            len = utf8_write(json_escape(p, end, &p), bytes);
        else
            p++;
        if (len > left || memcmp(bytes, text, len) != 0)
            return false;
        text += len;
        left -= len;
    }
    return left == 0;
}

int json_text(struct json_span value, struct buf *out)
{
    struct json_span inside = json_inside(value);
    if (!inside.at)
        return -EINVAL;
    const char *p = inside.at, *end = p + inside.len;
    int rc = 0;
    while (p < end && rc == 0) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        rc = buf_add(out, p, (size_t)((escape ? escape : end) - p));
        if (!escape || rc < 0)
            break;
        char bytes[4];
        rc = buf_add(out, bytes, utf8_write(json_escape(escape, end, &p), bytes));
    }
    return rc;
}
