#include "common/limits.h"
#include "scheduler/provider/wire.h"
#include "tests/support/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct guard guard;

static struct wire_text text_of(const char *json)
{
    struct wire_text_count count = {0};
    size_t len = strlen(json);
    wire_text_add(&count, json_span_of(guard_copy(&guard, json, len), len));
    return wire_text_of(&count);
}

static void words_end_where_a_tokenizer_cuts(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int64_t words, letters;
    } cases[] = {
        {"\"\"", 0, 0},           {"\"a\"", 1, 1},           {"\"two words\"", 2, 8},
        {"\"fooBar\"", 2, 6},     {"\"HTTPServer\"", 1, 10}, {"\"FooBar\"", 2, 6},
        {"\"snake_case\"", 2, 9}, {"\"a1b2\"", 2, 2},        {"\"na\xc3\xafve\"", 2, 4},
        {"\"a\\nb\"", 2, 2},      {"\"a\\u0062c\"", 1, 3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_text t = text_of(cases[i].json);
        if (t.words != cases[i].words || t.letters != cases[i].letters)
            fail_msg("%s: %lld words", cases[i].json, (long long)t.words);
    }
}

static void marks_numbers_and_blanks_are_counted_in_runs(void **state)
{
    (void)state;
    struct wire_text t = text_of("\"{\\\"a\\\": 12, 7}\\n\\t x \\n\\r\"");
    assert_int_equal(t.bytes, 19);
    assert_int_equal(t.mark_runs, 4); /* {" ": , } */
    assert_int_equal(t.marks, 6);
    assert_int_equal(t.numbers, 2);
    assert_int_equal(t.digits, 3);
    assert_int_equal(t.spaced_numbers, 2);
    assert_int_equal(t.blank_runs, 1); /* the one behind a space belongs to the space */
}

static void characters_are_counted_by_their_length(void **state)
{
    (void)state;
    struct wire_text t =
        text_of("\"\xc3\xa9\\u00e9\xe6\x97\xa5\\u65e5\xf0\x9f\x98\x80\\ud83d\\ude00\"");
    assert_int_equal(t.two_bytes, 2);
    assert_int_equal(t.three_bytes, 2);
    assert_int_equal(t.four_bytes, 2);
    assert_int_equal(t.bytes, 18);
}

static void two_strings_do_not_join_into_one_word(void **state)
{
    (void)state;
    struct wire_text_count count = {0};
    wire_text_add(&count, json_span_of("\"ab\"", 4));
    wire_text_add(&count, json_span_of("\"cd\"", 4));
    assert_int_equal(wire_text_of(&count).words, 2);
    wire_text_add(&count, json_span_of("12", 2));
    assert_int_equal(wire_text_of(&count).bytes, 4);
}

static void json_counts_without_the_blanks_between_its_tokens(void **state)
{
    (void)state;
    static const char json[] = "{ \"a b\" : [ 1 ,\n \"c\\\" d\" ] }";
    struct wire_text_count count = {0};
    size_t len = sizeof(json) - 1;
    wire_text_add_json(&count, json_span_of(guard_copy(&guard, json, len), len));
    assert_int_equal(wire_text_of(&count).bytes, (int64_t)strlen("{\"a b\":[1,\"c\\\" d\"]}"));
}

