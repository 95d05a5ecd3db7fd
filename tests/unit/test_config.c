#include "common/config.h"
#include "common/config_table.h"
#include "common/digest.h"
#include "common/file.h"
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

#include <unistd.h>

#define MINIMAL "providers:\n  - {name: openai, format: openai}\n"

static struct config *parse(const char *text)
{
    struct config *c = NULL;
    struct error e = {.text = ""};
    if (config_parse("test.yaml", text, strlen(text), &c, &e))
        fail_msg("%s", e.text);
    return c;
}

static void a_small_file_gets_every_default(void **state)
{
    (void)state;
    struct config *c = parse(MINIMAL);

    assert_string_equal(c->listen, "127.0.0.1:8080");
    assert_string_equal(c->redis.url, "");
    assert_int_equal(c->redis.on_outage, CONFIG_LOCAL);
    assert_int_equal(c->redis.command_timeout_ms, 2000);
    assert_int_equal(c->http.max_body_bytes, HTTP_MAX_BODY_BYTES);
    assert_int_equal(c->queue.max_wait_ms, 600000);
    assert_int_equal(c->queue.bypass_permille, 250);
    assert_int_equal(c->jobs.durability, CONFIG_EVERYSEC);
    assert_int_equal(c->drain_timeout_ms, 600000);
    assert_string_equal(c->log.level, "info");
    assert_int_equal(c->provider_count, 1);
    assert_string_equal(c->providers[0].base_url, "https://api.openai.com/v1");
    assert_string_equal(c->providers[0].profile, "openai");
    assert_int_equal(c->providers[0].max_attempts, 4);
    assert_int_equal(c->providers[0].key_count, 0);
    config_free(c);
}

static void a_provider_without_models_takes_any_model_without_limits(void **state)
{
    (void)state;
    struct config *c = parse(MINIMAL);

    assert_int_equal(c->providers[0].model_count, 1);
    const struct config_model *m = &c->providers[0].models[0];
    assert_string_equal(m->name, "*");
    assert_string_equal(m->pool, "*");
    assert_int_equal(m->limits.rpm, CONFIG_ABSENT);
    assert_int_equal(m->limits.max_parallel_requests, CONFIG_ABSENT);
    assert_int_equal(m->context_window, CONFIG_ABSENT);
    assert_int_equal(m->default_output_tokens, 1024);
    config_free(c);
}

static void values_land_in_their_fields(void **state)
{
    (void)state;
    struct config *c = parse("listen: '[::1]:9000'\n"
                             "redis: {url: 'unix:///run/r.sock', on_outage: closed}\n"
                             "jobs: {durability: always}\n"
                             "log: {level: debug}\n"
                             "tenants: [{name: a}, {name: b, weight: 7}]\n"
                             "providers:\n"
                             "  - name: p\n"
                             "    format: anthropic\n"
                             "    base_url: http://127.0.0.1:9999/\n"
                             "    models:\n"
                             "      - {name: m, pool: g, rpm: 1, itpm: 5000, otpm: 2000, rpd: 9,\n"
                             "         max_parallel_requests: 3, chars_per_token: 3.5}\n");

    assert_string_equal(c->listen, "[::1]:9000");
    assert_int_equal(c->redis.on_outage, CONFIG_CLOSED);
    assert_int_equal(c->jobs.durability, CONFIG_ALWAYS);
    assert_string_equal(c->log.level, "debug");
    assert_int_equal(c->tenant_count, 2);
    assert_int_equal(c->tenants[0].weight, 1);
    assert_int_equal(c->tenants[1].weight, 7);
    assert_int_equal(c->providers[0].format, CONFIG_ANTHROPIC);
    assert_string_equal(c->providers[0].base_url, "http://127.0.0.1:9999");
    const struct config_model *m = &c->providers[0].models[0];
    assert_string_equal(m->pool, "g");
    assert_int_equal(m->limits.rpm, 1);
    assert_int_equal(m->limits.itpm, 5000);
    assert_int_equal(m->limits.otpm, 2000);
    assert_int_equal(m->limits.rpd, 9);
    assert_int_equal(m->limits.tpm, CONFIG_ABSENT);
    assert_int_equal(m->limits.max_parallel_requests, 3);
    assert_true(m->chars_per_token == 3.5);
    config_free(c);
}

