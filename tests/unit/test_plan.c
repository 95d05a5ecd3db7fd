#include "scheduler/plan.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct config *config(void)
{
    static const char text[] = "providers: [{name: p, format: openai, base_url: http://x/v1}]\n";
    struct config *c = NULL;
    struct error e = {.text = ""};
    if (config_parse("test", text, sizeof(text) - 1, &c, &e) < 0)
        fail_msg("%s", e.text);
    return c;
}

/* What is freed too early or not at all is the sanitizer's to find. */
static void a_plan_stands_as_long_as_someone_uses_it(void **state)
{
    (void)state;
    struct plan *p = plan_new(config());
    assert_int_equal(p->users, 1);
    assert_ptr_equal(plan_use(p), p);
    plan_drop(p); /* the reload */
    assert_int_equal(p->users, 1);
    assert_string_equal(p->config->providers[0].name, "p");
    plan_drop(p);
    plan_drop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_stands_as_long_as_someone_uses_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