/* Counts of o200k, cl100k and the stand-in for Claude that the weights were fitted to. */
static const struct {
    const char *name, *text;
    int o200k, cl100k, claude;
    double most; /* times the count */
} golden[] = {
    {"prose",
     "The service keeps one connection to every instance and sends a request only when the budget "
     "of "
     "the current minute has room for it. A request that is larger than the whole budget is "
     "refused "
     "at once, with a message that names the limit, because waiting could never help it.",
     54, 54, 60, 1.7},
    {"C",
     "static int read_field(struct reader *r, const char *name)\\n{\\n    for (size_t i = 0; i < "
     "r->count; i++) {\\n        if (strcmp(r->fields[i].name, name) == 0)\\n            return "
     "r->fields[i].value;\\n    }\\n    return -ENOENT;\\n}\\n",
     69, 69, 84, 1.6},
    {"Python",
     "def total(items):\\n    result = {}\\n    for key, value in items.items():\\n        if "
     "value is "
     "None or value < 0:\\n            continue\\n        result[key] = result.get(key, 0) + value "
     "* "
     "1.5\\n    return sorted(result, key=lambda k: -result[k])\\n",
     64, 64, 75, 1.6},
    {"JSON",
     "{\\\"flight_number\\\": \\\"HAT136\\\", \\\"origin\\\": \\\"JFK\\\", \\\"destination\\\": "
     "\\\"SEA\\\", \\\"scheduled_departure_time_est\\\": \\\"19:00:00\\\", \\\"prices\\\": "
     "{\\\"basic_economy\\\": 87, \\\"economy\\\": 108, \\\"business\\\": 350}, \\\"date\\\": "
     "\\\"2024-05-20\\\", \\\"available_seats\\\": [12, 7, 0]}",
     86, 85, 94, 1.35},
    {"German",
     "Der Dienst h\xc3\xa4lt eine Verbindung zu jeder Instanz offen und schickt eine Anfrage erst "
     "dann, wenn das Budget der laufenden Minute daf\xc3\xbcr noch ausreicht. Gr\xc3\xb6\xc3\x9f"
     "ere Anfragen werden sofort zur\xc3\xbc"
     "ckgewiesen.",
     42, 49, 65, 1.6},
    {"Chinese",
     "\xe6\x9c\x8d\xe5\x8a\xa1\xe4\xb8\x8e\xe6\xaf\x8f\xe4\xb8\xaa\xe5\xae\x9e\xe4\xbe\x8b\xe4\xbf"
     "\x9d\xe6\x8c\x81\xe4\xb8\x80\xe4\xb8\xaa\xe8\xbf\x9e\xe6\x8e\xa5",
     8, 10, 9, 3.0},
    {"hex", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", 43, 43, 49, 1.9},
};

static int64_t estimate_of(const char *text, const char *model)
{
    char body[2048] = "{\"model\":\"m\",\"input\":\"";
    (void)strcat(strcat(body, text), "\"}");
    struct wire_request r;
    struct error e = {""};
    if (wire_request_read(WIRE_EMBEDDINGS, body, strlen(body), &r, &e) != 0)
        fail_msg("%s", e.text);
    return wire_estimate_input(WIRE_EMBEDDINGS, &r, model, 0);
}

static void expect_near(const char *name, int64_t estimate, int count, double most)
{
    if (estimate < count || (double)estimate > count * most)
        fail_msg("%s: %lld for %d", name, (long long)estimate, count);
}

static void an_estimate_is_at_least_the_count_and_not_far_above(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        const char *text = golden[i].text;
        expect_near(golden[i].name, estimate_of(text, "gpt-4o"), golden[i].o200k, golden[i].most);
        expect_near(golden[i].name, estimate_of(text, "gpt-4"), golden[i].cl100k, golden[i].most);
        expect_near(golden[i].name, estimate_of(text, "claude-sonnet-4-5-20250929"),
                    golden[i].claude, golden[i].most);
    }
}

static void the_longest_name_of_a_family_decides(void **state)
{
    (void)state;
    const char *text = golden[0].text;
    int64_t o200k = estimate_of(text, "gpt-4o"), cl100k = estimate_of(text, "gpt-4");
    int64_t older = estimate_of(text, "claude-opus-4-5"),
            newer = estimate_of(text, "claude-opus-5");
    assert_true(o200k < cl100k && cl100k < older && older < newer);
    assert_int_equal(estimate_of(text, "gpt-4o-2024-08-06"), o200k);
    assert_int_equal(estimate_of(text, "openai/gpt-4.1"), o200k);
    assert_int_equal(estimate_of(text, "gpt-5.1"), o200k);
    assert_int_equal(estimate_of(text, "gpt-4-turbo"), cl100k);
    assert_int_equal(estimate_of(text, "gpt-3.5-turbo"), cl100k);
    assert_int_equal(estimate_of(text, "us.anthropic.claude-sonnet-4-20250514-v1:0"), older);
    assert_int_equal(estimate_of(text, "claude-opus-4-7"), newer);
    assert_int_equal(estimate_of(text, "claude-fable-5"), newer);
    assert_true(estimate_of(text, "mistral-large") > cl100k);
}

