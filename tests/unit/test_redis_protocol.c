#include "storage/redis_protocol.h"

#include "storage/redis_reply.h"
#include "storage/redis_status.h"

#include <errno.h>
#include <event2/buffer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The one reply in the text; the caller frees it. */
static struct redisReply *parse(const char *text)
{
    struct redis_reader *reader = redis_reader_new(1 << 20);
    struct redisReply *reply = NULL;
    assert_non_null(reader);
    assert_int_equal(redis_reader_feed(reader, text, strlen(text)), 0);
    assert_int_equal(redis_reader_next(reader, &reply), 1);
    redis_reader_free(reader);
    return reply;
}

static void an_integer_is_read_from_a_number_or_its_exact_text(void **state)
{
    (void)state;
    static const struct {
        const char *wire;
        int64_t value;
    } cases[] = {
        {":7\r\n", 7},
        {":-9223372036854775807\r\n", -INT64_MAX},
        {"$2\r\n42\r\n", 42},
        {"+-3\r\n", -3},
        {"$19\r\n9223372036854775807\r\n", INT64_MAX},
        {"$19\r\n9223372036854775808\r\n", -77},
        {"$2\r\n4x\r\n", -77},
        {"$2\r\n 4\r\n", -77},
        {"$2\r\n+4\r\n", -77},
        {"$1\r\n-\r\n", -77},
        {"$0\r\n\r\n", -77},
        {"$-1\r\n", -77},
        {"-ERR 5\r\n", -77},
        {"*1\r\n:5\r\n", -77},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct redisReply *reply = parse(cases[i].wire);
        assert_int_equal(reply_int(reply, -77), cases[i].value);
        redis_reply_free(reply);
    }
}

static void every_reader_accepts_no_reply_and_other_types(void **state)
{
    (void)state;
    size_t len = 99;
    struct redisReply *number = parse(":1\r\n");
    const struct redisReply *const replies[] = {NULL, number};
    for (size_t i = 0; i < 2; i++) {
        assert_null(reply_text(replies[i], &len));
        assert_null(reply_error(replies[i]));
        assert_null(reply_at(replies[i], 0));
        assert_null(reply_field(replies[i], "a"));
        assert_int_equal(reply_count(replies[i]), 0);
        assert_false(reply_is_nil(replies[i]));
    }
    assert_int_equal(len, 99);
    assert_int_equal(reply_int(NULL, -1), -1);
    redis_reply_free(number);
    redis_reply_free(NULL);
}

static void text_keeps_its_bytes_and_fields_their_names(void **state)
{
    (void)state;
    static const char wire[] = "*5\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nb\r\n$3\r\nx\0y\r\n$3\r\nodd\r\n";
    struct redis_reader *reader = redis_reader_new(1024);
    struct redisReply *reply = NULL;
    size_t len = 0;
    assert_int_equal(redis_reader_feed(reader, wire, sizeof(wire) - 1), 0);
    assert_int_equal(redis_reader_next(reader, &reply), 1);
    assert_int_equal(reply_count(reply), 5);
    assert_memory_equal(reply_text(reply_field(reply, "b"), &len), "x\0y", 3);
    assert_int_equal(len, 3);
    assert_string_equal(reply_text(reply_field(reply, "a"), NULL), "b");
    assert_null(reply_field(reply, "odd"));
    assert_null(reply_field(reply, ""));
    assert_null(reply_at(reply, 5));
    redis_reply_free(reply);
    redis_reader_free(reader);
}

static void replies_come_out_whole_however_the_bytes_are_cut(void **state)
{
    (void)state;
    static const char wire[] = "+OK\r\n$-1\r\n*2\r\n:1\r\n*1\r\n$3\r\nabc\r\n-ERR no\r\n";
    for (size_t cut = 1; cut < sizeof(wire); cut++) {
        struct redis_reader *reader = redis_reader_new(64);
        struct redisReply *reply = NULL;
        size_t seen = 0;
        for (size_t at = 0; at < sizeof(wire) - 1; at += cut) {
            size_t left = sizeof(wire) - 1 - at;
            assert_int_equal(redis_reader_feed(reader, wire + at, left < cut ? left : cut), 0);
            int rc;
            while ((rc = redis_reader_next(reader, &reply)) == 1) {
                if (seen == 2)
                    assert_string_equal(reply_text(reply_at(reply_at(reply, 1), 0), NULL), "abc");
                assert_int_equal(reply_is_nil(reply), seen == 1);
                seen++;
                redis_reply_free(reply);
            }
            assert_int_equal(rc, 0);
        }
        assert_int_equal(seen, 4);
        redis_reader_free(reader);
    }
}

/* A bulk string of n bytes takes n + 6 bytes on the wire for n of one digit. */
static int read_limited(size_t max, const char *wire, size_t cut)
{
    struct redis_reader *reader = redis_reader_new(max);
    struct redisReply *reply = NULL;
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < strlen(wire); at += cut) {
        size_t left = strlen(wire) - at;
        rc = redis_reader_feed(reader, wire + at, left < cut ? left : cut);
        if (!rc)
            rc = redis_reader_next(reader, &reply);
    }
    redis_reply_free(reply);
    redis_reader_free(reader);
    return rc;
}

