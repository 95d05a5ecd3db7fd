/* From the end of a job to its receiver: nothing is lost, and nothing is sent to where it must not.
 */
#include "scheduler/webhook.h"

#include "common/clock.h"
#include "scheduler/webhook_retry.h"
#include "tests/support/core_kit.h"
#include <errno.h>

#define SECRET   "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ALLOWED  "webhooks: {secret: " SECRET ", allow_private: true, first_retry_ms: 1}\n"
#define TAKES    CORE_REPLY("204 No Content", "", "")
#define DATA     "{\"mine\":true}"
#define JOB_DONE "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}"

static const struct fake_step answers[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", "", JOB_DONE)},
    {.op = FAKE_CLOSE},
};
static const struct fake_step takes[] = {
    {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = TAKES}, {.op = FAKE_CLOSE}};

struct rig {
    struct core_kit *kit;
    struct webhook_store *store;
    struct webhooks *webhooks;
    struct fake_provider *receiver;
    char field[128], id[TICKET_ID_BYTES], delivery[WEBHOOK_ID_BYTES];
    unsigned submitted, told;
    bool kept;
    char status[16], attempts[512];
    int64_t next_ms; /* wall clock */
    unsigned looked;
};

static char *job_data(const struct job_record *record)
{
    char *text = malloc(128);
    assert_non_null(text);
    (void)snprintf(text, 128, "{\"id\":\"%s\",\"status\":\"%s\"}", record->id, record->status);
    return text;
}

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    void *kit = NULL;
    assert_non_null(r);
    *state = r;
    if (core_kit_setup(&kit) != 0)
        return -1;
    r->kit = kit;
    r->receiver = fake_provider_new(r->kit->base);
    FAKE_SCRIPT(r->kit->provider, answers);
    FAKE_SCRIPT(r->receiver, takes);
    (void)snprintf(r->field, sizeof(r->field), "{\"url\":\"%s/hook\"}",
                   fake_provider_url(r->receiver));
    return 0;
}

/* As when a process ends: what is on its way stays behind in Redis. */
static void stop_webhooks(struct rig *r)
{
    if (!r->webhooks)
        return;
    webhooks_stop(r->webhooks);
    CORE_UNTIL(r->kit, redis_link_pending(r->kit->link) == 0);
    webhooks_free(r->webhooks);
    webhook_store_free(r->store);
    r->webhooks = NULL;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    void *kit = r->kit;
    stop_webhooks(r);
    fake_provider_free(r->receiver);
    (void)core_kit_teardown(&kit);
    free(r);
    return 0;
}

static void start_webhooks(struct rig *r)
{
    struct webhooks_options options = {.base = r->kit->base,
                                       .scheduler = r->kit->scheduler,
                                       .jobs = r->kit->jobs,
                                       .seed = 1,
                                       .job_data = job_data};
    options.store = r->store = webhook_store_new(r->kit->link, 5000);
    assert_non_null(r->store);
    r->webhooks = webhooks_new(&options);
    assert_non_null(r->webhooks);
    webhooks_look(r->webhooks);
}

static void on_submitted(void *arg, const struct job_record *record, bool replayed,
                         const struct call_failure *failure)
{
    struct rig *r = arg;
    (void)replayed;
    if (!record)
        fail_msg("%s", failure->message);
    (void)snprintf(r->id, sizeof(r->id), "%s", record->id);
    (void)snprintf(r->delivery, sizeof(r->delivery), "msg_%s", record->id);
    r->submitted++;
}

/* A job that ends while nobody sends events. */
static void run_job(struct rig *r, const char *field)
{
    struct job_spec spec = {.endpoint = WIRE_CHAT,
                            .body = strdup(CORE_BODY),
                            .body_len = strlen(CORE_BODY),
                            .tenant = "default",
                            .weight = 1,
                            .class = CLASS_NORMAL,
                            .webhook = field};
    unsigned before = r->submitted;
    job_submit(r->kit->jobs, &spec, on_submitted, r);
    CORE_UNTIL(r->kit, r->submitted > before);
    CORE_UNTIL(r->kit, core_is(r->kit, r->id, "done"));
}

static void on_record(void *arg, enum redis_status status, const struct webhook_record *record)
{
    struct rig *r = arg;
    assert_int_equal(status, REDIS_OK);
    (void)snprintf(r->status, sizeof(r->status), "%s", record ? record->status : "");
    (void)snprintf(r->attempts, sizeof(r->attempts), "%s", record ? record->attempts : "");
    r->next_ms = record ? record->next_ms : 0;
    r->looked++;
}

