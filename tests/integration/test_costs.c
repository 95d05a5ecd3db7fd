/* Money over HTTP and the command line: what requests cost, and budgets that stop them, on two
 * instances with one Redis. */
#include "common/clock.h"
#include "common/money.h"
#include "tests/support/api_kit.h"
#include "tests/support/command.h"
#include "tests/support/redis_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COSTS   "/v1/costs"
#define BUDGETS "/v1/costs/budgets"
#define AS(who) "x-sluice-tenant: " who
#define MESSAGE                                                                                    \
    "{\"model\":\"claude-x\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":"      \
    "\"hi\"}]}"
/* A request costs more than half of a budget, and less than all of it: the third one is refused. */
#define SETTINGS                                                                                   \
    "redis: {url: \"%s\"}\n"                                                                       \
    "auth: {trust_tenant_header: true, keys: []}\n"                                                \
    "costs: {alert_usd: 0}\n"                                                                      \
    "tenants:\n"                                                                                   \
    "  - {name: poor, max_budget: 0.0001, budget_duration: 1mo}\n"                                 \
    "  - {name: poorer, max_budget: 0.0001}\n"                                                     \
    "  - {name: brief, max_budget: 0.0001, budget_duration: 4s}\n"                                 \
    "  - {name: worker, max_budget: 0.0001}\n"                                                     \
    "  - {name: batcher, max_budget: 0}\n"

static struct redis_fixture redis;
static struct api_kit kit, other;
static struct command c;

static int start(void **state)
{
    char more[2048];
    (void)state;
    assert_int_equal(redis_fixture_start(&redis, "appendonly yes\n"), 0);
    (void)snprintf(more, sizeof(more), SETTINGS, redis.url);
    api_kit_start(&kit, "--latency-ms 1 --output-tokens 5", more);
    api_kit_start(&other, "--latency-ms 1 --output-tokens 5", more);
    (void)setenv("SLUICE_URL", kit.serve.url, 1);
    (void)unsetenv("SLUICE_KEY");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    api_kit_stop(&other);
    redis_fixture_stop(&redis);
    return 0;
}

static void as(const char *header)
{
    (void)snprintf(kit.header, sizeof(kit.header), "%s", header);
    (void)snprintf(other.header, sizeof(other.header), "%s", header);
}

static int setup(void **state)
{
    (void)state;
    as("");
    return 0;
}

#define CHAT KIT_CHAT("gpt-4o")

/* At the prices of gpt-4o in the built-in table: $2.50 and $10 for a million tokens. */
static int64_t nano_of(const char *body)
{
    json_t *answer = json_loads(body, 0, NULL);
    int64_t cost = json_at(answer, "usage/prompt_tokens") * 2500 +
                   json_at(answer, "usage/completion_tokens") * 10000;
    json_decref(answer);
    return cost;
}

/* Until an instance answers so: what was spent reaches the other one with its next answer. */
static void until_refused(struct api_kit *k, const char *path, const char *body)
{
    for (int i = 0; i < 400; i++) {
        if (api_kit_status(k, "POST", path, body) == 429)
            return;
    }
    fail_msg("never refused");
}

static json_t *entry(json_t *list, const char *field, const char *value)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(list, "data"), i, one)
    {
        const char *text = json_string_value(json_object_get(one, field));
        if (text && strcmp(text, value) == 0)
            return one;
    }
    return NULL;
}

static json_int_t whole(const json_t *row, const char *name)
{
    return json_integer_value(json_object_get(row, name));
}

/* Costs are told a tenth of a second later. */
static json_t *costs_until(struct api_kit *k, const char *path, const char *field,
                           const char *value, json_int_t requests)
{
    for (int i = 0; i < 2000; i++) {
        json_t *list = api_kit_json(k, "GET", path, NULL, 200);
        json_t *row = entry(list, field, value);
        if (row && whole(row, "requests") == requests)
            return list;
        json_decref(list);
    }
    fail_msg("%s never had %d requests", value, (int)requests);
    return NULL;
}

static void an_answer_tells_its_cost_and_a_sum_is_the_same_on_all_instances(void **state)
{
    char cost[32], model[64], line[80], text[MONEY_TEXT_BYTES];
    (void)state;
    as(AS("alice"));
    struct http_answer a = api_kit_ask(&kit, "POST", KIT_CHAT_PATH, CHAT);
    assert_int_equal(a.status, 200);
    int64_t nano = nano_of(a.body.data);
    assert_true(nano > 50000 && nano < 100000);
    assert_string_equal(http_answer_header(&a, "x-sluice-cost", cost, sizeof(cost)),
                        money_text(nano, text));
    (void)http_answer_header(&a, "x-sluice-model", model, sizeof(model));
    http_answer_release(&a);
    (void)snprintf(line, sizeof(line), "\"cost_usd\":\"%s\"", text);
    assert_true(serve_child_says(&kit.serve, line));
    assert_int_equal(api_kit_status(&other, "POST", KIT_CHAT_PATH, CHAT), 200);
    json_t *list = costs_until(&other, COSTS "?group_by=tenant", "tenant", "alice", 2);
    json_t *row = entry(list, "tenant", "alice");
    assert_int_equal(whole(row, "cost_nano_usd"), 2 * nano);
    assert_int_equal(whole(row, "output_tokens"), 10);
    assert_true(json_is_true(json_object_get(row, "priced")));
    json_decref(list);
    list = api_kit_json(&kit, "GET", COSTS "?group_by=model&tenant=alice", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(list, "data")), 1);
    assert_string_equal(json_text_at(json_array_get(json_object_get(list, "data"), 0), "model"),
                        model);
    json_decref(list);
}

