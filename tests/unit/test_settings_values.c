/* What may be saved for a model: steps, bounds at the limit and one past it, seeds, precedence of
 * names, and which models take a temperature. */
#include "common/buf.h"
#include "scheduler/settings_values.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct settings_values values;
static int64_t version;
static struct error e;

static int read_text(const char *text)
{
    e.text[0] = '\0';
    assert_int_equal(json_scan_check(text, strlen(text), &e), 0);
    return settings_values_read(json_span_of(text, strlen(text)), &values, &version, &e);
}

static const struct {
    const char *text;
    bool good;
} bounds[] = {
    {"{\"max_output_tokens\":999}", false},
    {"{\"max_output_tokens\":1000}", true},
    {"{\"max_output_tokens\":1001}", false},
    {"{\"max_output_tokens\":1512}", true}, /* one step from 1,000 */
    {"{\"max_output_tokens\":1513}", false},
    {"{\"max_output_tokens\":99816}", true}, /* the last whole step */
    {"{\"max_output_tokens\":99999}", false},
    {"{\"max_output_tokens\":100000}", true},
    {"{\"max_output_tokens\":100001}", false},
    {"{\"max_output_tokens\":100328}", false}, /* a step, but behind the end */
    {"{\"max_output_tokens\":512}", false},
    {"{\"max_output_tokens\":4096}", true}, /* the seeds */
    {"{\"max_output_tokens\":8192}", true},
    {"{\"max_output_tokens\":16384}", true},
    {"{\"max_output_tokens\":8192.0}", false},
    {"{\"max_output_tokens\":\"8192\"}", false},
    {"{\"temperature\":0}", true},
    {"{\"temperature\":-0.1}", false},
    {"{\"temperature\":0.1}", true},
    {"{\"temperature\":0.3}", true},
    {"{\"temperature\":0.75}", false},
    {"{\"temperature\":1.9}", true},
    {"{\"temperature\":2.0}", true},
    {"{\"temperature\":2.1}", false},
    {"{\"temperature\":true}", false},
    {"{\"max_iterations\":0}", false},
    {"{\"max_iterations\":1}", true},
    {"{\"max_iterations\":25}", true},
    {"{\"max_iterations\":26}", false},
    {"{\"limits\":{\"rpm\":0}}", false},
    {"{\"limits\":{\"rpm\":1}}", true},
    {"{\"limits\":{\"max_parallel_requests\":10000000000}}", true},
    {"{\"limits\":{\"tpm\":10000000001}}", false},
    {"{\"limits\":{\"rpm\":null}}", true},
    {"{\"limits\":[]}", false},
    {"{\"limits\":{\"rpn\":1}}", false},
    {"{\"trim\":\"balanced\"}", true},
    {"{\"trim\":\"\"}", false},
    {"{\"trim\":7}", false},
    {"{\"trim\":\"01234567890123456789012345678901234567890123456\"}", true},
    {"{\"trim\":\"012345678901234567890123456789012345678901234567\"}", false},
    {"{\"colour\":1}", false},
    {"{\"version\":0}", true},
    {"{\"version\":-1}", false},
    {"[]", false},
    {"{}", true},
    {"{\"temperature\":null}", true},
};

static void numbers_are_taken_at_their_bounds_and_refused_past_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        int rc = read_text(bounds[i].text);
        if (rc != (bounds[i].good ? 0 : -EINVAL))
            fail_msg("%s gives %d (%s)", bounds[i].text, rc, e.text);
        assert_int_equal(*e.text == '\0', bounds[i].good);
    }
}

static void every_step_from_the_first_on_is_taken(void **state)
{
    char text[64];
    int taken = 0;
    (void)state;
    for (int n = SETTINGS_MIN_OUTPUT; n <= SETTINGS_MAX_OUTPUT;
         n += SETTINGS_OUTPUT_STEP, taken++) {
        (void)snprintf(text, sizeof(text), "{\"max_output_tokens\":%d}", n);
        assert_int_equal(read_text(text), 0);
        assert_int_equal(values.max_output_tokens, n);
    }
    assert_int_equal(taken, 194);
    for (int tenths = 0; tenths <= SETTINGS_MAX_TENTHS; tenths++) {
        (void)snprintf(text, sizeof(text), "{\"temperature\":%d.%d}", tenths / 10, tenths % 10);
        assert_int_equal(read_text(text), 0);
        assert_int_equal(values.temperature_tenths, tenths);
    }
}