static bool delivery_is(struct rig *r, const char *status)
{
    unsigned before = r->looked;
    webhook_store_get(r->store, r->delivery, on_record, r);
    CORE_UNTIL(r->kit, r->looked > before);
    return strcmp(r->status, status) == 0;
}

static int64_t owed(struct rig *r)
{
    return redis_fixture_ask_int(&r->kit->redis, REDIS_ARGS("ZCARD", CORE_PREFIX "wh"));
}

static int64_t job_ttl_ms(struct rig *r)
{
    char key[128];
    (void)snprintf(key, sizeof(key), CORE_PREFIX "j:%s", r->id);
    return redis_fixture_ask_int(&r->kit->redis, REDIS_ARGS("PTTL", key));
}

static void on_sent(void *arg, bool kept)
{
    struct rig *r = arg;
    r->told++;
    r->kept = kept;
}

/* ---- tests */

static void the_event_of_a_job_outlives_the_process_that_ended_it(void **state)
{
    struct rig *r = *state;
    core_kit_start(r->kit, "rpm: 1000", ALLOWED);
    run_job(r, r->field);
    assert_int_equal(owed(r), 1);
    assert_int_equal(fake_provider_requests(r->receiver), 0);

    start_webhooks(r);
    CORE_UNTIL(r->kit, delivery_is(r, "delivered"));
    CORE_UNTIL(r->kit, owed(r) == 0);
    assert_int_equal(fake_provider_requests(r->receiver), 1);
    const char *head = fake_provider_head(r->receiver);
    char line[WEBHOOK_ID_BYTES + 32];
    (void)snprintf(line, sizeof(line), "webhook-id: %s\r\n", r->delivery);
    assert_non_null(strstr(head, "POST /hook HTTP/1.1\r\n"));
    assert_non_null(strstr(head, line));
    assert_non_null(strstr(head, "webhook-timestamp: "));
    assert_non_null(strstr(head, "webhook-signature: v1,"));
    assert_non_null(strstr(head, "content-type: application/json\r\n"));
}

/* Before, they would be zeros, and a counter must not begin anew with a process. */
static void sums_are_told_once_redis_told_them(void **state)
{
    struct rig *r = *state;
    core_kit_start(r->kit, "rpm: 1000", ALLOWED);
    run_job(r, r->field);
    start_webhooks(r);
    assert_null(webhooks_totals(r->webhooks));
    CORE_UNTIL(r->kit, delivery_is(r, "delivered"));
    stop_webhooks(r);
    start_webhooks(r);
    assert_null(webhooks_totals(r->webhooks));
    CORE_UNTIL(r->kit, webhooks_totals(r->webhooks));
    assert_int_equal(webhooks_totals(r->webhooks)->delivered, 1);
}

static void an_event_that_is_made_again_is_not_sent_again(void **state)
{
    struct rig *r = *state;
    core_kit_start(r->kit, "rpm: 1000", ALLOWED);
    run_job(r, r->field);
    start_webhooks(r);
    CORE_UNTIL(r->kit, delivery_is(r, "delivered"));
    CORE_UNTIL(r->kit, owed(r) == 0);
    (void)redis_fixture_ask_int(&r->kit->redis, REDIS_ARGS("ZADD", CORE_PREFIX "wh", "1", r->id));
    webhooks_event(r->webhooks, r->id);
    CORE_UNTIL(r->kit, owed(r) == 0);
    assert_true(delivery_is(r, "delivered"));
    assert_int_equal(fake_provider_requests(r->receiver), 1);
}

static void a_delivery_that_was_cut_off_is_taken_by_the_next_process(void **state)
{
    static const struct fake_step hangs[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};
    struct rig *r = *state;
    core_kit_start(r->kit, "rpm: 1000",
                   "webhooks: {secret: " SECRET ", allow_private: true, timeout_ms: 100}\n");
    FAKE_SCRIPT(r->receiver, hangs);
    run_job(r, r->field);
    start_webhooks(r);
    CORE_UNTIL(r->kit, fake_provider_requests(r->receiver) == 1);
    stop_webhooks(r);
    FAKE_SCRIPT(r->receiver, takes);
    start_webhooks(r);
    CORE_UNTIL(r->kit, delivery_is(r, "delivered"));
    assert_int_equal(fake_provider_requests(r->receiver), 2);
}

