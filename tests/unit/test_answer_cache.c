/* Kept answers in memory, and what callers wish of them. */
#include "scheduler/answer_cache.h"
#include "scheduler/answer_wish.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES 100
#define SIZE  (sizeof(struct answer) + BYTES)

static void put(struct answer_cache *c, const char *key, const char *tenant, size_t most)
{
    static const char bytes[BYTES] = "answer";
    struct answer_head head = {.until_ms = 1000};
    (void)snprintf(head.key, sizeof(head.key), "%s", key);
    (void)snprintf(head.tenant, sizeof(head.tenant), "%s", tenant);
    (void)snprintf(head.model, sizeof(head.model), "model-%s", key);
    struct answer *a = answer_new(&head, bytes, sizeof(bytes));
    assert_non_null(a);
    answer_cache_put(c, a, most);
    answer_drop(a);
}

static void the_least_used_make_room(void **state)
{
    struct answer_cache c;
    (void)state;
    answer_cache_init(&c, 1);
    put(&c, "a", "t", 3 * SIZE);
    put(&c, "b", "t", 3 * SIZE);
    put(&c, "c", "t", 3 * SIZE);
    assert_int_equal(c.bytes, 3 * SIZE);
    assert_non_null(answer_cache_get(&c, "a", 0));
    put(&c, "d", "t", 3 * SIZE);
    assert_int_equal(c.bytes, 3 * SIZE);
    assert_null(answer_cache_get(&c, "b", 0));
    assert_non_null(answer_cache_get(&c, "a", 0));
    assert_non_null(answer_cache_get(&c, "c", 0));
    assert_non_null(answer_cache_get(&c, "d", 0));
    put(&c, "e", "t", 3 * SIZE - 1);
    assert_int_equal(c.bytes, 2 * SIZE);
    answer_cache_release(&c);
}

static void one_that_is_larger_than_all_is_not_kept(void **state)
{
    struct answer_cache c;
    (void)state;
    answer_cache_init(&c, 1);
    put(&c, "a", "t", SIZE - 1);
    assert_null(answer_cache_get(&c, "a", 0));
    assert_int_equal(c.bytes, 0);
    put(&c, "a", "t", SIZE);
    assert_non_null(answer_cache_get(&c, "a", 0));
    put(&c, "a", "t", SIZE);
    assert_int_equal(c.bytes, SIZE);
    put(&c, "b", "t", 0);
    assert_int_equal(c.bytes, 0);
    answer_cache_release(&c);
}

static void an_answer_has_its_time(void **state)
{
    struct answer_cache c;
    (void)state;
    answer_cache_init(&c, 1);
    put(&c, "a", "t", SIZE);
    assert_non_null(answer_cache_get(&c, "a", 999));
    assert_null(answer_cache_get(&c, "a", 1000));
    assert_int_equal(c.bytes, 0);
    answer_cache_release(&c);
}

static void who_reads_one_keeps_it(void **state)
{
    struct answer_cache c;
    (void)state;
    answer_cache_init(&c, 1);
    put(&c, "a", "t", SIZE);
    struct answer *a = answer_use(answer_cache_get(&c, "a", 0));
    assert_int_equal(answer_cache_purge(&c, "", ""), 1);
    answer_cache_release(&c);
    assert_memory_equal(a->bytes, "answer", 6);
    answer_drop(a);
}

static void a_purge_names_what_goes(void **state)
{
    struct answer_cache c;
    (void)state;
    answer_cache_init(&c, 1);
    put(&c, "a", "t", 9 * SIZE);
    put(&c, "b", "t", 9 * SIZE);
    put(&c, "c", "u", 9 * SIZE);
    assert_int_equal(answer_cache_purge(&c, "u", "model-a"), 0);
    assert_int_equal(answer_cache_purge(&c, "t", "model-a"), 1);
    assert_null(answer_cache_get(&c, "a", 0));
    assert_int_equal(answer_cache_purge(&c, "", "model-c"), 1);
    assert_int_equal(answer_cache_purge(&c, "t", ""), 1);
    assert_int_equal(c.answers.count, 0);
    answer_cache_release(&c);
}

static struct answer_wish wish(const char *asked, const char *control)
{
    struct answer_wish w;
    struct error e;
    assert_int_equal(answer_wish_read(asked, control, &w, &e), 0);
    return w;
}

static void a_wish_is_read(void **state)
{
    struct answer_wish w;
    struct error e;
    (void)state;
    assert_int_equal(wish(NULL, NULL).mode, ANSWER_AUTO);
    assert_int_equal(wish("on", NULL).mode, ANSWER_ON);
    assert_int_equal(wish("off", NULL).mode, ANSWER_OFF);
    assert_true(wish("no-store", NULL).no_store);
    assert_true(wish(NULL, "No-Store").no_store);
    assert_true(wish(NULL, "private , ,no-cache=\"x\"\t, max-age=3").no_cache);
    assert_int_equal(wish(NULL, "max-age=30, max-age=\"20\"").max_age_s, 20);
    assert_int_equal(wish(NULL, "max-age=99999999999999999999").max_age_s, 2147483648);
    assert_true(wish(NULL, "max-age=x").has_max_age);
    assert_int_equal(wish(NULL, "max-age=x").max_age_s, 0);
    assert_true(wish(NULL, "max-age").has_max_age);
    assert_false(wish(NULL, "max-ages=5").has_max_age);
    assert_int_equal(wish(NULL, "min-fresh=7").min_fresh_s, 7);
    assert_int_equal(answer_wish_read("ON", NULL, &w, &e), -EINVAL);
    assert_non_null(strstr(e.text, "x-sluice-cache"));
}

static void an_age_is_taken_up_to_the_most(void **state)
{
    struct answer_wish w = {.has_max_age = true, .max_age_s = 5};
    (void)state;
    assert_true(answer_wish_takes(&w, 5000, 1));
    assert_false(answer_wish_takes(&w, 5001, 1));
    w = (struct answer_wish){.min_fresh_s = 5};
    assert_true(answer_wish_takes(&w, 0, 5000));
    assert_false(answer_wish_takes(&w, 0, 4999));
    w = (struct answer_wish){.no_store = true};
    assert_true(answer_wish_takes(&w, 0, 1));
    assert_false(answer_wish_takes(&w, 0, 0));
    w = (struct answer_wish){.no_cache = true};
    assert_false(answer_wish_takes(&w, 0, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_used_make_room),
        cmocka_unit_test(one_that_is_larger_than_all_is_not_kept),
        cmocka_unit_test(an_answer_has_its_time),
        cmocka_unit_test(who_reads_one_keeps_it),
        cmocka_unit_test(a_purge_names_what_goes),
        cmocka_unit_test(a_wish_is_read),
        cmocka_unit_test(an_age_is_taken_up_to_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
