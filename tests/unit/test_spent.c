#include "limiter/spent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct pool_limits limits_of(const char *first, enum dim_rule first_rule, const char *second,
                                    enum dim_rule second_rule)
{
    struct pool_limits l = {.dim_count = second ? 2 : 1};
    (void)snprintf(l.dims[0].name, sizeof(l.dims[0].name), "%s", first);
    (void)snprintf(l.dims[1].name, sizeof(l.dims[1].name), "%s", second ? second : "");
    l.dims[0].rule = first_rule;
    l.dims[1].rule = second_rule;
    return l;
}

static struct spent_cost grant(struct spent *s, const struct pool_limits *l, int64_t a, int64_t b)
{
    struct spent_cost cost;
    int64_t costs[POOL_MAX_DIMS] = {a, b};
    spent_read_cost(s, l, costs, &cost);
    spent_grant(s, &cost);
    return cost;
}

static void assert_told(const struct spent *s, const struct pool_limits *l, int64_t a, int64_t b)
{
    int64_t told[POOL_MAX_DIMS];
    spent_tell(s, l, told);
    assert_int_equal(told[0], a);
    if (l->dim_count > 1)
        assert_int_equal(told[1], b);
}

static void grants_add_up(void **state)
{
    (void)state;
    struct pool_limits l = limits_of("rpm", DIM_KEEP, "tpm", DIM_REFUND);
    struct spent s = {.count = 0};
    assert_true(spent_is_zero(&s));
    (void)grant(&s, &l, 1, 100);
    (void)grant(&s, &l, 1, 50);
    assert_false(spent_is_zero(&s));
    assert_told(&s, &l, 2, 150);
}

static void a_settle_gives_back_what_the_rule_gives_back(void **state)
{
    (void)state;
    struct pool_limits l = limits_of("rpm", DIM_KEEP, "tpm", DIM_REFUND);
    struct spent s = {.count = 0};
    struct spent_cost cost = grant(&s, &l, 3, 100);
    spent_settle(&s, &l, &cost, (int64_t[]){1, 30}, false);
    assert_told(&s, &l, 3, 30);
}

static void a_settle_takes_what_was_used_beyond_whatever_the_rule(void **state)
{
    (void)state;
    struct pool_limits l = limits_of("rpm", DIM_KEEP, "tpm", DIM_ACCRUE);
    struct spent s = {.count = 0};
    struct spent_cost cost = grant(&s, &l, 1, 100);
    spent_settle(&s, &l, &cost, (int64_t[]){4, 170}, false);
    assert_told(&s, &l, 4, 170);
}

static void an_unknown_actual_changes_nothing_and_an_unsent_request_gives_all_back(void **state)
{
    (void)state;
    struct pool_limits l = limits_of("rpm", DIM_KEEP, "tpm", DIM_REFUND);
    struct spent s = {.count = 0};
    struct spent_cost first = grant(&s, &l, 1, 100), second = grant(&s, &l, 1, 40);
    spent_settle(&s, &l, &first, (int64_t[]){-1, -1}, false);
    assert_told(&s, &l, 2, 140);
    spent_settle(&s, &l, &second, (int64_t[]){-1, -1}, true);
    assert_told(&s, &l, 1, 100);
}

static void a_correction_after_the_charge_is_negative(void **state)
{
    (void)state;
    struct pool_limits l = limits_of("tpm", DIM_REFUND, NULL, DIM_KEEP);
    struct spent s = {.count = 0};
    struct spent_cost cost = grant(&s, &l, 100, 0);
    spent_clear(&s);
    assert_true(spent_is_zero(&s));
    spent_settle(&s, &l, &cost, (int64_t[]){30}, false);
    assert_told(&s, &l, -70, 0);
    assert_false(spent_is_zero(&s));
}

static void totals_follow_their_dimension_when_the_limits_change(void **state)
{
    (void)state;
    struct pool_limits before = limits_of("rpm", DIM_KEEP, "tpm", DIM_REFUND);
    struct pool_limits after = limits_of("tpm", DIM_REFUND, "otpm", DIM_REFUND);
    struct spent s = {.count = 0};
    struct spent_cost cost = grant(&s, &before, 1, 100);
    assert_told(&s, &after, 100, 0);
    spent_settle(&s, &after, &cost, (int64_t[]){20, 5}, false);
    assert_told(&s, &after, 20, 5);
    assert_told(&s, &before, 1, 20);
}

static void totals_stay_inside_the_deepest_debt(void **state)
{
    (void)state;
    struct pool_limits l = limits_of("tpm", DIM_REFUND, NULL, DIM_KEEP);
    struct spent s = {.count = 0};
    (void)grant(&s, &l, DIM_MAX_UNITS, 0);
    assert_told(&s, &l, DIM_MAX_UNITS, 0);
    (void)grant(&s, &l, INT64_MAX, 0);
    assert_told(&s, &l, DIM_MAX_UNITS, 0);
}

static void the_ninth_name_is_not_counted(void **state)
{
    (void)state;
    struct spent s = {.count = 0};
    char name[DIM_NAME_BYTES];
    for (int i = 0; i <= POOL_MAX_DIMS; i++) {
        (void)snprintf(name, sizeof(name), "d%d", i);
        struct pool_limits l = limits_of(name, DIM_REFUND, NULL, DIM_KEEP);
        (void)grant(&s, &l, 7, 0);
        assert_told(&s, &l, i < POOL_MAX_DIMS ? 7 : 0, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_add_up),
        cmocka_unit_test(a_settle_gives_back_what_the_rule_gives_back),
        cmocka_unit_test(a_settle_takes_what_was_used_beyond_whatever_the_rule),
        cmocka_unit_test(an_unknown_actual_changes_nothing_and_an_unsent_request_gives_all_back),
        cmocka_unit_test(a_correction_after_the_charge_is_negative),
        cmocka_unit_test(totals_follow_their_dimension_when_the_limits_change),
        cmocka_unit_test(totals_stay_inside_the_deepest_debt),
        cmocka_unit_test(the_ninth_name_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
