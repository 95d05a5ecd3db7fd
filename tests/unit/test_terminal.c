#include "api/client/terminal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void durations_are_as_long_as_they_must_be(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {-1, "-"},
        {0, "0ms"},
        {999, "999ms"},
        {1000, "1.0s"},
        {59999, "59.9s"},
        {60000, "1m00s"},
        {3599999, "59m59s"},
        {3600000, "1h00m"},
        {172799999, "47h59m"},
        {172800000, "2d0h"},
        {INT64_MAX, "106751991167d7h"},
    };
    char text[DURATION_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(duration_text(cases[i].ms, text), cases[i].text);
}

static void numbers_are_grouped_by_threes(void **state)
{
    static const struct {
        int64_t number;
        const char *text;
    } cases[] = {
        {0, "0"},
        {999, "999"},
        {1000, "1,000"},
        {-999, "-999"},
        {-1000, "-1,000"},
        {1234567, "1,234,567"},
        {INT64_MIN, "-9,223,372,036,854,775,808"},
    };
    char text[GROUPED_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(grouped_text(cases[i].number, text), cases[i].text);
}

/* What a table with these cells looks like. Given. */
static char *printed(bool rich, const char *const *cells, size_t count)
{
    static const char *const titles[] = {"NAME", ">N"};
    char *text = NULL;
    size_t len = 0;
    struct table t;
    struct terminal term = {.out = open_memstream(&text, &len), .rich = rich};
    assert_non_null(term.out);
    table_init(&t, titles, 2);
    for (size_t i = 0; i < count; i++)
        table_add(&t, cells[i]);
    assert_int_equal(table_print(&t, &term), 0);
    table_release(&t);
    assert_int_equal(fclose(term.out), 0);
    return text;
}

static void columns_line_up_by_characters(void **state)
{
    static const char *const cells[] = {"a", "1", "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f-x", "1,000"};
    (void)state;
    char *text = printed(true, cells, 4);
    assert_string_equal(text, "NAME        N\n"
                              "a           1\n"
                              "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f-x  1,000\n");
    free(text);
}

static void without_a_terminal_there_are_tabs_and_no_titles(void **state)
{
    static const char *const cells[] = {"a", "1", "bc", "22"};
    (void)state;
    char *text = printed(false, cells, 4);
    assert_string_equal(text, "a\t1\nbc\t22\n");
    free(text);
}

/* ESC and CSI in one byte (C1) would be obeyed by a terminal; a tab would shift columns. */
static void bytes_that_a_terminal_obeys_are_shown_as_question_marks(void **state)
{
    static const char csi[] = "\xc2\x9b" /* the 3 is no digit of it */ "31m";
    static const char *const cells[] = {"\033[31mred", "a\tb\nc\x7f", csi, "\xc2\xa0"};
    (void)state;
    char *text = printed(false, cells, 4);
    assert_string_equal(text, "?[31mred\ta?b?c?\n??31m\t\xc2\xa0\n");
    free(text);
}

static void progress_is_for_terminals(void **state)
{
    char *text = NULL;
    size_t len = 0;
    (void)state;
    struct terminal term = {.out = open_memstream(&text, &len)};
    struct progress p = {.term = &term};
    progress_show(&p, 1, 2, "");
    progress_clear(&p);
    assert_int_equal(fflush(term.out), 0);
    assert_int_equal(len, 0);
    term.rich = true;
    progress_show(&p, 1, 2, "1 failed");
    progress_show(&p, 7, 2, ""); /* more than all is a full bar, not a long one */
    progress_clear(&p);
    assert_int_equal(fclose(term.out), 0);
    assert_string_equal(text, "\r[###############...............] 1 of 2, 1 failed\033[K"
                              "\r[##############################] 7 of 2\033[K\r\033[K");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_as_long_as_they_must_be),
        cmocka_unit_test(numbers_are_grouped_by_threes),
        cmocka_unit_test(columns_line_up_by_characters),
        cmocka_unit_test(without_a_terminal_there_are_tabs_and_no_titles),
        cmocka_unit_test(bytes_that_a_terminal_obeys_are_shown_as_question_marks),
        cmocka_unit_test(progress_is_for_terminals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
