/* Which chat requests may be joined, and the request that they make. */
#include "common/config.h"
#include "scheduler/joint/joint_request.h"
#include "tests/support/guard.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ONE(rest) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" rest "}"

static struct guard guard;

static const char *why_not(enum wire_endpoint endpoint, const char *body, struct joint_item *item)
{
    size_t len = strlen(body);
    return joint_item_read(endpoint, guard_copy(&guard, body, len), len, item);
}

static void a_plain_small_question_may_be_joined(void **state)
{
    static const char *const bodies[] = {
        ONE(""),
        ONE(",\"max_tokens\":5,\"temperature\":0.5,\"top_p\":1,\"seed\":7,\"user\":\"u\""),
        ONE(",\"stream\":false,\"n\":1,\"metadata\":{\"a\":\"b\"},\"store\":false"),
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":"
        "\"developer\",\"content\":[]},{\"content\":[{\"type\":\"text\",\"text\":\"a\"}],\"role\":"
        "\"user\"}]}",
    };
    struct joint_item item;
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        assert_null(why_not(WIRE_CHAT, bodies[i], &item));
    assert_null(
        why_not(WIRE_MESSAGES, ONE(",\"max_tokens\":5,\"system\":\"s\",\"top_k\":3"), &item));
}

static void anything_else_goes_alone(void **state)
{
    static const char *const bodies[] = {
        ONE(",\"stream\":true"),
        ONE(",\"n\":2"),
        ONE(",\"stop\":[\"x\"]"),
        ONE(",\"tools\":[]"),
        ONE(",\"response_format\":{\"type\":\"text\"}"),
        ONE(",\"logprobs\":true"),
        ONE(",\"logit_bias\":{}"),
        ONE(",\"audio\":{}"),
        ONE(",\"whatever\":1"),
        ONE(",\"temperature\":null"),
        ONE(",\"max_tokens\":5,\"max_completion_tokens\":5"),
        ONE(",\"max_tokens\":\"5\""),
        "{\"model\":\"m\",\"messages\":[]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"name\":\"n\",\"content\":\"a\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\","
        "\"content\":\"b\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":"
        "\"user\",\"content\":\"b\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
        "\"image_url\":{}}]}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
        "\"text\":\"a\",\"cache_control\":{}}]}]}",
    };
    struct joint_item item;
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        if (!why_not(WIRE_CHAT, bodies[i], &item))
            fail_msg("joined: %s", bodies[i]);
    }
    assert_non_null(why_not(WIRE_COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"a\"}", &item));
    assert_non_null(why_not(WIRE_RESPONSES, "{\"model\":\"m\",\"input\":\"a\"}", &item));
    assert_non_null(why_not(WIRE_EMBEDDINGS, "{\"model\":\"m\",\"input\":\"a\"}", &item));
}

static void an_item_may_have_its_limit_and_not_one_byte_more(void **state)
{
    static char body[JOINT_MAX_ITEM_BYTES + 128], text[JOINT_MAX_ITEM_BYTES + 1];
    struct joint_item item;
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        size_t len = JOINT_MAX_ITEM_BYTES - 2 + more; /* its quotes count */
        memset(text, 'a', len);
        text[len] = '\0';
        (void)snprintf(body, sizeof(body),
                       "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
                       text);
        assert_int_equal(joint_item_read(WIRE_CHAT, body, strlen(body), &item) == NULL, !more);
    }
}

static void key_of(enum wire_endpoint endpoint, const char *body, const char *besides, char *ret)
{
    struct joint_item item;
    struct buf text;
    buf_init(&text, 100);
    assert_int_equal(buf_adds(&text, besides), 0);
    assert_null(joint_item_read(endpoint, body, strlen(body), &item));
    assert_int_equal(joint_item_key(&item, &text, ret), 0);
    buf_release(&text);
}

static void a_key_is_of_all_but_the_question_and_its_limit(void **state)
{
    char one[JOINT_KEY_BYTES], other[JOINT_KEY_BYTES];
    static const char *const same[] = {
        "{\"max_tokens\":9,\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"b\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
        "\"text\":"
        "\"b\"}]}],\"max_tokens\":1,\"n\":1}",
    };
    static const char *const different[] = {
        ONE(""),
        ONE(",\"max_completion_tokens\":5"),
        ONE(",\"max_tokens\":5,\"temperature\":0"),
        "{\"max_tokens\":9,\"model\":\"n\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        ("{\"max_tokens\":5,\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{"
         "\"role\":\"user\",\"content\":\"hi\"}]}"),
    };
    (void)state;
    key_of(WIRE_CHAT, ONE(",\"max_tokens\":5"), "tenant", one);
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        key_of(WIRE_CHAT, same[i], "tenant", other);
        assert_string_equal(one, other);
    }
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++) {
        key_of(WIRE_CHAT, different[i], "tenant", other);
        assert_string_not_equal(one, other);
    }
    key_of(WIRE_CHAT, ONE(",\"max_tokens\":5"), "other", other);
    assert_string_not_equal(one, other);
    key_of(WIRE_MESSAGES, ONE(",\"max_tokens\":5"), "tenant", other);
    assert_string_not_equal(one, other);
}

