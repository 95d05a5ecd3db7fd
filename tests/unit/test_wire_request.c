#include "common/limits.h"
#include "scheduler/provider/wire.h"
#include "scheduler/provider/wire_content.h"
#include "tests/support/guard.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct guard guard;

static struct wire_request read_ok(enum wire_endpoint endpoint, const char *body)
{
    struct wire_request r;
    struct error e = {""};
    size_t len = strlen(body);
    if (wire_request_read(endpoint, guard_copy(&guard, body, len), len, &r, &e) != 0)
        fail_msg("%s: %s", body, e.text);
    return r;
}

static void refuse(enum wire_endpoint endpoint, const char *body, const char *want)
{
    struct wire_request r = {.choices = 7};
    struct error e = {""};
    size_t len = strlen(body);
    int rc = wire_request_read(endpoint, guard_copy(&guard, body, len), len, &r, &e);
    if (rc != -EINVAL || !strstr(e.text, want))
        fail_msg("%s: %d %s, wanted %s", body, rc, e.text, want);
    assert_int_equal(r.choices, 7); /* untouched on failure */
}

static void each_endpoint_is_found_by_its_path(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WIRE_ENDPOINT_COUNT; i++) {
        enum wire_endpoint found = WIRE_ENDPOINT_COUNT;
        assert_true(wire_endpoint_find(wire_path((enum wire_endpoint)i), &found));
        assert_int_equal(found, i);
    }
    enum wire_endpoint found;
    assert_false(wire_endpoint_find("/v1/chat", &found));
    assert_string_equal(wire_upstream_path(WIRE_CHAT), "/chat/completions");
    assert_string_equal(wire_upstream_path(WIRE_MESSAGES), "/v1/messages");
    assert_int_equal(wire_format_of(WIRE_RESPONSES), WIRE_OPENAI);
    assert_int_equal(wire_format_of(WIRE_MESSAGES), WIRE_ANTHROPIC);
}

static void a_plain_chat_request_is_read(void **state)
{
    (void)state;
    struct wire_request r =
        read_ok(WIRE_CHAT,
                "  {\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"system\",\"content\":\"abc\"},"
                "{\"role\":\"user\",\"content\":\"d\\n\\u00e9\"}]}\n");
    assert_true(json_equals(r.model, "gpt-4o"));
    assert_false(r.stream);
    assert_false(r.usage_asked);
    assert_int_equal(r.max_output_tokens, -1);
    assert_int_equal(r.choices, 1);
    assert_int_equal(r.messages, 2);
    assert_int_equal(r.tools, 0);
    assert_int_equal(r.images, 0);
    assert_int_equal(r.input_bytes, 3 + 4); /* decoded; roles are no text */
    assert_int_equal(r.text.words, 2);
    assert_int_equal(r.text.two_bytes, 1);
    assert_int_equal(r.text.blank_runs, 1);
    assert_int_equal(r.body.at[0], '{');
    assert_int_equal(r.body.at[r.body.len - 1], '}');
}

static void options_of_a_chat_request_are_read(void **state)
{
    (void)state;
    struct wire_request r = read_ok(
        WIRE_CHAT, "{\"messages\":[],\"n\":3,\"stream\":true,\"max_tokens\":10,"
                   "\"max_completion_tokens\":20,\"stream_options\":{\"include_usage\":true},"
                   "\"model\":\"m\",\"metadata\":{\"note\":\"is not billed\"}}");
    assert_true(r.stream);
    assert_true(r.usage_asked);
    assert_int_equal(r.max_output_tokens, 20);
    assert_int_equal(r.choices, 3);
    assert_int_equal(r.input_bytes, 0);
}

static void null_means_absent(void **state)
{
    (void)state;
    struct wire_request r = read_ok(
        WIRE_CHAT, "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":null}],"
                   "\"max_tokens\":null,\"n\":null,\"stream\":null,\"tools\":null,"
                   "\"stream_options\":null}");
    assert_int_equal(r.max_output_tokens, -1);
    assert_int_equal(r.choices, 1);
    assert_int_equal(r.input_bytes, 0);
    assert_int_equal(r.messages, 1);
}

