#include "common/json_scan.h"

#include "common/json_byte.h"
#include "common/limits.h"

#include <errno.h>
#include <string.h>

_Static_assert(JSON_MAX_DEPTH <= 64, "the open containers are one bit each");

static uint64_t has_control(uint64_t word)
{
    return (word - JSON_ONES * 0x20) & ~word & JSON_HIGHS;
}

/* The first byte from p that is not plain ASCII text of a string. Eight at a time: nearly
 * all bytes of a prompt are plain. */
static const char *skip_plain(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t word = json_load8(p);
        if (json_has_byte(word, '"') | json_has_byte(word, '\\') | has_control(word) |
            (word & JSON_HIGHS))
            break;
        p += 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

enum want { WANT_VALUE, WANT_ITEM_OR_END, WANT_KEY, WANT_KEY_OR_END, WANT_COMMA_OR_END };

struct check {
    const char *start, *at, *end;
    enum want want;
    int depth;
    uint64_t objects; /* bit d: the container at depth d is an object */
    struct error *e;
};

static int expected(const struct check *c, const char *what)
{
    return error_set(c->e, -EINVAL, "not valid JSON: byte %zu: expected %s",
                     (size_t)(c->at - c->start), what);
}

static bool in_object(const struct check *c)
{
    return (c->objects >> (c->depth - 1) & 1) != 0;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Bytes of the UTF-8 sequence at p, whose first byte is not ASCII; 0 when it is none:
 * cut, overlong, a surrogate or past U+10FFFF (RFC 3629, section 4). */
static size_t utf8_bytes(const char *p, const char *end)
{
    unsigned char first = (unsigned char)p[0];
    size_t need = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first < 0xC2 || first > 0xF4 || (size_t)(end - p) < need)
        return 0;
    for (size_t i = 1; i < need; i++)
        if (!is_continuation(p[i]))
            return 0;

    unsigned char second = (unsigned char)p[1];
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
        (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
        return 0;
    return need;
}

static int check_escape(struct check *c)
{
    const char *p = c->at + 1;
    if (p < c->end && *p == 'u') {
        if (json_hex4(p + 1, c->end) < 0)
            return expected(c, "four hex digits after \\u");
        c->at += 6;
        return 0;
    }
    if (p == c->end || *p == '\0' || !strchr("\"\\/bfnrt", *p))
        return expected(c, "an escape (one of \"\\/bfnrtu after a backslash)");
    c->at += 2;
    return 0;
}

static int check_string(struct check *c)
{
    c->at++;
    for (;;) {
        c->at = skip_plain(c->at, c->end);
        if (c->at == c->end)
            return expected(c, "the closing quote of a string");
        unsigned char byte = (unsigned char)*c->at;
        if (byte == '"')
            break;
        if (byte < 0x20)
            return expected(c, "a control character to be escaped");
        if (byte == '\\') {
            int rc = check_escape(c);
            if (rc < 0)
                return rc;
            continue;
        }
        size_t len = utf8_bytes(c->at, c->end);
        if (len == 0)
            return expected(c, "valid UTF-8");
        c->at += len;
    }
    c->at++;
    return 0;
}

static bool skip_digits(struct check *c)
{
    const char *from = c->at;
    while (c->at < c->end && json_is_digit(*c->at))
        c->at++;
    return c->at > from;
}

static int check_number(struct check *c)
{
    if (*c->at == '-')
        c->at++;
    if (c->at < c->end && *c->at == '0')
        c->at++;
    else if (!skip_digits(c))
        return expected(c, "a digit");

    if (c->at < c->end && *c->at == '.') {
        c->at++;
        if (!skip_digits(c))
            return expected(c, "a digit after the decimal point");
    }
    if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        c->at++;
        if (c->at < c->end && (*c->at == '+' || *c->at == '-'))
            c->at++;
        if (!skip_digits(c))
            return expected(c, "a digit in the exponent");
    }
    return 0;
}

static int check_word(struct check *c, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
        return expected(c, "a value");
    c->at += len;
    return 0;
}

static int check_open(struct check *c, bool object)
{
    if (c->depth == JSON_MAX_DEPTH)
        return error_set(c->e, -E2BIG, "JSON is nested deeper than %d levels at byte %zu",
                         JSON_MAX_DEPTH, (size_t)(c->at - c->start));
    uint64_t bit = UINT64_C(1) << c->depth;
    c->objects = object ? c->objects | bit : c->objects & ~bit;
    c->depth++;
    c->at++;
    c->want = object ? WANT_KEY_OR_END : WANT_ITEM_OR_END;
    return 0;
}

static int check_close(struct check *c)
{
    c->at++;
    c->depth--;
    c->want = WANT_COMMA_OR_END;
    return 0;
}

static int check_value(struct check *c)
{
    c->want = WANT_COMMA_OR_END;
    switch (*c->at) {
    case '{':
        return check_open(c, true);
    case '[':
        return check_open(c, false);
    case '"':
        return check_string(c);
    case 't':
        return check_word(c, "true");
    case 'f':
        return check_word(c, "false");
    case 'n':
        return check_word(c, "null");
    default:
        if (*c->at == '-' || json_is_digit(*c->at))
            return check_number(c);
        return expected(c, "a value");
    }
}

static int check_key(struct check *c)
{
    if (*c->at != '"')
        return expected(c, "a member's name in quotes");
    int rc = check_string(c);
    if (rc < 0)
        return rc;
    c->at = json_skip_blanks(c->at, c->end);
    if (c->at == c->end || *c->at != ':')
        return expected(c, "':'");
    c->at++;
    c->want = WANT_VALUE;
    return 0;
}

static int check_comma(struct check *c)
{
    bool object = in_object(c);
    if (*c->at == (object ? '}' : ']'))
        return check_close(c);
    if (*c->at != ',')
        return expected(c, object ? "',' or '}'" : "',' or ']'");
    c->at++;
    c->want = object ? WANT_KEY : WANT_VALUE;
    return 0;
}

/* One token further. No recursion: the stack is the bits of c->objects. */
static int check_step(struct check *c)
{
    c->at = json_skip_blanks(c->at, c->end);
    if (c->at == c->end)
        return expected(c, c->depth ? "more: the text ends inside a value" : "a value");
    switch (c->want) {
    case WANT_ITEM_OR_END:
        return *c->at == ']' ? check_close(c) : check_value(c);
    case WANT_KEY_OR_END:
        return *c->at == '}' ? check_close(c) : check_key(c);
    case WANT_KEY:
        return check_key(c);
    case WANT_COMMA_OR_END:
        return check_comma(c);
    case WANT_VALUE:
    default:
        return check_value(c);
    }
}

int json_scan_check(const char *text, size_t len, struct error *e)
{
    if (len == 0)
        return error_set(e, -EINVAL, "not valid JSON: the text is empty");
    struct check c = {.start = text, .at = text, .end = text + len, .e = e};
    do {
        int rc = check_step(&c);
        if (rc < 0)
            return rc;
    } while (c.depth > 0 || c.want != WANT_COMMA_OR_END);

    c.at = json_skip_blanks(c.at, c.end);
    return c.at == c.end ? 0 : expected(&c, "the end of the text");
}
