#include "common/config_text.h"
#include "common/config_trim.h"
#include "common/limits.h"
#include "scheduler/trim_named.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PROVIDER "providers: [{name: p, format: openai, api_key: k, models: [{name: m%s}]}]\n"

static struct config *parsed(const char *row, const char *more, struct error *e)
{
    char text[4096];
    struct config *c = NULL;
    (void)snprintf(text, sizeof(text), PROVIDER "%s", row, more);
    return config_parse("test", text, strlen(text), &c, e) == 0 ? c : NULL;
}

static void assert_refused(const char *row, const char *more, const char *words)
{
    struct error e = {""};
    struct config *c = parsed(row, more, &e);
    if (c)
        fail_msg("taken, and not: %s", words);
    if (!strstr(e.text, words))
        fail_msg("\"%s\" does not say \"%s\"", e.text, words);
}

static void the_configuration_knows_every_stage_and_preset(void **state)
{
    static const char *const presets[] = {"aggressive", "balanced", "conservative"};
    struct trim_policy p;
    (void)state;
    for (enum trim_stage s = 0; s < TRIM_STAGE_COUNT; s++)
        assert_null(config_text_strategy(trim_stage_name(s)));
    assert_non_null(config_text_strategy("repair"));
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        assert_null(config_text_preset(presets[i]));
        assert_true(trim_policy_preset(presets[i], &p));
    }
    assert_non_null(config_text_preset("gentle"));
}

static void a_policy_is_its_preset_with_its_own_figures(void **state)
{
    struct error e = {""};
    struct trim_policy p, balanced;
    struct config *c = parsed(", trim: mine",
                              "trim_policies:\n"
                              "  - {name: mine, preset: balanced, keep_turns: 7, max_age_s: 60}\n"
                              "  - {name: own, strategies: [reset, window], max_messages: 5,"
                              " reset_threshold: 900, max_tool_result_chars: 80,"
                              " max_context_tokens: 1000}\n"
                              "tenants: [{name: t, trim: own}, {name: u}]\n",
                              &e);
    (void)state;
    assert_non_null(c);
    assert_true(trim_policy_preset("balanced", &balanced));
    assert_true(trim_named(c, "mine", &p));
    assert_int_equal(p.keep_turns, 7);
    assert_int_equal(p.max_age_ms, 60000);
    assert_int_equal(p.stage_count, balanced.stage_count);
    assert_int_equal(p.max_messages, balanced.max_messages);
    assert_true(trim_named(c, "own", &p));
    assert_int_equal(p.stage_count, 2);
    assert_int_equal(p.stages[0], TRIM_RESET);
    assert_int_equal(p.stages[1], TRIM_WINDOW);
    assert_int_equal(p.max_messages, 5);
    assert_int_equal(p.reset_threshold, 900);
    assert_int_equal(p.max_tool_result_chars, 80);
    assert_int_equal(p.max_context_tokens, 1000);
    assert_true(trim_named(c, "aggressive", &p));
    assert_false(trim_named(c, "none", &p));
    assert_false(trim_named(c, "other", &p));
    assert_string_equal(trim_of_tenant(c, "t"), "own");
    assert_null(trim_of_tenant(c, "u"));
    assert_null(trim_of_tenant(c, "nobody"));
    config_free(c);
}

static void what_would_do_nothing_or_lead_nowhere_is_refused(void **state)
{
    (void)state;
    assert_refused(", trim: gentle", "", "no way of trimming \"gentle\"");
    assert_refused("", "tenants: [{name: t, trim: gentle}]\n", "tenants[].trim");
    assert_refused("", "trim_policies: [{name: a}]\n", "neither a preset nor strategies");
    assert_refused("", "trim_policies: [{name: a, preset: mild}]\n", "must be aggressive");
    assert_refused("", "trim_policies: [{name: a, strategies: [cut]}]\n", "must be window");
    assert_refused("", "trim_policies: [{name: a, strategies: [reset, reset]}]\n", "reset twice");
    assert_refused("", "trim_policies: [{name: a, strategies: reset}]\n", "a list of names");
    assert_refused("", "trim_policies: [{name: none, preset: balanced}]\n", "meaning of its own");
    assert_refused("", "trim_policies: [{name: balanced, preset: balanced}]\n", "of its own");
    assert_refused("",
                   "trim_policies: [{name: a, preset: balanced}, {name: a, preset: balanced}]\n",
                   "a second trim policy");
}

static void as_many_policies_as_there_may_be_and_one_more(void **state)
{
    char text[TRIM_MAX_POLICIES * 40 + 100];
    struct error e = {""};
    (void)state;
    for (int most = TRIM_MAX_POLICIES; most <= TRIM_MAX_POLICIES + 1; most++) {
        int n = snprintf(text, sizeof(text), "trim_policies:\n");
        for (int i = 0; i < most; i++)
            n += snprintf(text + n, sizeof(text) - (size_t)n, " - {name: p%d, preset: balanced}\n",
                          i);
        if (most > TRIM_MAX_POLICIES) {
            assert_refused("", text, "at most 64");
            continue;
        }
        struct config *c = parsed("", text, &e);
        assert_non_null(c);
        config_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configuration_knows_every_stage_and_preset),
        cmocka_unit_test(a_policy_is_its_preset_with_its_own_figures),
        cmocka_unit_test(what_would_do_nothing_or_lead_nowhere_is_refused),
        cmocka_unit_test(as_many_policies_as_there_may_be_and_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
