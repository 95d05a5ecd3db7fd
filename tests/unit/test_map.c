#include "common/map.h"

#include "common/rand.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 500

static void a_key_stands_once(void **state)
{
    (void)state;
    struct map m;
    int a, b;
    map_init(&m, 1);

    assert_null(map_get(&m, "x"));
    assert_int_equal(map_put(&m, "x", &a), 0);
    assert_int_equal(map_put(&m, "x", &b), -EEXIST);
    assert_ptr_equal(map_get(&m, "x"), &a);
    assert_ptr_equal(map_remove(&m, "x"), &a);
    assert_null(map_remove(&m, "x"));
    map_release(&m);
}

/* Against an array that says what must be there; removal by shifting is easy to get wrong. */
static void agrees_with_a_plain_array_under_random_changes(void **state)
{
    (void)state;
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 7;
    static char names[KEYS][16];
    bool present[KEYS] = {false};
    struct rand r;
    struct map m;
    rand_seed(&r, seed);
    map_init(&m, seed);
    for (size_t i = 0; i < KEYS; i++)
        (void)snprintf(names[i], sizeof(names[i]), "key-%zu", i);

    size_t count = 0;
    for (int step = 0; step < 200000; step++) {
        size_t i = (size_t)rand_below(&r, KEYS);
        if (rand_below(&r, 2)) {
            int rc = map_put(&m, names[i], names[i]);
            assert_int_equal(rc, present[i] ? -EEXIST : 0);
            count += present[i] ? 0 : 1;
            present[i] = true;
        } else {
            void *was = map_remove(&m, names[i]);
            if ((was != NULL) != present[i])
                fail_msg("TEST_SEED=%" PRIu64 " step %d", seed, step);
            count -= present[i] ? 1 : 0;
            present[i] = false;
        }
        assert_int_equal(m.count, count);
    }
    size_t at = 0, seen = 0;
    while (map_next(&m, &at))
        seen++;
    assert_int_equal(seen, count);
    map_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_stands_once),
        cmocka_unit_test(agrees_with_a_plain_array_under_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