/* An alias on the Anthropic route is a Claude of the newest kind, the dearest. */
static void an_unknown_model_is_taken_by_its_format(void **state)
{
    (void)state;
    struct wire_request r = {.messages = 1, .choices = 1, .text = {.words = 1000}};
    assert_int_equal(wire_estimate_input(WIRE_MESSAGES, &r, "my-alias", 0),
                     wire_estimate_input(WIRE_MESSAGES, &r, "claude-opus-5", 0));
    assert_true(wire_estimate_input(WIRE_CHAT, &r, "my-alias", 0) <
                wire_estimate_input(WIRE_MESSAGES, &r, "my-alias", 0));
}

static void given_characters_per_token_replace_the_weights(void **state)
{
    (void)state;
    struct wire_request r = {.input_bytes = 1001, .text = {.bytes = 1001, .words = 1001}};
    assert_int_equal(wire_estimate_input(WIRE_EMBEDDINGS, &r, "m", 4.0), 251);
    assert_int_equal(wire_estimate_input(WIRE_EMBEDDINGS, &r, "m", 1e-300), 8 * 1001);
    r.messages = 3;
    assert_true(wire_estimate_input(WIRE_CHAT, &r, "gpt-4o", 4.0) > 251);
}

static void messages_tools_and_media_add_their_part(void **state)
{
    (void)state;
    const struct wire_request plain = {.choices = 1};
    const int64_t base = wire_estimate_input(WIRE_CHAT, &plain, "gpt-4o", 0);
    static const struct {
        struct wire_request r;
        int64_t want;
    } cases[] = {
        {{.messages = 2}, 10},
        {{.tools = 1}, 24 + 8},
        {{.tools = 3}, 24 + 24},
        {{.images = 2}, 2 * 1445},
        {{.images = 2, .images_low = 1}, 1445 + 85},
        {{.audio_ms = 1000}, 10},
        {{.files = 1}, 5000},
        {{.files = 2, .file_bytes = 1000000}, 50000},
        {{.opaque_bytes = 160}, 30},
        {{.token_ids = 7}, 7},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t got = wire_estimate_input(WIRE_CHAT, &cases[i].r, "gpt-4o", 0) - base;
        if (got != cases[i].want)
            fail_msg("case %zu: %lld", i, (long long)got);
    }
}

static void an_estimate_is_at_least_one(void **state)
{
    (void)state;
    struct wire_request r = {.choices = 1};
    assert_int_equal(wire_estimate_input(WIRE_EMBEDDINGS, &r, "m", 0), 1);
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
        cmocka_unit_test(words_end_where_a_tokenizer_cuts),
        cmocka_unit_test(marks_numbers_and_blanks_are_counted_in_runs),
        cmocka_unit_test(characters_are_counted_by_their_length),
        cmocka_unit_test(two_strings_do_not_join_into_one_word),
        cmocka_unit_test(json_counts_without_the_blanks_between_its_tokens),
        cmocka_unit_test(an_estimate_is_at_least_the_count_and_not_far_above),
        cmocka_unit_test(the_longest_name_of_a_family_decides),
        cmocka_unit_test(an_unknown_model_is_taken_by_its_format),
        cmocka_unit_test(given_characters_per_token_replace_the_weights),
        cmocka_unit_test(messages_tools_and_media_add_their_part),
        cmocka_unit_test(an_estimate_is_at_least_one),
    };
    return cmocka_run_group_tests(tests, make_guard, drop_guard);
}