static void limits_of_a_pool_stated_once_hold_for_all_its_rows(void **state)
{
    (void)state;
    struct config *c = parse("providers:\n"
                             "  - name: p\n"
                             "    format: openai\n"
                             "    models:\n"
                             "      - {name: small, pool: g}\n"
                             "      - {name: large, pool: g, rpm: 5, tpm: 5000}\n"
                             "      - {name: other}\n");

    assert_int_equal(c->providers[0].models[0].limits.rpm, 5);
    assert_int_equal(c->providers[0].models[0].limits.tpm, 5000);
    assert_int_equal(c->providers[0].models[2].limits.rpm, CONFIG_ABSENT);
    config_free(c);
}

static void a_plain_access_key_is_kept_as_its_digest_only(void **state)
{
    (void)state;
    static const char key[] = "sk-sluice-0123456789";
    char hex[DIGEST_HEX_BYTES];
    digest_hex(key, sizeof(key) - 1, hex, 64);
    setenv("TEST_KEY", key, 1);

    struct config *c = parse("listen: 0.0.0.0:80\n"
                             "auth: {keys: [{key: '${TEST_KEY}', tenant: team/a}]}\n" MINIMAL);

    assert_string_equal(c->auth.keys[0].sha256, hex);
    assert_string_equal(c->auth.keys[0].tenant, "team/a");
    config_free(c);
    unsetenv("TEST_KEY");
}

static void an_api_key_from_an_unset_or_empty_variable_is_absent(void **state)
{
    (void)state;
    static const char text[] = "providers: [{name: p, format: openai, api_key: '${TEST_KEY}'}]";
    unsetenv("TEST_KEY");
    struct config *c = parse(text);
    assert_int_equal(c->providers[0].key_count, 0);
    config_free(c);

    setenv("TEST_KEY", "", 1);
    c = parse(text);
    assert_int_equal(c->providers[0].key_count, 0);
    config_free(c);

    setenv("TEST_KEY", "secret", 1);
    c = parse(text);
    assert_string_equal(c->providers[0].keys[0].api_key, "secret");
    config_free(c);
    unsetenv("TEST_KEY");
}

static void without_providers_they_come_from_the_environment(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct error e;
    setenv("OPENAI_API_KEY", "k1", 1);
    setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1", 1);
    setenv("ANTHROPIC_API_KEY", "k2", 1);

    assert_int_equal(config_from_environment(&c, &e), 0);

    assert_null(c->path);
    assert_int_equal(c->provider_count, 2);
    assert_string_equal(c->providers[0].name, "openai");
    assert_string_equal(c->providers[0].base_url, "http://127.0.0.1:1/v1");
    assert_string_equal(c->providers[0].keys[0].api_key, "k1");
    assert_int_equal(c->providers[1].format, CONFIG_ANTHROPIC);
    assert_string_equal(c->providers[1].base_url, "https://api.anthropic.com");
    config_free(c);

    c = parse("listen: 127.0.0.1:1234\n");
    assert_int_equal(c->provider_count, 2);
    assert_string_equal(c->path, "test.yaml");
    config_free(c);
    unsetenv("OPENAI_API_KEY");
    unsetenv("OPENAI_BASE_URL");
    unsetenv("ANTHROPIC_API_KEY");
    assert_int_equal(config_from_environment(&c, &e), -ENOENT);
    assert_non_null(strstr(e.text, "OPENAI_API_KEY"));
}

