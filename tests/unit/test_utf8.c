#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_scalar_value_reads_back(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        unsigned char text[4];
        size_t len = 0, n;
        if (point >= 0xD800 && point <= 0xDFFF)
            continue;
        if (point < 0x80) {
            text[len++] = (unsigned char)point;
        } else {
            size_t more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
            static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};
            text[len++] = (unsigned char)(leads[more] | point >> 6 * more);
            while (more-- > 0)
                text[len++] = (unsigned char)(0x80 | (point >> 6 * more & 0x3F));
        }
        assert_int_equal(utf8_next(text, text + len, &n), point);
        assert_int_equal(n, len);
        assert_true(utf8_valid(text, len));
    }
}

static const struct {
    const char *bytes, *repaired;
} broken[] = {
    {"a\x80z", "a\xEF\xBF\xBDz"},
    {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"}, /* overlong: two parts */
    {"\xE0\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    {"\xE4\xB8"
     "a",
     "\xEF\xBF\xBD"
     "a"}, /* a cut character is one part */
    {"\xF0\x9F\x98", "\xEF\xBF\xBD"},
    {"\xF0\x9F\x98\xF0\x9F\x98\x80", "\xEF\xBF\xBD\xF0\x9F\x98\x80"},
    {"\xED\xA0\x80", "\xEF\xBF\xBD"}, /* a surrogate is one part */
    {"\xED\xA0\x80\xED\xB0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},
    {"\xED\xA0", "\xEF\xBF\xBD\xEF\xBF\xBD"}, /* half of one is not */
    {"\xFE\xFF", "\xEF\xBF\xBD\xEF\xBF\xBD"},
};

static void each_ill_formed_part_becomes_one_replacement(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        unsigned char out[64];
        size_t len = strlen(broken[i].bytes);
        assert_false(utf8_valid(broken[i].bytes, len));
        size_t n = utf8_repair(broken[i].bytes, len, out);
        assert_int_equal(n, strlen(broken[i].repaired));
        assert_memory_equal(out, broken[i].repaired, n);
        assert_true(utf8_valid(out, n));
    }
}

static void a_replacement_character_that_is_spelled_out_is_valid(void **state)
{
    (void)state;
    assert_true(utf8_valid("\xEF\xBF\xBD", 3));
    assert_true(utf8_valid("", 0));
}

static void the_floor_of_an_offset_is_the_start_of_its_character(void **state)
{
    (void)state;
    const char text[] = "a\xC3\xA9\xF0\x9F\x98\x80z";
    static const size_t floors[] = {0, 1, 1, 3, 3, 3, 3, 7, 8};
    for (size_t at = 0; at < sizeof(floors) / sizeof(floors[0]); at++)
        assert_int_equal(utf8_floor(text, 8, at), floors[at]);
}

static void a_stray_tail_byte_is_a_character_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(utf8_floor("\x80\x80\x80\x80\x80", 5, 4), 4);
    assert_int_equal(utf8_floor("\xC3\xA9\xA9", 3, 2), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scalar_value_reads_back),
        cmocka_unit_test(each_ill_formed_part_becomes_one_replacement),
        cmocka_unit_test(a_replacement_character_that_is_spelled_out_is_valid),
        cmocka_unit_test(the_floor_of_an_offset_is_the_start_of_its_character),
        cmocka_unit_test(a_stray_tail_byte_is_a_character_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
