/* What requests cost, and what was saved on them. */
#include "scheduler/cost.h"

#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CONFIG                                                                                     \
    "providers:\n"                                                                                 \
    "  - name: p\n"                                                                                \
    "    format: openai\n"                                                                         \
    "    api_key: k\n"                                                                             \
    "    models:\n"                                                                                \
    "      - {name: own, price: {input: 2.50, output: 10, cached_input: 0.25}}\n"                  \
    "      - {name: free, price: {input: 0, output: 0}}\n"                                         \
    "      - {name: hidden, upstream_model: gpt-4o}\n"                                             \
    "      - {name: '*'}\n"
#define DEFAULT "costs: {default_price: {input: 1, output: 4}}\n"

static struct config *config;
static struct price_table *table;

static int setup(void **state)
{
    struct error e;
    (void)state;
    return price_table_builtin(&table, &e);
}

static int teardown(void **state)
{
    (void)state;
    price_table_free(table);
    return 0;
}

static bool find(const char *text, const char *model, struct price *ret)
{
    struct error e = {.text = ""};
    struct cost_way way;
    if (config_parse("test", text, strlen(text), &config, &e) < 0)
        fail_msg("%s", e.text);
    way.config = config;
    assert_true(config_route(config, CONFIG_OPENAI, model, &way.provider, &way.row, &way.model));
    bool found = cost_find_price(table, &way, ret);
    config_free(config);
    return found;
}

static void a_row_s_own_price_goes_before_the_table(void **state)
{
    struct price p;
    (void)state;
    assert_true(find(CONFIG, "own", &p));
    assert_int_equal(p.base.input, 2500000);
    assert_int_equal(p.base.output, 10000000);
    assert_int_equal(p.base.cache_read, 250000);
    assert_int_equal(p.base.cache_write, 2500000);
    assert_int_equal(p.above_tokens, 0);
}

static void a_model_of_another_name_has_the_price_of_what_it_is(void **state)
{
    struct price hidden, known;
    (void)state;
    assert_true(find(CONFIG, "hidden", &hidden));
    assert_true(find(CONFIG, "gpt-4o", &known));
    assert_memory_equal(&hidden.base, &known.base, sizeof(known.base));
}

static void an_unknown_model_has_no_price_and_a_free_one_has_zero(void **state)
{
    struct price p;
    (void)state;
    assert_false(find(CONFIG, "nobody-knows-this", &p));
    assert_true(find(CONFIG, "free", &p));
    assert_int_equal(p.base.input + p.base.output, 0);
    assert_true(find(DEFAULT CONFIG, "nobody-knows-this", &p));
    assert_int_equal(p.base.output, 4000000);
    assert_true(find(DEFAULT CONFIG, "gpt-4o", &p));
    assert_int_not_equal(p.base.output, 4000000);
}

static const struct price plain = {
    .base = {.input = 1000, .output = 4000, .cache_read = 100, .cache_write = 1250}};

static void each_kind_of_token_has_its_price(void **state)
{
    const struct price_usage u = {.input = 100, .cache_read = 60, .cache_write = 10, .output = 5};
    (void)state;
    assert_int_equal(cost_of_usage(&plain, &u), 30 * 1000 + 60 * 100 + 10 * 1250 + 5 * 4000);
    assert_int_equal(cost_of_batch_usage(&plain, &u), cost_of_usage(&plain, &u) / 2);
    assert_int_equal(cost_of_saved_batch(&plain, &u),
                     cost_of_usage(&plain, &u) - cost_of_batch_usage(&plain, &u));
}

static void what_is_saved_is_what_would_have_been_paid(void **state)
{
    const struct price_usage u = {.input = 100, .cache_read = 60, .output = 5};
    const struct price_usage writes = {.input = 100, .cache_write = 100};
    (void)state;
    assert_int_equal(cost_of_saved_trim(&plain, &u, 1000), 1000 * 1000);
    assert_int_equal(cost_of_saved_trim(&plain, &u, 0), 0);
    assert_int_equal(cost_of_saved_prompt_cache(&plain, &u), 60 * 900);
    assert_int_equal(cost_of_saved_prompt_cache(&plain, &writes), 0);
    assert_int_equal(cost_of_saved_response(&plain, &u), cost_of_usage(&plain, &u));
}

static void tokens_that_would_have_made_a_long_request_save_more(void **state)
{
    const struct price p = {.base = {.input = 1, .output = 1},
                            .above_tokens = 1000,
                            .above = {.input = 3, .output = 3}};
    const struct price_usage u = {.input = 900, .output = 10};
    (void)state;
    assert_int_equal(cost_of_saved_trim(&p, &u, 200), 1100 * 3 + 10 * 3 - 910);
}

static void no_request_costs_more_than_can_be_summed(void **state)
{
    const struct price_usage u = {.input = INT64_MAX, .output = INT64_MAX};
    (void)state;
    assert_int_equal(cost_of_usage(&plain, &u), COST_MOST_PICO);
    assert_int_equal(cost_of_batch_usage(&plain, &u), COST_MOST_PICO / 2);
    assert_int_equal(cost_of_saved_trim(&plain, &u, INT64_MAX), 0);
    assert_int_equal(cost_of_saved_prompt_cache(&plain, &u), 0);
}

/* A client may name a model as it likes, and half a character cannot be told in JSON: the report of
 * all models would not be. */
static void a_model_s_name_is_cut_between_characters(void **state)
{
#define EURO "\xe2\x82\xac"
    const struct price_usage u = {.input = 7, .output = 3};
    struct cost_row row;
    char name[3 * MODEL_NAME_BYTES] = "", most[MODEL_NAME_BYTES + 1];
    (void)state;
    for (size_t before = 0; before < sizeof(EURO); before++) {
        memset(name, 'm', MODEL_NAME_BYTES);
        (void)strcpy(name + MODEL_NAME_BYTES - before, EURO EURO);
        cost_row_start(&row, "t", "k", name, &u);
        assert_true(utf8_valid(row.model, strlen(row.model)));
        size_t whole = before == sizeof(EURO) - 1 ? 0 : before;
        assert_int_equal(strlen(row.model), MODEL_NAME_BYTES - whole);
        assert_memory_equal(row.model, name, strlen(row.model));
    }
    memset(most, 'm', MODEL_NAME_BYTES);
    most[MODEL_NAME_BYTES] = '\0';
    cost_row_start(&row, "t", "k", most, &u);
    assert_string_equal(row.model, most);
    assert_string_equal(row.tenant, "t");
    assert_string_equal(row.key, "k");
    assert_true(row.count[COST_requests] == 1 && row.count[COST_input] == 7 &&
                row.count[COST_output] == 3 && row.count[COST_cost] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_s_own_price_goes_before_the_table),
        cmocka_unit_test(a_model_of_another_name_has_the_price_of_what_it_is),
        cmocka_unit_test(an_unknown_model_has_no_price_and_a_free_one_has_zero),
        cmocka_unit_test(each_kind_of_token_has_its_price),
        cmocka_unit_test(what_is_saved_is_what_would_have_been_paid),
        cmocka_unit_test(tokens_that_would_have_made_a_long_request_save_more),
        cmocka_unit_test(a_model_s_name_is_cut_between_characters),
        cmocka_unit_test(no_request_costs_more_than_can_be_summed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