static void parts_of_a_chat_message_are_told_apart(void **state)
{
    (void)state;
    struct wire_request r = read_ok(
        WIRE_CHAT,
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":["
        "{\"type\":\"text\",\"text\":\"look\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAAAAAA\"}},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://x/y\",\"detail\":\"low\"}},"
        "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAAAAAAAAAAAAAA\",\"format\":"
        "\"mp3\"}},"
        "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":\"AAAABBBB\"}}]}]}");
    assert_int_equal(r.input_bytes, 4); /* none of the base64 */
    assert_int_equal(r.images, 2);
    assert_int_equal(r.images_low, 1);
    assert_int_equal(r.audio_ms, 3); /* 12 bytes at 4 per millisecond */
    assert_int_equal(r.files, 1);
    assert_int_equal(r.file_bytes, 6);
}

static void tool_calls_and_their_results_are_text(void **state)
{
    (void)state;
    struct wire_request r = read_ok(
        WIRE_CHAT,
        "{\"model\":\"m\",\"messages\":["
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":"
        "\"function\",\"function\":{\"name\":\"get\",\"arguments\":\"{\\\"a\\\":1}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"done\"}]}");
    assert_int_equal(r.input_bytes, 3 + 7 + 4);
}

static void definitions_of_tools_and_answer_schemas_count_as_compact_json(void **state)
{
    (void)state;
    struct wire_request r = read_ok(
        WIRE_CHAT, "{\"model\":\"m\",\"messages\":[],\"tools\":[ {\"a\": \"b c\"} , {} ],"
                   "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"x\": 1}}}");
    assert_int_equal(r.tools, 2);
    assert_int_equal(r.schema.bytes,
                     (int64_t)strlen("[{\"a\":\"b c\"},{}]") + (int64_t)strlen("{\"x\":1}"));
    assert_int_equal(r.input_bytes, r.schema.bytes);
    assert_int_equal(r.text.bytes, 0);

    r = read_ok(WIRE_RESPONSES, "{\"model\":\"m\",\"text\":{\"format\":{\"type\":\"json_schema\","
                                "\"schema\":{\"x\":1}}}}");
    assert_int_equal(r.schema.bytes, 7);
}

/* What is new in a dialect and stands inside a message counts; beside the messages not. */
static void an_unknown_member_of_a_message_counts_as_text(void **state)
{
    (void)state;
    struct wire_request r = read_ok(
        WIRE_CHAT, "{\"model\":\"m\",\"novel\":\"12345\",\"messages\":[{\"role\":\"assistant\","
                   "\"reasoning_content\":\"123\",\"content\":[{\"type\":\"novel\","
                   "\"inner\":{\"deep\":[\"45\"]}}]}]}");
    assert_int_equal(r.input_bytes, 5);
}

static void prompts_of_a_completion_have_four_shapes(void **state)
{
    (void)state;
    struct wire_request r = read_ok(WIRE_COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"abc\"}");
    assert_int_equal(r.input_bytes, 3);
    assert_int_equal(r.messages, 1);
    assert_int_equal(r.choices, 1);

    r = read_ok(WIRE_COMPLETIONS,
                "{\"model\":\"m\",\"prompt\":[\"ab\",\"c\"],\"n\":2,\"best_of\":3}");
    assert_int_equal(r.input_bytes, 3);
    assert_int_equal(r.messages, 2);
    assert_int_equal(r.choices, 6); /* best_of for each of the prompts */

    r = read_ok(WIRE_COMPLETIONS, "{\"model\":\"m\",\"prompt\":[1,22,333]}");
    assert_int_equal(r.token_ids, 3);
    assert_int_equal(r.input_bytes, 0);
    assert_int_equal(r.choices, 1);

    r = read_ok(WIRE_COMPLETIONS, "{\"model\":\"m\",\"prompt\":[[1,2],[3]],\"suffix\":\"xy\"}");
    assert_int_equal(r.token_ids, 3);
    assert_int_equal(r.input_bytes, 2);
    assert_int_equal(r.choices, 2);
}

