#include "common/config_env.h"

#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

static void variables_are_filled_in(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"plain $ text } {", "plain $ text } {"},
        {"${TEST_A}", "one"},
        {"x${TEST_A}y${TEST_A}z", "xoneyonez"},
        {"${TEST_EMPTY}", ""},
        {"$${TEST_A}", "${TEST_A}"},
        {"$TEST_A", "$TEST_A"},
        {"${TEST_NESTED}", "${TEST_A}"}, /* what was filled in is not looked at again */
    };
    char out[64];
    struct error e;
    setenv("TEST_A", "one", 1);
    setenv("TEST_EMPTY", "", 1);
    setenv("TEST_NESTED", "${TEST_A}", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(config_env_fill(cases[i].text, out, sizeof(out), &e), 0);
        assert_string_equal(out, cases[i].want);
    }
}

static void a_variable_that_is_not_set_is_named(void **state)
{
    (void)state;
    char out[64];
    struct error e;
    unsetenv("TEST_UNSET");
    assert_int_equal(config_env_fill("${TEST_UNSET}", out, sizeof(out), &e), -ENODATA);
    assert_string_equal(e.text, "the environment variable TEST_UNSET is not set");
}

static void a_malformed_reference_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"${",    "${A",   "${}",      "${A-B}",
                                        "${1A}", "${ A}", "${FILE:x}"};
    char out[64];
    struct error e;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(config_env_fill(texts[i], out, sizeof(out), &e), -EINVAL);
}

static void a_file_is_filled_in_without_its_last_newline(void **state)
{
    (void)state;
    static const struct {
        const char *held, *want;
    } cases[] = {{"secret\n", "<secret>"},
                 {"secret", "<secret>"},
                 {"a\n\n", "<a\n>"},
                 {"a\r\n", "<a>"},
                 {"", "<>"},
                 {"\n", "<>"}};
    char path[] = "/tmp/test_env.XXXXXX", text[64], out[64];
    struct error e;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)snprintf(text, sizeof(text), "<${file:%s}>", path);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].held);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, cases[i].held, len, 0), (ssize_t)len);
        assert_int_equal(config_env_fill(text, out, sizeof(out), &e), 0);
        assert_string_equal(out, cases[i].want);
    }
    assert_int_equal(pwrite(fd, "a\0b", 3, 0), 3);
    assert_int_equal(config_env_fill(text, out, sizeof(out), &e), -EINVAL);
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(config_env_fill(text, out, sizeof(out), &e), -ENOENT);
    assert_non_null(strstr(e.text, path));
}

static void a_value_may_have_its_maximum_and_not_one_byte_more(void **state)
{
    (void)state;
    char text[CONFIG_MAX_VALUE_BYTES + 2], out[CONFIG_MAX_VALUE_BYTES + 1];
    struct error e;
    memset(text, 'x', sizeof(text));
    text[CONFIG_MAX_VALUE_BYTES] = '\0';
    assert_int_equal(config_env_fill(text, out, sizeof(out), &e), 0);
    assert_string_equal(out, text);

    text[CONFIG_MAX_VALUE_BYTES] = 'x';
    text[CONFIG_MAX_VALUE_BYTES + 1] = '\0';
    assert_int_equal(config_env_fill(text, out, sizeof(out), &e), -EFBIG);
    assert_int_equal(out[0], 0); /* wiped */

    text[CONFIG_MAX_VALUE_BYTES] = '\0';
    setenv("TEST_LONG", text, 1);
    assert_int_equal(config_env_fill("${TEST_LONG}", out, sizeof(out), &e), 0);
    assert_int_equal(config_env_fill("${TEST_LONG}x", out, sizeof(out), &e), -EFBIG);
}

static void a_file_may_fill_the_value_and_not_one_byte_more(void **state)
{
    (void)state;
    char path[] = "/tmp/test_env.XXXXXX", text[64], out[9];
    struct error e;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)snprintf(text, sizeof(text), "${file:%s}", path);
    assert_int_equal(write(fd, "12345678", 8), 8);
    assert_int_equal(config_env_fill(text, out, sizeof(out), &e), 0);
    assert_string_equal(out, "12345678");
    assert_int_equal(write(fd, "9", 1), 1);
    assert_int_equal(config_env_fill(text, out, sizeof(out), &e), -EFBIG);
    (void)close(fd);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_filled_in),
        cmocka_unit_test(a_variable_that_is_not_set_is_named),
        cmocka_unit_test(a_malformed_reference_is_refused),
        cmocka_unit_test(a_file_is_filled_in_without_its_last_newline),
        cmocka_unit_test(a_value_may_have_its_maximum_and_not_one_byte_more),
        cmocka_unit_test(a_file_may_fill_the_value_and_not_one_byte_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