static void a_mistake_is_told_with_field_value_and_bounds(void **state)
{
    static const char *const cases[][4] = {
        {"{\"max_output_tokens\":1001}", "max_output_tokens is 1001", "512", "1000"},
        {"{\"max_output_tokens\":7}", "max_output_tokens is 7", "1000", "100000"},
        {"{\"temperature\":2.5}", "temperature is 2.5", "2.0", "0.1"},
        {"{\"max_iterations\":99}", "max_iterations is 99", "1", "25"},
        {"{\"limits\":{\"tpm\":-3}}", "limits.tpm is -3", "1", "10000000000"},
        {"{\"max_iteration\":3}", "max_iteration is no setting", "did you mean max_iterations", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_text(cases[i][0]), -EINVAL);
        for (size_t k = 1; k < 4; k++)
            if (!strstr(e.text, cases[i][k]))
                fail_msg("%s: %s", cases[i][0], e.text);
    }
}

static void what_is_written_reads_the_same(void **state)
{
    static const char *const texts[] = {
        "{\"max_output_tokens\":100000,\"temperature\":0.7,\"max_iterations\":25,\"trim\":"
        "\"a\\\"b\","
        "\"limits\":{\"rpm\":1,\"max_parallel_requests\":2}}",
        "{\"temperature\":2.0}",
        "{\"limits\":{\"itpm\":30000}}",
        "{}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct buf out;
        buf_init(&out, SETTINGS_RECORD_BYTES);
        assert_int_equal(read_text(texts[i]), 0);
        assert_int_equal(settings_values_any(&values), strcmp(texts[i], "{}") != 0);
        assert_int_equal(buf_adds(&out, "{"), 0);
        assert_int_equal(settings_values_write(&values, &out), 0);
        assert_int_equal(buf_adds(&out, "}"), 0);
        assert_string_equal(out.data, texts[i]);
        buf_release(&out);
    }
}

static void seeds_are_by_the_family_of_the_model(void **state)
{
    static const struct {
        const char *model;
        int64_t output, iterations;
    } cases[] = {
        {"claude-sonnet-4-5", 8192, 15},
        {"claude-*", 8192, 15},
        {"gpt-4o", 16384, 15},
        {"gpt-4o-mini", 16384, 15},
        {"openai/gpt-4o", 16384, 15},
        {"gpt-4-turbo", 4096, 10},
        {"o3", 4096, 10},
        {"*", 4096, 10},
        {"mistral-large", 4096, 10},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        settings_seed(cases[i].model, &values);
        if (values.max_output_tokens != cases[i].output ||
            values.max_iterations != cases[i].iterations || values.temperature_tenths != 7)
            fail_msg("%s", cases[i].model);
    }
}

static void some_models_take_no_temperature(void **state)
{
    static const char *const takes[] = {
        "gpt-4o",
        "gpt-4.1-mini",
        "gpt-3.5-turbo",
        "mistral-large",
        "ollama-model",
        "openai/gpt-4o",
        "claude-3-5-sonnet-20241022",
        "claude-3.5-haiku",
        "claude-3-opus-20240229",
        "claude-sonnet-4-20250514",
        "claude-sonnet-4-5-20250929",
        "claude-opus-4-1",
        "claude-haiku-4-5",
        "claude-opus-4-6",
        "anthropic/claude-sonnet-4",
    };
    static const char *const refuses[] = {
        "o1",
        "o1-mini",
        "o3",
        "o4-mini",
        "openai/o3-mini",
        "gpt-5",
        "gpt-5-mini",
        "gpt-5.2",
        "gpt-6",
        "gpt-4o-search-preview",
        "codex-mini-latest",
        "claude-opus-4-7",
        "claude-opus-4.7",
        "claude-4.8-opus",
        "claude-opus-4-8-20260601",
        "claude-sonnet-5",
        "claude-opus-5-20260701",
        "claude-latest",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++)
        if (!settings_model_takes_temperature(takes[i]))
            fail_msg("%s takes one", takes[i]);
    for (size_t i = 0; i < sizeof(refuses) / sizeof(refuses[0]); i++)
        if (settings_model_takes_temperature(refuses[i]))
            fail_msg("%s takes none", refuses[i]);
}

