/* Priorities by name and by number. */
#include "api/request_options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_lower_number_goes_first(void **state)
{
    static const struct {
        int64_t number;
        enum pool_class class;
    } cases[] = {
        {INT32_MIN, CLASS_INTERACTIVE},
        {-1, CLASS_INTERACTIVE},
        {0, CLASS_INTERACTIVE},
        {1, CLASS_NORMAL},
        {128, CLASS_NORMAL},
        {254, CLASS_NORMAL},
        {255, CLASS_BATCH},
        {2000, CLASS_BATCH},
        {INT32_MAX, CLASS_BATCH},
    };
    enum pool_class class;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(pool_class_of_number(cases[i].number, &class));
        assert_int_equal(class, cases[i].class);
    }
    assert_false(pool_class_of_number((int64_t)INT32_MAX + 1, &class));
    assert_false(pool_class_of_number((int64_t)INT32_MIN - 1, &class));
}

static void a_header_names_a_class_or_a_number(void **state)
{
    static const char *const wrong[] = {"",    "high", "Batch",      "1.5",         "1x",  " 1",
                                        "0x1", "+1",   "2147483648", "-2147483649", "1e2", "-"};
    enum pool_class class;
    (void)state;
    assert_true(request_class("batch", &class));
    assert_int_equal(class, CLASS_BATCH);
    assert_true(request_class("0", &class));
    assert_int_equal(class, CLASS_INTERACTIVE);
    assert_true(request_class("-5", &class));
    assert_int_equal(class, CLASS_INTERACTIVE);
    assert_true(request_class("2147483647", &class));
    assert_int_equal(class, CLASS_BATCH);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (request_class(wrong[i], &class))
            fail_msg("taken: '%s'", wrong[i]);
    }
}

static int read_value(const char *text, enum pool_class *ret, bool *given, struct error *e)
{
    return request_class_read(json_span_of(text, strlen(text)), ret, given, e);
}

static void a_member_of_a_body_names_one_too(void **state)
{
    static const char *const wrong[] = {"\"high\"", "1.5", "2147483648", "true", "[]", "\"1\""};
    enum pool_class class;
    bool given;
    struct error e;
    (void)state;
    assert_int_equal(request_class_read((struct json_span){0}, &class, &given, &e), 0);
    assert_false(given);
    assert_int_equal(class, CLASS_NORMAL);
    assert_int_equal(read_value("null", &class, &given, &e), 0);
    assert_false(given);
    assert_int_equal(read_value("255", &class, &given, &e), 0);
    assert_true(given);
    assert_int_equal(class, CLASS_BATCH);
    assert_int_equal(read_value("\"interactive\"", &class, &given, &e), 0);
    assert_int_equal(class, CLASS_INTERACTIVE);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(read_value(wrong[i], &class, &given, &e), -EINVAL);
        assert_non_null(strstr(e.text, wrong[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lower_number_goes_first),
        cmocka_unit_test(a_header_names_a_class_or_a_number),
        cmocka_unit_test(a_member_of_a_body_names_one_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