static json_t *joint(enum wire_endpoint endpoint, const char *const *bodies, size_t count,
                     int64_t most, struct joint_names *names)
{
    struct joint_item items[JOINT_MAX_ITEMS];
    struct buf out;
    buf_init(&out, HTTP_MAX_BODY_BYTES);
    joint_names_draw(names);
    for (size_t i = 0; i < count; i++)
        assert_null(joint_item_read(endpoint, bodies[i], strlen(bodies[i]), &items[i]));
    assert_int_equal(joint_request_write(items, count, names, most, &out), 0);
    json_t *body = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(body);
    buf_release(&out);
    return body;
}

static const char *const two[] = {
    "{\"model\":\"m\",\"temperature\":0.10,\"max_tokens\":5,\"n\":1,\"messages\":[{\"role\":"
    "\"system\",\"content\":\"say \\u00e9\"},{\"role\":\"user\",\"content\":\"first "
    "\\\"one\\\"\"}]}",
    "{\"model\":\"m\",\"temperature\":0.10,\"max_tokens\":7,\"messages\":[{\"role\":\"system\","
    "\"content\":\"say \\u00e9\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
    "\"second\"}]}]}",
};

static void a_joint_chat_asks_for_a_strict_schema_with_every_key(void **state)
{
    struct joint_names names;
    (void)state;
    json_t *body = joint(WIRE_CHAT, two, 2, 0, &names);
    const json_t *messages = json_object_get(body, "messages");
    const json_t *schema = json_object_get(json_object_get(body, "response_format"), "json_schema");
    const json_t *object = json_object_get(schema, "schema");
    assert_true(json_is_true(json_object_get(schema, "strict")));
    assert_int_equal(json_object_size(json_object_get(object, "properties")), 2);
    assert_int_equal(json_array_size(json_object_get(object, "required")), 2);
    assert_true(json_is_false(json_object_get(object, "additionalProperties")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(object, "required"), 1)),
                        "r2");
    assert_null(json_object_get(body, "n"));
    assert_int_equal(json_array_size(messages), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(messages, 0), "content")),
                        "say \xc3\xa9");
    const char *text = json_string_value(json_object_get(json_array_get(messages, 1), "content"));
    char part[128];
    (void)snprintf(part, sizeof(part), "\n<item-%s>\nfirst \"one\"\n</item-%s>\n", names.name[0],
                   names.name[0]);
    assert_non_null(strstr(text, part));
    (void)snprintf(part, sizeof(part), "\n<item-%s>\nsecond\n</item-%s>\n", names.name[1],
                   names.name[1]);
    assert_non_null(strstr(text, part));
    assert_string_not_equal(names.name[0], names.name[1]);
    /* The sum of what each may say, and what stands around it. */
    assert_in_range(json_integer_value(json_object_get(body, "max_tokens")), 12 + 2, 12 + 2 * 100);
    json_decref(body);
}

static void the_schema_does_not_hold_the_names(void **state)
{
    struct joint_names a, b;
    (void)state;
    json_t *one = joint(WIRE_CHAT, two, 2, 0, &a), *other = joint(WIRE_CHAT, two, 2, 0, &b);
    assert_true(json_equal(json_object_get(one, "response_format"),
                           json_object_get(other, "response_format")));
    assert_false(json_equal(one, other));
    json_decref(one);
    json_decref(other);
}

static void the_output_is_no_more_than_the_model_can_give(void **state)
{
    struct joint_names names;
    (void)state;
    json_t *body = joint(WIRE_CHAT, two, 2, 20, &names);
    assert_int_equal(json_integer_value(json_object_get(body, "max_tokens")), 20);
    json_decref(body);
}

static void a_joint_message_forces_a_tool(void **state)
{
    static const char *const bodies[] = {
        "{\"model\":\"m\",\"max_tokens\":5,\"system\":\"s\",\"messages\":[{\"role\":\"user\","
        "\"content\":\"a\"}]}",
        "{\"model\":\"m\",\"max_tokens\":5,\"system\":\"s\",\"messages\":[{\"role\":\"user\","
        "\"content\":\"b\"}]}"};
    struct joint_names names;
    (void)state;
    json_t *body = joint(WIRE_MESSAGES, bodies, 2, 0, &names);
    const json_t *choice = json_object_get(body, "tool_choice");
    const json_t *tool = json_array_get(json_object_get(body, "tools"), 0);
    assert_string_equal(json_string_value(json_object_get(choice, "type")), "tool");
    assert_string_equal(json_string_value(json_object_get(choice, "name")), JOINT_TOOL);
    assert_string_equal(json_string_value(json_object_get(tool, "name")), JOINT_TOOL);
    assert_string_equal(json_string_value(json_object_get(body, "system")), "s");
    assert_int_equal(json_array_size(json_object_get(body, "messages")), 1);
    json_decref(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_small_question_may_be_joined),
        cmocka_unit_test(anything_else_goes_alone),
        cmocka_unit_test(an_item_may_have_its_limit_and_not_one_byte_more),
        cmocka_unit_test(a_key_is_of_all_but_the_question_and_its_limit),
        cmocka_unit_test(a_joint_chat_asks_for_a_strict_schema_with_every_key),
        cmocka_unit_test(the_schema_does_not_hold_the_names),
        cmocka_unit_test(the_output_is_no_more_than_the_model_can_give),
        cmocka_unit_test(a_joint_message_forces_a_tool),
    };
    guard_init(&guard, 64 * KIB);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    guard_release(&guard);
    return failed;
}
