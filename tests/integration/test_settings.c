/* Settings that are saved while two instances run: what reaches the provider, on both, and after a
 * restart. */
#include "common/clock.h"
#include "common/limits.h"
#include "tests/support/api_kit.h"
#include "tests/support/redis_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATH    "/v1/settings/"
#define TEXT    "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"
#define CONFIG  4096
#define WAIT_MS 20000

static struct redis_fixture redis;
static struct api_kit kit, other; /* two instances on one Redis and one provider */
static char config[CONFIG];

static void write_config(void)
{
    int n = snprintf(config, sizeof(config),
                     "redis: {url: \"%s\"}\n"
                     "providers:\n"
                     "  - name: sim\n"
                     "    format: openai\n"
                     "    base_url: %s/v1\n"
                     "    api_key: sk-simulated-0123456789\n"
                     "    models:\n"
                     "      - {name: gpt-4o, rpm: 6000, tpm: 600000}\n"
                     "      - {name: low, max_output_tokens: 2000, default_output_tokens: 10}\n"
                     "      - {name: alias, upstream_model: o3}\n"
                     "      - {name: \"*\", rpm: 6000}\n"
                     "  - name: dead\n"
                     "    format: openai\n"
                     "    base_url: http://127.0.0.1:1/v1\n"
                     "    api_key: sk-simulated-0123456789\n"
                     "    max_attempts: 1\n"
                     "    models:\n"
                     "      - {name: flaky-4o, fallbacks: [o3]}\n"
                     "  - name: claude\n"
                     "    format: anthropic\n"
                     "    base_url: %s\n"
                     "    api_key: sk-simulated-0123456789\n"
                     "    models:\n"
                     "      - {name: \"claude-*\", pool: claude, rpm: 600}\n",
                     redis.url, kit.sim.url, kit.sim.url);
    assert_in_range(n, 1, (int)sizeof(config) - 1);
}

static void begin(struct api_kit *k)
{
    serve_child_start(&k->serve, config, NULL);
    if (!*k->serve.url)
        fail_msg("sluice serve did not start, see %s", k->serve.log);
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;)
        if (api_kit_status(k, "GET", "/readyz", NULL) == 200)
            return;
    fail_msg("sluice serve is not ready, see %s", k->serve.log);
}

static int start(void **state)
{
    (void)state;
    assert_int_equal(redis_fixture_start(&redis, "appendonly yes\n"), 0);
    sim_child_start(&kit.sim, "--latency-ms 1 --output-tokens 5");
    other.sim = kit.sim;
    write_config();
    begin(&kit);
    begin(&other);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    serve_child_stop(&kit.serve);
    serve_child_stop(&other.serve);
    sim_child_stop(&kit.sim);
    redis_fixture_stop(&redis);
    return 0;
}

/* ---- what is saved */

static int64_t version_at(struct api_kit *k, const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof(path), PATH "%s", name);
    json_t *entry = api_kit_json(k, "GET", path, NULL, 200);
    int64_t version = json_at(entry, "version");
    json_decref(entry);
    return version;
}

static void until_version(struct api_kit *k, const char *name, int64_t version)
{
    for (int64_t until = clock_mono_ms() + WAIT_MS; clock_mono_ms() < until;)
        if (version_at(k, name) == version)
            return;
    fail_msg("%s never came to version %lld", name, (long long)version);
}

/* Saved through the first instance, and known to the second when this returns. */
static void saved(const char *name, const char *values)
{
    char path[160];
    (void)snprintf(path, sizeof(path), PATH "%s", name);
    json_t *entry = api_kit_json(&kit, "PUT", path, values, 200);
    until_version(&other, name, json_at(entry, "version"));
    json_decref(entry);
}

static void reset(const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof(path), PATH "%s", name);
    json_decref(api_kit_json(&kit, "DELETE", path, NULL, 200));
    until_version(&other, name, 0);
}

/* ---- what the provider gets */