static void a_receiver_that_hangs_is_left_and_the_record_says_why(void **state)
{
    static const struct fake_step hangs[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};
    static const struct fake_step stops[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = "HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n"},
        {.op = FAKE_STALL}};
    struct rig *r = *state;
    core_kit_start(r->kit, "rpm: 1000",
                   "webhooks: {secret: " SECRET ", allow_private: true, timeout_ms: 100}\n");
    start_webhooks(r);
    for (int i = 0; i < 2; i++) {
        struct webhook_event event = {
            .tenant = "default", .type = "t", .data = DATA, .field = r->field, .id = r->delivery};
        (void)snprintf(r->delivery, sizeof(r->delivery), "msg_hangs_%d", i);
        if (i == 0)
            FAKE_SCRIPT(r->receiver, hangs);
        else
            FAKE_SCRIPT(r->receiver, stops);
        assert_int_equal(webhooks_send(r->webhooks, &event, NULL, NULL), 0);
        CORE_UNTIL(r->kit, delivery_is(r, "waiting") && *r->attempts);
        assert_non_null(strstr(r->attempts, "webhooks.timeout_ms"));
    }
}

static void a_job_is_kept_until_its_event_is_made_and_no_longer(void **state)
{
    struct rig *r = *state;
    core_kit_start(r->kit, "rpm: 1000", "jobs: {result_ttl_s: 600}\n" ALLOWED);
    run_job(r, NULL);
    assert_in_range(job_ttl_ms(r), 1, 600000);
    assert_int_equal(owed(r), 0);
    run_job(r, r->field);
    assert_true(job_ttl_ms(r) > 80000000);
    assert_in_range(redis_fixture_ask_int(&r->kit->redis, REDIS_ARGS("PTTL", CORE_PREFIX "wh")),
                    80000000, INT64_C(30) * 86400000);
    start_webhooks(r);
    CORE_UNTIL(r->kit, owed(r) == 0);
    CORE_UNTIL(r->kit, job_ttl_ms(r) <= 600000);
    assert_true(job_ttl_ms(r) > 0);
}

static void an_event_that_nobody_asked_for_is_forgotten(void **state)
{
    struct rig *r = *state;
    core_kit_start(r->kit, "rpm: 1000", ALLOWED);
    (void)snprintf(r->field, sizeof(r->field), "{\"url\":\"%s/\",\"events\":[\"job.failed\"]}",
                   fake_provider_url(r->receiver));
    run_job(r, r->field);
    start_webhooks(r);
    CORE_UNTIL(r->kit, owed(r) == 0);
    assert_true(delivery_is(r, ""));
}

/* The check at the submit is not all there is: configurations change, and records are written by
 * others. */
static void nothing_is_sent_to_a_private_address_without_leave(void **state)
{
    struct rig *r = *state;
    core_kit_start(r->kit, "rpm: 1000", "webhooks: {secret: " SECRET ", first_retry_ms: 60000}\n");
    run_job(r, r->field);
    start_webhooks(r);
    CORE_UNTIL(r->kit, delivery_is(r, "waiting") && *r->attempts);
    assert_non_null(strstr(r->attempts, "private"));
    assert_int_equal(fake_provider_connections(r->receiver), 0);
}

/* A date is one of the two forms of Retry-After, and no number is too large to be told. */
static void a_receiver_may_ask_for_a_day_at_most(void **state)
{
#define BUSY(after) CORE_REPLY("503 Service Unavailable", "retry-after: " after "\r\n", "")
    static const char *const replies[] = {BUSY("9223372036854775807"),
                                          BUSY("Fri, 31 Dec 2399 23:59:59 GMT")};
    struct rig *r = *state;
    core_kit_start(r->kit, "rpm: 1000", ALLOWED);
    start_webhooks(r);
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        const struct fake_step busy[] = {
            {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = replies[i]}, {.op = FAKE_CLOSE}};
        struct webhook_event event = {
            .tenant = "default", .type = "t", .data = DATA, .field = r->field, .id = r->delivery};
        (void)snprintf(r->delivery, sizeof(r->delivery), "msg_busy_%zu", i);
        FAKE_SCRIPT(r->receiver, busy);
        assert_int_equal(webhooks_send(r->webhooks, &event, NULL, NULL), 0);
        CORE_UNTIL(r->kit, delivery_is(r, "waiting") && *r->attempts);
        int64_t left_ms = r->next_ms - clock_wall_ms();
        assert_in_range(left_ms, WEBHOOK_LAST_MS / 2, WEBHOOK_LAST_MS);
    }
}