static void inputs_of_an_embedding_are_counted(void **state)
{
    (void)state;
    struct wire_request r =
        read_ok(WIRE_EMBEDDINGS, "{\"model\":\"m\",\"input\":[\"ab\",\"cde\",[7,8]]}");
    assert_int_equal(r.messages, 3);
    assert_int_equal(r.input_bytes, 5);
    assert_int_equal(r.token_ids, 2);
    assert_int_equal(r.choices, 1);
}

static void items_of_a_response_request_are_read(void **state)
{
    (void)state;
    struct wire_request r =
        read_ok(WIRE_RESPONSES,
                "{\"model\":\"m\",\"instructions\":\"abc\",\"max_output_tokens\":5,\"stream\":true,"
                "\"tools\":[{\"type\":\"function\"}],\"input\":["
                "{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"de\"},"
                "{\"type\":\"input_image\",\"image_url\":\"data:...\",\"detail\":\"low\"}]},"
                "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":\"summary_text\","
                "\"text\":\"f\"}],"
                "\"encrypted_content\":\"AAAA\"},"
                "{\"type\":\"function_call\",\"id\":\"fc_1\",\"call_id\":\"c\",\"name\":\"g\","
                "\"arguments\":\"{}\","
                "\"status\":\"completed\"},"
                "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"hij\"},"
                "{\"type\":\"custom_tool_call\",\"call_id\":\"c\",\"name\":\"k\",\"input\":\"lm\"},"
                "{\"type\":\"item_reference\",\"id\":\"x\",\"text\":\"not read\"}]}");
    assert_int_equal(r.messages, 6);
    assert_int_equal(r.text.bytes, 3 + 2 + 1 + 1 + 2 + 3 + 1 + 2);
    assert_int_equal(r.images_low, 1);
    assert_int_equal(r.opaque_bytes, 4);
    assert_int_equal(r.max_output_tokens, 5);
    assert_int_equal(r.tools, 1);
    assert_true(r.stream);
    assert_false(r.remote_history);

    r = read_ok(WIRE_RESPONSES,
                "{\"model\":\"m\",\"input\":\"abcd\",\"previous_response_id\":\"resp_1\"}");
    assert_int_equal(r.messages, 1);
    assert_int_equal(r.text.bytes, 4);
    assert_true(r.remote_history);
    assert_false(
        read_ok(WIRE_RESPONSES, "{\"model\":\"m\",\"previous_response_id\":null}").remote_history);
}

static void blocks_of_anthropic_messages_are_read(void **state)
{
    (void)state;
    struct wire_request r = read_ok(
        WIRE_MESSAGES,
        "{\"model\":\"claude\",\"max_tokens\":64,\"system\":[{\"type\":\"text\",\"text\":\"ab\","
        "\"cache_control\":{\"type\":\"ephemeral\"}}],\"messages\":["
        "{\"role\":\"user\",\"content\":\"c\"},"
        "{\"role\":\"assistant\",\"content\":["
        "{\"type\":\"thinking\",\"thinking\":\"de\",\"signature\":\"AAAAAAAAAAAAAAAA\"},"
        "{\"type\":\"redacted_thinking\",\"data\":\"AAAAAAAA\"},"
        "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{ \"g\" : 1 }}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\","
        "\"content\":[{\"type\":\"text\",\"text\":\"hi\"},{\"type\":\"image\",\"source\":{\"type\":"
        "\"base64\","
        "\"media_type\":\"image/png\",\"data\":\"AAAAAAAAAAAAAAAAAAAA\"}}]},"
        "{\"type\":\"document\",\"title\":\"j\",\"source\":{\"type\":\"text\",\"data\":\"klm\"}},"
        "{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":\"text\","
        "\"text\":\"n\"}]}},"
        "{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"data\":\"AAAABBBBCCCC\"}}]}]}");
    assert_int_equal(r.messages, 3);
    assert_int_equal(r.max_output_tokens, 64);
    assert_int_equal(r.text.bytes, 2 + 1 + 2 + 1 + 7 + 2 + 1 + 3 + 1);
    assert_int_equal(r.images, 1);
    assert_int_equal(r.opaque_bytes, 8);
    assert_int_equal(r.files, 1);
    assert_int_equal(r.file_bytes, 9);

    r = read_ok(WIRE_MESSAGES, "{\"model\":\"m\",\"messages\":[],\"system\":\"abc\"}");
    assert_int_equal(r.text.bytes, 3);
}

