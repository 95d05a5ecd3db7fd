/* Permits and admission checks on a real Redis, in one process. */
#include "tests/support/core_kit.h"

#include "scheduler/admission.h"
#include "scheduler/permit.h"

#define LIMITS "rpm: 100, tpm: 6000, max_parallel_requests: 2"

/* What a permit_fn was told. */
struct told {
    unsigned calls;
    bool found;
    char id[TICKET_ID_BYTES], settlement[128];
    enum permit_status status;
    int64_t left_ms, ttl_ms;
    struct call_failure failure;
};

static void on_told(void *arg, const struct permit_record *r, const struct call_failure *failure)
{
    struct told *t = arg;
    t->calls++;
    t->found = r != NULL;
    assert_true(!r == !!failure);
    if (failure) {
        t->failure = *failure;
        return;
    }
    (void)snprintf(t->id, sizeof(t->id), "%s", r->id);
    (void)snprintf(t->settlement, sizeof(t->settlement), "%s", r->settlement);
    t->status = r->status;
    t->left_ms = r->left_ms;
    t->ttl_ms = r->ttl_ms;
}

struct rig {
    struct core_kit *k;
    struct permits *all;
};

static struct rig begin(void **state, const char *limits)
{
    struct rig r = {.k = *state};
    core_kit_start(r.k, limits, NULL);
    r.all = permits_new(r.k->scheduler);
    assert_non_null(r.all);
    return r;
}

/* What is still on its way must be answered before the rest is torn down. */
static void finish(struct rig *r)
{
    CORE_UNTIL(r->k, scheduler_active(r->k->scheduler) == 0 && redis_link_pending(r->k->link) == 0);
    permits_free(r->all);
}

static struct permit_ask asking(int64_t input, int64_t wait_ms, int64_t ttl_ms)
{
    struct permit_ask ask = {
        .call = {.endpoint = WIRE_CHAT,
                 .body = strdup("{\"model\":\"m\",\"messages\":[]}"),
                 .tenant = "default",
                 .weight = 1,
                 .class = CLASS_NORMAL,
                 .input_tokens = input,
                 .max_output_tokens = 100},
        .wait_ms = wait_ms,
        .ttl_ms = ttl_ms,
    };
    assert_non_null(ask.call.body);
    ask.call.body_len = strlen(ask.call.body);
    return ask;
}

static struct permit *ask_for(struct rig *r, struct told *t, int64_t input, int64_t wait_ms,
                              int64_t ttl_ms)
{
    struct call_failure f;
    struct permit_ask ask = asking(input, wait_ms, ttl_ms);
    *t = (struct told){.calls = 0};
    struct permit *p = permit_ask(r->all, &ask, on_told, t, &f);
    assert_non_null(p);
    assert_int_equal(t->calls, 0); /* not before the function has returned */
    return p;
}

static struct told take(struct rig *r, int64_t input, int64_t wait_ms, int64_t ttl_ms)
{
    struct told t;
    (void)ask_for(r, &t, input, wait_ms, ttl_ms);
    CORE_UNTIL(r->k, t.calls > 0);
    return t;
}

static struct permit_who who(const struct told *t)
{
    return (struct permit_who){.id = t->id, .tenant = "default"};
}

static struct told settle(struct rig *r, const struct permit_who *w, const char *text)
{
    struct told t = {.calls = 0};
    permit_settle(r->all, w, text, strlen(text), on_told, &t);
    CORE_UNTIL(r->k, t.calls > 0);
    return t;
}

static struct told look(struct rig *r, const struct permit_who *w)
{
    struct told t = {.calls = 0};
    permit_get(r->all, w, on_told, &t);
    CORE_UNTIL(r->k, t.calls > 0);
    return t;
}

static struct told release(struct rig *r, const struct permit_who *w)
{
    struct told t = {.calls = 0};
    permit_release(r->all, w, on_told, &t);
    CORE_UNTIL(r->k, t.calls > 0);
    return t;
}

