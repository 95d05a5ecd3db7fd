#include "common/base64.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* RFC 4648 section 10. */
static const char *const vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};
#define VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static void the_vectors_of_the_rfc_go_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        struct buf out;
        unsigned char bytes[8];
        buf_init(&out, 64);
        assert_int_equal(base64_encode(vectors[i][0], strlen(vectors[i][0]), &out), 0);
        assert_string_equal(out.data ? out.data : "", vectors[i][1]);
        int n = base64_decode(vectors[i][1], strlen(vectors[i][1]), bytes, sizeof(bytes));
        assert_int_equal(n, strlen(vectors[i][0]));
        assert_memory_equal(bytes, vectors[i][0], (size_t)n);
        buf_release(&out);
    }
}

static void every_byte_value_survives(void **state)
{
    (void)state;
    unsigned char bytes[256], back[256];
    struct buf out;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    buf_init(&out, 1024);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        buf_clear(&out);
        assert_int_equal(base64_encode(bytes, len, &out), 0);
        assert_int_equal(base64_decode(out.data ? out.data : "", out.len, back, sizeof(back)), len);
        assert_memory_equal(bytes, back, len);
    }
    buf_release(&out);
}

static void what_is_not_whole_is_refused(void **state)
{
    static const char *const bad[] = {"Zg=", "Zg", "Z===", "====", "Zg=a", "Zm8*", "Zh==", "Zm9="};
    unsigned char bytes[8];
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(base64_decode(bad[i], strlen(bad[i]), bytes, sizeof(bytes)), -EINVAL);
    assert_int_equal(base64_decode("Zg\0=", 4, bytes, sizeof(bytes)), -EINVAL);
}

static void the_room_is_never_passed(void **state)
{
    unsigned char bytes[6] = {0};
    (void)state;
    assert_int_equal(base64_decode("Zm9vYmFy", 8, bytes, 6), 6);
    assert_int_equal(base64_decode("Zm9vYmFy", 8, bytes, 5), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc_go_both_ways),
        cmocka_unit_test(every_byte_value_survives),
        cmocka_unit_test(what_is_not_whole_is_refused),
        cmocka_unit_test(the_room_is_never_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