static void a_wrong_field_is_named_with_what_was_found(void **state)
{
    (void)state;
    refuse(WIRE_CHAT, "[]", "the request: found an array, expected an object");
    refuse(WIRE_CHAT, "{\"messages\":[]}", "model: is missing");
    refuse(WIRE_CHAT, "{\"model\":4,\"messages\":[]}", "model: found a number");
    refuse(WIRE_CHAT, "{\"model\":null,\"messages\":[]}", "model: found null");
    refuse(WIRE_CHAT, "{\"model\":\"\",\"messages\":[]}", "model: found a string");
    refuse(WIRE_CHAT, "{\"model\":\"m\"}", "messages: is missing");
    refuse(WIRE_CHAT, "{\"model\":\"m\",\"messages\":\"hi\"}", "messages: found a string");
    refuse(WIRE_MESSAGES, "{\"model\":\"m\",\"messages\":{}}", "messages: found an object");
    refuse(WIRE_EMBEDDINGS, "{\"model\":\"m\"}", "input: is missing");
    refuse(WIRE_EMBEDDINGS, "{\"model\":\"m\",\"input\":3}", "input: found a number");
    refuse(WIRE_RESPONSES, "{\"model\":\"m\",\"input\":{}}", "input: found an object");
    refuse(WIRE_COMPLETIONS, "{\"model\":\"m\",\"prompt\":true}", "prompt: found true or false");
    refuse(WIRE_CHAT, "{\"model\":\"m\",\"messages\":[],\"stream\":\"yes\"}",
           "stream: found a string");
    refuse(WIRE_CHAT, "{\"model\":\"m\",\"messages\":[],\"stream_options\":1}",
           "stream_options: found");
    refuse(WIRE_CHAT, "{\"model\":\"m\",\"messages\":[],\"stream_options\":{\"include_usage\":1}}",
           "stream_options.include_usage: found a number");
    refuse(WIRE_CHAT, "{\"model\":\"m\",\"messages\":[]", "not valid JSON: byte 26");
}

static void a_field_that_stands_twice_is_refused(void **state)
{
    (void)state;
    refuse(WIRE_CHAT, "{\"model\":\"a\",\"messages\":[],\"model\":\"b\"}", "model: stands twice");
    refuse(WIRE_CHAT, "{\"model\":\"a\",\"messages\":[],\"mod\\u0065l\":\"b\"}",
           "model: stands twice");
    refuse(WIRE_CHAT, "{\"model\":\"a\",\"messages\":[],\"n\":null,\"n\":2}", "n: stands twice");
}

static void numbers_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *field, *number;
        bool ok;
    } cases[] = {
        {"max_tokens", "0", true},
        {"max_tokens", "-1", false},
        {"max_tokens", "1.5", false},
        {"max_tokens", "1e3", false},
        {"max_tokens", "\"10\"", false},
        {"max_tokens", "1000000000", true},
        {"max_tokens", "1000000001", false},
        {"max_completion_tokens", "-1", false},
        {"n", "0", false},
        {"n", "1", true},
        {"n", "128", true},
        {"n", "129", false},
        {"n", "1.0", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[160];
        (void)snprintf(body, sizeof(body), "{\"model\":\"m\",\"messages\":[],\"%s\":%s}",
                       cases[i].field, cases[i].number);
        if (cases[i].ok)
            (void)read_ok(WIRE_CHAT, body);
        else
            refuse(WIRE_CHAT, body, cases[i].field);
    }
}

