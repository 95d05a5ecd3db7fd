/* The Prometheus text format, byte by byte. */
#include "common/buf.h"
#include "common/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MAX_BYTES 4096

static int start(void **state)
{
    static struct buf out;
    buf_init(&out, MAX_BYTES);
    *state = &out;
    return 0;
}

static int stop(void **state)
{
    buf_release(*state);
    return 0;
}

static void a_family_has_its_help_and_type_before_its_samples(void **state)
{
    struct buf *out = *state;
    metrics_family(out, "a_total", METRICS_COUNTER, "What\nis \\ it.");
    metrics_int(out, "a_total", NULL, -12);
    metrics_family(out, "b", METRICS_GAUGE, "B.");
    metrics_real(out, "b", NULL, 0.25);
    assert_string_equal(out->data, "# HELP a_total What\\nis \\\\ it.\n"
                                   "# TYPE a_total counter\n"
                                   "a_total -12\n"
                                   "# HELP b B.\n"
                                   "# TYPE b gauge\n"
                                   "b 0.25\n");
}

static void label_values_may_hold_anything(void **state)
{
    struct buf *out = *state;
    const struct metrics_label labels[] = {
        {"x", "a\"b\\c\nd"}, {"y", ""}, {"z", "<b>&é{}"}, {NULL, NULL}};
    metrics_int(out, "m", labels, 1);
    assert_string_equal(out->data, "m{x=\"a\\\"b\\\\c\\nd\",y=\"\",z=\"<b>&é{}\"} 1\n");
}

static void a_number_is_written_whole(void **state)
{
    struct buf *out = *state;
    metrics_int(out, "m", NULL, INT64_MAX);
    metrics_real(out, "m", NULL, 1795236160.292);
    metrics_real(out, "m", NULL, NAN);
    metrics_real(out, "m", NULL, INFINITY);
    metrics_real(out, "m", NULL, -INFINITY);
    assert_string_equal(out->data, "m 9223372036854775807\nm 1795236160.292\n"
                                   "m NaN\nm +Inf\nm -Inf\n");
}

static void a_histogram_adds_its_buckets_up(void **state)
{
    struct buf *out = *state;
    const struct metrics_label labels[] = {{"p", "q"}, {NULL, NULL}};
    const struct metrics_bucket buckets[] = {{0.001, 2}, {0.5, 0}, {2, 3}};
    const struct metrics_histogram h = {
        .buckets = buckets, .bucket_count = 3, .above = 4, .sum = 12.5};
    metrics_family(out, "h", METRICS_HISTOGRAM, "H.");
    metrics_histogram(out, "h", labels, &h);
    assert_string_equal(out->data, "# HELP h H.\n"
                                   "# TYPE h histogram\n"
                                   "h_bucket{p=\"q\",le=\"0.001\"} 2\n"
                                   "h_bucket{p=\"q\",le=\"0.5\"} 2\n"
                                   "h_bucket{p=\"q\",le=\"2\"} 5\n"
                                   "h_bucket{p=\"q\",le=\"+Inf\"} 9\n"
                                   "h_sum{p=\"q\"} 12.5\n"
                                   "h_count{p=\"q\"} 9\n");
}

static void what_does_not_fit_is_told_by_the_buffer(void **state)
{
    struct buf *out = *state;
    for (int i = 0; i < MAX_BYTES / 4; i++) /* "m 1\n" */
        metrics_int(out, "m", NULL, 1);
    assert_int_equal(out->failed, 0);
    assert_int_equal(out->len, MAX_BYTES);
    metrics_int(out, "m", NULL, 1);
    assert_int_not_equal(out->failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_family_has_its_help_and_type_before_its_samples, start,
                                        stop),
        cmocka_unit_test_setup_teardown(label_values_may_hold_anything, start, stop),
        cmocka_unit_test_setup_teardown(a_number_is_written_whole, start, stop),
        cmocka_unit_test_setup_teardown(a_histogram_adds_its_buckets_up, start, stop),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_told_by_the_buffer, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
