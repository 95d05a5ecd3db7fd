#include "scheduler/prompt/transcript.h"

#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct transcript read(enum wire_endpoint endpoint, const char *body)
{
    struct transcript t;
    struct error e = {""};
    assert_int_equal(json_scan_check(body, strlen(body), &e), 0);
    assert_int_equal(transcript_read(endpoint, body, strlen(body), &t, &e), 0);
    return t;
}

/* One letter for each message: its role; an atom's first message in upper case. */
static const char *shape(const struct transcript *t)
{
    static char text[64];
    for (uint32_t i = 0; i < t->count && i < sizeof(text) - 1; i++) {
        static const char roles[] = {'s', 'u', 'a', 't', 'o'};
        char c = roles[t->messages[i].role];
        text[i] = transcript_may_cut(t, i) ? (char)(c - 'a' + 'A') : c;
        text[i + 1] = '\0';
    }
    return t->count ? text : "";
}

static const char *turns(const struct transcript *t)
{
    static char text[64];
    for (uint32_t i = 0; i < t->count && i < sizeof(text) - 1; i++) {
        text[i] = (char)((t->messages[i].pinned ? 'A' : 'a') + t->messages[i].turn);
        text[i + 1] = '\0';
    }
    return t->count ? text : "";
}

static void assert_span(struct json_span span, const char *text)
{
    assert_int_equal(span.len, strlen(text));
    assert_memory_equal(span.at, text, span.len);
}

static const char chat[] =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
    "{\"role\":\"user\",\"content\":\"q\"},"
    "{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":["
    "{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
    "{\"id\":\"2\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"2\",\"content\":\"r\"},"
    "{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"r\"},"
    "{\"role\":\"assistant\",\"content\":\"a\"},"
    "{\"role\":\"developer\",\"content\":\"d\"},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"z\"}]}],\"tools\":[]}";

static void a_chat_is_messages_blocks_atoms_and_turns(void **state)
{
    (void)state;
    struct transcript t = read(WIRE_CHAT, chat);
    assert_string_equal(shape(&t), "SUAttASU");
    assert_string_equal(turns(&t), "AbbbbbBC");
    assert_int_equal(t.turns, 2);
    assert_int_equal(t.last_turn, 7);
    assert_span(t.tools, "[]");
    assert_span(t.model, "\"m\"");

    const struct transcript_message *call = &t.messages[2];
    assert_int_equal(call->block_count, 3);
    const struct transcript_block *first = &t.blocks[call->block + 1];
    assert_int_equal(first->kind, BLOCK_CALL);
    assert_span(first->id, "\"1\"");
    assert_span(first->name, "\"f\"");
    assert_span(first->value, "\"{}\"");
    assert_int_equal(t.blocks[first->pair].message, 4);
    assert_int_equal(t.blocks[t.messages[3].block].pair, call->block + 2);
    assert_span(t.blocks[t.messages[3].block].value, "\"r\"");
    transcript_release(&t);
}

static void an_id_means_only_the_calls_right_before_it_in_a_chat(void **state)
{
    (void)state;
    struct transcript t =
        read(WIRE_CHAT, "{\"messages\":["
                        "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\"}]},"
                        "{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"r\"},"
                        "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\"}]},"
                        "{\"role\":\"user\",\"content\":\"x\"},"
                        "{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"r\"}]}");
    assert_int_equal(t.blocks[0].pair, 1);
    assert_int_equal(t.blocks[2].pair, TRANSCRIPT_NONE);
    assert_int_equal(t.blocks[4].pair, TRANSCRIPT_NONE);
    assert_string_equal(shape(&t), "AtAUt");
    transcript_release(&t);
}

static void an_old_function_call_is_tied_to_its_function_message(void **state)
{
    (void)state;
    struct transcript t =
        read(WIRE_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},"
                        "{\"role\":\"assistant\",\"content\":null,\"function_call\":"
                        "{\"name\":\"f\",\"arguments\":\"{}\"}},"
                        "{\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"}]}");
    assert_string_equal(shape(&t), "UAt");
    assert_int_equal(t.blocks[1].kind, BLOCK_CALL);
    assert_int_equal(t.blocks[1].pair, 2);
    transcript_release(&t);
}