static void the_command_line_wins_and_is_checked_like_the_file(void **state)
{
    (void)state;
    struct error e;
    struct config *c = parse(MINIMAL);
    assert_int_equal(config_override(c, "127.0.0.1:0", "/tmp/d", &e), 0);
    assert_string_equal(c->listen, "127.0.0.1:0");
    assert_string_equal(c->data_dir, "/tmp/d");
    assert_int_equal(config_override(c, NULL, NULL, &e), 0);
    assert_string_equal(c->listen, "127.0.0.1:0");

    assert_int_equal(config_override(c, "here", NULL, &e), -EINVAL);
    assert_non_null(strstr(e.text, "--listen must be ADDRESS:PORT"));
    assert_int_equal(config_override(c, "0.0.0.0:80", NULL, &e), -EINVAL);
    assert_non_null(strstr(e.text, "auth.keys is empty"));
    config_free(c);
}

/* ---- the example file */

static char *example_path(char *path, size_t size)
{
    const char *source = getenv("SLUICE_SOURCE");
    (void)snprintf(path, size, "%s/deploy/sluice.example.yaml", source ? source : ".");
    return path;
}

static void assert_same_field(const struct config_row *row, const void *a, const void *b)
{
    const void *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
    bool same = true;
    switch (row->type) {
    case CONFIG_TEXT:
    case CONFIG_WORD:
        same = row->required && !*(char *const *)x &&
               !*(char *const *)y; /* its section is not there */
        same = same || strcmp(*(char *const *)x, *(char *const *)y) == 0;
        break;
    case CONFIG_CHOICE:
        same = *(const int *)x == *(const int *)y;
        break;
    case CONFIG_INTEGER:
        same = *(const int64_t *)x == *(const int64_t *)y;
        break;
    case CONFIG_NUMBER:
        same = *(const double *)x == *(const double *)y;
        break;
    case CONFIG_BOOL:
        same = *(const bool *)x == *(const bool *)y;
        break;
    case CONFIG_SECRET:
    case CONFIG_LIST:
    case CONFIG_NAMES:
    case CONFIG_SECTION:
        break;
    }
    if (!same)
        fail_msg("%s is not its default", row->key);
}

/* Optional keys have no default to compare with. */
static void assert_same(const struct config_section *s, const void *a, const void *b)
{
    for (size_t i = 0; i < s->row_count; i++) {
        const struct config_row *row = &s->rows[i];
        if (row->type == CONFIG_SECTION)
            assert_same(row->of, a, b);
        else if (!row->optional || row->computed)
            assert_same_field(row, a, b);
    }
}

static const struct config_section *section_of(const struct config_section *s, const char *key)
{
    for (size_t i = 0; i < s->row_count; i++)
        if (strcmp(s->rows[i].key, key) == 0)
            return s->rows[i].of;
    fail_msg("no key %s", key);
    return NULL;
}

static void the_example_file_states_the_defaults(void **state)
{
    (void)state;
    char path[512];
    struct config *example = NULL;
    struct error e = {.text = ""};
    if (config_load(example_path(path, sizeof(path)), &example, &e))
        fail_msg("%s", e.text);
    struct config *c = parse("providers: [{name: openai, format: openai, models: "
                             "[{name: gpt-4o}]}]");

    assert_string_equal(example->path, path);
    assert_same(&config_table, example, c);
    const struct config_section *provider = section_of(&config_table, "providers");
    assert_same(provider, &example->providers[0], &c->providers[0]);
    assert_same(&config_table_model, &example->providers[0].models[0], &c->providers[0].models[0]);
    assert_int_equal(example->auth.key_count, 0);
    assert_int_equal(example->tenant_count, 0);
    config_free(example);
    config_free(c);
}

static bool line_has(const char *text, const char *key, const char *help)
{
    char start[64];
    (void)snprintf(start, sizeof(start), "%s:", key);
    for (const char *at = strstr(text, start); at; at = strstr(at + 1, start)) {
        size_t len = strcspn(at, "\n");
        if (memmem(at, len, help, strlen(help)))
            return true;
    }
    return false;
}

