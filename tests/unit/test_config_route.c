#include "common/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char text[] =
    "providers:\n"
    "- name: openai\n"
    "  format: openai\n"
    "  models: [{name: gpt-4o}, {name: 'gpt-*'}, {name: 'gpt-4*'}, {name: shared}]\n"
    "- name: router\n"
    "  format: openai\n"
    "  models: [{name: 'anthropic/claude'}, {name: gpt-4o-mini}, {name: shared}, {name: 'x*'},\n"
    "           {name: 'openai/gpt-4o'}]\n"
    "- name: anthropic\n"
    "  format: anthropic\n"
    "  models: [{name: 'claude-*'}, {name: '*'}]\n";

struct want {
    enum config_format format;
    const char *asked;
    const char *provider, *row, *model; /* provider NULL: no route */
};

static void check(const struct config *c, const struct want *w)
{
    const struct config_provider *provider = NULL;
    const struct config_model *row = NULL;
    const char *model = NULL;
    bool found = config_route(c, w->format, w->asked, &provider, &row, &model);

    if (found != (w->provider != NULL))
        fail_msg("%s: %s", w->asked, found ? provider->name : "no route");
    if (!found) {
        assert_null(provider); /* untouched */
        return;
    }
    if (strcmp(provider->name, w->provider) != 0 || strcmp(row->name, w->row) != 0 ||
        strcmp(model, w->model) != 0)
        fail_msg("%s: %s, row %s, model %s", w->asked, provider->name, row->name, model);
}

static void check_all(const struct want *wants, size_t count)
{
    struct config *c = NULL;
    struct error e = {.text = ""};
    if (config_parse("t", text, strlen(text), &c, &e))
        fail_msg("%s", e.text);
    for (size_t i = 0; i < count; i++)
        check(c, &wants[i]);
    config_free(c);
}

#define CHECK_ALL(wants) check_all(wants, sizeof(wants) / sizeof((wants)[0]))

static void an_exact_name_wins_over_a_pattern_and_a_long_pattern_over_a_short_one(void **state)
{
    (void)state;
    static const struct want wants[] = {
        {CONFIG_OPENAI, "gpt-4o", "openai", "gpt-4o", "gpt-4o"},
        {CONFIG_OPENAI, "gpt-4o-2024", "openai", "gpt-4*", "gpt-4o-2024"},
        {CONFIG_OPENAI, "gpt-3", "openai", "gpt-*", "gpt-3"},
        {CONFIG_OPENAI, "gpt-4o-mini", "router", "gpt-4o-mini", "gpt-4o-mini"},
        {CONFIG_OPENAI, "gpt-", "openai", "gpt-*", "gpt-"},
    };
    CHECK_ALL(wants);
}

static void of_equal_rows_the_first_in_the_file_is_taken(void **state)
{
    (void)state;
    static const struct want wants[] = {{CONFIG_OPENAI, "shared", "openai", "shared", "shared"}};
    CHECK_ALL(wants);
}

static void only_providers_of_the_format_are_asked(void **state)
{
    (void)state;
    static const struct want wants[] = {
        {CONFIG_ANTHROPIC, "claude-3", "anthropic", "claude-*", "claude-3"},
        {CONFIG_ANTHROPIC, "gpt-4o", "anthropic", "*", "gpt-4o"},
        {CONFIG_OPENAI, "claude-3", NULL, NULL, NULL},
    };
    CHECK_ALL(wants);
}

static void a_provider_before_a_slash_is_forced(void **state)
{
    (void)state;
    static const struct want wants[] = {
        {CONFIG_OPENAI, "router/shared", "router", "shared", "shared"},
        {CONFIG_OPENAI, "openai/gpt-4o", "openai", "gpt-4o", "gpt-4o"},
        {CONFIG_OPENAI, "router/openai/gpt-4o", "router", "openai/gpt-4o", "openai/gpt-4o"},
        {CONFIG_OPENAI, "openai/x1", NULL, NULL, NULL}, /* only router has x* */
        {CONFIG_ANTHROPIC, "anthropic/claude-3", "anthropic", "claude-*", "claude-3"},
    };
    CHECK_ALL(wants);
}

static void a_slash_after_any_other_word_belongs_to_the_name(void **state)
{
    (void)state;
    static const struct want wants[] = {
        {CONFIG_OPENAI, "anthropic/claude", "router", "anthropic/claude", "anthropic/claude"},
        {CONFIG_OPENAI, "x/y", "router", "x*", "x/y"},
        {CONFIG_OPENAI, "open/gpt-4o", NULL, NULL, NULL},
    };
    CHECK_ALL(wants);
}