static void last_hash(char out[32])
{
    struct http_answer a = http_ask("GET", kit.sim.url, "/sim/calls?limit=1000", NULL, NULL);
    json_t *answer = json_loadb(a.body.data, a.body.len, 0, NULL);
    const json_t *calls = json_object_get(answer, "calls");
    size_t n = json_array_size(calls);
    assert_true(n > 0);
    (void)snprintf(out, 32, "%s", json_text_at(json_array_get(calls, n - 1), "body_hash"));
    json_decref(answer);
    http_answer_release(&a);
}

/* The bytes that reach the provider are compared by the hash that it keeps of them. */
static void arrives_as(const char *path, const char *sent, const char *expected)
{
    char got[32], wanted[32];
    struct http_answer a = http_ask("POST", kit.sim.url, path, expected, NULL);
    assert_int_equal(a.status, 200);
    http_answer_release(&a);
    last_hash(wanted);
    assert_int_equal(api_kit_status(&other, "POST", path, sent), 200);
    last_hash(got);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s did not arrive as %s", sent, expected);
}

static void untouched(const char *path, const char *body)
{
    arrives_as(path, body, body);
}

#define CHAT(model, more) "{\"model\":\"" model "\"" more "," TEXT "}"

/* ---- tests */

static void seeds_are_shown_and_nothing_is_applied_before_it_is_saved(void **state)
{
    (void)state;
    json_t *all = api_kit_json(&other, "GET", "/v1/settings", NULL, 200);
    const json_t *first = json_array_get(json_object_get(all, "data"), 0);
    assert_string_equal(json_text_at(first, "model"), "gpt-4o");
    assert_int_equal(json_at(first, "version"), 0);
    assert_int_equal(json_at(first, "seed/max_output_tokens"), 16384);
    assert_int_equal(json_at(first, "seed/max_iterations"), 15);
    assert_int_equal(json_at(first, "effective/max_output_tokens/value"), 16384);
    assert_string_equal(json_text_at(first, "effective/max_output_tokens/source"), "seed");
    assert_true(json_is_null(json_object_get(first, "saved")));
    assert_int_equal(json_at(all, "ranges/max_output_tokens/step"), 512);
    json_decref(all);
    untouched(KIT_CHAT_PATH, CHAT("gpt-4o", ""));
}

static void what_one_instance_saves_the_next_request_through_the_other_has(void **state)
{
    (void)state;
    saved("sim/gpt-4o", "{\"max_output_tokens\":8192,\"temperature\":0.7}");
    arrives_as(KIT_CHAT_PATH, CHAT("gpt-4o", ""),
               "{\"temperature\":0.7,\"max_tokens\":8192,\"model\":\"gpt-4o\"," TEXT "}");
    saved("sim/gpt-4o", "{\"max_output_tokens\":4096}");
    arrives_as(KIT_CHAT_PATH, CHAT("gpt-4o", ""),
               "{\"max_tokens\":4096,\"model\":\"gpt-4o\"," TEXT "}");
    untouched(KIT_CHAT_PATH, CHAT("another", ""));
    reset("sim/gpt-4o");
    untouched(KIT_CHAT_PATH, CHAT("gpt-4o", ""));
}

static void a_restart_keeps_what_was_saved(void **state)
{
    (void)state;
    saved("sim/gpt-4o", "{\"max_output_tokens\":1512,\"temperature\":0.0}");
    serve_child_stop(&other.serve);
    begin(&other);
    arrives_as(KIT_CHAT_PATH, CHAT("gpt-4o", ""),
               "{\"temperature\":0.0,\"max_tokens\":1512,\"model\":\"gpt-4o\"," TEXT "}");
    reset("sim/gpt-4o");
}

