#include "api/client/top_text.h"

#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOCK   "\xe2\x96\x88"
#define HOSTILE "a\\u001b[2Jb\\u009b31mc\\u202ed\\ne"

static const char sample[] =
    "{\"redis\":{\"up\":true,\"latency_us\":300},"
    "\"instances\":[{\"id\":\"i1\",\"heartbeat_age_ms\":900,\"alive\":true,\"this\":true,"
    "\"uptime_ms\":60000},{\"id\":\"i2\",\"heartbeat_age_ms\":70000,\"alive\":false}],"
    "\"pools\":[{\"pool\":\"sim:default:gpt-4o\",\"models\":[\"gpt-4o\"],\"known\":true,"
    "\"limits\":{\"rpm\":{\"configured\":60,\"learned\":null,\"capacity\":60,\"remaining\":60},"
    "\"tpm\":{\"configured\":1000,\"learned\":800,\"capacity\":1000,\"remaining\":-5,"
    "\"resets_ms\":4000},\"max_parallel_requests\":{\"capacity\":4,\"remaining\":1}},"
    "\"queue\":{\"interactive\":{\"depth\":0,\"oldest_ms\":0},"
    "\"normal\":{\"depth\":1200,\"oldest_ms\":2500},\"batch\":{\"depth\":0,\"oldest_ms\":0}},"
    "\"in_flight\":4,\"eta_ms\":1500,\"binding_limit\":\"tpm\",\"paused_ms\":0,"
    "\"circuit\":\"open\",\"circuit_reason\":\"503\",\"circuit_ms\":3000,\"set_aside\":null,"
    "\"wait_ms\":{\"p50\":10,\"p95\":20,\"p99\":30},"
    "\"counts\":{\"succeeded\":100,\"failed\":1,\"provider_429\":2},"
    "\"tokens\":{\"input\":5000,\"output\":2000}},"
    "{\"pool\":\"b\",\"limits\":{},\"queue\":{},\"circuit\":\"closed\"}],"
    "\"tenants\":[{\"tenant\":\"red\",\"weight\":3,\"share\":0.25,\"queued\":7,\"running\":1},"
    "{\"tenant\":\"blue\",\"weight\":1,\"share\":0.75,\"queued\":0,\"running\":2}],"
    "\"models\":[{\"model\":\"gpt-4o\",\"counts\":{\"requests\":9,\"failed\":1}}],"
    "\"totals\":{\"counts\":{\"succeeded\":100,\"failed\":1,\"provider_429\":2},"
    "\"tokens\":{\"input\":5000,\"output\":2000}}}";

static json_t *parse(const char *text)
{
    json_error_t e;
    json_t *value = json_loads(text, 0, &e);
    if (!value)
        fail_msg("%s at %d", e.text, e.position);
    return value;
}

/* Given. */
static char *drawn(const struct top_frame *f)
{
    const struct terminal term = {.out = NULL};
    struct buf out;
    buf_init(&out, 1 << 20);
    (void)top_text(f, &term, &out);
    assert_int_equal(out.failed, 0);
    return buf_take(&out);
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void has_not(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" is in:\n%s", part, text);
}

static void all_views_stand_in_a_picture_without_keys(void **state)
{
    json_t *now = parse(sample);
    struct top_frame f = {.now = now, .url = "http://x", .utf8 = true};
    (void)state;
    char *text = drawn(&f);
    has(text, "instances 1  redis up 0.3ms");
    has(text, "requests/s -  tokens/s in - out -  waiting 1,200  running 4  429s 2\n");
    has(text, "sim:default:gpt-4o  circuit open (503), tried in 3.0s  gpt-4o\n");
    has(text, "  rpm     [" BLOCK BLOCK);
    has(text, " >tpm     [                        ]");
    has(text, "-5/1,000  full in 4.0s  learned 800 of 1,000\n");
    has(text, "  parallel[" BLOCK BLOCK BLOCK BLOCK BLOCK BLOCK "                  ]");
    has(text, "interactive 0 normal 1,200 (2.5s) batch 0  running 4  starts in 1.5s\n");
    has(text, "p50 10ms  p95 20ms  p99 30ms  429s 2  requests/s -");
    has(text, "red                               7          1     25.0 %     75.0 %");
    has(text, "blue                              0          2     75.0 %     25.0 %");
    has(text, "gpt-4o                            9          1");
    has(text, "i1                            900ms      1m00s  alive, asked\n");
    has(text, "i2                            1m10s          -  gone\n");
    has_not(text, "quit");
    free(text);
    json_decref(now);
}

