/*
 * The expressions, as tiktoken 0.14 spells them (openai_public.py):
 *
 *   r50k    '(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s
 *   cl100k  '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+
 *           | ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s
 *   o200k   [^\r\n\p{L}\p{N}]?U*W+C?|[^\r\n\p{L}\p{N}]?U+W*C?|\p{N}{1,3}
 *           | ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *           with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], W = [\p{Ll}\p{Lm}\p{Lo}\p{M}] and
 *           C = (?i:'s|'t|'re|'ve|'m|'ll|'d)
 *
 * Older releases of tiktoken have `\s*[\r\n]+` before `\s+` in cl100k too, so that a run of
 * white space at the end is cut behind its last newline. The counts are the same: no token
 * of the vocabulary has a newline and ends in a blank. We cut.
 */
#include "scheduler/prompt/pieces.h"

#include "common/utf8.h"
#include "scheduler/prompt/char_class.h"

#include <stdbool.h>
#include <stddef.h>

typedef const unsigned char *bytes;

static inline unsigned class_of(bytes classes, bytes p, bytes end, size_t *ret_len)
{
    return classes[utf8_next(p, end, ret_len)];
}

/* The end of the run of characters that have a bit of `in` and none of `out`; with in 0, of
 * those that have none of out. */
static inline bytes run(bytes classes, bytes p, bytes end, unsigned in, unsigned out)
{
    while (p < end) {
        size_t n;
        unsigned c = class_of(classes, p, end, &n);
        if ((c & out) != 0 || (in != 0 && (c & in) == 0))
            break;
        p += n;
    }
    return p;
}

static inline bytes other_run(bytes classes, bytes p, bytes end)
{
    return run(classes, p, end, 0, CHAR_SPACE | CHAR_LETTER | CHAR_NUMBER);
}

/* The end of a contraction at p, or p. The fold of case makes U+017F, the long s, an s. */
static bytes contraction(bytes p, bytes end, bool any_case)
{
    if (end - p < 2 || *p != '\'')
        return p;
    unsigned fold = any_case ? 0x20 : 0;
    unsigned a = p[1] | fold;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return p + 2;
    if (end - p < 3)
        return p;
    unsigned b = p[2] | fold;
    if (((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l'))
        return p + 3;
    if (any_case && p[1] == 0xC5 && p[2] == 0xBF)
        return p + 3;
    return p;
}

/* `\s++$|\s+(?!\S)|\s`, and before it `\s*[\r\n]+` when newlines cut. */
static bytes space(bytes classes, bytes p, bytes end, bool newlines)
{
    bytes last = p, newline_end = NULL, q = p;
    while (q < end) {
        size_t n;
        unsigned c = class_of(classes, q, end, &n);
        if ((c & CHAR_SPACE) == 0)
            break;
        last = q;
        q += n;
        if (c & CHAR_NEWLINE)
            newline_end = q;
    }
    if (newlines && newline_end)
        return newline_end;
    return q == end || last == p ? q : last;
}

static bytes three_digits(bytes classes, bytes p, bytes end)
{
    for (int i = 0; i < 3 && p < end; i++) {
        size_t n;
        if ((class_of(classes, p, end, &n) & CHAR_NUMBER) == 0)
            break;
        p += n;
    }
    return p;
}

bytes piece_r50k(bytes classes, bytes p, bytes end)
{
    bytes short_form = contraction(p, end, false);
    if (short_form != p)
        return short_form;

    bytes q = p + (*p == ' ' && end - p > 1);
    size_t n;
    unsigned c = class_of(classes, q, end, &n);
    if (c & CHAR_LETTER)
        return run(classes, q + n, end, CHAR_LETTER, 0);
    if (c & CHAR_NUMBER)
        return run(classes, q + n, end, CHAR_NUMBER, 0);
    if (c & CHAR_SPACE)
        return space(classes, p, end, false);
    return other_run(classes, q + n, end);
}

/* ` ?[^\s\p{L}\p{N}]+`, or p. */
static inline bytes others(bytes classes, bytes p, bytes end)
{
    bytes from = p + (*p == ' ');
    bytes to = other_run(classes, from, end);
    return to == from ? p : to;
}

bytes piece_cl100k(bytes classes, bytes p, bytes end)
{
    bytes q = contraction(p, end, true);
    if (q != p)
        return q;

    size_t n;
    unsigned c = class_of(classes, p, end, &n);
    if (c & CHAR_LETTER)
        return run(classes, p + n, end, CHAR_LETTER, 0);
    if (c & CHAR_NUMBER)
        return three_digits(classes, p, end);
    if ((c & CHAR_NEWLINE) == 0) {
        q = run(classes, p + n, end, CHAR_LETTER, 0);
        if (q != p + n)
            return q;
        q = others(classes, p, end);
        if (q != p) {
            while (q < end && (*q == '\r' || *q == '\n'))
                q++;
            return q;
        }
    }
    return space(classes, p, end, true);
}

/* `U*W+`, or when nothing of it fits and whole is set `U+W*`; else p. The greedy run of U
 * goes on into W where a character of W alone follows; otherwise it gives back characters
 * until the last one that is in W too. */
static inline bytes cased_word(bytes classes, bytes p, bytes end, bool whole)
{
    bytes q = p, lower_end = p;
    while (q < end) {
        size_t n;
        unsigned c = class_of(classes, q, end, &n);
        if ((c & CHAR_UPPER) == 0) {
            if ((c & CHAR_LOWER) != 0)
                return run(classes, q + n, end, CHAR_LOWER, 0);
            break;
        }
        q += n;
        if ((c & CHAR_LOWER) != 0)
            lower_end = q;
    }
    return lower_end == p && whole ? q : lower_end;
}

/* The first two alternatives of o200k, or p. A mark is the optional first character if
 * anything fits behind it, and else a letter of the word itself. */
static inline bytes o200k_word(bytes classes, bytes p, bytes end, unsigned c, size_t n)
{
    if (c & CHAR_LETTER)
        return contraction(cased_word(classes, p, end, true), end, true);
    bool mark = (c & CHAR_MARK) != 0;
    bytes q = cased_word(classes, p + n, end, !mark);
    if (q != p + n)
        return contraction(q, end, true);
    return mark ? contraction(cased_word(classes, p, end, true), end, true) : p;
}

bytes piece_o200k(bytes classes, bytes p, bytes end)
{
    size_t n;
    unsigned c = class_of(classes, p, end, &n);
    if (c & CHAR_NUMBER)
        return three_digits(classes, p, end);
    if ((c & CHAR_NEWLINE) == 0) {
        bytes q = o200k_word(classes, p, end, c, n);
        if (q != p)
            return q;
        q = others(classes, p, end);
        if (q != p) {
            while (q < end && (*q == '\r' || *q == '\n' || *q == '/'))
                q++;
            return q;
        }
    }
    return space(classes, p, end, true);
}