static struct told renew(struct rig *r, const struct permit_who *w, int64_t ttl_ms)
{
    struct told t = {.calls = 0};
    permit_renew(r->all, w, ttl_ms, on_told, &t);
    CORE_UNTIL(r->k, t.calls > 0);
    return t;
}

static void refused(const struct told *t, int status, const char *code)
{
    assert_false(t->found);
    assert_int_equal(t->failure.status, status);
    assert_string_equal(t->failure.code, code);
}

static struct pool_agent *agent(struct rig *r)
{
    size_t at = 0;
    return scheduler_next_pool(r->k->scheduler, &at)->agent;
}

static void on_done_turn(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    (void)pool;
    assert_int_equal(turn->status, REDIS_OK);
    *(bool *)arg = true;
}

static void reap(struct rig *r)
{
    bool done = false;
    pool_store_reap(r->k->store, pool_agent_pool(agent(r)), 16, on_done_turn, &done);
    CORE_UNTIL(r->k, done);
}

static void extend(struct rig *r, const char *id, int64_t ms)
{
    bool done = false;
    struct store_look what = {.id = id};
    pool_store_permit(r->k->store, pool_agent_pool(agent(r)), &what, ms, on_done_turn, &done);
    CORE_UNTIL(r->k, done);
}

static void a_permit_is_charged_and_a_settle_corrects_it_once(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t = take(&r, 1000, 0, 0);
    assert_true(t.found);
    assert_int_equal(t.status, PERMIT_GRANTED);
    assert_int_equal(t.ttl_ms, PERMIT_TTL_MS + pool_agent_pool(agent(&r))->limits.lease_ms);
    assert_int_equal(core_running(r.k), 1);
    assert_in_range(core_level(r.k, "tpm"), 4900, 4900 + 500); /* refilled by 100 a second */

    struct permit_who w = who(&t);
    const char *more = "{\"usage\":{\"input_tokens\":3000,\"output_tokens\":100}}";
    struct told first = settle(&r, &w, more), again = settle(&r, &w, more);
    assert_int_equal(first.status, PERMIT_SETTLED);
    assert_string_equal(first.settlement, "3000 100 0 200 ok");
    assert_int_equal(again.status, PERMIT_SETTLED);
    assert_string_equal(again.settlement, first.settlement);
    assert_int_equal(core_running(r.k), 0);
    assert_in_range(core_level(r.k, "tpm"), 2900, 2900 + 1000);

    struct told other = settle(&r, &w, "{\"usage\":{\"input_tokens\":3001}}");
    refused(&other, 409, "permit_settled");
    other = release(&r, &w);
    refused(&other, 409, "permit_settled");
    other = renew(&r, &w, 1000);
    refused(&other, 409, "permit_settled");
    assert_in_range(core_level(r.k, "tpm"), 2900, 2900 + 1000);
    finish(&r);
}

static void a_released_permit_gives_all_back(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t = take(&r, 5000, 0, 0);
    struct permit_who w = who(&t);
    assert_in_range(core_level(r.k, "tpm"), 900, 1400);
    assert_int_equal(release(&r, &w).status, PERMIT_RELEASED);
    assert_int_equal(release(&r, &w).status, PERMIT_RELEASED);
    assert_in_range(core_level(r.k, "tpm"), 6000, 6000);
    assert_int_equal(core_running(r.k), 0);
    struct told late = settle(&r, &w, "{}");
    refused(&late, 409, "permit_released");
    finish(&r);
}

static void what_was_not_told_stays_charged(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t = take(&r, 4000, 0, 0);
    struct permit_who w = who(&t);
    struct told end = settle(&r, &w, "{\"status\":500}");
    assert_string_equal(end.settlement, "-1 -1 -1 500 server");
    assert_in_range(core_level(r.k, "tpm"), 1900, 2400);
    assert_int_equal(core_running(r.k), 0);
    finish(&r);
}

static void usage_is_read_from_the_providers_body(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t = take(&r, 100, 0, 0);
    struct permit_who w = who(&t);
    struct told end = settle(&r, &w,
                             "{\"body\":{\"usage\":{\"prompt_tokens\":70,\"completion_tokens\":8,"
                             "\"prompt_tokens_details\":{\"cached_tokens\":64}}}}");
    assert_string_equal(end.settlement, "70 8 64 200 ok");
    finish(&r);
}

