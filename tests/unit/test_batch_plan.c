/* Which account a file goes to, and the body that its provider gets. */
#include "api/batch/batch_form.h"
#include "common/limits.h"
#include "scheduler/provider/wire.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CHAT(model)                                                                                \
    "{\"model\":\"" model "\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define LINE(id, body)                                                                             \
    "{\"custom_id\":\"" id                                                                         \
    "\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":" body "}\n"

static const char yaml[] =
    "redis: {url: 'unix:///nowhere'}\n"
    "providers:\n"
    "  - name: one\n"
    "    format: openai\n"
    "    base_url: http://127.0.0.1:1/v1\n"
    "    api_key: sk-one\n"
    "    models: [{name: shared, upstream_model: shared-2024}, {name: only-one}]\n"
    "  - name: two\n"
    "    format: openai\n"
    "    base_url: http://127.0.0.1:2/v1\n"
    "    api_key: sk-two\n"
    "    models: [{name: shared}, {name: only-two}]\n"
    "  - name: three\n"
    "    format: openai\n"
    "    base_url: http://127.0.0.1:3/v1\n"
    "    models: [{name: keyless}]\n";

static struct config *config;
static char path[] = "/tmp/sluice-plan-XXXXXX";

static int start(void **state)
{
    struct error e;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    if (config_parse("test", yaml, sizeof(yaml) - 1, &config, &e) < 0)
        fail_msg("%s", e.text);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    config_free(config);
    return unlink(path);
}

static void open_input(struct batch_input *in, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(batch_input_open(in, path), 0);
    assert_int_equal(batch_input_step(in, "/v1/chat/completions", 1 << 20), 0);
}

/* The name of the provider, or the code of the first error; line: of it. */
static const char *plan_of(const char *text, const char *models, size_t budget, int *ret_line)
{
    static char name[64];
    struct batch_input in;
    struct batch_plan p = {.config = config, .endpoint = WIRE_CHAT, .models = models};
    open_input(&in, text);
    int rc;
    while ((rc = batch_plan_step(&p, &in, budget)) > 0)
        continue;
    assert_int_equal(rc, 0);
    const json_t *error = json_array_get(in.errors, 0);
    *ret_line = (int)json_integer_value(json_object_get(error, "line"));
    (void)snprintf(name, sizeof(name), "%s",
                   error ? json_string_value(json_object_get(error, "code"))
                         : p.ways[0].provider->name);
    batch_input_release(&in);
    return name;
}

static void the_first_account_that_serves_all_gets_it(void **state)
{
    int line;
    (void)state;
    assert_string_equal(plan_of(LINE("a", CHAT("shared")), NULL, 1, &line), "one");
    assert_string_equal(
        plan_of(LINE("a", CHAT("shared")) LINE("b", CHAT("only-two")), NULL, 1, &line), "two");
    assert_string_equal(
        plan_of(LINE("b", CHAT("only-two")) LINE("a", CHAT("shared")), NULL, 999, &line), "two");
    assert_string_equal(plan_of(LINE("a", CHAT("two/shared")), NULL, 1, &line), "two");
}

static void what_no_account_serves_is_told_with_its_line(void **state)
{
    int line;
    (void)state;
    assert_string_equal(
        plan_of(LINE("a", CHAT("only-one")) "\n" LINE("b", CHAT("only-two")), NULL, 1, &line),
        "provider_batch_account");
    assert_int_equal(line, 3);
    assert_string_equal(plan_of(LINE("a", CHAT("keyless")), NULL, 1, &line),
                        "provider_batch_account");
    assert_string_equal(plan_of(LINE("a", CHAT("none")), NULL, 1, &line), "model_not_found");
    assert_string_equal(plan_of(LINE("a", CHAT("shared")), " other", 1, &line),
                        "model_not_allowed");
    assert_string_equal(plan_of(LINE("a", "{\"messages\":[]}"), NULL, 1, &line), "invalid_request");
}

static void a_form_holds_each_line_that_is_left_under_our_own_id(void **state)
{
    struct batch_input in;
    struct batch_form f;
    const uint8_t done[] = {0, 1, 0};
    struct batch_form_source s = {
        .input = &in, .done = done, .endpoint = WIRE_CHAT, .tag = "tag", .name = "batch_x"};
    (void)state;
    open_input(&in,
               LINE("a", CHAT("shared")) LINE("b", CHAT("shared")) LINE("c", CHAT("one/shared")));
    assert_true(batch_way_find(config, "one", "default", &s.way));
    assert_false(batch_way_find(config, "one", "other", &s.way));
    batch_form_init(&f);
    int rc, steps = 0;
    while ((rc = batch_form_step(&f, &s, "/tmp", 1)) > 0)
        steps++;
    assert_int_equal(rc, 0);
    assert_true(steps > 0);
    char *body = strndup(f.body, f.len);
    assert_non_null(body);
    assert_non_null(strstr(body, "name=\"purpose\"\r\n\r\nbatch\r\n"));
    assert_non_null(strstr(body,
                           "\r\n\r\n{\"custom_id\":\"tag-1\",\"method\":\"POST\",\"url\":\"/v1/"
                           "chat/completions\",\"body\":{\"model\":\"shared-2024\""));
    assert_null(strstr(body, "tag-2"));
    assert_non_null(strstr(body, "}\n{\"custom_id\":\"tag-3\""));
    free(body);
    batch_form_release(&f);
    batch_input_release(&in);
}

static void a_result_is_of_the_line_that_its_id_names(void **state)
{
    struct batch_input in;
    (void)state;
    open_input(&in, LINE("a", CHAT("shared")) "\n\n" LINE("b", CHAT("shared")));
    const struct {
        const char *id;
        long line;
    } table[] = {{"tag-1", 0}, {"tag-4", 1},  {"tag-2", -1},          {"tag-5", -1},
                 {"tag-", -1}, {"tag", -1},   {"gat-1", -1},          {"tag-1x", -1},
                 {"", -1},     {"tag_1", -1}, {"tag-99999999999", -1}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(
            batch_form_line(&in, "tag", (struct json_span){table[i].id, strlen(table[i].id)}),
            table[i].line);
    batch_input_release(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_account_that_serves_all_gets_it),
        cmocka_unit_test(what_no_account_serves_is_told_with_its_line),
        cmocka_unit_test(a_form_holds_each_line_that_is_left_under_our_own_id),
        cmocka_unit_test(a_result_is_of_the_line_that_its_id_names),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