static void results_alone_make_no_turn_with_anthropic(void **state)
{
    (void)state;
    struct transcript t = read(
        WIRE_MESSAGES,
        "{\"system\":[{\"type\":\"text\",\"text\":\"s\"}],\"messages\":["
        "{\"role\":\"user\",\"content\":\"q\"},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\"},"
        "{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"f\",\"input\":{\"a\":1}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"1\","
        "\"is_error\":true,\"content\":[{\"type\":\"text\",\"text\":\"r\",\"cache_control\":{}}]}]"
        "},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"f\","
        "\"input\":{}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"1\"},"
        "{\"type\":\"text\",\"text\":\"hurry\"}]},"
        "{\"role\":\"assistant\",\"content\":\"a\"},"
        "{\"role\":\"user\",\"content\":\"z\"}]}");
    /* A reminder beside a result begins no turn either, since nothing could be cut there. */
    assert_string_equal(shape(&t), "UAtAuAU");
    assert_string_equal(turns(&t), "bbbbbbC");
    assert_span(t.system, "[{\"type\":\"text\",\"text\":\"s\"}]");
    const struct transcript_block *result = &t.blocks[t.messages[2].block];
    assert_true(result->failed);
    assert_true(result->marked);
    assert_int_equal(result->pair, t.messages[1].block + 1);
    assert_int_equal(t.blocks[t.messages[1].block].kind, BLOCK_THINKING);
    assert_int_equal(t.blocks[t.messages[4].block].pair, t.messages[3].block);
    assert_false(t.blocks[t.messages[4].block].marked);
    transcript_release(&t);
}

static void one_answer_of_items_is_one_atom(void **state)
{
    (void)state;
    struct transcript t =
        read(WIRE_RESPONSES,
             "{\"instructions\":\"i\",\"input\":[{\"role\":\"user\",\"content\":\"q\"},"
             "{\"type\":\"reasoning\",\"summary\":[]},"
             "{\"type\":\"function_call\",\"call_id\":\"1\",\"name\":\"f\",\"arguments\":\"{}\"},"
             "{\"type\":\"function_call\",\"call_id\":\"2\",\"name\":\"f\",\"arguments\":\"{}\"},"
             "{\"type\":\"function_call_output\",\"call_id\":\"1\",\"output\":\"r\"},"
             "{\"type\":\"function_call_output\",\"call_id\":\"2\",\"output\":\"r\"},"
             "{\"type\":\"reasoning\",\"summary\":[]},"
             "{\"type\":\"web_search_call\",\"id\":\"w\"},"
             "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[]},"
             "{\"type\":\"message\",\"role\":\"user\",\"content\":\"z\"}]}");
    assert_string_equal(shape(&t), "UAaattAaaU");
    assert_string_equal(turns(&t), "bbbbbbbbbC");
    assert_int_equal(t.blocks[2].pair, 4);
    assert_int_equal(t.blocks[5].pair, 3);
    assert_false(t.remote_history);
    transcript_release(&t);
}

static void what_lies_at_the_provider_is_noticed(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"previous_response_id\":\"x\",\"input\":[]}",
        "{\"conversation\":{\"id\":\"x\"},\"input\":[]}",
        "{\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}]}",
    };
    for (size_t i = 0; i < 3; i++) {
        struct transcript t = read(WIRE_RESPONSES, bodies[i]);
        assert_true(t.remote_history);
        transcript_release(&t);
    }
    struct transcript t = read(WIRE_RESPONSES, "{\"previous_response_id\":null,\"input\":\"x\"}");
    assert_false(t.remote_history);
    assert_int_equal(t.count, 0);
    transcript_release(&t);
}

static void messages_of_the_user_in_a_row_are_one_turn(void **state)
{
    (void)state;
    struct transcript t =
        read(WIRE_CHAT, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"h\"},"
                        "{\"role\":\"user\",\"content\":\"1\"},"
                        "{\"role\":\"system\",\"content\":\"s\"},"
                        "{\"role\":\"user\",\"content\":\"2\"},"
                        "{\"role\":\"assistant\",\"content\":\"a\"}]}");
    assert_string_equal(turns(&t), "aBBBB");
    transcript_release(&t);
    t = read(WIRE_CHAT, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"h\"}]}");
    assert_string_equal(turns(&t), "A"); /* without a user all is the last turn */
    transcript_release(&t);
}

static void a_compaction_pins_its_message(void **state)
{
    (void)state;
    struct transcript t =
        read(WIRE_MESSAGES, "{\"messages\":[{\"role\":\"user\",\"content\":\"1\"},"
                            "{\"role\":\"assistant\",\"content\":[{\"type\":\"compaction\"}]},"
                            "{\"role\":\"user\",\"content\":\"2\"}]}");
    assert_string_equal(turns(&t), "bBC");
    transcript_release(&t);
}

