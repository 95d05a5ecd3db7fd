/* A joint answer taken apart: who is answered, what each pays, and how often a kind may be joined.
 */
#include "scheduler/joint/joint_answer.h"
#include "scheduler/joint/joint_breaker.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A "aaaaaaaaaaaa"
#define B "bbbbbbbbbbbb"
#define C "cccccccccccc"

static const struct joint_names names = {.name = {A, B, C}};

/* The answer of a provider that says this text; inner: quotes as '. */
static char *reply_of(enum wire_endpoint endpoint, const char *inner, const char *reason)
{
    static char text[4096];
    char quoted[2048];
    size_t n = 0;
    for (const char *at = inner; *at; at++) {
        if (*at == '\'' && endpoint == WIRE_CHAT)
            quoted[n++] = '\\';
        quoted[n++] = *at == '\'' ? '"' : *at;
    }
    quoted[n] = '\0';
    if (endpoint == WIRE_CHAT)
        (void)snprintf(text, sizeof(text),
                       "{\"id\":\"chatcmpl-1\",\"created\":5,\"model\":\"m-1\",\"choices\":[{"
                       "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},"
                       "\"finish_reason\":\"%s\"}],\"system_fingerprint\":\"fp\"}",
                       quoted, reason);
    else
        (void)snprintf(
            text, sizeof(text),
            "{\"id\":\"msg_1\",\"model\":\"m-1\",\"content\":[{\"type\":\"text\","
            "\"text\":\"so\"},{\"type\":\"tool_use\",\"name\":\"answers\",\"input\":%s}],"
            "\"stop_reason\":\"%s\"}",
            quoted, reason);
    return text;
}

/* Which of the three are answered, as bits; 0 when it was cut. */
static unsigned answered(enum wire_endpoint endpoint, const char *inner, const char *reason)
{
    struct joint_answer a;
    unsigned bits = 0;
    char *text = reply_of(endpoint, inner, reason);
    joint_answer_read(endpoint, text, strlen(text), &names, 3, &a);
    size_t good = 0;
    for (size_t i = 0; i < 3; i++) {
        bits |= a.item[i].at ? 1U << i : 0;
        good += a.item[i].at != NULL;
    }
    assert_int_equal(good, a.good);
    joint_answer_release(&a);
    return bits;
}

#define R(key, id, answer) "'" key "':{'id':'" id "','answer':'" answer "'}"