static void a_body_that_is_nested_too_deep_is_told_apart(void **state)
{
    (void)state;
    char body[512] = "{\"model\":\"m\",\"messages\":";
    size_t len = strlen(body);
    memset(body + len, '[', JSON_MAX_DEPTH);
    struct wire_request r;
    struct error e;
    assert_int_equal(wire_request_read(WIRE_CHAT, body, len + JSON_MAX_DEPTH, &r, &e), -E2BIG);
}

/* At the last level that is told apart an id is no text; one deeper all is JSON text. */
static void content_below_the_maximum_of_levels_counts_whole(void **state)
{
    (void)state;
    for (int depth = WIRE_CONTENT_DEPTH; depth <= WIRE_CONTENT_DEPTH + 1; depth++) {
        char text[128] = "";
        memset(text, '[', (size_t)depth);
        (void)strcat(text, "{\"id\":\"abcdef\"}");
        size_t len = strlen(text);
        memset(text + len, ']', (size_t)depth);
        struct wire_content c = {0};
        wire_content_add(&c, (struct json_span){text, len + (size_t)depth});
        assert_int_equal(wire_text_of(&c.text).bytes, depth > WIRE_CONTENT_DEPTH ? 15 : 0);
    }
}

static void expect_edit(int rc, const struct buf *out, const char *want)
{
    assert_int_equal(rc, 0);
    assert_string_equal(out->data, want);
}

static void usage_is_asked_for_without_touching_another_byte(void **state)
{
    (void)state;
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"{ \"model\":\"m\",\"messages\":[], \"stream\":true, \"top_p\":0.10 }",
         "{\"stream_options\":{\"include_usage\":true}, \"model\":\"m\",\"messages\":[], "
         "\"stream\":true, \"top_p\":0.10 }"},
        {"{\"model\":\"m\",\"messages\":[],\"stream\":true,\"stream_options\":null}",
         "{\"model\":\"m\",\"messages\":[],\"stream\":true,\"stream_options\":{\"include_usage\":"
         "true}}"},
        {"{\"model\":\"m\",\"messages\":[],\"stream\":true,\"stream_options\":{}}",
         "{\"model\":\"m\",\"messages\":[],\"stream\":true,\"stream_options\":{\"include_usage\":"
         "true}}"},
        {"{\"model\":\"m\",\"messages\":[],\"stream\":true,\"stream_options\":{\"x\":1}}",
         "{\"model\":\"m\",\"messages\":[],\"stream\":true,\"stream_options\":{\"include_usage\":"
         "true,\"x\":1}}"},
        {"{\"model\":\"m\",\"messages\":[],\"stream\":true,\"stream_options\":{\"include_usage\": "
         "false }}",
         "{\"model\":\"m\",\"messages\":[],\"stream\":true,\"stream_options\":{\"include_usage\": "
         "true }}"},
        {"{\"model\":\"m\",\"messages\":[],\"stream\":true,\"stream_options\":{\"include_usage\":"
         "true}}",
         "{\"model\":\"m\",\"messages\":[],\"stream\":true,\"stream_options\":{\"include_usage\":"
         "true}}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_request r = read_ok(WIRE_CHAT, cases[i].body);
        struct buf out;
        buf_init(&out, KIB);
        expect_edit(wire_request_ask_usage(WIRE_CHAT, &r, &out), &out, cases[i].want);
        assert_true(read_ok(WIRE_CHAT, out.data).usage_asked);
        buf_release(&out);
    }
}

static void usage_cannot_be_asked_for_where_there_is_no_option(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, KIB);
    struct wire_request r = read_ok(WIRE_CHAT, "{\"model\":\"m\",\"messages\":[]}");
    assert_int_equal(wire_request_ask_usage(WIRE_CHAT, &r, &out), -ENOTSUP);
    r = read_ok(WIRE_MESSAGES, "{\"model\":\"m\",\"messages\":[],\"stream\":true}");
    assert_int_equal(wire_request_ask_usage(WIRE_MESSAGES, &r, &out), -ENOTSUP);
    r = read_ok(WIRE_RESPONSES, "{\"model\":\"m\",\"stream\":true}");
    assert_int_equal(wire_request_ask_usage(WIRE_RESPONSES, &r, &out), -ENOTSUP);
    assert_int_equal(out.len, 0);
    buf_release(&out);
}

