#include "storage/redis_slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis.h>

static int slot(const char *key)
{
    return redis_slot_of(key, strlen(key));
}

static void a_key_is_in_the_slot_that_redis_says(void **state)
{
    (void)state;
    /* 0x31c3 is the check value of CRC16/XMODEM; the others are of CLUSTER KEYSLOT. */
    assert_int_equal(slot("123456789"), 0x31c3);
    assert_int_equal(slot("foo"), 12182);
    assert_int_equal(slot("bar"), 5061);
    assert_int_equal(slot(""), 0);
}

static void only_the_first_tag_counts_and_an_empty_one_does_not(void **state)
{
    (void)state;
    assert_int_equal(slot("sluice:{foo}:b"), slot("foo"));
    assert_int_equal(slot("{foo}{bar}"), slot("foo"));
    assert_int_equal(slot("a{{foo}}"), slot("{foo"));
    assert_int_equal(slot("foo{}{bar}"), 8363);
    assert_int_not_equal(slot("{foo"), slot("foo"));
}

static void the_key_of_a_command_is_where_redis_looks_for_it(void **state)
{
    (void)state;
    assert_int_equal(redis_slot_of_command(REDIS_ARGS("GET", "foo")), 12182);
    assert_int_equal(redis_slot_of_command(REDIS_ARGS("EVALSHA", "sha", "1", "foo", "bar")), 12182);
    assert_int_equal(redis_slot_of_command(REDIS_ARGS("eval", "text", "1", "foo")), 12182);
    assert_int_equal(redis_slot_of_command(REDIS_ARGS("PING")), -1);
    assert_int_equal(redis_slot_of_command(REDIS_ARGS("INFO", "foo")), -1);
    assert_int_equal(redis_slot_of_command(REDIS_ARGS("EVAL", "text", "0")), -1);
}

static void a_redirection_is_read_and_nonsense_is_refused(void **state)
{
    (void)state;
    struct redis_redirect r;
    assert_true(redis_redirect_parse("MOVED 3999 127.0.0.1:6381", &r));
    assert_false(r.ask);
    assert_int_equal(r.slot, 3999);
    assert_string_equal(r.to.host, "127.0.0.1");
    assert_int_equal(r.to.port, 6381);
    assert_true(redis_redirect_parse("ASK 16383 ::1:1", &r));
    assert_true(r.ask);
    assert_string_equal(r.to.host, "::1");
    assert_true(redis_redirect_parse("MOVED 0 :6381", &r));
    assert_string_equal(r.to.host, "");
    static const char *const wrong[] = {"MOVED",         "MOVED 16384 h:1", "MOVED -1 h:1",
                                        "ASK 1 h:65536", "ASK 1 h:0",       "ASK 1 h",
                                        "ERR 1 h:1",     "MOVED x h:1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(redis_redirect_parse(wrong[i], &r));
}

static void count_range(void *arg, int first, int last, const struct redis_place *master)
{
    int *sum = arg;
    *sum += last - first + 1;
    assert_string_equal(master->host, "");
    assert_int_equal(master->port, 7);
}

/* {first, last, {host, port}} */
static struct redisReply range_of(struct redisReply *items, struct redisReply **list,
                                  struct redisReply **node)
{
    node[0] = &items[3];
    node[1] = &items[4];
    items[2] = (struct redisReply){.type = REDIS_REPLY_ARRAY, .elements = 2, .element = node};
    for (size_t i = 0; i < 3; i++)
        list[i] = &items[i];
    return (struct redisReply){.type = REDIS_REPLY_ARRAY, .elements = 3, .element = list};
}

static void ranges_that_make_no_sense_are_left_out(void **state)
{
    (void)state;
    static const long long cases[][4] = {
        {0, 99, 7, 100},  {16383, 16383, 7, 1}, {-1, 5, 7, 0},    {5, 4, 7, 0},
        {0, 16384, 7, 0}, {0, 1, 0, 0},         {0, 1, 65536, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct redisReply items[5] = {
            {.type = REDIS_REPLY_INTEGER, .integer = cases[i][0]},
            {.type = REDIS_REPLY_INTEGER, .integer = cases[i][1]},
            {.type = REDIS_REPLY_NIL},
            {.type = REDIS_REPLY_NIL},
            {.type = REDIS_REPLY_INTEGER, .integer = cases[i][2]},
        };
        struct redisReply *list[3], *node[2], *all[1];
        struct redisReply range = range_of(items, list, node);
        all[0] = &range;
        struct redisReply reply = {.type = REDIS_REPLY_ARRAY, .elements = 1, .element = all};
        int sum = 0;
        redis_slots_read(&reply, count_range, &sum);
        assert_int_equal(sum, cases[i][3]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_in_the_slot_that_redis_says),
        cmocka_unit_test(only_the_first_tag_counts_and_an_empty_one_does_not),
        cmocka_unit_test(the_key_of_a_command_is_where_redis_looks_for_it),
        cmocka_unit_test(a_redirection_is_read_and_nonsense_is_refused),
        cmocka_unit_test(ranges_that_make_no_sense_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
