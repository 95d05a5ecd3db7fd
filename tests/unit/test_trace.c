#include "common/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ID   "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static void a_trace_goes_on_under_a_span_of_ours(void **state)
{
    struct trace t, again;
    char out[TRACE_PARENT_BYTES];
    (void)state;
    assert_true(trace_read("00-" ID "-" SPAN "-01", &t));
    assert_string_equal(t.id, ID);
    assert_string_not_equal(t.span, SPAN);
    assert_int_equal(strlen(t.span), TRACE_SPAN_DIGITS);
    assert_memory_equal(trace_parent(&t, out), "00-" ID "-", 36);
    assert_string_equal(out + 52, "-01");
    assert_true(trace_read(out, &again));
    assert_true(trace_read("00-" ID "-" SPAN "-fe", &t));
    assert_string_equal(trace_parent(&t, out) + 52, "-02");
}

static void a_newer_version_is_read_as_far_as_ours_goes(void **state)
{
    struct trace t;
    char out[TRACE_PARENT_BYTES];
    (void)state;
    assert_true(trace_read("cc-" ID "-" SPAN "-01-more", &t));
    assert_memory_equal(trace_parent(&t, out), "00-", 3);
    assert_true(trace_read("cc-" ID "-" SPAN "-01", &t));
    assert_false(trace_read("cc-" ID "-" SPAN "-01.more", &t));
}

static void what_is_not_valid_counts_as_none(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-" ID "-" SPAN "-01-more",
        "00-" ID "-" SPAN "-0",
        "00-" ID "-" SPAN "-0g",
        "ff-" ID "-" SPAN "-01",
        "0x-" ID "-" SPAN "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" ID "-0000000000000000-01",
        "00-" ID "-" SPAN "_01",
        "00_" ID "-" SPAN "-01",
        "00-" ID "0" SPAN "-01",
    };
    struct trace t;
    char out[TRACE_PARENT_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(trace_read(bad[i], &t));
        assert_string_equal(trace_parent(&t, out), "");
    }
    assert_false(trace_read(NULL, &t));
}

static void a_new_trace_is_valid_and_not_sampled(void **state)
{
    struct trace t, read;
    char out[TRACE_PARENT_BYTES];
    (void)state;
    trace_start(&t);
    assert_true(trace_read(trace_parent(&t, out), &read));
    assert_string_equal(read.id, t.id);
    assert_int_equal(read.flags, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_goes_on_under_a_span_of_ours),
        cmocka_unit_test(a_newer_version_is_read_as_far_as_ours_goes),
        cmocka_unit_test(what_is_not_valid_counts_as_none),
        cmocka_unit_test(a_new_trace_is_valid_and_not_sampled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
