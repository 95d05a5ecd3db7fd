#include "common/limits.h"
#include "scheduler/provider/wire_time.h"
#include "tests/support/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define UNTOUCHED INT64_C(-77)

static void durations_are_read_in_every_form(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want_ms;
    } cases[] = {
        {"6.2s", 6200},
        {"644ms", 644},
        {"1m2s", 62000},
        {"6m0s", 360000},
        {"2m59.56s", 179560},
        {"1h2m3s", 3723000},
        {"7.66s", 7660},
        {"9.816s. Visit https://x", 9816},
        {"20s.", 20000},
        {"37s", 37000},
        {"0s", 0},
        {"1us", 1},
        {"1.0001ms", 2},
        {"7 seconds.", 7000},
        {"1 second", 1000},
        {"2 minutes", 120000},
        {"1 day", 86400000},
        {"900h", WIRE_MAX_RETRY_AFTER_MS},
        {"768h", WIRE_MAX_RETRY_AFTER_MS},
        {"767h", WIRE_MAX_RETRY_AFTER_MS - 3600000},
        {"9999999999999999999999s", WIRE_MAX_RETRY_AFTER_MS},
        {"", UNTOUCHED},
        {"s", UNTOUCHED},
        {"5", UNTOUCHED},
        {"5 apples", UNTOUCHED},
        {".5s", UNTOUCHED},
        {"-5s", UNTOUCHED},
        {"5.s", UNTOUCHED},
    };
    struct guard guard;
    guard_init(&guard, KIB);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = UNTOUCHED;
        size_t len = strlen(cases[i].text);
        bool ok = wire_duration(guard_copy(&guard, cases[i].text, len), len, &ms);
        if (ok != (cases[i].want_ms != UNTOUCHED) || ms != cases[i].want_ms)
            fail_msg("%s: %lld", cases[i].text, (long long)ms);
    }
    guard_release(&guard);
}

/* Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110. */
#define EXAMPLE_MS INT64_C(784111777000)

static void retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t now_ms, want_ms;
    } cases[] = {
        {"0", 0, 0},
        {"7", 0, 7000},
        {" 7 ", 0, 7000},
        {"1.5", 0, 1500},
        {"0.0001", 0, 1},
        {"-3", 0, 0},
        {"99999999999", 0, WIRE_MAX_RETRY_AFTER_MS},
        {"Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE_MS - 2500, 2500},
        {"Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE_MS - 1000, 1000},
        {"Sun Nov  6 08:49:37 1994", EXAMPLE_MS - 1, 1},
        {"Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE_MS + 5000, 0},
        {"", 0, UNTOUCHED},
        {"soon", 0, UNTOUCHED},
        {"7s", 0, UNTOUCHED},
        {"7 8", 0, UNTOUCHED},
        {"nan", 0, UNTOUCHED},
        {"inf", 0, UNTOUCHED},
        {"Sun, 06 Nov 1994 08:49:37 GMT x", 0, UNTOUCHED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = UNTOUCHED;
        bool ok = wire_retry_after(cases[i].text, cases[i].now_ms, &ms);
        if (ok != (cases[i].want_ms != UNTOUCHED) || ms != cases[i].want_ms)
            fail_msg("%s: %lld", cases[i].text, (long long)ms);
    }
}

static void milliseconds_are_rounded_up(void **state)
{
    (void)state;
    int64_t ms = UNTOUCHED;
    assert_true(wire_milliseconds("250", &ms));
    assert_int_equal(ms, 250);
    assert_true(wire_milliseconds("250.2", &ms));
    assert_int_equal(ms, 251);
    ms = UNTOUCHED;
    assert_false(wire_milliseconds("250ms", &ms));
    assert_int_equal(ms, UNTOUCHED);
}

static void the_month_ends_at_midnight_utc(void **state)
{
    (void)state;
    /* 2026-12-31 23:59:59.500 */
    assert_int_equal(wire_until_next_month_ms(INT64_C(1798761599500)), 500);
    /* 2027-01-01 00:00:00 */
    assert_int_equal(wire_until_next_month_ms(INT64_C(1798761600000)), INT64_C(31) * 86400000);
}

static void a_pacific_day_ends_at_eight_utc(void **state)
{
    (void)state;
    int64_t eight_ms = INT64_C(1798790400000); /* 2027-01-01 08:00 UTC */
    assert_int_equal(wire_until_pacific_midnight_ms(eight_ms - 1), 1);
    assert_int_equal(wire_until_pacific_midnight_ms(eight_ms), 86400000);
    assert_int_equal(wire_until_pacific_midnight_ms(0), 8 * 3600 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_in_every_form),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(milliseconds_are_rounded_up),
        cmocka_unit_test(the_month_ends_at_midnight_utc),
        cmocka_unit_test(a_pacific_day_ends_at_eight_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