static void assert_documented(const char *text, const struct config_section *s)
{
    for (size_t i = 0; i < s->row_count; i++) {
        const struct config_row *row = &s->rows[i];
        if (row->of)
            assert_documented(text, row->of);
        else if (!line_has(text, row->key, row->help))
            fail_msg("no line with \"%s:\" and \"%s\"", row->key, row->help);
    }
}

static void the_example_file_explains_every_key(void **state)
{
    (void)state;
    static char text[64 * 1024];
    char path[512];
    size_t len = 0;
    assert_int_equal(file_read(example_path(path, sizeof(path)), text, sizeof(text), &len), 0);

    assert_documented(text, &config_table);
}

/* ---- maxima */

static void a_file_may_have_its_maximum_and_not_one_byte_more(void **state)
{
    (void)state;
    char path[] = "/tmp/test_config.XXXXXX";
    struct config *c = NULL;
    struct error e;
    size_t len = CONFIG_MAX_FILE_BYTES;
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, '#', len + 1);
    memcpy(text, MINIMAL, strlen(MINIMAL));
    int fd = mkstemp(path);
    assert_true(fd >= 0);

    assert_int_equal(write(fd, text, len), (ssize_t)len);
    assert_int_equal(config_load(path, &c, &e), 0);
    config_free(c);
    assert_int_equal(write(fd, "#", 1), 1);
    assert_int_equal(config_load(path, &c, &e), -E2BIG);
    assert_non_null(strstr(e.text, "larger than"));

    (void)close(fd);
    (void)unlink(path);
    free(text);
    assert_int_equal(config_load(path, &c, &e), -ENOENT);
}

static void names_may_have_their_maximum_and_not_one_byte_more(void **state)
{
    (void)state;
    char text[512], name[MODEL_NAME_BYTES + 1];
    struct config *c = NULL;
    struct error e;
    for (size_t past = 0; past <= 1; past++) {
        memset(name, 'm', sizeof(name));
        name[MODEL_NAME_BYTES - 1 + past] = '\0';
        (void)snprintf(text, sizeof(text),
                       "providers: [{name: %.*s, format: openai, models: [{name: %s}]}]",
                       PROVIDER_NAME_BYTES - 1, name, name);
        int want = past ? -E2BIG : 0;
        assert_int_equal(config_parse("t", text, strlen(text), &c, &e), want);
    }
    config_free(c);

    memset(name, 'p', sizeof(name));
    (void)snprintf(text, sizeof(text), "providers: [{name: %.*s, format: openai}]",
                   PROVIDER_NAME_BYTES, name);
    assert_int_equal(config_parse("t", text, strlen(text), &c, &e), -E2BIG);
    assert_non_null(strstr(e.text, "at most 31 bytes"));
}

int main(void)
{
    unsetenv("OPENAI_API_KEY");
    unsetenv("ANTHROPIC_API_KEY");
    unsetenv("OPENAI_BASE_URL");
    unsetenv("ANTHROPIC_BASE_URL");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_file_gets_every_default),
        cmocka_unit_test(a_provider_without_models_takes_any_model_without_limits),
        cmocka_unit_test(values_land_in_their_fields),
        cmocka_unit_test(limits_of_a_pool_stated_once_hold_for_all_its_rows),
        cmocka_unit_test(a_plain_access_key_is_kept_as_its_digest_only),
        cmocka_unit_test(an_api_key_from_an_unset_or_empty_variable_is_absent),
        cmocka_unit_test(without_providers_they_come_from_the_environment),
        cmocka_unit_test(the_command_line_wins_and_is_checked_like_the_file),
        cmocka_unit_test(the_example_file_states_the_defaults),
        cmocka_unit_test(the_example_file_explains_every_key),
        cmocka_unit_test(a_file_may_have_its_maximum_and_not_one_byte_more),
        cmocka_unit_test(names_may_have_their_maximum_and_not_one_byte_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
