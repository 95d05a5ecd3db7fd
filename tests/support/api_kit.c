#include "tests/support/api_kit.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CONFIG_BYTES 4096

char *api_kit_config(const struct api_kit *k, const char *more)
{
    char *text = malloc(CONFIG_BYTES);
    assert_non_null(text);
    int n = snprintf(text, CONFIG_BYTES,
                     "log: {level: info, format: json}\n%s"
                     "providers:\n"
                     "  - name: sim\n"
                     "    format: openai\n"
                     "    base_url: %s/v1\n"
                     "    api_key: sk-simulated-0123456789\n"
                     "    models:\n"
                     "      - {name: gpt-4o, rpm: 6000, tpm: 600000, max_parallel_requests: 64}\n"
                     "      - {name: slow, rpm: 2}\n"
                     "      - {name: small, tpm: 100, default_output_tokens: 10}\n"
                     "  - name: claude\n"
                     "    format: anthropic\n"
                     "    base_url: %s\n"
                     "    api_key: sk-simulated-0123456789\n"
                     "    models:\n"
                     "      - {name: \"claude-*\", pool: claude, rpm: 600}\n",
                     more ? more : "", k->sim.url, k->sim.url);
    assert_in_range(n, 1, CONFIG_BYTES - 1);
    return text;
}

void api_kit_start(struct api_kit *k, const char *sim_options, const char *more)
{
    *k = (struct api_kit){.header = ""};
    sim_child_start(&k->sim, sim_options);
    char *config = api_kit_config(k, more);
    serve_child_start(&k->serve, config, NULL);
    free(config);
    if (!*k->serve.url)
        fail_msg("sluice serve did not start, see %s", k->serve.log);
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;) {
        if (api_kit_status(k, "GET", "/readyz", NULL) == 200)
            return;
    }
    fail_msg("sluice serve is not ready, see %s", k->serve.log);
}

void api_kit_stop(struct api_kit *k)
{
    serve_child_stop(&k->serve);
    sim_child_stop(&k->sim);
}

struct http_answer api_kit_ask(struct api_kit *k, const char *method, const char *path,
                               const char *body)
{
    return http_ask(method, k->serve.url, path, body, *k->header ? k->header : NULL);
}

json_t *api_kit_json(struct api_kit *k, const char *method, const char *path, const char *body,
                     int status)
{
    struct http_answer a = api_kit_ask(k, method, path, body);
    if (a.status != status)
        fail_msg("%s %s: %d, not %d: %.300s", method, path, a.status, status, a.body.data);
    json_t *value = json_loadb(a.body.data, a.body.len, 0, NULL);
    if (!value)
        fail_msg("%s %s: no JSON: %.300s", method, path, a.body.data);
    http_answer_release(&a);
    return value;
}

int api_kit_status(struct api_kit *k, const char *method, const char *path, const char *body)
{
    struct http_answer a = api_kit_ask(k, method, path, body);
    int status = a.status;
    http_answer_release(&a);
    return status;
}

void api_kit_refused(struct api_kit *k, const char *method, const char *path, const char *body,
                     int status, const char *code)
{
    json_t *answer = api_kit_json(k, method, path, body, status);
    assert_string_equal(json_text_at(answer, "error/code"), code);
    assert_true(*json_text_at(answer, "error/message") != '\0');
    json_decref(answer);
}

const char *json_text_at(const json_t *value, const char *path)
{
    char key[128];
    for (const char *at = path; *at;) {
        size_t len = strcspn(at, "/");
        (void)snprintf(key, sizeof(key), "%.*s", (int)len, at);
        value = json_is_array(value) ? json_array_get(value, strtoul(key, NULL, 10))
                                     : json_object_get(value, key);
        at += len + (at[len] == '/');
    }
    return json_is_string(value) ? json_string_value(value) : "";
}

json_t *api_kit_stats_until(struct api_kit *k, bool (*done)(const json_t *stats))
{
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;) {
        json_t *stats = api_kit_json(k, "GET", "/v1/stats", NULL, 200);
        if (done(stats))
            return stats;
        json_decref(stats);
    }
    fail_msg("the stats never came to what was waited for");
    return NULL;
}