static void a_request_keeps_its_own_values_below_the_most(void **state)
{
    char value[64];
    (void)state;
    saved("sim/gpt-4o", "{\"max_output_tokens\":2024,\"temperature\":0.7}");
    untouched(KIT_CHAT_PATH, CHAT("gpt-4o", ",\"temperature\":1.5,\"max_tokens\":2024"));
    untouched(KIT_CHAT_PATH, CHAT("gpt-4o", ",\"top_p\":0.5,\"max_completion_tokens\":7"));
    arrives_as(KIT_CHAT_PATH, CHAT("gpt-4o", ",\"temperature\":0,\"max_tokens\":2025"),
               CHAT("gpt-4o", ",\"temperature\":0,\"max_tokens\":2024"));
    arrives_as(KIT_CHAT_PATH, CHAT("gpt-4o", ",\"max_tokens\":1,\"temperature\":null"),
               CHAT("gpt-4o", ",\"max_tokens\":1,\"temperature\":0.7"));
    struct http_answer a =
        api_kit_ask(&other, "POST", KIT_CHAT_PATH, CHAT("gpt-4o", ",\"max_tokens\":5000"));
    assert_string_equal(http_answer_header(&a, "x-sluice-settings", value, sizeof(value)),
                        "max_output_tokens=2024, temperature=0.7");
    assert_string_equal(http_answer_header(&a, "x-sluice-max-tokens", value, sizeof(value)),
                        "2024");
    http_answer_release(&a);
    (void)snprintf(other.header, sizeof(other.header), "x-sluice-shrink: never");
    api_kit_refused(&other, "POST", KIT_CHAT_PATH, CHAT("gpt-4o", ",\"max_tokens\":2025"), 400,
                    "max_output_tokens_exceeded");
    assert_int_equal(
        api_kit_status(&other, "POST", KIT_CHAT_PATH, CHAT("gpt-4o", ",\"max_tokens\":2024")), 200);
    *other.header = '\0';
    reset("sim/gpt-4o");
}

static void the_configured_maximum_stays_a_bound_beside_it(void **state)
{
    (void)state;
    saved("sim/low", "{\"max_output_tokens\":8192}");
    arrives_as(KIT_CHAT_PATH, CHAT("low", ""), "{\"max_tokens\":2000,\"model\":\"low\"," TEXT "}");
    json_t *entry = api_kit_json(&kit, "GET", PATH "sim/low", NULL, 200);
    assert_int_equal(json_at(entry, "effective/max_output_tokens/value"), 2000);
    assert_string_equal(json_text_at(entry, "effective/max_output_tokens/source"), "configuration");
    json_decref(entry);
    reset("sim/low");
}

static void a_model_gets_only_parameters_that_it_takes(void **state)
{
    (void)state;
    saved("sim/*", "{\"max_output_tokens\":4096,\"temperature\":0.3}");
    saved("sim/alias", "{\"max_output_tokens\":4096,\"temperature\":0.3}");
    arrives_as(KIT_CHAT_PATH, CHAT("o3", ""),
               "{\"max_completion_tokens\":4096,\"model\":\"o3\"," TEXT "}");
    arrives_as(KIT_CHAT_PATH, CHAT("gpt-5-mini", ""),
               "{\"max_completion_tokens\":4096,\"model\":\"gpt-5-mini\"," TEXT "}");
    arrives_as(KIT_CHAT_PATH, CHAT("alias", ""),
               "{\"max_completion_tokens\":4096,\"model\":\"o3\"," TEXT "}");
    arrives_as("/v1/responses", "{\"model\":\"x\",\"input\":\"hi\"}",
               "{\"temperature\":0.3,\"max_output_tokens\":4096,\"model\":\"x\",\"input\":\"hi\"}");
    arrives_as("/v1/completions", "{\"model\":\"x\",\"prompt\":\"hi\"}",
               "{\"temperature\":0.3,\"max_tokens\":4096,\"model\":\"x\",\"prompt\":\"hi\"}");
    untouched("/v1/embeddings", "{\"model\":\"x\",\"input\":\"hi\"}");
    reset("sim/*");
    reset("sim/alias");
}

