/* Budgets over two instances on one Redis, with a clock of the test's own. */
#include "scheduler/spending.h"

#include "common/money.h"
#include "storage/key.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CENT      (MONEY_DOLLAR / 100)
#define DAY_S     86400
#define NOON_MS   (INT64_C(30000) * DAY_S * 1000 + INT64_C(43200000)) /* of a day in 2052 */
#define IN_FLIGHT 4
#define INSTANCES 2

static struct redis_fixture redis;
static struct redis_probe probes[INSTANCES];
static struct cost_store *stores[INSTANCES];
static struct spending *spendings[INSTANCES];
static int64_t now_ms;
static int alerts[2]; /* at 80 %, at all of it */
static char last_alert[512];

static int64_t clock_of_test(void)
{
    return now_ms;
}

static void on_alert(void *arg, const char *tenant, const char *json)
{
    (void)arg;
    assert_string_equal(tenant, "research");
    alerts[strstr(json, "\"percent\":100") != NULL]++;
    (void)snprintf(last_alert, sizeof(last_alert), "%s", json);
}

static int setup(void **state)
{
    (void)state;
    now_ms = NOON_MS;
    alerts[0] = alerts[1] = 0;
    if (redis_fixture_start(&redis, NULL))
        return -1;
    for (int i = 0; i < INSTANCES; i++) {
        if (!redis_probe_open(&probes[i], redis.url) || !redis_probe_wait_up(&probes[i]))
            return -1;
        stores[i] = cost_store_new(probes[i].link, 5000);
        struct spending_options o = {
            .base = probes[i].base, .store = stores[i], .now_ms = clock_of_test};
        spendings[i] = spending_new(&o);
        spending_on_alert(spendings[i], on_alert, NULL);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < INSTANCES; i++) {
        spending_stop(spendings[i]);
        redis_probe_close(&probes[i]);
        spending_free(spendings[i]);
        cost_store_free(stores[i]);
    }
    redis_fixture_stop(&redis);
    return 0;
}

static struct spending_limit budget(int64_t limit, const char *duration)
{
    struct spending_limit l;
    char text[MONEY_TEXT_BYTES];
    assert_true(spending_limit_read(money_text(limit, text), duration, &l));
    (void)snprintf(l.who, sizeof(l.who), "t:research");
    (void)snprintf(l.tenant, sizeof(l.tenant), "research");
    return l;
}

static void spend(int instance, const struct spending_limit *l, int64_t cost)
{
    struct cost_row row = {.tenant = "research", .key = "", .model = "m with a space"};
    row.count[COST_requests] = 1;
    row.count[COST_cost] = cost;
    row.count[COST_input] = 7;
    spending_count(spendings[instance], &row, l, 1);
}

static void turn(void)
{
    for (int i = 0; i < INSTANCES; i++)
        wait_loop_turns(probes[i].base, 1);
}

struct wanted {
    int instance;
    const struct spending_limit *limit;
    bool allowed;
    int64_t spent;
    struct spending_state last;
};

static bool is_as_wanted(void *arg)
{
    struct wanted *w = arg;
    turn();
    bool allowed = spending_allows(spendings[w->instance], w->limit, &w->last);
    return allowed == w->allowed && w->last.spent == w->spent;
}

/* Runs both loops until an instance lets in, or does not, and knows what was spent. */
static bool until_allows(int instance, const struct spending_limit *l, bool allowed, int64_t spent)
{
    struct wanted w = {instance, l, allowed, spent, {.spent = 0}};
    if (wait_loop(probes[instance].base, is_as_wanted, &w))
        return true;
    print_error("%lld are spent\n", (long long)w.last.spent);
    return false;
}

static void what_one_instance_spends_stops_the_other_one(void **state)
{
    struct spending_limit l = budget(10 * CENT, "1d");
    struct spending_state s;
    (void)state;
    assert_true(spending_allows(spendings[1], &l, &s));
    spend(0, &l, 9 * CENT);
    assert_true(until_allows(1, &l, true, 9 * CENT));
    spend(0, &l, CENT);
    assert_false(spending_allows(spendings[0], &l, &s)); /* at once where it was spent */
    assert_true(until_allows(1, &l, false, 10 * CENT));
    assert_int_equal(alerts[0], 1);
    assert_int_equal(alerts[1], 1);
    assert_non_null(strstr(last_alert, "\"spent_usd\":0.10,\"limit_usd\":0.10,\"hard\":true"));
}