static void rates_are_what_changed_in_the_time_between(void **state)
{
    json_t *before = parse(sample), *now = parse(sample);
    json_t *totals = json_object_get(now, "totals");
    struct top_frame f = {.now = now, .before = before, .gap_ms = 2000, .url = ""};
    (void)state;
    json_object_set_new(json_object_get(totals, "counts"), "succeeded", json_integer(125));
    json_object_set_new(json_object_get(totals, "tokens"), "input", json_integer(9000));
    json_object_set_new(json_object_get(totals, "tokens"), "output", json_integer(1)); /* anew */
    char *text = drawn(&f);
    has(text, "requests/s 12.5  tokens/s in 2,000 out -");
    has(text, "requests/s 0.0  tokens/s 0.0"); /* of the pool */
    free(text);
    f.gap_ms = 0;
    text = drawn(&f);
    has(text, "requests/s -");
    free(text);
    json_decref(before);
    json_decref(now);
}

/* Of the widest line; every character of the sample takes one column. */
static int width(const char *text)
{
    int most = 0;
    while (*text) {
        int here = 0;
        for (; *text && *text != '\n'; text++)
            here += ((unsigned char)*text & 0xc0) != 0x80;
        most = here > most ? here : most;
        text += *text == '\n';
    }
    return most;
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void no_line_is_wider_and_no_picture_higher_than_the_terminal(void **state)
{
    static const enum top_view views[] = {TOP_POOLS, TOP_TENANTS, TOP_MODELS, TOP_INSTANCES};
    json_t *now = parse(sample);
    (void)state;
    for (size_t v = 0; v < TOP_VIEWS; v++) {
        for (int columns = 1; columns < 200; columns += columns < 90 ? 1 : 37) {
            for (int rows = 1; rows < 40; rows += 3) {
                struct top_frame f = {.now = now,
                                      .url = "http://x",
                                      .columns = columns,
                                      .rows = rows,
                                      .view = views[v],
                                      .utf8 = columns % 2 == 0,
                                      .keys = true};
                char *text = drawn(&f);
                assert_in_range(width(text), 0, columns);
                assert_in_range(lines(text), 1, rows);
                free(text);
            }
        }
    }
    json_decref(now);
}

static void a_narrow_terminal_still_shows_how_full_a_bucket_is(void **state)
{
    json_t *now = parse(sample);
    struct top_frame f = {.now = now, .url = "", .columns = 40, .keys = true};
    (void)state;
    char *text = drawn(&f);
    has(text, "  rpm     [######]                 60/60");
    free(text);
    json_decref(now);
}

static void without_utf8_there_is_ascii_only(void **state)
{
    json_t *now = parse(sample);
    struct top_frame f = {.now = now, .url = "http://\xc3\xa4", .keys = true};
    (void)state;
    char *text = drawn(&f);
    for (const char *at = text; *at; at++)
        assert_true((unsigned char)*at < 0x80);
    has(text, "[########################]");
    has(text, "http://?");
    free(text);
    json_decref(now);
}

/* ESC, CSI as one character, the mark that turns the direction, and a newline. */
static void names_that_a_terminal_would_obey_are_shown_harmlessly(void **state)
{
    static const char *const keys[] = {"pool", "tenant", "model", "id"};
    static const char *const parts[] = {"pools", "tenants", "models", "instances"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char json[256];
        (void)snprintf(json, sizeof(json), "{\"%s\":[{\"%s\":\"" HOSTILE "\"}]}", parts[i],
                       keys[i]);
        json_t *now = parse(json);
        struct top_frame f = {.now = now, .url = "", .utf8 = true};
        char *text = drawn(&f);
        has(text, "a?[2Jb?31mc?d?e");
        has_not(text, "\033");
        has_not(text, "\xc2\x9b");
        has_not(text, "\xe2\x80\xae");
        free(text);
        json_decref(now);
    }
}

static void wide_characters_take_two_columns_and_are_never_halved(void **state)
{
    json_t *now = parse("{\"tenants\":[{\"tenant\":\"\\u6f22\\u6f22\\u6f22\\u6f22\\u6f22\\u6f22"
                        "\\u6f22\\u6f22\\u6f22\\u6f22\\u6f22\\u6f22\\u6f22\",\"queued\":5}]}");
    struct top_frame f = {.now = now, .url = "", .utf8 = true, .keys = true, .view = TOP_TENANTS};
    (void)state;
    char *text = drawn(&f);
    /* 11 of two columns, the mark in the 23rd, a blank in the 24th, then 11 for the number. */
    has(text, "\xe6\xbc\xa2\xe2\x80\xa6           5");
    assert_true(utf8_valid(text, strlen(text)));
    free(text);
    json_decref(now);
}

static void rows_are_sorted_by_what_was_chosen(void **state)
{
    static const struct {
        enum top_sort sort;
        const char *first;
    } cases[] = {{TOP_BY_NAME, "blue"}, {TOP_BY_WAITING, "red"}, {TOP_BY_RUNNING, "blue"}};
    json_t *now = parse(sample);
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct top_frame f = {
            .now = now, .url = "", .view = TOP_TENANTS, .keys = true, .sort = cases[i].sort};
        char *text = drawn(&f);
        const char *red = strstr(text, "\nred "), *blue = strstr(text, "\nblue ");
        assert_true(red && blue);
        assert_string_equal(red < blue ? "red" : "blue", cases[i].first);
        free(text);
    }
    json_decref(now);
}