static void an_expired_permit_frees_its_slot_and_keeps_its_tokens(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t = take(&r, 4000, 0, PERMIT_LEAST_TTL_MS);
    struct permit_who w = who(&t);
    CORE_UNTIL(r.k, look(&r, &w).status == PERMIT_EXPIRED);
    struct told late = settle(&r, &w, "{\"usage\":{\"input_tokens\":1}}"); /* not reaped yet */
    refused(&late, 409, "permit_expired");
    extend(&r, t.id, 60000); /* a lease that has ended is not made longer */
    reap(&r);
    assert_true(core_is(r.k, t.id, "expired"));
    assert_int_equal(core_running(r.k), 0);
    assert_int_equal(core_queued(r.k), 0);
    assert_in_range(core_level(r.k, "tpm"), 1900, 2900);
    late = settle(&r, &w, "{\"usage\":{\"input_tokens\":1}}");
    refused(&late, 409, "permit_expired");
    late = renew(&r, &w, 1000);
    refused(&late, 409, "permit_expired");
    assert_in_range(core_level(r.k, "tpm"), 1900, 2900);
    finish(&r);
}

static void a_renewed_permit_lasts_longer_and_never_shorter(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t = take(&r, 100, 0, 60000);
    struct permit_who w = who(&t);
    assert_in_range(renew(&r, &w, 500000).left_ms, 490000, 500000);
    assert_in_range(renew(&r, &w, 1000).left_ms, 480000, 500000);
    assert_in_range(renew(&r, &w, 0).left_ms, 480000, 500000); /* its own: 60 s */
    finish(&r);
}

static void another_tenants_permit_is_not_found(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t = take(&r, 100, 0, 0);
    struct permit_who other = {.id = t.id, .tenant = "other"};
    struct told not_his[] = {look(&r, &other), settle(&r, &other, "{}"), release(&r, &other),
                             renew(&r, &other, 0)};
    for (size_t i = 0; i < 4; i++)
        refused(&not_his[i], 404, "permit_not_found");
    assert_int_equal(core_running(r.k), 1);

    static const char *const ids[] = {"", "permit_", "job_00000000000000000000000000000000",
                                      "permit_00000000000000000000000000000000",
                                      "permit_0000000000000000000000000000000g"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct permit_who none = {.id = ids[i], .tenant = "default"};
        struct told t2 = look(&r, &none);
        refused(&t2, 404, "permit_not_found");
    }
    finish(&r);
}

static void a_refusal_that_a_worker_met_pauses_its_limit_for_all(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t = take(&r, 100, 0, 0);
    struct permit_who w = who(&t);
    struct told end =
        settle(&r, &w,
               "{\"status\":429,\"headers\":{\"Retry-After\":\"30\"},\"body\":{\"error\":{"
               "\"message\":\"Rate limit reached for m on tokens per min (TPM): Limit 6000\"}}}");
    assert_string_equal(end.settlement, "-1 -1 -1 429 rate");
    struct told next = take(&r, 100, 0, 0);
    refused(&next, 429, "permit_timeout");
    assert_in_range(next.failure.retry_after_ms, 25000, 33500);
    assert_non_null(strstr(next.failure.message, "tpm"));
    finish(&r);
}

#define MONEY_IS_GONE                                                                              \
    "{\"status\":429,\"body\":{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"no "       \
    "money\"}}}"

static void money_that_is_gone_opens_the_circuit_and_pauses_nothing(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t = take(&r, 100, 0, 0);
    struct permit_who w = who(&t);
    struct told end = settle(&r, &w, MONEY_IS_GONE);
    assert_string_equal(end.settlement, "-1 -1 -1 429 quota");
    struct told next = take(&r, 100, 0, 0);
    refused(&next, 429, "provider_circuit_open");
    assert_in_range(next.failure.retry_after_ms, 290000, 300000);
    finish(&r);
}