static void claude_has_rules_of_its_own(void **state)
{
    static const char thinking[] =
        CHAT("claude-sonnet-4-5", ",\"max_tokens\":6000,\"thinking\":{\"type\":\"enabled\","
                                  "\"budget_tokens\":4608}");
    (void)state;
    saved("claude/claude-*", "{\"max_output_tokens\":4608,\"temperature\":0.5}");
    arrives_as(KIT_MESSAGE_PATH, CHAT("claude-sonnet-4-5", ",\"max_tokens\":10"),
               "{\"temperature\":0.5,\"model\":\"claude-sonnet-4-5\",\"max_tokens\":10," TEXT "}");
    arrives_as(KIT_MESSAGE_PATH, CHAT("claude-opus-4-7", ",\"max_tokens\":9000"),
               CHAT("claude-opus-4-7", ",\"max_tokens\":4608"));
    untouched(KIT_MESSAGE_PATH, CHAT("claude-sonnet-4-5", ",\"max_tokens\":10,\"top_p\":0.9"));
    untouched(KIT_MESSAGE_PATH,
              CHAT("claude-sonnet-4-5", ",\"max_tokens\":4000,\"thinking\":{\"type\":\"enabled\","
                                        "\"budget_tokens\":2000}"));
    json_t *no = api_kit_json(&other, "POST", KIT_MESSAGE_PATH, thinking, 400);
    assert_non_null(strstr(json_text_at(no, "error/message"), "thinking.budget_tokens is 4608"));
    json_decref(no);
    reset("claude/claude-*");
}

static void a_fallback_has_its_own_settings_and_none_of_the_first(void **state)
{
    (void)state;
    saved("dead/flaky-4o", "{\"max_output_tokens\":8192,\"temperature\":0.7}");
    arrives_as(KIT_CHAT_PATH, CHAT("flaky-4o", ""), CHAT("o3", ""));
    saved("sim/o3", "{\"max_output_tokens\":2024,\"temperature\":0.7}");
    arrives_as(KIT_CHAT_PATH, CHAT("flaky-4o", ""),
               "{\"max_completion_tokens\":2024,\"model\":\"o3\"," TEXT "}");
    reset("dead/flaky-4o");
    reset("sim/o3");
}

/* A conversation of so many rounds of calls and results in one turn. */
static char *rounds(int n)
{
    char *text = malloc(64 * KIB);
    assert_non_null(text);
    size_t used = (size_t)snprintf(text, 64 * KIB,
                                   "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\","
                                   "\"content\":\"go\"}");
    for (int i = 0; i < n; i++)
        used +=
            (size_t)snprintf(text + used, 64 * KIB - used,
                             ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
                             "\"c%d\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                             "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":"
                             "\"c%d\",\"content\":\"r\"}",
                             i, i);
    (void)snprintf(text + used, 64 * KIB - used, "]}");
    return text;
}

static void a_turn_of_a_named_conversation_has_so_many_rounds(void **state)
{
    char *at = rounds(3), *past = rounds(4);
    (void)state;
    saved("sim/gpt-4o", "{\"max_iterations\":3}");
    assert_int_equal(api_kit_status(&other, "POST", KIT_CHAT_PATH, past), 200); /* without a name */
    (void)snprintf(other.header, sizeof(other.header), "x-sluice-session: turns");
    assert_int_equal(api_kit_status(&other, "POST", KIT_CHAT_PATH, at), 200);
    json_t *no = api_kit_json(&other, "POST", KIT_CHAT_PATH, past, 422);
    assert_string_equal(json_text_at(no, "error/code"), "max_iterations_exceeded");
    assert_non_null(strstr(json_text_at(no, "error/message"), "4 rounds"));
    assert_non_null(strstr(json_text_at(no, "error/message"), "is 3"));
    json_decref(no);
    /* A new turn begins anew. */
    assert_int_equal(api_kit_status(&other, "POST", KIT_CHAT_PATH, CHAT("gpt-4o", "")), 200);
    *other.header = '\0';
    reset("sim/gpt-4o");
    free(at);
    free(past);
}