static void a_stream_tells_no_cost_before_it_is_known(void **state)
{
    char header[32];
    (void)state;
    as(AS("streamer"));
    struct http_answer a =
        api_kit_ask(&kit, "POST", KIT_CHAT_PATH,
                    "{\"model\":\"gpt-4o\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                    "\"content\":\"hello\"}]}");
    assert_int_equal(a.status, 200);
    assert_string_equal(http_answer_header(&a, "x-sluice-cost", header, sizeof(header)), "");
    http_answer_release(&a);
    json_t *list = costs_until(&kit, COSTS "?group_by=tenant", "tenant", "streamer", 1);
    assert_true(whole(entry(list, "tenant", "streamer"), "cost_nano_usd") > 50000);
    json_decref(list);
}

static void assert_stopped(struct api_kit *k, const char *path, const char *body, const char *type)
{
    char header[32];
    struct http_answer a = api_kit_ask(k, "POST", path, body);
    assert_int_equal(a.status, 429);
    assert_string_equal(http_answer_header(&a, "x-should-retry", header, sizeof(header)), "false");
    assert_non_null(strstr(a.body.data, type));
    assert_non_null(strstr(a.body.data, "budget of the tenant"));
    assert_non_null(strstr(a.body.data, "$0.0001 (max_budget)"));
    http_answer_release(&a);
}

static void a_tenant_without_money_is_stopped_on_every_instance_in_every_dialect(void **state)
{
    (void)state;
    as(AS("poor"));
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, CHAT), 200);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, CHAT), 200);
    api_kit_refused(&kit, "POST", KIT_CHAT_PATH, CHAT, 429, "budget_exceeded");
    assert_stopped(&kit, KIT_CHAT_PATH, CHAT, "\"code\":\"budget_exceeded\"");
    until_refused(&other, KIT_CHAT_PATH, CHAT);
    assert_stopped(&other, KIT_MESSAGE_PATH, MESSAGE, "\"type\":\"rate_limit_error\"");
    json_t *list = api_kit_json(&other, "GET", BUDGETS, NULL, 200);
    json_t *row = entry(list, "name", "poor");
    assert_true(json_is_true(json_object_get(row, "exceeded")));
    assert_true(json_number_value(json_object_get(row, "spent_usd")) >= 0.0001);
    assert_true(whole(row, "renews_at") > whole(row, "period_started_at"));
    json_decref(list);
    as(AS("alice")); /* others go on */
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, CHAT), 200);
}

static void jobs_and_permits_are_stopped_too(void **state)
{
    static const char job[] = "{\"endpoint\":\"" KIT_CHAT_PATH "\",\"body\":" CHAT "}";
    static const char permit[] = "{\"model\":\"gpt-4o\",\"input_tokens\":5,"
                                 "\"max_output_tokens\":5}";
    char path[160];
    (void)state;
    as(AS("worker"));
    json_t *made = api_kit_json(&kit, "POST", "/v1/jobs", job, 202);
    (void)snprintf(path, sizeof(path), "/v1/jobs/%s?wait=20", json_text_at(made, "id"));
    json_decref(made);
    json_t *done = api_kit_json(&kit, "GET", path, NULL, 200);
    assert_string_equal(json_text_at(done, "status"), "succeeded");
    const json_t *usage = json_object_get(done, "usage");
    assert_true(json_number_value(json_object_get(usage, "cost_usd")) > 0.00005);
    json_decref(done);
    json_t *granted = api_kit_json(&kit, "POST", "/v1/permits", permit, 200);
    (void)snprintf(path, sizeof(path), "/v1/permits/%s/settle", json_text_at(granted, "id"));
    json_decref(granted);
    json_decref(api_kit_json(&kit, "POST", path,
                             "{\"usage\":{\"input_tokens\":5,\"output_tokens\":50},\"status\":200}",
                             200));
    until_refused(&kit, "/v1/permits", permit);
    api_kit_refused(&kit, "POST", "/v1/permits", permit, 429, "budget_exceeded");
    api_kit_refused(&kit, "POST", "/v1/jobs", job, 429, "budget_exceeded");
    json_t *check = api_kit_json(&kit, "POST", "/v1/admission/check", permit, 200);
    assert_string_equal(json_text_at(check, "decision"), "refuse");
    json_decref(check);
}

