#include "scheduler/price/price.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MILLION INT64_C(1000000)

static struct price_table *table_of(const char *csv)
{
    struct price_table *t = NULL;
    struct error e = {.text = ""};
    assert_int_equal(price_table_new(csv, strlen(csv), &t, &e), 0);
    return t;
}

static int64_t input_rate(const struct price_table *t, const char *provider, const char *model)
{
    struct price p = {.base = {.input = -1}};
    (void)price_find(t, provider, model, &p);
    return p.base.input;
}

static void the_built_in_table_knows_the_usual_models(void **state)
{
    static const char *const models[][2] = {{"openai", "gpt-4o"},
                                            {"openai", "gpt-4o-mini"},
                                            {"openai", "text-embedding-3-small"},
                                            {"anthropic", "claude-sonnet-4-5-20250929"},
                                            {"anthropic", "claude-opus-5-20260801"},
                                            {"openai", "gpt-5.6-sol-2026-05-01"},
                                            {"azure", "gpt-4o"},
                                            {"gemini", "gemini-2.5-pro"},
                                            {"elsewhere", "gpt-4o"}};
    struct price_table *t = NULL;
    struct error e;
    (void)state;
    assert_int_equal(price_table_builtin(&t, &e), 0);
    assert_true(price_table_models(t) > 300);
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        struct price p;
        assert_true(price_find(t, models[i][0], models[i][1], &p));
        assert_true(p.base.input > 0 && p.base.cache_read <= p.base.input);
    }
    assert_int_equal(input_rate(t, "openai", "gpt-4o"), 2500000);
    assert_int_equal(input_rate(t, "openai", "no-such-model"), -1);
    price_table_free(t);
}

static void an_exact_name_goes_before_a_prefix_and_that_before_a_part(void **state)
{
    struct price_table *t = table_of("a,^big,2,2,,,,,,,\n"
                                     "a,^big-new,3,3,,,,,,,\n"
                                     "a,=big-new-1,4,4,,,,,,,\n"
                                     "a,~ig,1,1,,,,,,,\n");
    (void)state;
    assert_int_equal(input_rate(t, "a", "big-old"), 2 * MILLION);
    assert_int_equal(input_rate(t, "a", "big-new-2"), 3 * MILLION);
    assert_int_equal(input_rate(t, "a", "big-new-1"), 4 * MILLION);
    assert_int_equal(input_rate(t, "a", "a-pig"), 1 * MILLION);
    price_table_free(t);
}

static void a_dated_name_fits_a_digit_and_an_end_only_the_end(void **state)
{
    struct price_table *t = table_of("a,#m-,1,1,,,,,,,\na,$tail,2,2,,,,,,,\n");
    (void)state;
    assert_int_equal(input_rate(t, "a", "m-2026"), 1 * MILLION);
    assert_int_equal(input_rate(t, "a", "m-mini"), -1);
    assert_int_equal(input_rate(t, "a", "m-"), -1);
    assert_int_equal(input_rate(t, "a", "x-tail"), 2 * MILLION);
    assert_int_equal(input_rate(t, "a", "tail-x"), -1);
    price_table_free(t);
}

static void a_providers_own_row_goes_first_and_others_serve_who_has_none(void **state)
{
    struct price_table *t = table_of("a,=m,1,1,,,,,,,\nb,=m|=n,2,2,,,,,,,\n");
    (void)state;
    assert_int_equal(input_rate(t, "b", "m"), 2 * MILLION);
    assert_int_equal(input_rate(t, "a", "n"), 2 * MILLION);
    assert_int_equal(input_rate(t, "c", "m"), 1 * MILLION);
    price_table_free(t);
}

static void each_kind_of_token_has_its_price(void **state)
{
    struct price_table *t = table_of("a,=m,3,15,0.3,3.75,,,,,\n");
    struct price p;
    struct price_usage u = {.input = 1000, .cache_read = 600, .cache_write = 100, .output = 10};
    (void)state;
    assert_true(price_find(t, "a", "m", &p));
    assert_int_equal(price_cost(&p, &u),
                     (300 * 3000000) + 600 * 300000 + 100 * 3750000 + 10 * 15000000);
    price_table_free(t);
}