static void others_may_send_to_the_configured_url(void **state)
{
    struct rig *r = *state;
    char more[512];
    (void)snprintf(more, sizeof(more),
                   "webhooks: {secret: " SECRET ", allow_private: true, url: \"%s/all\"}\n"
                   "tenants: [{name: own, webhook: {url: \"%s/own\"}}]\n",
                   fake_provider_url(r->receiver), fake_provider_url(r->receiver));
    core_kit_start(r->kit, "rpm: 1000", more);
    start_webhooks(r);
    struct webhook_event event = {
        .tenant = "default", .type = "budget.alert", .data = DATA, .id = "msg_alert_1"};
    assert_int_equal(webhooks_send(r->webhooks, &event, on_sent, r), 0);
    assert_int_equal(r->told, 0);
    CORE_UNTIL(r->kit, fake_provider_requests(r->receiver) == 1);
    assert_true(r->told == 1 && r->kept);
    assert_non_null(strstr(fake_provider_head(r->receiver), "POST /all "));
    event.tenant = "own";
    event.id = NULL;
    assert_int_equal(webhooks_send(r->webhooks, &event, NULL, NULL), 0);
    CORE_UNTIL(r->kit, fake_provider_requests(r->receiver) == 2);
    assert_non_null(strstr(fake_provider_head(r->receiver), "POST /own "));
}

static void without_a_url_there_is_nobody_to_tell(void **state)
{
    struct rig *r = *state;
    core_kit_start(r->kit, "rpm: 1000", ALLOWED);
    start_webhooks(r);
    struct webhook_event event = {.tenant = "default", .type = "budget.alert", .data = DATA};
    assert_int_equal(webhooks_send(r->webhooks, &event, on_sent, r), 1);
    event.field = "";
    assert_int_equal(webhooks_send(r->webhooks, &event, on_sent, r), 1);
    assert_int_equal(r->told, 0);
}

static void an_event_has_a_largest_size(void **state)
{
    struct rig *r = *state;
    char *data = malloc(WEBHOOK_MAX_PAYLOAD_BYTES + 2 * KIB);
    assert_non_null(data);
    memset(data, '1', WEBHOOK_MAX_PAYLOAD_BYTES + 2 * KIB);
    core_kit_start(r->kit, "rpm: 1000", ALLOWED);
    start_webhooks(r);
    struct webhook_event event = {
        .tenant = "default", .type = "t", .data = data, .field = r->field};
    data[WEBHOOK_MAX_PAYLOAD_BYTES + 2 * KIB - 1] = '\0';
    assert_int_equal(webhooks_send(r->webhooks, &event, on_sent, r), -ENOSPC);
    data[WEBHOOK_MAX_PAYLOAD_BYTES] = '\0';
    assert_int_equal(webhooks_send(r->webhooks, &event, on_sent, r), 0);
    CORE_UNTIL(r->kit, fake_provider_requests(r->receiver) == 1);
    assert_true(fake_provider_body_len(r->receiver) > WEBHOOK_MAX_PAYLOAD_BYTES);
    free(data);
}

int main(void)
{
#define HOOK_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        HOOK_TEST(the_event_of_a_job_outlives_the_process_that_ended_it),
        HOOK_TEST(sums_are_told_once_redis_told_them),
        HOOK_TEST(an_event_that_is_made_again_is_not_sent_again),
        HOOK_TEST(a_delivery_that_was_cut_off_is_taken_by_the_next_process),
        HOOK_TEST(a_receiver_that_hangs_is_left_and_the_record_says_why),
        HOOK_TEST(a_job_is_kept_until_its_event_is_made_and_no_longer),
        HOOK_TEST(an_event_that_nobody_asked_for_is_forgotten),
        HOOK_TEST(nothing_is_sent_to_a_private_address_without_leave),
        HOOK_TEST(a_receiver_may_ask_for_a_day_at_most),
        HOOK_TEST(others_may_send_to_the_configured_url),
        HOOK_TEST(without_a_url_there_is_nobody_to_tell),
        HOOK_TEST(an_event_has_a_largest_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