static void a_reply_may_have_its_maximum_and_not_one_byte_more(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 12; cut++) {
        assert_int_equal(read_limited(11, "$5\r\nabcde\r\n", cut), 1);
        assert_int_equal(read_limited(10, "$5\r\nabcde\r\n", cut), -EMSGSIZE);
    }
    /* Refused before the end came: an endless reply is not collected. */
    assert_int_equal(read_limited(10, "$900\r\nabcdefghi", 1), -EMSGSIZE);
}

static void senseless_bytes_are_a_protocol_error(void **state)
{
    (void)state;
    static const char *const wires[] = {
        "hello\r\n",
        ":12x\r\n",
        "$x\r\n",
        "*9999999999999\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    };
    for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++)
        assert_int_equal(read_limited(1024, wires[i], 1024), -EPROTO);
}

static void a_command_is_encoded_byte_for_byte(void **state)
{
    (void)state;
    static const char wire[] = "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$10\r\na\r\nb\0cdefg\r\n";
    const char *const argv[] = {"SET", "", "a\r\nb\0cdefg"};
    const size_t lens[] = {3, 0, 10};
    const struct redis_args args = {3, argv, lens};
    struct evbuffer *out = evbuffer_new();
    assert_int_equal(redis_encoded_bytes(&args), sizeof(wire) - 1);
    assert_int_equal(redis_encode(out, sizeof(wire) - 1, &args), 0);
    assert_int_equal(evbuffer_get_length(out), sizeof(wire) - 1);
    assert_memory_equal(evbuffer_pullup(out, -1), wire, sizeof(wire) - 1);
    evbuffer_free(out);
}

static void strings_need_no_lengths(void **state)
{
    (void)state;
    static const char wire[] = "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
    const struct redis_args *args = REDIS_ARGS("GET", "key");
    struct evbuffer *out = evbuffer_new();
    assert_int_equal(args->argc, 2);
    assert_int_equal(redis_encode(out, redis_encoded_bytes(args), args), 0);
    assert_memory_equal(evbuffer_pullup(out, -1), wire, sizeof(wire) - 1);
    evbuffer_free(out);
}

static void an_error_is_typed_by_its_first_word(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum redis_status status;
    } cases[] = {
        {"NOSCRIPT No matching script. Please use EVAL.", REDIS_NOSCRIPT},
        {"OOM command not allowed when used memory > 'maxmemory'.", REDIS_OOM},
        {"READONLY You can't write against a read only replica.", REDIS_READONLY},
        {"NOREPLICAS Not enough good replicas to write.", REDIS_READONLY},
        {"MASTERDOWN Link with MASTER is down", REDIS_READONLY},
        {"LOADING Redis is loading the dataset in memory", REDIS_LOADING},
        {"BUSY Redis is busy running a script.", REDIS_BUSY},
        {"MISCONF Errors writing to the AOF file", REDIS_MISCONF},
        {"NOAUTH Authentication required.", REDIS_DENIED},
        {"WRONGPASS invalid username-password pair", REDIS_DENIED},
        {"NOPERM this user has no permissions", REDIS_DENIED},
        {"MOVED 3999 127.0.0.1:6381", REDIS_MOVED},
        {"ASK 3999 127.0.0.1:6381", REDIS_MOVED},
        {"ERR unknown command", REDIS_ERROR},
        {"WRONGTYPE Operation against a key", REDIS_ERROR},
        {"OOMPH", REDIS_ERROR},
        {"BUSYKEY Target key name already exists.", REDIS_ERROR},
        {"", REDIS_ERROR},
        {"BUSY", REDIS_BUSY},
        {"ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command "
         "not allowed when used memory > 'maxmemory'.",
         REDIS_OOM},
        {"ERR Error running script (call to f_1): @user_script:1: boom", REDIS_ERROR},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(redis_status_of_error(cases[i].text), cases[i].status);
}

static void every_status_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < REDIS_STATUS_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(redis_status_name((enum redis_status)i),
                                    redis_status_name((enum redis_status)j));
    assert_string_equal(redis_status_name(REDIS_STATUS_COUNT), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_integer_is_read_from_a_number_or_its_exact_text),
        cmocka_unit_test(every_reader_accepts_no_reply_and_other_types),
        cmocka_unit_test(text_keeps_its_bytes_and_fields_their_names),
        cmocka_unit_test(replies_come_out_whole_however_the_bytes_are_cut),
        cmocka_unit_test(a_reply_may_have_its_maximum_and_not_one_byte_more),
        cmocka_unit_test(senseless_bytes_are_a_protocol_error),
        cmocka_unit_test(a_command_is_encoded_byte_for_byte),
        cmocka_unit_test(strings_need_no_lengths),
        cmocka_unit_test(an_error_is_typed_by_its_first_word),
        cmocka_unit_test(every_status_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
