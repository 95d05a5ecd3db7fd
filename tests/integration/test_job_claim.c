/* An Idempotency-Key's claim, and the place in the list, are as safe as the job. */
#include "tests/support/core_kit.h"

#include "storage/job_store.h"

static const struct fake_step hangs[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};

struct told {
    unsigned calls;
    bool found;
    char id[TICKET_ID_BYTES];
    struct call_failure failure;
};

static void on_told(void *arg, const struct job_record *r, bool replayed,
                    const struct call_failure *failure)
{
    struct told *t = arg;
    (void)replayed;
    t->calls++;
    t->found = r != NULL;
    if (r)
        (void)snprintf(t->id, sizeof(t->id), "%s", r->id);
    else
        t->failure = *failure;
}

static void submit(struct core_kit *k, const char *key, struct told *t)
{
    struct job_spec spec = {.endpoint = WIRE_CHAT,
                            .body = strdup(CORE_BODY),
                            .body_len = strlen(CORE_BODY),
                            .tenant = "default",
                            .weight = 1,
                            .class = CLASS_BATCH,
                            .idempotency_key = key};
    *t = (struct told){.calls = 0};
    job_submit(k->jobs, &spec, on_told, t);
}

/* As after a failover between the two: the claim may be gone, and a client that repeats its request
 * would make a second job. So it is claimed again until both went the same way. */
static void a_claim_over_another_connection_than_the_submit_is_made_again(void **state)
{
    struct core_kit *k = *state;
    struct told t;
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, hangs);
    struct key key = key_idempotency("default", "mine");
    const char *const exists[] = {"EXISTS", key.text}, *const del[] = {"DEL", key.text};
    size_t exists_lens[] = {6, key.len}, del_lens[] = {3, key.len};
    struct redis_args ask = {2, exists, exists_lens}, forget = {2, del, del_lens};

    job_store_use_durable(k->job_store, k->link, 5000); /* submits go without: they have no stamp */
    submit(k, "mine", &t);
    CORE_UNTIL(k, redis_fixture_ask_int(&k->redis, &ask) == 1);
    CORE_UNTIL(k, redis_fixture_ask_int(&k->redis,
                                        REDIS_ARGS("ZCARD", CORE_PREFIX "jobs:7:default")) == 1);
    assert_int_equal(t.calls, 0);
    assert_int_equal(redis_fixture_ask_int(&k->redis, &forget), 1);
    CORE_UNTIL(k, redis_fixture_ask_int(&k->redis, &ask) == 1);
    assert_int_equal(t.calls, 0);

    job_store_use_durable(k->job_store, NULL, 0);
    CORE_UNTIL(k, t.calls > 0);
    assert_true(t.found);
    assert_int_equal(
        redis_fixture_ask_int(&k->redis, REDIS_ARGS("ZCARD", CORE_PREFIX "jobs:7:default")), 1);
}

/* Told by one that leads nowhere, while the other does. */
static void claims_go_over_the_connection_that_is_waited_on(void **state)
{
    struct core_kit *k = *state;
    struct told t;
    struct error e = {.text = ""};
    struct redis_address address;
    core_kit_start(k, "rpm: 100", NULL);
    assert_int_equal(redis_address_parse("unix:///nobody/listens/here", &address, &e), 0);
    struct redis_link *durable = redis_link_new(k->base, &address, NULL, NULL, &e);
    assert_non_null(durable);
    job_store_use_durable(k->job_store, durable, 5000);
    submit(k, "mine", &t);
    CORE_UNTIL(k, t.calls > 0);
    assert_false(t.found);
    assert_string_equal(t.failure.code, "storage_unavailable");
    assert_int_equal(job_store_claim_stamp(k->job_store), 0);
    job_store_use_durable(k->job_store, k->link, 5000);
    assert_int_equal(job_store_claim_stamp(k->job_store), redis_link_stamp(k->link));
    assert_true(redis_link_stamp(k->link) > 0);
    job_store_use_durable(k->job_store, NULL, 0);
    redis_link_free(durable);
}

static void a_job_that_is_refused_has_no_place_in_the_list(void **state)
{
    struct core_kit *k = *state;
    struct told t;
    core_kit_start(k, "rpm: 1", "queue: {max_depth: 1}\n");
    FAKE_SCRIPT(k->provider, hangs);
    for (int i = 0; i < 2; i++) {
        submit(k, NULL, &t);
        CORE_UNTIL(k, t.calls > 0);
        assert_true(t.found);
    }
    submit(k, NULL, &t);
    CORE_UNTIL(k, t.calls > 0);
    assert_false(t.found);
    assert_int_equal(
        redis_fixture_ask_int(&k->redis, REDIS_ARGS("ZCARD", CORE_PREFIX "jobs:7:default")), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, core_kit_setup, core_kit_teardown)
        CORE_TEST(a_claim_over_another_connection_than_the_submit_is_made_again),
        CORE_TEST(claims_go_over_the_connection_that_is_waited_on),
        CORE_TEST(a_job_that_is_refused_has_no_place_in_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