static void an_empty_model_has_no_route(void **state)
{
    (void)state;
    static const struct want wants[] = {
        {CONFIG_OPENAI, "", NULL, NULL, NULL},
        {CONFIG_ANTHROPIC, "", NULL, NULL, NULL},
        {CONFIG_ANTHROPIC, "anthropic/", NULL, NULL, NULL},
    };
    CHECK_ALL(wants);
}

/* ---- all ways to serve a model */

static const char ways_text[] =
    "providers:\n"
    "- {name: a, format: openai, models: [{name: m, rpm: 5}, {name: 'x*'}, {name: '*'}],\n"
    "   keys: [{name: k1, api_key: s1}, {name: k2, api_key: s2, rpm: 7}]}\n"
    "- {name: b, format: openai, api_key: s3, models: [{name: m}, {name: 'x*'}, {name: '*'}]}\n"
    "- {name: c, format: openai, models: [{name: m}]}\n"
    "- {name: d, format: anthropic, api_key: s4, models: [{name: m}]}\n";

/* "a/k1 a/k2 b/default c/-" */
static void ways_of(const struct config *c, const char *asked, char ret[256])
{
    struct config_candidate ways[CONFIG_MAX_ROUTES];
    const char *model = NULL;
    size_t n = config_candidates(c, CONFIG_OPENAI, asked, ways, &model), len = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < n; i++)
        len +=
            (size_t)snprintf(ret + len, 256 - len, "%s%s/%s", i ? " " : "", ways[i].provider->name,
                             ways[i].account ? ways[i].account->name : "-");
}

static void each_key_of_each_provider_that_names_the_model_is_a_way(void **state)
{
    (void)state;
    static const char *const wants[][2] = {
        {"m", "a/k1 a/k2 b/default c/-"},
        {"xy", "a/k1 a/k2 b/default"},
        {"other", "a/k1 a/k2"}, /* the bare * of the first only */
        {"b/m", "b/default"},
        {"a/m", "a/k1 a/k2"},
        {"", ""},
    };
    struct config *c = NULL;
    struct error e = {.text = ""};
    char got[256];
    if (config_parse("t", ways_text, strlen(ways_text), &c, &e))
        fail_msg("%s", e.text);
    for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
        ways_of(c, wants[i][0], got);
        assert_string_equal(got, wants[i][1]);
    }
    config_free(c);
}

static void limits_of_a_key_take_the_place_of_the_models(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct error e = {.text = ""};
    if (config_parse("t", ways_text, strlen(ways_text), &c, &e))
        fail_msg("%s", e.text);
    const struct config_provider *a = &c->providers[0];
    assert_int_equal(config_limits_of(&a->models[0], &a->keys[0]).rpm, 5);
    assert_int_equal(config_limits_of(&a->models[0], &a->keys[1]).rpm, 7);
    assert_int_equal(config_limits_of(&a->models[0], &a->keys[1]).tpm, CONFIG_ABSENT);
    assert_int_equal(config_limits_of(&a->models[0], NULL).rpm, 5);
    config_free(c);
}

/* The most there may be, and one more. */
static void a_model_has_its_maximum_of_ways_and_not_one_more(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        static char long_text[CONFIG_MAX_ROUTES * 64 + 256];
        struct config_candidate ways[CONFIG_MAX_ROUTES];
        struct config *c = NULL;
        struct error e = {.text = ""};
        const char *model = NULL;
        size_t len = (size_t)snprintf(long_text, sizeof(long_text),
                                      "providers:\n- {name: b, format: openai, api_key: x,\n"
                                      "   models: [{name: m}]}\n"
                                      "- name: a\n  format: openai\n  models: [{name: m}]\n"
                                      "  keys:\n");
        for (int i = 0; i < CONFIG_MAX_ROUTES - 1 + more; i++)
            len += (size_t)snprintf(long_text + len, sizeof(long_text) - len,
                                    "  - {name: k%d, api_key: s%d}\n", i, i);
        int err = config_parse("t", long_text, len, &c, &e);
        assert_int_equal(err != 0, more);
        if (!err)
            assert_int_equal(config_candidates(c, CONFIG_OPENAI, "m", ways, &model),
                             CONFIG_MAX_ROUTES);
        config_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exact_name_wins_over_a_pattern_and_a_long_pattern_over_a_short_one),
        cmocka_unit_test(of_equal_rows_the_first_in_the_file_is_taken),
        cmocka_unit_test(only_providers_of_the_format_are_asked),
        cmocka_unit_test(a_provider_before_a_slash_is_forced),
        cmocka_unit_test(a_slash_after_any_other_word_belongs_to_the_name),
        cmocka_unit_test(an_empty_model_has_no_route),
        cmocka_unit_test(each_key_of_each_provider_that_names_the_model_is_a_way),
        cmocka_unit_test(limits_of_a_key_take_the_place_of_the_models),
        cmocka_unit_test(a_model_has_its_maximum_of_ways_and_not_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
