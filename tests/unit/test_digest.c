#include "common/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The examples of FIPS 180-4 (NIST, SHA256.pdf). */
static void the_published_examples_come_out(void **state)
{
    (void)state;
    char hex[DIGEST_HEX_BYTES];
    digest_hex("abc", 3, hex, 64);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_hex("", 0, hex, 64);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_published_examples_come_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