static void the_best_fitting_name_wins(void **state)
{
    (void)state;
    assert_true(settings_fit("gpt-4o", "gpt-4o") > settings_fit("gpt-4*", "gpt-4o"));
    assert_true(settings_fit("gpt-4*", "gpt-4o") > settings_fit("gpt-*", "gpt-4o"));
    assert_true(settings_fit("gpt-*", "gpt-4o") > settings_fit("*", "gpt-4o"));
    assert_true(settings_fit("*", "gpt-4o") > 0);
    assert_int_equal(settings_fit("gpt-4", "gpt-4o"), 0);
    assert_int_equal(settings_fit("claude-*", "gpt-4o"), 0);
}

static struct config *load_config(void)
{
    static const char text[] = "providers:\n"
                               "  - name: a\n"
                               "    format: openai\n"
                               "    base_url: http://127.0.0.1:1/v1\n"
                               "    api_key: k\n"
                               "    models:\n"
                               "      - {name: gpt-4o, tpm: 30000, default_output_tokens: 2000}\n"
                               "      - {name: \"*\"}\n"
                               "  - name: b\n"
                               "    format: anthropic\n"
                               "    base_url: http://127.0.0.1:1\n"
                               "    api_key: k\n"
                               "    models:\n"
                               "      - {name: \"claude-*\"}\n"
                               "trim_policies:\n"
                               "  - {name: mine, strategies: [window], max_messages: 10}\n";
    struct config *c = NULL;
    if (config_parse("test", text, strlen(text), &c, &e) < 0)
        fail_msg("%s", e.text);
    return c;
}

static void the_configuration_decides_what_fits_it(void **state)
{
    static const struct {
        size_t provider;
        const char *model, *text, *wrong;
    } cases[] = {
        {0, "gpt-4o", "{\"trim\":\"balanced\"}", NULL},
        {0, "gpt-4o", "{\"trim\":\"none\"}", NULL},
        {0, "gpt-4o", "{\"trim\":\"mine\"}", NULL},
        {0, "gpt-4o", "{\"trim\":\"yours\"}", "trim is 'yours'"},
        {0, "gpt-4o", "{\"limits\":{\"tpm\":2000}}", NULL},
        {0, "gpt-4o", "{\"limits\":{\"tpm\":1999}}", "limits.tpm is 1999"},
        {0, "gpt-4o", "{\"limits\":{\"rpm\":1}}", NULL},
        {0, "gpt-4o-mini", "{\"limits\":{\"rpm\":1}}", "the row '*'"},
        {0, "gpt-4o-mini", "{\"temperature\":2.0}", NULL},
        {0, "anthropic/claude-3-opus", "{\"temperature\":1.1}", "Claude models take 0.0 to 1.0"},
        {1, "claude-*", "{\"temperature\":1.0}", NULL},
        {1, "claude-*", "{\"temperature\":1.1}", "Claude models take 0.0 to 1.0"},
    };
    struct config *c = load_config();
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_text(cases[i].text), 0);
        int rc =
            settings_values_check(&values, c, &c->providers[cases[i].provider], cases[i].model, &e);
        if (rc != (cases[i].wrong ? -EINVAL : 0) ||
            (cases[i].wrong && !strstr(e.text, cases[i].wrong)))
            fail_msg("%s %s: %d %s", cases[i].model, cases[i].text, rc, e.text);
    }
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_taken_at_their_bounds_and_refused_past_them),
        cmocka_unit_test(every_step_from_the_first_on_is_taken),
        cmocka_unit_test(a_mistake_is_told_with_field_value_and_bounds),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(seeds_are_by_the_family_of_the_model),
        cmocka_unit_test(some_models_take_no_temperature),
        cmocka_unit_test(the_best_fitting_name_wins),
        cmocka_unit_test(the_configuration_decides_what_fits_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
