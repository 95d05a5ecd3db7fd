#include "storage/redis_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char info[] =
    "# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\n"
    "used_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:2097152\r\n"
    "maxmemory_policy:noeviction\r\n# Persistence\r\nloading:0\r\n"
    "async_loading:1\r\naof_enabled:1\r\naof_last_write_status:ok\r\n"
    "# Replication\r\nrole:master\r\nconnected_slaves:2\r\ncluster_enabled:1";

static void the_facts_are_read_from_info(void **state)
{
    (void)state;
    struct redis_facts f;
    redis_facts_parse(info, sizeof(info) - 1, &f);
    assert_int_equal(f.version, 70015);
    assert_string_equal(f.version_text, "7.0.15");
    assert_string_equal(f.policy, "noeviction");
    assert_int_equal(f.used_bytes, 1048576);
    assert_int_equal(f.max_bytes, 2097152);
    assert_int_equal(f.replicas, 2);
    assert_true(f.aof_enabled && f.aof_write_ok && f.cluster);
    assert_false(f.loading || f.replica);
}

static void an_info_without_fields_gives_nothing_and_is_unfit(void **state)
{
    (void)state;
    struct redis_facts f;
    struct error e = {""};
    redis_facts_parse("", 0, &f);
    assert_int_equal(f.version, 0);
    assert_string_equal(f.policy, "");
    assert_int_equal(redis_facts_judge(&f, &e), REDIS_UNFIT);
    assert_non_null(strstr(e.text, "6.2"));
}

static void each_lack_has_its_verdict_and_its_reason(void **state)
{
    (void)state;
    static const struct redis_facts good = {.version = REDIS_LEAST_VERSION,
                                            .policy = "noeviction",
                                            .aof_enabled = true,
                                            .aof_write_ok = true};
    struct redis_facts f = good;
    struct error e = {""};
    assert_int_equal(redis_facts_judge(&f, &e), REDIS_SAFE);

    f.version--;
    assert_int_equal(redis_facts_judge(&f, &e), REDIS_UNFIT);
    f = good, f.replica = true;
    assert_int_equal(redis_facts_judge(&f, &e), REDIS_UNFIT);
    assert_non_null(strstr(e.text, "replica"));
    f = good, f.aof_enabled = false;
    assert_int_equal(redis_facts_judge(&f, &e), REDIS_VOLATILE);
    assert_non_null(strstr(e.text, "appendonly"));
    f = good, strcpy(f.policy, "allkeys-lru");
    assert_int_equal(redis_facts_judge(&f, &e), REDIS_VOLATILE);
    assert_non_null(strstr(e.text, "allkeys-lru"));
    f = good, f.aof_write_ok = false;
    assert_int_equal(redis_facts_judge(&f, &e), REDIS_VOLATILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_facts_are_read_from_info),
        cmocka_unit_test(an_info_without_fields_gives_nothing_and_is_unfit),
        cmocka_unit_test(each_lack_has_its_verdict_and_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
