/* Forms as clients send them, broken in every way that matters. */
#include "api/multipart.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TYPE "multipart/form-data; boundary=\"a b\""
#define FORM                                                                                       \
    "--a b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"                   \
    "--a b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"../x/in.jsonl\"\r\n"       \
    "Content-Type: text/plain\r\n\r\n{\"a\":1}\n\r\n--a \r\n--a b--\r\n"

static void parts_have_their_names_and_bytes(void **state)
{
    struct multipart m;
    struct multipart_part p;
    (void)state;
    assert_int_equal(multipart_start(&m, TYPE, FORM, sizeof(FORM) - 1), 0);
    assert_int_equal(multipart_next(&m, &p), 1);
    assert_string_equal(p.name, "purpose");
    assert_int_equal(p.len, 5);
    assert_false(multipart_is_end(&m));
    assert_int_equal(multipart_next(&m, &p), 1);
    assert_string_equal(p.name, "file");
    assert_string_equal(p.filename, "in.jsonl");
    assert_int_equal(p.len, 14);
    assert_memory_equal(p.data, "{\"a\":1}\n\r\n--a ", p.len);
    assert_int_equal(multipart_next(&m, &p), 0);
}

static void an_empty_part_has_no_bytes(void **state)
{
    static const char form[] = "--b\r\nContent-Disposition: form-data; name=f\r\n\r\n\r\n--b--";
    struct multipart m;
    struct multipart_part p;
    (void)state;
    assert_int_equal(multipart_start(&m, "multipart/form-data; boundary=b", form, sizeof(form) - 1),
                     0);
    assert_int_equal(multipart_next(&m, &p), 1);
    assert_string_equal(p.name, "f");
    assert_int_equal(p.len, 0);
}

static void a_form_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(FORM) - 5; len++) {
        struct multipart m;
        struct multipart_part p;
        int rc = multipart_start(&m, TYPE, FORM, len);
        while (rc == 0 && (rc = multipart_next(&m, &p)) > 0)
            rc = 0;
        assert_int_equal(rc, -EINVAL);
    }
}

static void a_small_budget_finds_the_same_parts(void **state)
{
    (void)state;
    for (size_t budget = 1; budget < sizeof(FORM); budget++) {
        struct multipart m;
        struct multipart_part p[3];
        int calls = 0, rc;
        assert_int_equal(multipart_start(&m, TYPE, FORM, sizeof(FORM) - 1), 0);
        m.budget = budget;
        for (int i = 0; i < 3; i++) {
            while ((rc = multipart_next(&m, &p[i])) == -EAGAIN)
                assert_true(++calls < 1000);
            assert_int_equal(rc, i < 2);
        }
        assert_true(budget > 1 || calls > 10);
        assert_string_equal(p[0].name, "purpose");
        assert_int_equal(p[0].len, 5);
        assert_string_equal(p[1].name, "file");
        assert_int_equal(p[1].len, 14);
    }
}

static void other_types_are_refused(void **state)
{
    struct multipart m;
    (void)state;
    assert_int_equal(multipart_start(&m, NULL, FORM, 10), -EINVAL);
    assert_int_equal(multipart_start(&m, "application/json", FORM, 10), -EINVAL);
    assert_int_equal(multipart_start(&m, "multipart/form-data", FORM, 10), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_have_their_names_and_bytes),
        cmocka_unit_test(an_empty_part_has_no_bytes),
        cmocka_unit_test(a_form_cut_anywhere_is_refused),
        cmocka_unit_test(a_small_budget_finds_the_same_parts),
        cmocka_unit_test(other_types_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