static void a_model_is_replaced_without_touching_another_byte(void **state)
{
    (void)state;
    struct wire_request r = read_ok(
        WIRE_CHAT,
        "{\"x\":{\"model\":\"no\"}, \"model\" : \"m\\u00e9\" ,\"messages\":[ ],\"y\":1.50}");
    struct buf out;
    buf_init(&out, KIB);
    expect_edit(
        wire_request_set_model(&r, "a\"b\xc3\xa9", &out), &out,
        "{\"x\":{\"model\":\"no\"}, \"model\" : \"a\\\"b\xc3\xa9\" ,\"messages\":[ ],\"y\":1.50}");
    assert_true(json_equals(read_ok(WIRE_CHAT, out.data).model, "a\"b\xc3\xa9"));
    buf_release(&out);
}

static void a_member_is_dropped_and_the_others_stay(void **state)
{
    static const struct {
        const char *body, *wanted;
    } cases[] = {
        {"{\"priority\":1,\"model\":\"m\",\"messages\":[]}", "{\"model\":\"m\",\"messages\":[]}"},
        {"{\"model\":\"m\" , \"messages\":[ ] , \"priority\" : 1 }",
         "{\"model\":\"m\",\"messages\":[ ]}"},
        {"{\"model\":\"m\",\"pri\\u006frity\":1,\"x\":{\"priority\":1.50},\"messages\":[],"
         "\"priority\":2}",
         "{\"model\":\"m\",\"x\":{\"priority\":1.50},\"messages\":[]}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_request r = read_ok(WIRE_CHAT, cases[i].body);
        struct buf out;
        buf_init(&out, KIB);
        assert_int_equal(wire_request_drop(&r, "priority", &out), 0);
        assert_string_equal(out.data, cases[i].wanted);
        buf_release(&out);
    }
}

static void an_edit_that_does_not_fit_is_told(void **state)
{
    (void)state;
    struct wire_request r = read_ok(WIRE_CHAT, "{\"model\":\"m\",\"messages\":[],\"stream\":true}");
    struct buf out;
    buf_init(&out, 40);
    assert_int_equal(wire_request_set_model(&r, "longer", &out), -ENOSPC);
    buf_clear(&out);
    assert_int_equal(wire_request_ask_usage(WIRE_CHAT, &r, &out), -ENOSPC);
    buf_release(&out);
}

/* ---- random bodies: edits change what they should and nothing else */

static uint32_t below(uint32_t *seed, uint32_t n)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return (*seed >> 8) % n;
}

static void add_some(uint32_t *seed, struct buf *b, const char *const *list, uint32_t count)
{
    (void)buf_adds(b, list[below(seed, count)]);
}