static void who_does_not_get_one_in_time_leaves_the_queue(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told first = take(&r, 5800, 0, 0);
    assert_true(first.found);
    struct told now = take(&r, 3000, 0, 0), soon = take(&r, 3000, 300, 0);
    refused(&now, 429, "permit_timeout");
    refused(&soon, 429, "permit_timeout");
    assert_in_range(soon.failure.retry_after_ms, 15000, 35000);
    assert_int_equal(core_queued(r.k), 0);
    assert_int_equal(core_running(r.k), 1);

    struct told never = take(&r, 7000, 1000, 0);
    refused(&never, 413, "request_too_large");
    finish(&r);
}

static void one_that_waits_is_granted_when_a_slot_comes_back(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told a = take(&r, 100, 0, 0), b = take(&r, 100, 0, 0), c;
    struct permit_who w = who(&a);
    (void)ask_for(&r, &c, 100, 20000, 0);
    CORE_UNTIL(r.k, core_queued(r.k) == 1);
    assert_int_equal(release(&r, &w).status, PERMIT_RELEASED);
    CORE_UNTIL(r.k, c.calls > 0);
    assert_true(b.found && c.found);
    assert_int_equal(core_running(r.k), 2);
    finish(&r);
}

static void who_leaves_takes_the_ticket_out_or_gives_it_back(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t;
    permit_leave(ask_for(&r, &t, 5000, 20000, 0)); /* granted in this moment */
    CORE_UNTIL(r.k, redis_link_pending(r.k->link) == 0);
    CORE_UNTIL(r.k, core_running(r.k) == 0);
    assert_in_range(core_level(r.k, "tpm"), 6000, 6000);

    assert_true(take(&r, 5000, 0, 0).found);
    struct permit *p = ask_for(&r, &t, 5000, 20000, 0);
    CORE_UNTIL(r.k, core_queued(r.k) == 1 && redis_link_pending(r.k->link) == 0);
    permit_leave(p);
    CORE_UNTIL(r.k, core_queued(r.k) == 0);
    assert_int_equal(t.calls, 0);
    assert_int_equal(core_running(r.k), 1);
    finish(&r);
}

static void news_of_a_grant_that_was_lost_are_made_good_by_looking(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told a = take(&r, 100, 0, 0), b = take(&r, 100, 0, 0), c;
    struct permit_who w = who(&a);
    (void)ask_for(&r, &c, 100, 20000, 0);
    CORE_UNTIL(r.k, core_queued(r.k) == 1);
    scheduler_on_permit(r.k->scheduler, NULL, NULL); /* nobody hears of it */
    assert_int_equal(release(&r, &w).status, PERMIT_RELEASED);
    CORE_UNTIL(r.k, c.calls > 0);
    assert_true(b.found && c.found);
    finish(&r);
}

static void while_redis_is_away_none_are_given(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t = take(&r, 1000, 0, 600000);
    struct permit_who w = who(&t);
    assert_int_equal(redis_fixture_restart(&r.k->redis), 0); /* it forgets: the permit is gone */
    CORE_UNTIL(r.k, look(&r, &w).failure.status == 404);

    redis_fixture_kill(&r.k->redis);
    CORE_UNTIL(r.k, !r.k->up);
    struct told none = take(&r, 100, 1000, 0); /* although on_outage is local */
    refused(&none, 503, "storage_unavailable");
    struct told later = settle(&r, &w, "{}");
    refused(&later, 503, "storage_unavailable");
    finish(&r);
}

/* ---- admission */

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

static struct checked check(struct rig *r, int64_t input, int64_t max_wait_ms)
{
    struct checked c = {.calls = 0};
    struct call_failure f;
    struct permit_ask ask = asking(input, 0, 0);
    ask.call.max_wait_ms = max_wait_ms;
    assert_true(admission_check(r->k->scheduler, &ask.call, on_checked, &c, &f));
    CORE_UNTIL(r->k, c.calls > 0);
    return c;
}

