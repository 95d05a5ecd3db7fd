/* The lines of a batch's file: what is taken, what is refused and with which number. */
#include "api/batch/batch_input.h"
#include "api/batch/batch_journal.h"
#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static int make_file(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/sluice-batch-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void put_lines(size_t n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < n; i++)
        (void)fprintf(
            f, "{\"custom_id\":\"r%zu\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{}}\n", i);
    assert_int_equal(fclose(f), 0);
}

static void check(struct batch_input *in)
{
    int rc;
    assert_int_equal(batch_input_open(in, path), 0);
    while ((rc = batch_input_step(in, "/v1/x", 100)) > 0)
        continue;
    assert_int_equal(rc, 0);
}

static void lines_at_the_limit_are_taken_and_one_more_is_not(void **state)
{
    struct batch_input in;
    (void)state;
    put_lines(BATCH_MAX_LINES);
    check(&in);
    assert_int_equal(in.count, BATCH_MAX_LINES);
    assert_int_equal(json_array_size(in.errors), 0);
    assert_int_equal(batch_input_find(&in, (struct json_span){"r49999", 6}), 49999);
    assert_int_equal(batch_input_find(&in, (struct json_span){"r50000", 6}), -1);
    batch_input_release(&in);
    put_lines(BATCH_MAX_LINES + 1);
    check(&in);
    assert_int_equal(json_array_size(in.errors), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(in.errors, 0), "line")),
                     BATCH_MAX_LINES + 1);
    batch_input_release(&in);
}

static void errors_are_kept_up_to_their_limit(void **state)
{
    struct batch_input in;
    (void)state;
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < BATCH_MAX_ERRORS + 1; i++)
        (void)fputs("{\n", f);
    assert_int_equal(fclose(f), 0);
    check(&in);
    assert_int_equal(json_array_size(in.errors), BATCH_MAX_ERRORS);
    batch_input_release(&in);
}

static void an_empty_file_is_an_error(void **state)
{
    struct batch_input in;
    (void)state;
    put_lines(0);
    check(&in);
    assert_int_equal(json_array_size(in.errors), 1);
    batch_input_release(&in);
}

static void count_line(void *arg, int which, struct json_span line)
{
    size_t *n = arg;
    (void)which;
    assert_int_equal(json_kind(line), JSON_OBJ);
    ++*n;
}

static void a_journal_is_cut_to_its_whole_lines_and_has_one_writer(void **state)
{
    static const char half[] = "{\"custom_id\":\"r2";
    struct batch_journal j, other;
    size_t seen = 0;
    (void)state;
    put_lines(2);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    (void)fputs(half, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(batch_journal_open(&j, path, NULL, count_line, &seen), 0);
    assert_int_equal(seen, 2);
    assert_true(batch_journal_open(&other, path, NULL, count_line, &seen) < 0);
    assert_int_equal(batch_journal_add(&j, 1, "{}\n", 3), 0);
    assert_int_equal(batch_journal_finish(&j), 0);
    batch_journal_release(&j);
    seen = 0;
    assert_int_equal(batch_journal_open(&j, path, NULL, count_line, &seen), 0);
    assert_int_equal(seen, 3);
    batch_journal_release(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_at_the_limit_are_taken_and_one_more_is_not),
        cmocka_unit_test(errors_are_kept_up_to_their_limit),
        cmocka_unit_test(an_empty_file_is_an_error),
        cmocka_unit_test(a_journal_is_cut_to_its_whole_lines_and_has_one_writer),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
