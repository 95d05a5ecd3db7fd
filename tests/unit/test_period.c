/* Periods of budgets: where they begin and end, by the calendar. */
#include "common/period.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define DAY_S INT64_C(86400)

static int64_t at(int year, int month, int day, int hour, int minute, int second)
{
    return period_day_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
}

static void assert_holds(const char *text, int64_t now_s, int64_t start_s, int64_t end_s)
{
    struct period p;
    assert_int_equal(period_parse(text, &p), 0);
    assert_true(period_ends(&p));
    assert_int_equal(period_start_s(&p, now_s), start_s);
    assert_int_equal(period_end_s(&p, now_s), end_s);
}

static void a_month_ends_with_the_month(void **state)
{
    (void)state;
    assert_holds("1mo", at(2026, 1, 31, 23, 59, 59), at(2026, 1, 1, 0, 0, 0),
                 at(2026, 2, 1, 0, 0, 0));
    assert_holds("1mo", at(2026, 2, 1, 0, 0, 0), at(2026, 2, 1, 0, 0, 0), at(2026, 3, 1, 0, 0, 0));
    assert_holds("1mo", at(2026, 12, 31, 12, 0, 0), at(2026, 12, 1, 0, 0, 0),
                 at(2027, 1, 1, 0, 0, 0));
    assert_holds("3mo", at(2026, 11, 21, 0, 0, 0), at(2026, 10, 1, 0, 0, 0),
                 at(2027, 1, 1, 0, 0, 0));
    assert_holds("12mo", at(2026, 11, 21, 0, 0, 0), at(2026, 1, 1, 0, 0, 0),
                 at(2027, 1, 1, 0, 0, 0));
}

static void february_has_a_day_more_in_leap_years(void **state)
{
    (void)state;
    assert_holds("1mo", at(2028, 2, 29, 10, 0, 0), at(2028, 2, 1, 0, 0, 0),
                 at(2028, 3, 1, 0, 0, 0));
    assert_int_equal(at(2028, 3, 1, 0, 0, 0) - at(2028, 2, 1, 0, 0, 0), 29 * DAY_S);
    assert_int_equal(at(2027, 3, 1, 0, 0, 0) - at(2027, 2, 1, 0, 0, 0), 28 * DAY_S);
    assert_int_equal(at(2100, 3, 1, 0, 0, 0) - at(2100, 2, 1, 0, 0, 0), 28 * DAY_S);
    assert_int_equal(at(2000, 3, 1, 0, 0, 0) - at(2000, 2, 1, 0, 0, 0), 29 * DAY_S);
}

static void days_begin_at_midnight_and_weeks_on_monday(void **state)
{
    (void)state;
    assert_holds("1d", at(2026, 11, 21, 17, 3, 9), at(2026, 11, 21, 0, 0, 0),
                 at(2026, 11, 22, 0, 0, 0));
    /* the 21st is a Saturday */
    assert_holds("7d", at(2026, 11, 21, 17, 3, 9), at(2026, 11, 16, 0, 0, 0),
                 at(2026, 11, 23, 0, 0, 0));
    assert_holds("7d", at(2026, 11, 16, 0, 0, 0), at(2026, 11, 16, 0, 0, 0),
                 at(2026, 11, 23, 0, 0, 0));
    assert_holds("12h", at(2026, 11, 21, 12, 0, 0), at(2026, 11, 21, 12, 0, 0),
                 at(2026, 11, 22, 0, 0, 0));
    assert_holds("30s", at(2026, 11, 21, 12, 0, 31), at(2026, 11, 21, 12, 0, 30),
                 at(2026, 11, 21, 12, 1, 0));
}

static void thirty_days_are_thirty_days_over_the_ends_of_months(void **state)
{
    struct period p;
    (void)state;
    assert_int_equal(period_parse("30d", &p), 0);
    int64_t start_s = period_start_s(&p, at(2026, 11, 21, 0, 0, 0));
    for (int i = 0; i < 100; i++) {
        int64_t end_s = period_end_s(&p, start_s);
        assert_int_equal(end_s - start_s, 30 * DAY_S);
        assert_int_equal(period_start_s(&p, end_s - 1), start_s);
        assert_int_equal(period_start_s(&p, end_s), end_s);
        start_s = end_s;
    }
}

static void times_before_1970_have_their_periods_too(void **state)
{
    (void)state;
    assert_holds("1d", -1, -DAY_S, 0);
    assert_holds("1mo", -1, -31 * DAY_S, 0);
    assert_holds("7d", 0, -3 * DAY_S, 4 * DAY_S);
}

static void without_a_duration_there_is_one_period(void **state)
{
    struct period p;
    (void)state;
    assert_int_equal(period_parse("", &p), 0);
    assert_false(period_ends(&p));
    assert_int_equal(period_start_s(&p, 1234567890), 0);
    assert_true(period_end_s(&p, 1234567890) == PERIOD_NO_END);
}

static void what_is_no_duration_is_refused(void **state)
{
    static const char *const bad[] = {"d", "1", "1w", "-1d", "1.5d", "1d ", " 1d", "1mo1d", "mo"};
    static const char *const far[] = {"0d", "3661d", "121mo", "0mo", "99999999999999999999d"};
    struct period p;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(period_parse(bad[i], &p), -EINVAL);
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
        assert_int_equal(period_parse(far[i], &p), -ERANGE);
    assert_int_equal(period_parse("3660d", &p), 0);
    assert_int_equal(period_parse("120mo", &p), 0);
}

static void the_calendar_is_the_one_of_the_system(void **state)
{
    (void)state;
    for (int64_t day = -200000; day < 400000; day += 37) {
        time_t seconds = (time_t)(day * DAY_S);
        struct tm tm;
        int64_t year;
        int month, of_month;
        assert_non_null(gmtime_r(&seconds, &tm));
        period_date_of(day, &year, &month, &of_month);
        assert_int_equal(year, tm.tm_year + 1900);
        assert_int_equal(month, tm.tm_mon + 1);
        assert_int_equal(of_month, tm.tm_mday);
        assert_int_equal(period_day_of(year, month, of_month), day);
    }
}

static void dates_are_read_as_they_are_written(void **state)
{
    static const char *const bad[] = {"2026-02-29", "2026-13-01", "2026-00-10", "2026-1-1",
                                      "1969-12-31", "2026-04-31", "26-01-01",   "2026-01-01x",
                                      "",           "2026/01/01", "2026-01-00"};
    char text[PERIOD_DATE_BYTES];
    int64_t day = 0;
    (void)state;
    assert_int_equal(period_date_parse("2028-02-29", &day), 0);
    assert_int_equal(day, period_day_of(2028, 2, 29));
    assert_string_equal(period_date_text(day, text), "2028-02-29");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(period_date_parse(bad[i], &day), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_month_ends_with_the_month),
        cmocka_unit_test(february_has_a_day_more_in_leap_years),
        cmocka_unit_test(days_begin_at_midnight_and_weeks_on_monday),
        cmocka_unit_test(thirty_days_are_thirty_days_over_the_ends_of_months),
        cmocka_unit_test(times_before_1970_have_their_periods_too),
        cmocka_unit_test(without_a_duration_there_is_one_period),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(the_calendar_is_the_one_of_the_system),
        cmocka_unit_test(dates_are_read_as_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
