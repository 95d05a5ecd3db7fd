#include "scheduler/prompt/pieces.h"

#include "scheduler/prompt/char_class.h"
#include "tests/support/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FUNCTIONS 3

static const piece_fn functions[FUNCTIONS] = {piece_o200k, piece_cl100k, piece_r50k};

/* Lengths in bytes of the matches of each expression, from JavaScript's RegExp with \s spelled
 * out as White_Space. */
static const struct {
    const char *text;
    const char *lengths[FUNCTIONS];
} cases[] = {
    {"Hello, World! It's 12345 o'clock.\n",
     {"5 1 6 1 5 1 3 2 2 6 2", "5 1 6 1 3 2 1 3 2 2 6 2", "5 1 6 1 3 2 6 2 1 5 1 1"}},
    {"don't DON'T DON'LL we'\u017Fx 'tis",
     {"5 6 7 6 1 2 3", "3 2 4 2 4 3 3 3 1 2 3", "3 2 4 1 1 4 1 2 3 1 3 2 3"}},
    {"  two  blanks \n\n  end  ", {"1 4 1 7 3 1 4 2", "1 4 1 7 3 1 4 2", "1 4 1 7 4 4 2"}},
    {"x\t\ty \n z\n\n", {"1 1 2 2 2 2", "1 1 2 2 2 2", "1 1 1 1 2 2 2"}},
    {"\u0301ABC", {"2 3", "5", "2 3"}},
    {"\u0301ABCd\u0301E", {"8 1", "6 3", "2 4 2 1"}},
    {"ABCdefGHI", {"6 3", "9", "9"}},
    {"!\u0301a ?\u0301", {"4 4", "3 1 4", "3 1 4"}},
    {"a//\n\n/ !/\n", {"1 5 4", "1 4 1 4", "1 2 1 1 1 3 1"}},
    {"\u0661\u0662\u0663\u0664 \u00B2\u00BD\u21671", {"6 2 1 7 1", "6 2 1 7 1", "8 9"}},
    {"\u00A0x\xC2\x85"
     "y\uFEFFz",
     {"3 3 4", "3 3 4", "2 1 2 1 3 1"}},
    {"\u4E2D\u6587ABC\u4E2DD\u00E9", {"15", "15", "15"}},
    {"\u01C5a\u02B0B\u4E2D's", {"5 6", "9 2", "9 2"}},
    {"\r\n\r\nx  \r", {"4 1 3", "4 1 3", "3 1 1 3"}},
    {"\U0001F642\U0001F642 \U0001F642\n\uFFFD", {"8 6 3", "8 6 3", "8 5 1 3"}},
    {"_a _1 '' '5", {"2 2 1 3 2 1", "2 2 1 3 2 1", "1 1 2 1 3 2 1"}},
};

struct fixture {
    unsigned char classes[CHAR_POINTS];
    struct guard guard;
};

static int set_up(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    if (!f)
        return -1;
    char_class_fill(f->classes);
    guard_init(&f->guard, 256);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    guard_release(&f->guard);
    free(f);
    return 0;
}

static void pieces_are_the_matches_of_the_expressions(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].text);
        const char *copy = guard_copy(&f->guard, cases[i].text, len);
        for (size_t k = 0; k < FUNCTIONS; k++) {
            char lengths[256] = "";
            const unsigned char *p = (const unsigned char *)copy, *end = p + len;
            for (size_t used = 0; p < end;) {
                const unsigned char *next = functions[k](f->classes, p, end);
                used += (size_t)snprintf(lengths + used, sizeof(lengths) - used, "%s%d",
                                         used > 0 ? " " : "", (int)(next - p));
                p = next;
            }
            assert_string_equal(lengths, cases[i].lengths[k]);
        }
    }
}

static void every_two_bytes_end_within_the_text(void **state)
{
    struct fixture *f = *state;
    for (unsigned both = 0; both < 0x10000; both++) {
        const char text[2] = {(char)(both >> 8), (char)both};
        const unsigned char *p = (const unsigned char *)guard_copy(&f->guard, text, 2);
        for (size_t k = 0; k < FUNCTIONS; k++) {
            const unsigned char *next = functions[k](f->classes, p, p + 2);
            assert_true(next > p && next <= p + 2);
        }
    }
}

static void classes_are_those_of_unicode_16(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint32_t point;
        unsigned class;
    } points[] = {
        {'A', CHAR_LETTER | CHAR_UPPER},
        {'a', CHAR_LETTER | CHAR_LOWER},
        {'5', CHAR_NUMBER},
        {'\n', CHAR_SPACE | CHAR_NEWLINE},
        {0x85, CHAR_SPACE},
        {0x180E, 0}, /* was white space until Unicode 6.3 */
        {0xFEFF, 0},
        {0x0301, CHAR_MARK},
        {0x01C5, CHAR_LETTER | CHAR_UPPER},
        {0x02B0, CHAR_LETTER | CHAR_UPPER | CHAR_LOWER},
        {0x4E2D, CHAR_LETTER | CHAR_UPPER | CHAR_LOWER},
        {0x1C89, CHAR_LETTER | CHAR_UPPER}, /* new in 16.0 */
        {0x10D40, CHAR_NUMBER},             /* new in 16.0 */
        {0x10940, 0},                       /* a letter from 17.0 on */
        {0xE0100, CHAR_MARK},
        {0x10FFFF, 0},
    };
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        assert_int_equal(f->classes[points[i].point], points[i].class);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_the_matches_of_the_expressions),
        cmocka_unit_test(every_two_bytes_end_within_the_text),
        cmocka_unit_test(classes_are_those_of_unicode_16),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