static void the_next_period_begins_with_nothing_spent(void **state)
{
    struct spending_limit l = budget(CENT, "1d");
    struct spending_state s;
    (void)state;
    spend(0, &l, 2 * CENT);
    assert_true(until_allows(1, &l, false, 2 * CENT));
    now_ms = NOON_MS + 12 * INT64_C(3600000) - 1;
    assert_false(spending_allows(spendings[0], &l, &s));
    assert_int_equal(s.end_s, now_ms / 1000 + 1);
    now_ms++;
    assert_true(spending_allows(spendings[0], &l, &s)); /* before anybody is asked */
    assert_int_equal(s.spent, 0);
    assert_true(until_allows(0, &l, true, 0));
    assert_true(until_allows(1, &l, true, 0));
    spend(1, &l, CENT);
    assert_true(until_allows(0, &l, false, CENT));
    now_ms -= 1; /* a clock that is set back finds the old period as it was */
    assert_true(until_allows(1, &l, false, 2 * CENT));
}

static void what_is_in_progress_here_counts_until_it_ends(void **state)
{
    struct spending_limit l = budget(CENT, NULL);
    struct spending_state s;
    (void)state;
    assert_true(spending_allows(spendings[0], &l, &s));
    assert_true(s.end_s == PERIOD_NO_END);
    spending_reserve(spendings[0], &l, CENT);
    assert_false(spending_allows(spendings[0], &l, &s));
    assert_int_equal(s.reserved, CENT);
    spending_reserve(spendings[0], &l, -CENT);
    assert_true(spending_allows(spendings[0], &l, &s));
}

static bool is_answered(void *arg)
{
    turn();
    return redis_link_pending(((struct redis_probe *)arg)->link) == 0;
}

/* Each instance has IN_FLIGHT requests of a cent in progress at a time, while it is let. */
static void the_overshoot_is_at_most_what_the_instances_had_in_progress(void **state)
{
    struct spending_limit l = budget(50 * CENT, "1mo");
    struct spending_state s;
    int64_t spent = 0;
    (void)state;
    for (int busy = 1; busy > 0;) {
        int let_in[INSTANCES] = {0};
        busy = 0;
        for (int i = 0; i < INSTANCES; i++) {
            while (let_in[i] < IN_FLIGHT && spending_allows(spendings[i], &l, &s)) {
                spending_reserve(spendings[i], &l, CENT);
                let_in[i]++;
            }
            busy += let_in[i];
        }
        for (int i = 0; i < INSTANCES; i++) {
            for (int k = 0; k < let_in[i]; k++, spent += CENT) {
                spending_reserve(spendings[i], &l, -CENT);
                spend(i, &l, CENT);
            }
        }
        for (int i = 0; i < INSTANCES; i++)
            assert_true(wait_loop(probes[i].base, is_answered, &probes[i]));
    }
    print_message("spent %lld of 50 cents\n", (long long)(spent / CENT));
    assert_true(spent >= 50 * CENT);
    assert_true(spent < (50 + INSTANCES * IN_FLIGHT) * CENT);
    assert_true(until_allows(0, &l, false, spent));
    assert_true(until_allows(1, &l, false, spent));
    assert_int_equal(alerts[1], 1);
}

static void what_was_spent_without_redis_is_told_when_it_is_back(void **state)
{
    struct spending_limit l = budget(CENT, "1d");
    struct spending_state s;
    (void)state;
    assert_true(until_allows(0, &l, true, 0));
    redis_fixture_kill(&redis);
    assert_true(redis_probe_wait_down(&probes[0]));
    spend(0, &l, 3 * CENT);
    assert_false(spending_allows(spendings[0], &l, &s));
    assert_int_equal(redis_fixture_restart(&redis), 0);
    assert_true(redis_probe_wait_up(&probes[0]));
    assert_true(redis_probe_wait_up(&probes[1]));
    assert_true(until_allows(1, &l, false, 3 * CENT));
}