#define PICK(seed, b, ...)                                                                         \
    add_some(seed, b, (const char *const[]){__VA_ARGS__},                                          \
             sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void make_body(uint32_t *seed, struct buf *b)
{
    PICK(seed, b, "{", "{ ", " {\n\t");
    PICK(seed, b, "", "\"x\":[1.0,{\"model\":\"in\",\"stream_options\":{}}],",
         "\"y\":\"a}b\\\"\",");
    PICK(seed, b, "\"model\":\"m\"", "\"model\" : \"gpt-\\u0034\"", "\"model\":\"\xc3\xa9\\n\"");
    PICK(seed, b, ",", " , ");
    PICK(seed, b, "\"messages\":[]", "\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9]\"}]");
    PICK(seed, b, "", ",\"stream_options\":null", ",\"stream_options\": { }",
         ",\"stream_options\":{\"include_usage\":false,\"z\":[]}",
         ",\"stream_options\":{\"z\":{\"include_usage\":1}}",
         ",\"stream_options\":{\"include_usage\":null}",
         ",\"stream_options\":{\"include_usage\":true}");
    PICK(seed, b, ",\"stream\":true", " ,\n\"stream\": true");
    PICK(seed, b, "}", " }\n", ",\"temperature\":1e-0}");
}

/* Everything before and behind the one place that may change is the same. */
static void expect_one_change(const struct wire_request *r, const struct buf *out, size_t most)
{
    size_t head = 0, tail = 0, len = r->body.len;
    while (head < len && head < out->len && r->body.at[head] == out->data[head])
        head++;
    while (tail < len - head && tail < out->len - head &&
           r->body.at[len - 1 - tail] == out->data[out->len - 1 - tail])
        tail++;
    assert_in_range(len - head - tail, 0, most);
}

static void edits_of_random_bodies_change_one_place(void **state)
{
    (void)state;
    const char *given = getenv("TEST_SEED");
    uint32_t first_seed = given ? (uint32_t)strtoul(given, NULL, 10) : 1;
    print_message("TEST_SEED=%u\n", first_seed);
    for (uint32_t run = 0; run < 2000; run++) {
        uint32_t seed = first_seed + run * 7919;
        struct buf body, out;
        buf_init(&body, KIB);
        buf_init(&out, 2 * KIB);
        make_body(&seed, &body);
        struct wire_request r = read_ok(WIRE_CHAT, body.data);

        assert_int_equal(wire_request_ask_usage(WIRE_CHAT, &r, &out), 0);
        struct error e;
        struct wire_request again;
        assert_int_equal(wire_request_read(WIRE_CHAT, out.data, out.len, &again, &e), 0);
        assert_true(again.usage_asked);
        expect_one_change(&r, &out, strlen("false"));

        buf_clear(&out);
        assert_int_equal(wire_request_set_model(&r, "o\"ther", &out), 0);
        assert_int_equal(wire_request_read(WIRE_CHAT, out.data, out.len, &again, &e), 0);
        assert_true(json_equals(again.model, "o\"ther"));
        assert_int_equal(again.usage_asked, r.usage_asked);
        expect_one_change(&r, &out, strlen("gpt-\\u0034"));
        buf_release(&body);
        buf_release(&out);
    }
}

static int make_guard(void **state)
{
    (void)state;
    guard_init(&guard, 64 * KIB);
    return 0;
}

static int drop_guard(void **state)
{
    (void)state;
    guard_release(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_endpoint_is_found_by_its_path),
        cmocka_unit_test(a_plain_chat_request_is_read),
        cmocka_unit_test(options_of_a_chat_request_are_read),
        cmocka_unit_test(null_means_absent),
        cmocka_unit_test(parts_of_a_chat_message_are_told_apart),
        cmocka_unit_test(tool_calls_and_their_results_are_text),
        cmocka_unit_test(definitions_of_tools_and_answer_schemas_count_as_compact_json),
        cmocka_unit_test(an_unknown_member_of_a_message_counts_as_text),
        cmocka_unit_test(prompts_of_a_completion_have_four_shapes),
        cmocka_unit_test(inputs_of_an_embedding_are_counted),
        cmocka_unit_test(items_of_a_response_request_are_read),
        cmocka_unit_test(blocks_of_anthropic_messages_are_read),
        cmocka_unit_test(a_wrong_field_is_named_with_what_was_found),
        cmocka_unit_test(a_field_that_stands_twice_is_refused),
        cmocka_unit_test(numbers_are_bounded),
        cmocka_unit_test(a_body_that_is_nested_too_deep_is_told_apart),
        cmocka_unit_test(content_below_the_maximum_of_levels_counts_whole),
        cmocka_unit_test(usage_is_asked_for_without_touching_another_byte),
        cmocka_unit_test(usage_cannot_be_asked_for_where_there_is_no_option),
        cmocka_unit_test(a_model_is_replaced_without_touching_another_byte),
        cmocka_unit_test(a_member_is_dropped_and_the_others_stay),
        cmocka_unit_test(an_edit_that_does_not_fit_is_told),
        cmocka_unit_test(edits_of_random_bodies_change_one_place),
    };
    return cmocka_run_group_tests(tests, make_guard, drop_guard);
}