static void a_cached_token_without_a_price_costs_as_any_other(void **state)
{
    struct price_table *t = table_of("a,=m,3,15,,,,,,,\n");
    struct price p;
    (void)state;
    assert_true(price_find(t, "a", "m", &p));
    assert_int_equal(price_cost(&p, &(struct price_usage){.input = 10, .cache_read = 10}),
                     30 * MILLION);
    price_table_free(t);
}

static void a_long_input_costs_more_one_past_its_limit(void **state)
{
    struct price_table *t = table_of("a,=m,3,15,,,1000,6,22.5,,\n");
    struct price p;
    (void)state;
    assert_true(price_find(t, "a", "m", &p));
    assert_int_equal(price_cost(&p, &(struct price_usage){.input = 1000, .output = 1}),
                     3015 * MILLION);
    assert_int_equal(price_cost(&p, &(struct price_usage){.input = 1001, .output = 1}),
                     1001 * 6 * MILLION + 22500000);
    price_table_free(t);
}

static void odd_amounts_neither_earn_nor_overflow(void **state)
{
    struct price p = {.base = {2, 2, 1, 1}};
    (void)state;
    assert_int_equal(price_cost(&p, &(struct price_usage){.input = -5, .output = -5}), 0);
    assert_int_equal(price_cost(&p, &(struct price_usage){.input = 5, .cache_read = 9}), 5);
    assert_int_equal(price_cost(&p, &(struct price_usage){.input = INT64_MAX}), INT64_MAX);
    assert_int_equal(
        price_cost(&p, &(struct price_usage){.input = INT64_MAX / 2, .output = INT64_MAX / 2}),
        INT64_MAX);
}

static void amounts_are_read_exactly_or_not_at_all(void **state)
{
    static const char *const bad[] = {"", ".5", "1.", "-1", "1e3", "0.0000001", "1000001", "1.2.3"};
    int64_t pico = 0;
    (void)state;
    assert_int_equal(price_parse("0.0375", 6, &pico), 0);
    assert_int_equal(pico, 37500);
    assert_int_equal(price_parse("600", 3, &pico), 0);
    assert_int_equal(pico, 600 * MILLION);
    assert_int_equal(price_parse("0.000001", 8, &pico), 0);
    assert_int_equal(pico, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(price_parse(bad[i], strlen(bad[i]), &pico) < 0);
}

static void a_bad_line_is_named(void **state)
{
    static const char *const bad[] = {
        "a,=m,1,1,,,,,,,\na,=m,1\n",
        "a,=m,1,1,,,,,,,\na,m,1,1,,,,,,,\n",
        "a,=m,1,1,,,,,,,\na,=m,x,1,,,,,,,\n",
        "a,=m,1,1,,,,,,,\na,=m,1,1,,,many,,,,\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct price_table *t = NULL;
        struct error e;
        assert_int_equal(price_table_new(bad[i], strlen(bad[i]), &t, &e), -EINVAL);
        assert_null(t);
        assert_non_null(strstr(e.text, "line 2"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_built_in_table_knows_the_usual_models),
        cmocka_unit_test(an_exact_name_goes_before_a_prefix_and_that_before_a_part),
        cmocka_unit_test(a_dated_name_fits_a_digit_and_an_end_only_the_end),
        cmocka_unit_test(a_providers_own_row_goes_first_and_others_serve_who_has_none),
        cmocka_unit_test(each_kind_of_token_has_its_price),
        cmocka_unit_test(a_cached_token_without_a_price_costs_as_any_other),
        cmocka_unit_test(a_long_input_costs_more_one_past_its_limit),
        cmocka_unit_test(odd_amounts_neither_earn_nor_overflow),
        cmocka_unit_test(amounts_are_read_exactly_or_not_at_all),
        cmocka_unit_test(a_bad_line_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