static void an_admission_is_told_and_changes_nothing(void **state)
{
    struct rig r = begin(state, LIMITS);
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

    assert_true(take(&r, 5800, 0, 0).found);
    c = check(&r, 2900, 60000);
    assert_int_equal(c.a.decision, ADMISSION_DELAY);
    assert_string_equal(c.binding, "tpm");
    assert_in_range(c.a.wait_ms, 20000, 32000); /* about 2900 tokens at 100 a second */
    c = check(&r, 2900, 1000);
    assert_int_equal(c.a.decision, ADMISSION_REFUSE);
    assert_in_range(c.a.wait_ms, 20000, 32000);
    assert_int_equal(core_queued(r.k), 0);
    assert_int_equal(core_running(r.k), 1);
    finish(&r);
}

static void an_admission_knows_of_the_circuit(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t = take(&r, 100, 0, 0);
    struct permit_who w = who(&t);
    (void)settle(&r, &w, MONEY_IS_GONE);
    struct checked c = check(&r, 100, 1000);
    assert_int_equal(c.a.decision, ADMISSION_REFUSE);
    assert_string_equal(c.binding, "circuit");
    assert_in_range(c.a.wait_ms, 290000, 300000);
    assert_string_equal(pool_store_limit_whose(c.binding), "provider");
    assert_non_null(strstr(c.a.reason, "'insufficient_quota'"));
    finish(&r);
}

static void an_admission_counts_what_waits_before_it(void **state)
{
    struct rig r = begin(state, LIMITS);
    struct told t;
    assert_true(take(&r, 5800, 0, 0).found);
    struct checked alone = check(&r, 500, 600000);
    struct permit *p = ask_for(&r, &t, 3000, 60000, 0);
    CORE_UNTIL(r.k, core_queued(r.k) == 1);
    struct checked behind = check(&r, 500, 600000);
    assert_int_equal(behind.a.ahead, 1);
    assert_true(behind.a.wait_ms > alone.a.wait_ms + 20000);
    permit_leave(p);
    finish(&r);
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
static struct checked check_whole(struct rig *r, char *body, bool never_shrink)
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
    struct rig r = begin(state, LIMITS);
    struct checked c = check_whole(&r, conversation(2, "\"max_tokens\":100,"), false);
    assert_int_equal(c.a.decision, ADMISSION_ADMIT);
    assert_int_equal(c.a.max_output_tokens, -1);

    c = check_whole(&r, conversation(60, "\"max_tokens\":100,"), false);
    assert_int_equal(c.a.decision, ADMISSION_SHRINK);
    assert_true(c.a.trimmed_tokens > 1000);
    assert_true(*c.cut_policy != '\0');
    assert_in_range(c.a.input_tokens, 1, 6000);

    assert_true(take(&r, 5800, 0, 0).found);
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
    finish(&r);
}

static void what_the_model_would_not_take_is_lowered_or_refused(void **state)
{
    struct rig r =
        begin(state,
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
    finish(&r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_permit_is_charged_and_a_settle_corrects_it_once),
        TEST(a_released_permit_gives_all_back),
        TEST(what_was_not_told_stays_charged),
        TEST(usage_is_read_from_the_providers_body),
        TEST(an_expired_permit_frees_its_slot_and_keeps_its_tokens),
        TEST(a_renewed_permit_lasts_longer_and_never_shorter),
        TEST(another_tenants_permit_is_not_found),
        TEST(a_refusal_that_a_worker_met_pauses_its_limit_for_all),
        TEST(money_that_is_gone_opens_the_circuit_and_pauses_nothing),
        TEST(who_does_not_get_one_in_time_leaves_the_queue),
        TEST(one_that_waits_is_granted_when_a_slot_comes_back),
        TEST(who_leaves_takes_the_ticket_out_or_gives_it_back),
        TEST(news_of_a_grant_that_was_lost_are_made_good_by_looking),
        TEST(while_redis_is_away_none_are_given),
        TEST(an_admission_is_told_and_changes_nothing),
        TEST(an_admission_knows_of_the_circuit),
        TEST(an_admission_counts_what_waits_before_it),
        TEST(a_whole_request_is_told_that_it_would_be_made_smaller),
        TEST(what_the_model_would_not_take_is_lowered_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