/* A conversation of so many turns. */
static char *turns(int n)
{
    char *text = malloc(64 * KIB);
    assert_non_null(text);
    size_t used = (size_t)snprintf(text, 64 * KIB, "{\"model\":\"gpt-4o\",\"messages\":[");
    for (int i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, 64 * KIB - used,
                                 "{\"role\":\"user\",\"content\":\"question %d\"},{\"role\":"
                                 "\"assistant\",\"content\":\"answer %d\"},",
                                 i, i);
    (void)snprintf(text + used, 64 * KIB - used, "{\"role\":\"user\",\"content\":\"?\"}]}");
    return text;
}

static void a_saved_way_of_trimming_holds_unless_the_request_says(void **state)
{
    char value[64];
    char *long_one = turns(100);
    (void)state;
    saved("sim/gpt-4o", "{\"trim\":\"aggressive\"}");
    struct http_answer a = api_kit_ask(&other, "POST", KIT_CHAT_PATH, long_one);
    assert_int_equal(a.status, 200);
    assert_string_equal(http_answer_header(&a, "x-sluice-settings", value, sizeof(value)),
                        "trim=aggressive");
    http_answer_release(&a);
    (void)snprintf(other.header, sizeof(other.header), "x-sluice-trim: none");
    a = api_kit_ask(&other, "POST", KIT_CHAT_PATH, long_one);
    assert_string_equal(http_answer_header(&a, "x-sluice-settings", value, sizeof(value)), "");
    assert_string_equal(http_answer_header(&a, "x-sluice-trim", value, sizeof(value)), "");
    http_answer_release(&a);
    *other.header = '\0';
    reset("sim/gpt-4o");
    free(long_one);
}

/* ---- limits */

static int64_t wanted_tpm;

static bool has_wanted_tpm(const json_t *stats)
{
    size_t i;
    const json_t *pool;
    json_array_foreach(json_object_get(stats, "pools"), i, pool)
    {
        if (strcmp(json_text_at(pool, "pool"), "sim:default:gpt-4o") == 0)
            return json_at(pool, "limits/tpm/capacity") == wanted_tpm;
    }
    return false;
}

static void tpm_is(int64_t tpm)
{
    wanted_tpm = tpm;
    json_decref(api_kit_stats_until(&kit, has_wanted_tpm));
    json_decref(api_kit_stats_until(&other, has_wanted_tpm));
}

static void saved_limits_hold_on_all_instances_at_once_and_over_a_reload(void **state)
{
    (void)state;
    tpm_is(600000);
    saved("sim/gpt-4o", "{\"limits\":{\"tpm\":1234}}");
    tpm_is(1234);
    /* One that could never fit is refused by the new limit, through the other. */
    api_kit_refused(&other, "POST", KIT_CHAT_PATH, CHAT("gpt-4o", ",\"max_tokens\":5000,\"n\":9"),
                    413, "request_too_large");
    assert_int_equal(kill(other.serve.pid, SIGHUP), 0);
    assert_true(serve_child_says(&other.serve, "configuration reloaded"));
    tpm_is(1234);
    reset("sim/gpt-4o");
    tpm_is(600000);
}

static void limits_belong_to_rows(void **state)
{
    (void)state;
    api_kit_refused(&kit, "PUT", PATH "sim/gpt-4.1", "{\"limits\":{\"rpm\":5}}", 400,
                    "invalid_settings");
    assert_int_equal(version_at(&kit, "sim/gpt-4.1"), 0);
}

/* ---- changes */

