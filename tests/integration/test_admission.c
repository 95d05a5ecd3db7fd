/* Admission checks on a real Redis, in one process. */
#include "tests/support/permit_rig.h"

struct checked {
    unsigned calls;
    struct admission a;
    char binding[32], cut_policy[32];
};

static void on_checked(void *arg, const struct admission *a, const struct call_failure *failure)
{
    struct checked *c = arg;
    c->calls++;
    assert_non_null(a);
    assert_null(failure);
    c->a = *a;
    (void)snprintf(c->binding, sizeof(c->binding), "%s", a->binding);
    (void)snprintf(c->cut_policy, sizeof(c->cut_policy), "%s", a->cut_policy ? a->cut_policy : "");
}

static struct checked check(struct permit_rig *r, int64_t input, int64_t max_wait_ms)
{
    struct checked c = {.calls = 0};
    struct call_failure f;
    struct permit_ask ask = permit_rig_asking(input, 0, 0);
    ask.call.max_wait_ms = max_wait_ms;
    assert_true(admission_check(r->k->scheduler, &ask.call, on_checked, &c, &f));
    CORE_UNTIL(r->k, c.calls > 0);
    return c;
}

static void an_admission_is_told_and_changes_nothing(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct checked c = check(&r, 100, 60000);
    assert_int_equal(c.a.decision, ADMISSION_ADMIT);
    assert_int_equal(c.a.input_tokens, 100);
    assert_int_equal(c.a.output_tokens_reserved, 100);
    assert_int_equal(core_running(r.k), 0);
    assert_in_range(core_level(r.k, "tpm"), 6000, 6000);

    c = check(&r, 6001, 60000);
    assert_int_equal(c.a.decision, ADMISSION_REFUSE);
    assert_string_equal(c.binding, "tpm");
    assert_non_null(strstr(c.a.reason, "never"));

    assert_true(permit_rig_take(&r, 5800, 0, 0).found);
    c = check(&r, 2900, 60000);
    assert_int_equal(c.a.decision, ADMISSION_DELAY);
    assert_string_equal(c.binding, "tpm");
    assert_in_range(c.a.wait_ms, 20000, 32000); /* about 2900 tokens at 100 a second */
    c = check(&r, 2900, 1000);
    assert_int_equal(c.a.decision, ADMISSION_REFUSE);
    assert_in_range(c.a.wait_ms, 20000, 32000);
    assert_int_equal(core_queued(r.k), 0);
    assert_int_equal(core_running(r.k), 1);
    permit_rig_finish(&r);
}

static void an_admission_knows_of_the_circuit(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t = permit_rig_take(&r, 100, 0, 0);
    struct permit_who w = permit_rig_who(&t);
    (void)permit_rig_settle(&r, &w, PERMIT_RIG_MONEY_IS_GONE);
    struct checked c = check(&r, 100, 1000);
    assert_int_equal(c.a.decision, ADMISSION_REFUSE);
    assert_string_equal(c.binding, "circuit");
    assert_in_range(c.a.wait_ms, 290000, 300000);
    assert_string_equal(pool_store_limit_whose(c.binding), "provider");
    assert_non_null(strstr(c.a.reason, "'insufficient_quota'"));
    permit_rig_finish(&r);
}

static void an_admission_counts_what_waits_before_it(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct permit_told t;
    assert_true(permit_rig_take(&r, 5800, 0, 0).found);
    struct checked alone = check(&r, 500, 600000);
    struct permit *p = permit_rig_ask(&r, &t, 3000, 60000, 0);
    CORE_UNTIL(r.k, core_queued(r.k) == 1);
    struct checked behind = check(&r, 500, 600000);
    assert_int_equal(behind.a.ahead, 1);
    assert_true(behind.a.wait_ms > alone.a.wait_ms + 20000);
    permit_leave(p);
    permit_rig_finish(&r);
}