static void the_endpoint_is_told_from_the_body(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum wire_endpoint endpoint;
    } cases[] = {
        {"{\"input\":\"x\"}", WIRE_RESPONSES},
        {"{\"messages\":[]}", WIRE_CHAT},
        {"{\"messages\":[],\"system\":\"s\"}", WIRE_MESSAGES},
        {"{\"messages\":[],\"system\":null}", WIRE_CHAT},
        {"{\"messages\":[],\"model\":\"claude-3\"}", WIRE_MESSAGES},
        {"{\"messages\":[],\"model\":\"anthropic/claude-3\"}", WIRE_CHAT},
        {"{\"messages\":[],\"tools\":[{\"name\":\"f\",\"input_schema\":{}}]}", WIRE_MESSAGES},
    };
    enum wire_endpoint endpoint;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_span body = json_span_of(cases[i].body, strlen(cases[i].body));
        assert_true(transcript_endpoint(body, &endpoint));
        assert_int_equal(endpoint, cases[i].endpoint);
    }
    assert_false(transcript_endpoint(json_span_of("{}", 2), &endpoint));
}

static void what_is_no_conversation_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum wire_endpoint endpoint;
        const char *body;
    } cases[] = {
        {WIRE_CHAT, "[]"},
        {WIRE_CHAT, "{}"},
        {WIRE_CHAT, "{\"messages\":\"x\"}"},
        {WIRE_RESPONSES, "{\"input\":1}"},
        {WIRE_EMBEDDINGS, "{\"input\":\"x\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct transcript t;
        struct error e = {""};
        assert_int_equal(
            transcript_read(cases[i].endpoint, cases[i].body, strlen(cases[i].body), &t, &e),
            -EINVAL);
        assert_string_not_equal(e.text, "");
    }
}

static void odd_messages_are_read_and_pinned(void **state)
{
    (void)state;
    struct transcript t =
        read(WIRE_CHAT, "{\"messages\":[1,null,{},{\"role\":\"x\",\"content\":{\"a\":1}},"
                        "{\"role\":\"tool\"},{\"role\":\"user\",\"content\":[1,\"x\",{}]},"
                        "{\"role\":\"assistant\",\"tool_calls\":{\"a\":1}}]}");
    assert_string_equal(shape(&t), "OOOOtUA");
    assert_string_equal(turns(&t), "AAAAaBB");
    transcript_release(&t);
}

static int read_repeated(const char *item, size_t count)
{
    size_t len = strlen(item);
    char *body = malloc(count * (len + 1) + 64);
    assert_non_null(body);
    size_t at = (size_t)sprintf(body, "{\"messages\":[");
    for (size_t i = 0; i < count; i++)
        at += (size_t)sprintf(body + at, "%s%s", i ? "," : "", item);
    at += (size_t)sprintf(body + at, "]}");
    struct transcript t;
    struct error e;
    int rc = transcript_read(WIRE_CHAT, body, at, &t, &e);
    if (rc == 0)
        transcript_release(&t);
    free(body);
    return rc;
}

static void messages_have_a_maximum(void **state)
{
    (void)state;
    assert_int_equal(read_repeated("{}", TRANSCRIPT_MAX_MESSAGES), 0);
    assert_int_equal(read_repeated("{}", TRANSCRIPT_MAX_MESSAGES + 1), -E2BIG);
}

static void blocks_have_a_maximum(void **state)
{
    (void)state;
    static const char sixteen[] =
        "{\"role\":\"user\",\"content\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}";
    assert_int_equal(read_repeated(sixteen, TRANSCRIPT_MAX_BLOCKS / 16), 0);
    assert_int_equal(read_repeated(sixteen, TRANSCRIPT_MAX_BLOCKS / 16 + 1), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_is_messages_blocks_atoms_and_turns),
        cmocka_unit_test(an_id_means_only_the_calls_right_before_it_in_a_chat),
        cmocka_unit_test(an_old_function_call_is_tied_to_its_function_message),
        cmocka_unit_test(results_alone_make_no_turn_with_anthropic),
        cmocka_unit_test(one_answer_of_items_is_one_atom),
        cmocka_unit_test(what_lies_at_the_provider_is_noticed),
        cmocka_unit_test(messages_of_the_user_in_a_row_are_one_turn),
        cmocka_unit_test(a_compaction_pins_its_message),
        cmocka_unit_test(the_endpoint_is_told_from_the_body),
        cmocka_unit_test(what_is_no_conversation_is_refused),
        cmocka_unit_test(odd_messages_are_read_and_pinned),
        cmocka_unit_test(messages_have_a_maximum),
        cmocka_unit_test(blocks_have_a_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
