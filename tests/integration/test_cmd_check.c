/* `sluice check` and `sluice version` as a shell sees them: output and exit code. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

struct ran {
    char out[64 * 1024]; /* stdout and stderr */
    int exit_code;
};

static struct ran shell(const char *arguments, const char *operand)
{
    struct ran r;
    char command[1024];
    const char *binary = getenv("SLUICE_BINARY");
    assert_non_null(binary);
    (void)snprintf(command, sizeof(command),
                   "env -u OPENAI_API_KEY -u ANTHROPIC_API_KEY '%s' %s %s 2>&1", binary, arguments,
                   operand);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t len = fread(r.out, 1, sizeof(r.out) - 1, p);
    r.out[len] = '\0';
    int status = pclose(p);
    assert_true(WIFEXITED(status));
    r.exit_code = WEXITSTATUS(status);
    return r;
}

static char path[64];

static void write_config(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static const char good[] = "redis: {url: 'redis://u:hunter2@h:6379/0'}\n"
                           "auth: {keys: [{key: hunter2hunter2hunter2}]}\n"
                           "providers:\n"
                           "- name: openai\n"
                           "  format: openai\n"
                           "  api_key: hunter2\n"
                           "  models: [{name: gpt-4o, rpm: 5}, {name: '*'}]\n"
                           "- {name: local, format: anthropic}\n";

static void a_right_file_is_summed_up_without_its_secrets(void **state)
{
    (void)state;
    write_config(good);
    struct ran r = shell("check", path);

    assert_int_equal(r.exit_code, 0);
    assert_non_null(strstr(r.out, ": OK\n"));
    assert_non_null(strstr(r.out, "redis    h:6379/0\n"));
    assert_non_null(strstr(r.out, "access   1 keys\n"));
    assert_non_null(strstr(r.out, "pool gpt-4o: rpm 5\n"));
    assert_non_null(strstr(r.out, "https://api.openai.com/v1, key set)"));
    assert_non_null(strstr(r.out, "https://api.anthropic.com, key not set)"));
    assert_non_null(strstr(r.out, "warning: openai: the model \"*\" has no limits"));
    assert_non_null(strstr(r.out, "warning: local: api_key is not set"));
    assert_null(strstr(r.out, "hunter2"));
}

static void json_says_the_same(void **state)
{
    (void)state;
    write_config(good);
    struct ran r = shell("check --json", path);

    assert_int_equal(r.exit_code, 0);
    assert_null(strstr(r.out, "hunter2"));
    json_t *all = json_loads(r.out, 0, NULL);
    assert_non_null(all);
    assert_true(json_is_true(json_object_get(all, "ok")));
    json_t *providers = json_object_get(all, "providers");
    assert_int_equal(json_array_size(providers), 2);
    json_t *first = json_array_get(providers, 0);
    assert_true(json_is_true(json_object_get(first, "api_key_set")));
    json_t *model = json_array_get(json_object_get(first, "models"), 0);
    json_t *limits = json_object_get(model, "limits");
    assert_int_equal(json_integer_value(json_object_get(limits, "rpm")), 5);
    assert_int_equal(json_object_size(limits), 1);
    assert_int_equal(json_array_size(json_object_get(all, "warnings")), 3);
    json_decref(all);
}

static void a_wrong_file_exits_with_1_and_the_place(void **state)
{
    (void)state;
    write_config("listen: 127.0.0.1:1\nzebra: 1\n");
    struct ran r = shell("check", path);
    assert_int_equal(r.exit_code, 1);
    assert_non_null(strstr(r.out, ":2:1: unknown key \"zebra\""));

    r = shell("check --json", path);
    assert_int_equal(r.exit_code, 1);
    r = shell("check", "/nowhere/at/all.yaml");
    assert_int_equal(r.exit_code, 1);
    assert_non_null(strstr(r.out, "/nowhere/at/all.yaml: No such file"));
    r = shell("check", "");
    assert_int_equal(r.exit_code, 1);
    assert_non_null(strstr(r.out, "neither OPENAI_API_KEY nor ANTHROPIC_API_KEY"));
}

static void a_wrong_use_exits_with_2(void **state)
{
    (void)state;
    assert_int_equal(shell("check a b", "").exit_code, 2);
    assert_int_equal(shell("check --what", "").exit_code, 2);
    assert_int_equal(shell("", "").exit_code, 2);
    struct ran r = shell("chekc", "");
    assert_int_equal(r.exit_code, 2);
    assert_non_null(strstr(r.out, "did you mean \"check\"?"));
}

static void help_and_version_exit_with_0(void **state)
{
    (void)state;
    assert_int_equal(shell("--help", "").exit_code, 0);
    assert_int_equal(shell("check --help", "").exit_code, 0);
    struct ran r = shell("version --json", "");
    assert_int_equal(r.exit_code, 0);
    json_t *all = json_loads(r.out, 0, NULL);
    assert_non_null(json_object_get(all, "version"));
    json_decref(all);
    r = shell("--version", "");
    assert_int_equal(r.exit_code, 0);
    assert_int_equal(strncmp(r.out, "sluice ", 7), 0);
}

static void keys_lists_every_key_with_its_range(void **state)
{
    (void)state;
    struct ran r = shell("check --keys", "");
    assert_int_equal(r.exit_code, 0);
    assert_non_null(strstr(r.out, "queue.max_depth"));
    assert_non_null(strstr(r.out, "requests; 1 to 10000000, default: 100000"));
    assert_non_null(strstr(r.out, "providers[].models[].rpm"));
}

static void json_tells_what_tenants_may_use(void **state)
{
    (void)state;
    write_config(
        "tenants: [{name: a, weight: 2, tpm: 9, max_share: 0.5, max_queue: 7}, {name: b}]\n"
        "providers: [{name: p, format: openai, base_url: 'http://127.0.0.1:1', api_key: k,\n"
        "             models: [{name: m, rpm: 5}]}]\n");
    struct ran r = shell("check --json", path);
    assert_int_equal(r.exit_code, 0);
    json_t *all = json_loads(r.out, 0, NULL);
    json_t *want = json_loads("[{\"name\":\"a\",\"weight\":2,\"limits\":{\"tpm\":9,"
                              "\"max_share\":0.5,\"max_queue\":7}},"
                              "{\"name\":\"b\",\"weight\":1,\"limits\":{}}]",
                              0, NULL);
    assert_non_null(want);
    assert_true(json_equal(json_object_get(all, "tenant_limits"), want));
    json_decref(want);
    json_decref(all);
}

int main(void)
{
    (void)snprintf(path, sizeof(path), "/tmp/test_cmd_check.XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0)
        return EXIT_FAILURE;
    (void)close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_file_is_summed_up_without_its_secrets),
        cmocka_unit_test(json_says_the_same),
        cmocka_unit_test(json_tells_what_tenants_may_use),
        cmocka_unit_test(a_wrong_file_exits_with_1_and_the_place),
        cmocka_unit_test(a_wrong_use_exits_with_2),
        cmocka_unit_test(help_and_version_exit_with_0),
        cmocka_unit_test(keys_lists_every_key_with_its_range),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