/* Turns of a conversation, each of about 250 tokens, of which only the last must stay. */
static char *conversation(int turns, const char *first)
{
    static const char word[] = "lorem ipsum dolor sit amet ";
    struct buf b;
    buf_init(&b, 256 * KIB);
    int rc = buf_addf(&b, "{\"model\":\"m\",%s\"messages\":[", first);
    for (int i = 0; i < turns && rc == 0; i++) {
        rc = buf_addf(&b, "%s{\"role\":\"user\",\"content\":\"", i > 0 ? "," : "");
        for (int w = 0; w < 40 && rc == 0; w++)
            rc = buf_adds(&b, word);
        if (rc == 0)
            rc = buf_adds(&b, "\"},{\"role\":\"assistant\",\"content\":\"yes\"}");
    }
    if (rc == 0)
        rc = buf_adds(&b, ",{\"role\":\"user\",\"content\":\"and now?\"}]}");
    assert_int_equal(rc, 0);
    return buf_take(&b);
}

/* body is given. */
static struct checked check_whole(struct permit_rig *r, char *body, bool never_shrink)
{
    struct checked c = {.calls = 0};
    struct call_failure f;
    struct call_spec spec = {.endpoint = WIRE_CHAT,
                             .body = body,
                             .body_len = strlen(body),
                             .tenant = "default",
                             .weight = 1,
                             .class = CLASS_NORMAL,
                             .never_shrink = never_shrink,
                             .max_wait_ms = 600000};
    assert_true(admission_check(r->k->scheduler, &spec, on_checked, &c, &f));
    CORE_UNTIL(r->k, c.calls > 0);
    return c;
}

static void a_whole_request_is_told_that_it_would_be_made_smaller(void **state)
{
    struct permit_rig r = permit_rig_begin(state, PERMIT_RIG_LIMITS);
    struct checked c = check_whole(&r, conversation(2, "\"max_tokens\":100,"), false);
    assert_int_equal(c.a.decision, ADMISSION_ADMIT);
    assert_int_equal(c.a.max_output_tokens, -1);

    c = check_whole(&r, conversation(60, "\"max_tokens\":100,"), false);
    assert_int_equal(c.a.decision, ADMISSION_SHRINK);
    assert_true(c.a.trimmed_tokens > 1000);
    assert_true(*c.cut_policy != '\0');
    assert_in_range(c.a.input_tokens, 1, 6000);

    assert_true(permit_rig_take(&r, 5800, 0, 0).found);
    c = check_whole(&r, conversation(60, "\"max_tokens\":100,"), false);
    assert_int_equal(c.a.decision, ADMISSION_SHRINK); /* and it waits */
    assert_true(c.a.wait_ms > 1000);
    assert_int_equal(core_queued(r.k), 0);
    assert_int_equal(core_running(r.k), 1);

    c = check_whole(&r, conversation(60, "\"max_tokens\":100,"), true);
    assert_int_equal(c.a.decision, ADMISSION_REFUSE);
    assert_string_equal(c.binding, "tpm");
    c = check(&r, 20000, 600000); /* its owner would send it as it is */
    assert_int_equal(c.a.decision, ADMISSION_REFUSE);
    permit_rig_finish(&r);
}

static void what_the_model_would_not_take_is_lowered_or_refused(void **state)
{
    struct permit_rig r = permit_rig_begin(
        state,
        "tpm: 60000, default_output_tokens: 50, max_output_tokens: 50, min_output_tokens: 1, "
        "context_window: 800");
    struct checked c = check_whole(&r, conversation(1, "\"max_tokens\":200,"), false);
    assert_int_equal(c.a.decision, ADMISSION_SHRINK);
    assert_int_equal(c.a.max_output_tokens, 50);
    assert_int_equal(c.a.trimmed_tokens, 0);
    assert_string_equal(c.cut_policy, "");

    c = check_whole(&r, conversation(1, "\"max_tokens\":200,"), true);
    assert_int_equal(c.a.decision, ADMISSION_REFUSE);
    assert_non_null(strstr(c.a.reason, "max_tokens is too large"));
    c = check_whole(&r, conversation(40, ""), true);
    assert_int_equal(c.a.decision, ADMISSION_REFUSE);
    assert_non_null(strstr(c.a.reason, "maximum context length"));
    permit_rig_finish(&r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_admission_is_told_and_changes_nothing),
        TEST(an_admission_knows_of_the_circuit),
        TEST(an_admission_counts_what_waits_before_it),
        TEST(a_whole_request_is_told_that_it_would_be_made_smaller),
        TEST(what_the_model_would_not_take_is_lowered_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