static void each_name_that_stands_once_is_answered(void **state)
{
    static const struct {
        const char *inner;
        unsigned bits;
    } cases[] = {
        {"{" R("r1", A, "x") "," R("r2", B, "y") "," R("r3", C, "z") "}", 7},
        /* in another order: the name counts, not the place */
        {"{" R("r1", C, "x") "," R("r2", A, "y") "," R("r3", B, "z") "}", 7},
        {"{" R("r1", A, "x") "," R("r3", C, "z") "}", 5},                     /* missing */
        {"{" R("r1", A, "x") "," R("r2", A, "y") "," R("r3", C, "z") "}", 4}, /* twice */
        {"{" R("r1", A, "x") "," R("r2", "dddddddddddd", "y") "," R("r3", C, "z") "}", 5},
        {"{" R("r1", A, "x") "," R("r2", B, "") "," R("r3", C, "z") "}", 5}, /* empty */
        {"{" R("r1", A, "x") ",'r2':{'id':'" B "','answer':7}," R("r3", C, "z") "}", 5},
        {"{" R("r1", A, "x") ",'r2':{'id':'" B "'}," R("r3", C, "z") "}", 5},
        {"{" R("r1", A, "x") ",'r2':null," R("r3", C, "z") "}", 5},
        {"{" R("r1", A, "x") "," R("r4", B, "y") "," R("r3", C, "z") "}", 5}, /* no such key */
        {"{" R("r1", A, "x") "," R("r2", B, "the other is " C) "," R("r3", C, "z") "}", 3},
        {"{" R("r1", A, "x") "," R("r1", B, "y") "," R("r3", C, "z") "}", 7},
        {"[]", 0},
        {"{}", 0},
        {"'" A "'", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (answered(WIRE_CHAT, cases[i].inner, "stop") != cases[i].bits)
            fail_msg("chat: %s", cases[i].inner);
        if (answered(WIRE_MESSAGES, cases[i].inner, "tool_use") != cases[i].bits)
            fail_msg("messages: %s", cases[i].inner);
    }
}

static void an_answer_that_was_cut_answers_nobody(void **state)
{
    static const char whole[] = "{" R("r1", A, "x") "," R("r2", B, "y") "," R("r3", C, "z") "}";
    (void)state;
    assert_int_equal(answered(WIRE_CHAT, whole, "length"), 0);
    assert_int_equal(answered(WIRE_CHAT, whole, "content_filter"), 0);
    assert_int_equal(answered(WIRE_CHAT, "{" R("r1", A, "x") ",'r2':{'id", "stop"), 0);
    assert_int_equal(answered(WIRE_MESSAGES, whole, "max_tokens"), 0);
}

static void what_is_no_answer_answers_nobody(void **state)
{
    static const char *const texts[] = {"",
                                        "null",
                                        "{}",
                                        "{\"choices\":[]}",
                                        "{\"choices\":[{\"finish_reason\":\"stop\"}]}",
                                        "{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{"
                                        "\"content\":null,\"refusal\":\"no\"}"
                                        "}]}"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (enum wire_endpoint e = WIRE_CHAT; e <= WIRE_MESSAGES; e += WIRE_MESSAGES - WIRE_CHAT) {
            struct joint_answer a;
            joint_answer_read(e, texts[i], strlen(texts[i]), &names, 3, &a);
            assert_int_equal(a.good, 0);
            joint_answer_release(&a);
        }
    }
}

static json_t *written(enum wire_endpoint endpoint, size_t index)
{
    static const char whole[] =
        "{" R("r1", A, "x") "," R("r2", B, "so \\\\u00e9") "," R("r3", C, "z") "}";
    static const char plain[] =
        "{" R("r1", A, "x") "," R("r2", B, "so \\u00e9") "," R("r3", C, "z") "}";
    struct joint_answer a;
    struct buf out;
    struct wire_usage share = {
        .known = true, .input = 10, .cache_read = 4, .cache_write = 1, .output = 3};
    char *text = endpoint == WIRE_CHAT ? reply_of(endpoint, whole, "stop")
                                       : reply_of(endpoint, plain, "tool_use");
    buf_init(&out, 4096);
    joint_answer_read(endpoint, text, strlen(text), &names, 3, &a);
    assert_int_equal(a.good, 3);
    assert_int_equal(joint_answer_write(&a, index, &share, &out), 0);
    json_t *json = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    buf_release(&out);
    joint_answer_release(&a);
    return json;
}

static void each_gets_an_ordinary_completion(void **state)
{
    (void)state;
    json_t *c = written(WIRE_CHAT, 1);
    const json_t *choice = json_array_get(json_object_get(c, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    const json_t *usage = json_object_get(c, "usage");
    assert_string_equal(json_string_value(json_object_get(c, "id")), "chatcmpl-1-2");
    assert_string_equal(json_string_value(json_object_get(c, "object")), "chat.completion");
    assert_string_equal(json_string_value(json_object_get(c, "model")), "m-1");
    assert_int_equal(json_integer_value(json_object_get(c, "created")), 5);
    assert_string_equal(json_string_value(json_object_get(choice, "finish_reason")), "stop");
    assert_string_equal(json_string_value(json_object_get(message, "content")), "so \xc3\xa9");
    assert_int_equal(json_integer_value(json_object_get(usage, "prompt_tokens")), 10);
    assert_int_equal(json_integer_value(json_object_get(usage, "total_tokens")), 13);
    json_decref(c);
}

static void each_gets_an_ordinary_message(void **state)
{
    (void)state;
    json_t *m = written(WIRE_MESSAGES, 1);
    const json_t *block = json_array_get(json_object_get(m, "content"), 0);
    const json_t *usage = json_object_get(m, "usage");
    assert_string_equal(json_string_value(json_object_get(m, "id")), "msg_1-2");
    assert_string_equal(json_string_value(json_object_get(m, "stop_reason")), "end_turn");
    assert_string_equal(json_string_value(json_object_get(block, "type")), "text");
    assert_string_equal(json_string_value(json_object_get(block, "text")), "so \xc3\xa9");
    assert_int_equal(json_integer_value(json_object_get(usage, "input_tokens")), 5);
    assert_int_equal(json_integer_value(json_object_get(usage, "cache_read_input_tokens")), 4);
    json_decref(m);
}

static void the_bill_is_parted_among_those_who_were_answered(void **state)
{
    static const int64_t bytes[] = {10, 10, 21};
    const struct wire_usage bill = {
        .known = true, .input = 101, .cache_read = 50, .cache_write = 1, .output = 7};
    struct wire_usage share[JOINT_MAX_ITEMS];
    struct joint_answer a;
    (void)state;
    char *text = reply_of(WIRE_CHAT, "{" R("r1", A, "x") "," R("r3", C, "zzzz") "}", "stop");
    joint_answer_read(WIRE_CHAT, text, strlen(text), &names, 3, &a);
    joint_answer_share(&a, &bill, bytes, share);
    assert_true(share[0].known && share[2].known && !share[1].known);
    assert_int_equal(share[0].input + share[2].input, 101);
    assert_int_equal(share[0].cache_read + share[2].cache_read, 50);
    assert_int_equal(share[0].cache_write + share[2].cache_write, 1);
    assert_int_equal(share[0].output + share[2].output, 7);
    assert_true(share[2].input > share[0].input && share[2].output > share[0].output);
    joint_answer_release(&a);
}

/* ---- how many are joined */

static void more_than_five_in_a_hundred_halve_the_size(void **state)
{
    struct joint_breaker b = {.size = 0};
    (void)state;
    assert_int_equal(joint_breaker_size(&b, 8), 8);
    joint_breaker_note(&b, 8, 8, 1);
    assert_int_equal(joint_breaker_size(&b, 8), 8); /* one says nothing */
    joint_breaker_note(&b, 8, 8, 0);
    joint_breaker_note(&b, 8, 4, 1);
    assert_int_equal(joint_breaker_size(&b, 8), 4); /* 2 of 20 */
    joint_breaker_note(&b, 8, 4, 4);
    assert_int_equal(joint_breaker_size(&b, 8), 2);
    joint_breaker_note(&b, 8, 20, 20);
    assert_int_equal(joint_breaker_size(&b, 8), 1);
    joint_breaker_note(&b, 8, 20, 20);
    assert_int_equal(joint_breaker_size(&b, 8), 1);
}

static void five_in_a_hundred_are_borne(void **state)
{
    struct joint_breaker b = {.size = 0};
    (void)state;
    for (int i = 0; i < 100; i++)
        joint_breaker_note(&b, 8, 20, 1);
    assert_int_equal(joint_breaker_size(&b, 8), 8);
}

static void it_grows_again_by_one_at_a_time(void **state)
{
    struct joint_breaker b = {.size = 0};
    (void)state;
    joint_breaker_note(&b, 8, 8, 8);
    assert_int_equal(joint_breaker_size(&b, 8), 4);
    for (int64_t size = 4; size < 8; size++) {
        assert_int_equal(joint_breaker_size(&b, 8), size);
        for (int i = 0; i < JOINT_BREAKER_WINDOW; i++)
            joint_breaker_note(&b, 8, 1, 0);
    }
    assert_int_equal(joint_breaker_size(&b, 8), 8);
    for (int i = 0; i < 2 * JOINT_BREAKER_WINDOW; i++)
        joint_breaker_note(&b, 8, 1, 0);
    assert_int_equal(joint_breaker_size(&b, 8), 8);
    assert_int_equal(joint_breaker_size(&b, 4), 4); /* the configuration has another most now */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_name_that_stands_once_is_answered),
        cmocka_unit_test(an_answer_that_was_cut_answers_nobody),
        cmocka_unit_test(what_is_no_answer_answers_nobody),
        cmocka_unit_test(each_gets_an_ordinary_completion),
        cmocka_unit_test(each_gets_an_ordinary_message),
        cmocka_unit_test(the_bill_is_parted_among_those_who_were_answered),
        cmocka_unit_test(more_than_five_in_a_hundred_halve_the_size),
        cmocka_unit_test(five_in_a_hundred_are_borne),
        cmocka_unit_test(it_grows_again_by_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
