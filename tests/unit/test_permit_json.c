/* What is told of an admission. */
#include "api/permit_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check_owner(const char *binding, const char *owner)
{
    static const struct pool_limits limits;
    struct admission a = {.decision = ADMISSION_DELAY,
                          .binding = binding,
                          .pool = "p",
                          .model = "m",
                          .provider = "x",
                          .limits = &limits};
    json_t *json = admission_json(&a);
    assert_non_null(json);
    const char *told = json_string_value(json_object_get(json, "owner"));
    if (owner)
        assert_string_equal(told, owner);
    else
        assert_null(told);
    json_decref(json);
}

static void a_limit_is_told_with_its_owner(void **state)
{
    (void)state;
    check_owner("", NULL);
    check_owner("tpm", "pool");
    check_owner("circuit", "provider");
    check_owner("tenant:tpm", "tenant");
    check_owner("tenant:max_queue", "tenant");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_limit_is_told_with_its_owner)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