static void a_change_of_an_older_version_is_refused(void **state)
{
    (void)state;
    json_t *entry =
        api_kit_json(&kit, "PUT", PATH "sim/gpt-4o", "{\"temperature\":0.1,\"version\":0}", 200);
    int64_t version = json_at(entry, "version");
    json_decref(entry);
    api_kit_refused(&other, "PUT", PATH "sim/gpt-4o", "{\"temperature\":0.2,\"version\":0}", 412,
                    "settings_changed");
    (void)snprintf(other.header, sizeof(other.header), "If-Match: \"%lld\"",
                   (long long)version + 1);
    api_kit_refused(&other, "DELETE", PATH "sim/gpt-4o", NULL, 412, "settings_changed");
    (void)snprintf(other.header, sizeof(other.header), "If-Match: seven");
    api_kit_refused(&other, "DELETE", PATH "sim/gpt-4o", NULL, 400, "invalid_header");
    (void)snprintf(other.header, sizeof(other.header), "If-Match: \"%lld\"", (long long)version);
    struct http_answer a = api_kit_ask(&other, "PUT", PATH "sim/gpt-4o", "{\"temperature\":0.2}");
    char tag[32], next[32];
    assert_int_equal(a.status, 200);
    (void)snprintf(next, sizeof(next), "\"%lld\"", (long long)version + 1);
    assert_string_equal(http_answer_header(&a, "ETag", tag, sizeof(tag)), next);
    http_answer_release(&a);
    *other.header = '\0';
    until_version(&kit, "sim/gpt-4o", version + 1);
    reset("sim/gpt-4o");
}

static void a_bad_wish_is_refused_with_its_reason(void **state)
{
    (void)state;
    api_kit_refused(&kit, "PUT", PATH "sim/gpt-4o", "{}", 400, "invalid_settings");
    api_kit_refused(&kit, "PUT", PATH "sim/gpt-4o", "{", 400, "invalid_settings");
    api_kit_refused(&kit, "PUT", PATH "sim/gpt-4o", NULL, 400, "invalid_settings");
    api_kit_refused(&kit, "PUT", PATH "sim/gpt-4o", "{\"temperature\":2.1}", 400,
                    "invalid_settings");
    api_kit_refused(&kit, "PUT", PATH "nobody/gpt-4o", "{\"temperature\":1}", 404,
                    "provider_not_found");
    api_kit_refused(&kit, "GET", PATH "claude/gpt-4o", NULL, 404, "model_not_found");
    api_kit_refused(&kit, "GET", PATH "claude/claude-%0A", NULL, 404, "model_not_found");
    json_decref(api_kit_json(&kit, "DELETE", PATH "sim/gpt-4o", NULL, 200)); /* nothing was saved */
    saved("sim/meta/llama-3", "{\"temperature\":1}");
    json_t *all = api_kit_json(&kit, "GET", "/v1/settings", NULL, 200);
    bool seen = false;
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(all, "data"), i, one)
    {
        seen |= strcmp(json_text_at(one, "model"), "meta/llama-3") == 0;
    }
    assert_true(seen);
    json_decref(all);
    reset("sim/meta/llama-3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_are_shown_and_nothing_is_applied_before_it_is_saved),
        cmocka_unit_test(what_one_instance_saves_the_next_request_through_the_other_has),
        cmocka_unit_test(a_restart_keeps_what_was_saved),
        cmocka_unit_test(a_request_keeps_its_own_values_below_the_most),
        cmocka_unit_test(the_configured_maximum_stays_a_bound_beside_it),
        cmocka_unit_test(a_model_gets_only_parameters_that_it_takes),
        cmocka_unit_test(claude_has_rules_of_its_own),
        cmocka_unit_test(a_fallback_has_its_own_settings_and_none_of_the_first),
        cmocka_unit_test(a_turn_of_a_named_conversation_has_so_many_rounds),
        cmocka_unit_test(a_saved_way_of_trimming_holds_unless_the_request_says),
        cmocka_unit_test(saved_limits_hold_on_all_instances_at_once_and_over_a_reload),
        cmocka_unit_test(limits_belong_to_rows),
        cmocka_unit_test(a_change_of_an_older_version_is_refused),
        cmocka_unit_test(a_bad_wish_is_refused_with_its_reason),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