static void an_old_picture_says_why_it_is_old(void **state)
{
    json_t *now = parse(sample);
    struct top_frame f = {.now = now, .url = "", .trouble = "no answer", .paused = true};
    (void)state;
    char *text = drawn(&f);
    has(text, "\nno answer\n");
    has(text, "  paused\n");
    free(text);
    json_decref(now);
}

static void nothing_of_an_answer_must_be_there(void **state)
{
    static const char *const answers[] = {
        "{}", "[]", "{\"pools\":[1,{}],\"tenants\":7,\"models\":[null],\"instances\":[[]]}",
        "{\"pools\":[{\"limits\":{\"rpm\":{\"remaining\":9223372036854775807}}}]}",
        ("{\"pools\":[{\"limits\":{\"rpm\":{\"remaining\":-9223372036854775807,"
         "\"capacity\":1}}}]}")};
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        json_t *now = parse(answers[i]);
        struct top_frame f = {.now = now, .before = now, .gap_ms = 1, .url = "", .utf8 = true};
        free(drawn(&f));
        json_decref(now);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_views_stand_in_a_picture_without_keys),
        cmocka_unit_test(rates_are_what_changed_in_the_time_between),
        cmocka_unit_test(no_line_is_wider_and_no_picture_higher_than_the_terminal),
        cmocka_unit_test(a_narrow_terminal_still_shows_how_full_a_bucket_is),
        cmocka_unit_test(without_utf8_there_is_ascii_only),
        cmocka_unit_test(names_that_a_terminal_would_obey_are_shown_harmlessly),
        cmocka_unit_test(wide_characters_take_two_columns_and_are_never_halved),
        cmocka_unit_test(rows_are_sorted_by_what_was_chosen),
        cmocka_unit_test(an_old_picture_says_why_it_is_old),
        cmocka_unit_test(nothing_of_an_answer_must_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
