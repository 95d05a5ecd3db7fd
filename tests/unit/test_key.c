#include "storage/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_pools_keys_share_its_hash_tag(void **state)
{
    (void)state;
    assert_string_equal(key_pool("p:default:m", "b").text, "sluice:{p:default:m}:b");
    assert_string_equal(key_pool("p:default:m", "stats").text, "sluice:{p:default:m}:stats");
    assert_string_equal(key_jobs("p:default:m", "team").text, "sluice:{p:default:m}:jobs:4:team");
    struct key k = key_pool("p", "b");
    assert_int_equal(k.len, strlen(k.text));
}

static void names_of_users_never_stand_bare(void **state)
{
    (void)state;
    assert_string_equal(key_tenant("team").text, "4:team");
    assert_string_equal(key_tenant("4:x").text, "3:4:x");
    /* two pairs that would be one without the length */
    struct key a = key_idempotency("a:1", "k"), b = key_idempotency("a", "1:k");
    assert_string_not_equal(a.text, b.text);
    assert_null(strstr(key_idempotency("t", "sk-secret").text, "sk-secret"));
    assert_string_equal(key_idempotency("t", "k").text, key_idempotency("t", "k").text);
    assert_string_not_equal(key_idempotency("t", "k").text, key_idempotency("t", "K").text);
}

static void the_longest_names_fit(void **state)
{
    (void)state;
    char pool[POOL_NAME_BYTES], tenant[TENANT_NAME_BYTES + 1];
    memset(pool, 'p', sizeof(pool) - 1);
    pool[sizeof(pool) - 1] = '\0';
    memset(tenant, 't', sizeof(tenant) - 1);
    tenant[sizeof(tenant) - 1] = '\0';
    struct key k = key_jobs(pool, tenant);
    assert_int_equal(k.len, strlen("sluice:{}:jobs:64:") + POOL_NAME_BYTES - 1 + TENANT_NAME_BYTES);
    assert_int_equal(strlen(key_idempotency(tenant, pool).text),
                     strlen("sluice:idem:64::") + TENANT_NAME_BYTES + 64);
}

static void instances_have_a_key_and_a_channel(void **state)
{
    (void)state;
    assert_string_equal(key_instance("ab").text, "sluice:{insts}:ab");
    assert_string_equal(key_instance_channel("ab").text, "sluice:i:ab"); /* as lib.lua says it */
}

static void an_id_tells_its_pool(void **state)
{
    (void)state;
    char hash[POOL_HASH_BYTES], again[POOL_HASH_BYTES], id[TICKET_ID_BYTES], other[TICKET_ID_BYTES];
    key_pool_hash("p:default:m", hash);
    assert_int_equal(strlen(hash), POOL_HASH_BYTES - 1);
    key_new_id(hash, id);
    key_new_id(hash, other);
    assert_string_not_equal(id, other);
    assert_true(strlen(id) < TICKET_ID_BYTES);
    assert_true(key_id_hash(id, again));
    assert_string_equal(again, hash);
    key_pool_hash("p:default:n", again);
    assert_string_not_equal(again, hash);
}

static void what_is_no_id_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {
        "",
        "job_",
        "job_0123456789abcdef0123456789abcde",
        "job_0123456789abcdef0123456789abcdef0",
        "job_0123456789ABCDEF0123456789abcdef",
        "Job_0123456789abcdef0123456789abcdef",
        "job_0123456789abcdef0123456789abcde ",
        "job-0123456789abcdef0123456789abcdef",
    };
    char hash[POOL_HASH_BYTES] = "before";
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(key_id_hash(bad[i], hash));
    assert_string_equal(hash, "before");
    assert_true(key_id_hash("job_0123456789abcdef0123456789abcdef", hash));
    assert_string_equal(hash, "01234567");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pools_keys_share_its_hash_tag),
        cmocka_unit_test(names_of_users_never_stand_bare),
        cmocka_unit_test(the_longest_names_fit),
        cmocka_unit_test(instances_have_a_key_and_a_channel),
        cmocka_unit_test(an_id_tells_its_pool),
        cmocka_unit_test(what_is_no_id_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
