/* `sluice demo`, short: the agents that go through Sluice finish and see no 429. */
#include "tests/support/sim_child.h"

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

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    (void)strcpy(folder, "/tmp/sluice-test-demo-XXXXXX");
    return mkdtemp(folder) && setenv("TMPDIR", folder, 1) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails when the demo left something behind */
}

static int run(const char *options, char *out, size_t size)
{
    char command[512];
    const char *binary = getenv("SLUICE_BINARY");
    assert_non_null(binary);
    (void)snprintf(command, sizeof(command), "'%s' demo %s 2>&1", binary, options);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    out[fread(out, 1, size - 1, p)] = '\0';
    int status = pclose(p);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void agents_through_sluice_finish_without_a_429(void **state)
{
    (void)state;
    char out[4096];
    int code = run("--agents 6 --seconds 3 --tpm 8000 --rpm 300 --json", out, sizeof(out));
    if (code != 0)
        fail_msg("exit code %d: %s", code, out);
    json_t *result = json_loads(out, 0, NULL); /* so nothing but the JSON was written */
    if (!result)
        fail_msg("not JSON: %s", out);
    assert_int_equal(json_at(result, "agents"), 6);
    assert_int_equal(json_at(result, "through_sluice/finished"), 6);
    assert_int_equal(json_at(result, "through_sluice/failed"), 0);
    assert_int_equal(json_at(result, "through_sluice/agents_429"), 0);
    assert_int_equal(json_at(result, "through_sluice/provider_429"), 0);
    assert_int_equal(json_at(result, "through_sluice/turns"), 6 * json_at(result, "turns"));
    assert_int_equal(json_at(result, "direct/finished") + json_at(result, "direct/failed"), 6);
    json_decref(result);
}

static void wrong_options_end_with_2_and_impossible_limits_with_1(void **state)
{
    (void)state;
    char out[4096];
    assert_int_equal(run("--agents 0", out, sizeof(out)), 2);
    assert_int_equal(run("--agents 100 --tpm 100", out, sizeof(out)), 1);
    assert_non_null(strstr(out, "100 agents cannot do one turn each"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agents_through_sluice_finish_without_a_429, make_folder,
                                        remove_folder),
        cmocka_unit_test(wrong_options_end_with_2_and_impossible_limits_with_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
