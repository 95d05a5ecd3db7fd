#include "scheduler/provider/wire_text.h"

#include <stdbool.h>
#include <stddef.h>

/* INSIDE: a continuation byte of UTF-8, whose character was counted at its first byte. */
enum class { LOWER, UPPER, DIGIT, SPACE, BLANK, MARK, TWO, THREE, FOUR, START, INSIDE };

_Static_assert(INSIDE < WIRE_TEXT_CLASSES, "the pairs are indexed by class");

/* clang-format off */
#define L LOWER
#define U UPPER
#define D DIGIT
#define S SPACE
#define B BLANK
#define M MARK
#define I INSIDE
#define W TWO
#define T THREE
#define F FOUR
static const unsigned char classes[256] = {
    B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,
    B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,
    S, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
    D, D, D, D, D, D, D, D, D, D, M, M, M, M, M, M,
    M, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
    U, U, U, U, U, U, U, U, U, U, U, M, M, M, M, M,
    M, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, M, M, M, M, B,
    I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I,
    I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I,
    I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I,
    I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I,
    W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W,
    W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W,
    T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, T,
    F, F, F, F, F, F, F, F, F, F, F, F, F, F, F, F,
};
#undef L
#undef U
#undef D
#undef S
#undef B
#undef M
#undef I
#undef W
#undef T
#undef F
/* clang-format on */

static void count(struct wire_text_count *c, enum class *before, enum class now)
{
    c->pairs[*before * WIRE_TEXT_CLASSES + now]++;
    *before = now;
}

static void count_point(struct wire_text_count *c, enum class *before, uint32_t point)
{
    if (point < 0x80) {
        count(c, before, classes[point]);
        c->bytes++;
        return;
    }
    int64_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    count(c, before, len == 2 ? TWO : len == 3 ? THREE : FOUR);
    c->bytes += len;
}

void wire_text_add(struct wire_text_count *c, struct json_span value)
{
    struct json_span inside = json_inside(value);
    if (!inside.at)
        return;
    const char *p = inside.at, *end = p + inside.len;
    enum class before = START;
    while (p < end) {
        if (*p == '\\') {
            uint32_t point = json_escape(p, end, &p);
            count_point(c, &before, point);
            continue;
        }
        enum class now = classes[(unsigned char)*p++];
        c->bytes++;
        if (now != INSIDE)
            count(c, &before, now);
    }
}

void wire_text_add_json(struct wire_text_count *c, struct json_span value)
{
    bool in_string = false;
    enum class before = START;
    for (size_t i = 0; i < value.len; i++) {
        char byte = value.at[i];
        enum class now = classes[(unsigned char)byte];
        if (!in_string && (now == SPACE || now == BLANK))
            continue;
        if (byte == '"')
            in_string = !in_string;
        c->bytes++;
        if (now != INSIDE)
            count(c, &before, now);
        if (byte == '\\' && i + 1 < value.len) {
            i++; /* an escaped quote does not end the string */
            c->bytes++;
            count(c, &before, classes[(unsigned char)value.at[i]]);
        }
    }
}

static int64_t pair(const struct wire_text_count *c, enum class before, enum class now)
{
    return c->pairs[before * WIRE_TEXT_CLASSES + now];
}

/* Characters of a class, wherever they stand. */
static int64_t all(const struct wire_text_count *c, enum class now)
{
    int64_t sum = 0;
    for (enum class before = LOWER; before <= START; before++)
        sum += pair(c, before, now);
    return sum;
}

struct wire_text wire_text_of(const struct wire_text_count *c)
{
    int64_t lower = all(c, LOWER), upper = all(c, UPPER);
    int64_t digits = all(c, DIGIT), marks = all(c, MARK), blanks = all(c, BLANK);
    return (struct wire_text){
        .bytes = c->bytes,
        /* A capital within capitals or a small letter behind a letter goes on with a word. */
        .words =
            lower - pair(c, LOWER, LOWER) - pair(c, UPPER, LOWER) + upper - pair(c, UPPER, UPPER),
        .letters = lower + upper,
        .numbers = digits - pair(c, DIGIT, DIGIT),
        .digits = digits,
        .spaced_numbers = pair(c, SPACE, DIGIT),
        .mark_runs = marks - pair(c, MARK, MARK),
        .marks = marks,
        /* " \n" is one token as "\n" is; the first of the text counts. */
        .blank_runs = blanks - pair(c, BLANK, BLANK) - pair(c, SPACE, BLANK),
        .two_bytes = all(c, TWO),
        .three_bytes = all(c, THREE),
        .four_bytes = all(c, FOUR),
    };
}