static void a_budget_without_an_end_stays_spent(void **state)
{
    (void)state;
    as(AS("poorer"));
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, CHAT), 200);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, CHAT), 200);
    struct http_answer a = api_kit_ask(&kit, "POST", KIT_CHAT_PATH, CHAT);
    char header[32];
    assert_int_equal(a.status, 429);
    assert_non_null(strstr(a.body.data, "does not begin anew by itself"));
    assert_string_equal(http_answer_header(&a, "retry-after", header, sizeof(header)), "");
    http_answer_release(&a);
}

static void a_budget_begins_anew_with_its_period(void **state)
{
    (void)state;
    as(AS("brief"));
    until_refused(&kit, KIT_CHAT_PATH, CHAT);
    for (int64_t until_ms = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until_ms;) {
        if (api_kit_status(&kit, "POST", KIT_CHAT_PATH, CHAT) == 200)
            return;
    }
    fail_msg("it never began anew");
}

static void a_key_has_a_budget_of_its_own(void **state)
{
    char id[64], *key, *text;
    (void)state;
    json_t *chief = api_kit_json(&kit, "POST", "/v1/admin/keys",
                                 "{\"name\":\"chief\",\"scopes\":[\"admin\"]}", 201);
    (void)setenv("SLUICE_KEY", json_text_at(chief, "key"), 1);
    COMMAND(&c, NULL, "keys", "create", "--name", "intern", "--max-budget", "0.0001",
            "--budget-duration", "1d", "--scopes", "proxy,stats", "--json");
    assert_int_equal(c.code, 0);
    json_t *made = json_loads(c.out, 0, NULL);
    assert_non_null(made);
    assert_true(json_number_value(json_object_get(made, "max_budget")) == 0.0001);
    assert_string_equal(json_text_at(made, "budget_duration"), "1d");
    (void)snprintf(id, sizeof(id), "%s", json_text_at(made, "id"));
    key = strdup(json_text_at(made, "key"));
    json_decref(made);
    assert_true(asprintf(&text, "Authorization: Bearer %s", key) > 0);
    as(text);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, CHAT), 200);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, CHAT), 200);
    api_kit_refused(&kit, "POST", KIT_CHAT_PATH, CHAT, 429, "budget_exceeded");
    json_t *list = api_kit_json(&kit, "GET", BUDGETS, NULL, 200);
    assert_int_equal(json_array_size(json_object_get(list, "data")), 1);
    assert_string_equal(json_text_at(entry(list, "name", id), "whose"), "key");
    json_decref(list);
    list = costs_until(&kit, COSTS "?group_by=key&tenant=alice", "key", id, 2);
    assert_int_equal(json_array_size(json_object_get(list, "data")), 1); /* its tenant's only */
    json_decref(list);
    COMMAND(&c, NULL, "costs", "--group-by", "tenant");
    assert_true(c.code == 0 && command_wrote(&c, "alice") && command_wrote(&c, "total"));
    COMMAND(&c, NULL, "costs", "budgets");
    assert_true(c.code == 0 && command_wrote(&c, "used up") && command_wrote(&c, id));
    COMMAND(&c, NULL, "costs", "--group-by", "moon");
    assert_true(c.code == 1 && command_told(&c, "group_by must be one of"));
    COMMAND(&c, NULL, "costs", "--from", "a&b=c");
    assert_int_equal(c.code, 2);
    (void)unsetenv("SLUICE_KEY");
    free(text);
    free(key);
    json_decref(chief);
}

static void a_question_that_cannot_be_answered_is_refused(void **state)
{
    static const char *const bad[] = {"?from=yesterday", "?to=2026-02-30", "?group_by=moon",
                                      "?from=2026-02-02&to=2026-02-01",
                                      "?from=2024-01-01&to=2026-01-01"};
    char path[256];
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(path, sizeof(path), COSTS "%s", bad[i]);
        api_kit_refused(&kit, "GET", path, NULL, 400, "invalid_value");
    }
    /* A name that nobody can have must not ask for all. */
    static const char *const lists[] = {
        COSTS "?tenant=", "/v1/webhooks/deliveries?job=", "/v1/webhooks/deliveries?batch="};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%0200d", lists[i], 0);
        api_kit_refused(&kit, "GET", path, NULL, 400, "invalid_value");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_answer_tells_its_cost_and_a_sum_is_the_same_on_all_instances,
                               setup),
        cmocka_unit_test_setup(a_tenant_without_money_is_stopped_on_every_instance_in_every_dialect,
                               setup),
        cmocka_unit_test_setup(a_stream_tells_no_cost_before_it_is_known, setup),
        cmocka_unit_test_setup(jobs_and_permits_are_stopped_too, setup),
        cmocka_unit_test_setup(a_budget_without_an_end_stays_spent, setup),
        cmocka_unit_test_setup(a_budget_begins_anew_with_its_period, setup),
        cmocka_unit_test_setup(a_question_that_cannot_be_answered_is_refused, setup),
        cmocka_unit_test_setup(a_key_has_a_budget_of_its_own, setup),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