static void what_could_not_be_told_in_its_period_is_not_held_against_the_next(void **state)
{
    struct spending_limit l = budget(CENT, "1d");
    struct spending_state s;
    (void)state;
    assert_true(until_allows(0, &l, true, 0));
    redis_fixture_kill(&redis);
    assert_true(redis_probe_wait_down(&probes[0]));
    spend(0, &l, 3 * CENT);
    assert_false(spending_allows(spendings[0], &l, &s));
    now_ms += DAY_S * INT64_C(1000);
    assert_true(spending_allows(spendings[0], &l, &s));
    assert_int_equal(s.spent, 0);
    assert_int_equal(redis_fixture_restart(&redis), 0);
    assert_true(redis_probe_wait_up(&probes[0]));
    assert_true(redis_probe_wait_up(&probes[1]));
    spend(0, &l, CENT / 2);
    assert_true(until_allows(1, &l, true, CENT / 2));
}

struct seen {
    bool over;
    struct cost_row row;
    int rows;
};

static void on_row(void *arg, enum redis_status status, const struct cost_row *row,
                   enum cost_counter which)
{
    struct seen *s = arg;
    assert_int_equal(status, REDIS_OK);
    s->over = !row;
    if (!row)
        return;
    s->rows++;
    memcpy(s->row.model, row->model, sizeof(row->model));
    memcpy(s->row.tenant, row->tenant, sizeof(row->tenant));
    s->row.count[which] = row->count[which];
}

static bool is_over(void *arg)
{
    const struct seen *s = arg;
    return s->over;
}

static void a_day_adds_up_over_instances_and_is_kept_400_days(void **state)
{
    struct spending_limit l = budget(MONEY_DOLLAR, "1d");
    char date[PERIOD_DATE_BYTES];
    struct seen seen = {.over = false};
    (void)state;
    for (int i = 0; i < 10; i++)
        spend(i % INSTANCES, &l, CENT + i);
    assert_true(until_allows(0, &l, true, 10 * CENT + 45));
    assert_int_equal(cost_store_day(stores[1], now_ms / 1000 / DAY_S, on_row, &seen), 0);
    assert_true(wait_loop(probes[1].base, is_over, &seen));
    assert_string_equal(seen.row.model, "m with a space");
    assert_string_equal(seen.row.tenant, "research");
    assert_int_equal(seen.row.count[COST_requests], 10);
    assert_int_equal(seen.row.count[COST_cost], 10 * CENT + 45);
    assert_int_equal(seen.row.count[COST_input], 70);
    assert_int_equal(seen.rows, 3);
    struct key key = key_cost_day(period_date_text(now_ms / 1000 / DAY_S, date));
    int64_t until = redis_fixture_ask_int(&redis, REDIS_ARGS("PEXPIRETIME", key.text));
    assert_int_equal(until, (now_ms / 1000 / DAY_S + 401) * DAY_S * 1000);
}

static void a_sum_that_overflows_fails_nothing(void **state)
{
    struct spending_limit l = budget(MONEY_DOLLAR, "1d");
    struct key key = key_cost_budget(l.who, period_start_s(&l.period, now_ms / 1000));
    (void)state;
    (void)redis_fixture_ask_int(&redis, REDIS_ARGS("HSET", key.text, "c *", "9223372036854775807"));
    spend(0, &l, CENT);
    assert_true(until_allows(1, &l, false, INT64_MAX));
    assert_true(until_allows(0, &l, false, INT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_one_instance_spends_stops_the_other_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_next_period_begins_with_nothing_spent, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_in_progress_here_counts_until_it_ends, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_overshoot_is_at_most_what_the_instances_had_in_progress,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_could_not_be_told_in_its_period_is_not_held_against_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_spent_without_redis_is_told_when_it_is_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_day_adds_up_over_instances_and_is_kept_400_days, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_sum_that_overflows_fails_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
