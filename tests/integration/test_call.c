/* One call through scheduler, Redis and provider: every way in which it can go. */
#include "tests/support/core_kit.h"

#define WAIT_MS 60000
#define OK_BODY "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"

static const struct fake_step answers[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", "Content-Type: application/json\r\n", OK_BODY)},
    {.op = FAKE_CLOSE}};
static const struct fake_step hangs[] = {{.op = FAKE_READ}, {.op = FAKE_STALL}};

static void a_call_that_fits_is_sent_at_once_and_settled_to_what_it_used(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    FAKE_SCRIPT(k->provider, answers);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.fails, 0);
    assert_int_equal(c.queued, 0);
    assert_int_equal(c.status, 200);
    assert_string_equal(c.body, OK_BODY);
    assert_int_equal(c.attempts, 1);
    CORE_UNTIL(k, core_is(k, c.id, "done"));
    assert_int_equal(core_running(k), 0);
    assert_in_range(core_level(k, "tpm"), 6000 - 7, 6000);
    assert_in_range(core_level(k, "rpm"), 99, 99);
}

static void a_call_waits_for_a_slot_and_gets_it(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {0}, second = {0};
    core_kit_start(k, "max_parallel_requests: 1", NULL);
    FAKE_SCRIPT(k->provider, hangs);
    core_call_begin(k, &first, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_begin(k, &second, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, second.queued == 1);
    assert_int_equal(core_queued(k), 1);
    FAKE_SCRIPT(k->provider, answers);
    core_call_cancel(&first);
    CORE_UNTIL(k, core_call_over(&second));
    assert_int_equal(second.ends, 1);
    assert_int_equal(second.queued, 1);
    CORE_UNTIL(k, core_running(k) == 0);
    assert_int_equal(first.ends + first.fails, 0);
    assert_true(core_is(k, first.id, "cancelled"));
}

static void a_call_whose_wait_is_over_leaves_the_queue(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {0}, second = {0};
    core_kit_start(k, "max_parallel_requests: 1", NULL);
    FAKE_SCRIPT(k->provider, hangs);
    core_call_begin(k, &first, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_begin(k, &second, CORE_BODY, 30);
    CORE_UNTIL(k, core_call_over(&second));
    assert_int_equal(second.fails, 1);
    assert_int_equal(second.failure.status, 504);
    assert_int_equal(second.attempts, 0);
    CORE_UNTIL(k, core_is(k, second.id, "cancelled"));
    assert_int_equal(core_queued(k), 0);
    core_call_cancel(&first);
    CORE_UNTIL(k, core_running(k) == 0);
}

static void a_request_that_never_left_gives_its_reservation_back(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    fake_provider_free(k->provider); /* nobody listens any more */
    k->provider = NULL;
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.fails, 1);
    assert_int_equal(c.failure.status, 502);
    assert_int_equal(c.attempts, 3); /* max_attempts */
    CORE_UNTIL(k, core_is(k, c.id, "failed"));
    assert_int_equal(core_level(k, "tpm"), 6000);
}

#define RATE_BODY "{\"error\":{\"message\":\"Rate limit reached for requests per min (RPM)\"}}"

static void a_refusal_for_the_rate_waits_and_pauses_the_pool(void **state)
{
    static const struct fake_step refuses[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = CORE_REPLY("429 Too Many", "Content-Length: 69\r\nretry-after-ms: 300\r\n",
                             RATE_BODY)},
        {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    FAKE_SCRIPT(k->provider, refuses);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_requests(k->provider) == 1);
    FAKE_SCRIPT(k->provider, answers);
    CORE_UNTIL(k, core_queued(k) == 1 || core_call_over(&c));
    assert_false(core_call_over(&c));
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.attempts, 2);
    CORE_UNTIL(k, core_running(k) == 0);
    assert_int_equal(core_field(k, c.id, "at"), 2);
}

static void a_refusal_that_outlasts_the_wait_is_told_at_once(void **state)
{
    static const struct fake_step refuses[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes =
             CORE_REPLY("429 Too Many", "Content-Length: 69\r\nretry-after: 3600\r\n", RATE_BODY)},
        {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call c = {0}, next = {0};
    core_kit_start(k, "rpm: 100, tpm: 6000", NULL);
    FAKE_SCRIPT(k->provider, refuses);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.status, 429);
    assert_string_equal(c.body, RATE_BODY);
    CORE_UNTIL(k, core_is(k, c.id, "failed"));
    core_call_begin(k, &next, CORE_BODY, WAIT_MS); /* and the pause holds for all */
    CORE_UNTIL(k, core_call_over(&next));
    assert_int_equal(next.failure.status, 504);
    assert_true(next.failure.retry_after_ms > 3000000);
    CORE_UNTIL(k, core_queued(k) == 0);
}

static void a_waiting_call_goes_on_when_redis_lost_its_ticket(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {0}, second = {0};
    core_kit_start(k, "max_parallel_requests: 1", NULL);
    FAKE_SCRIPT(k->provider, hangs);
    core_call_begin(k, &first, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_begin(k, &second, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, second.queued == 1);
    FAKE_SCRIPT(k->provider, answers);
    redis_fixture_kill(&k->redis); /* the fixture's server keeps nothing on disk */
    CORE_UNTIL(k, !k->up);
    assert_int_equal(redis_fixture_restart(&k->redis), 0);
    CORE_UNTIL(k, core_call_over(&second));
    assert_int_equal(second.ends, 1);
    core_call_cancel(&first);
    CORE_UNTIL(k, scheduler_unsettled(k->scheduler) == 0);
    assert_int_equal(core_running(k), 0);
}

static void a_grant_that_was_published_to_nobody_is_found_again(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {0}, second = {0};
    core_kit_start(k, "max_parallel_requests: 1", NULL);
    FAKE_SCRIPT(k->provider, hangs);
    core_call_begin(k, &first, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_begin(k, &second, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, second.queued == 1);
    /* As if another instance had granted it while our channel was away. */
    char key[128];
    (void)snprintf(key, sizeof(key), CORE_PREFIX "j:%s", second.id);
    assert_int_equal(redis_fixture_ask_int(&k->redis, REDIS_ARGS("HSET", key, "at", "3")), 0);
    assert_int_equal(redis_fixture_ask_int(&k->redis, REDIS_ARGS("HSET", key, "st", "running")), 0);
    FAKE_SCRIPT(k->provider, answers);
    scheduler_channel_back(k->scheduler);
    CORE_UNTIL(k, core_call_over(&second));
    assert_int_equal(second.ends, 1);
    CORE_UNTIL(k, core_is(k, second.id, "done"));
    core_call_cancel(&first);
    CORE_UNTIL(k, core_running(k) == 0);
}

static void a_ticket_that_was_taken_for_a_dead_instances_is_made_anew(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {0}, second = {0};
    core_kit_start(k, "max_parallel_requests: 1", NULL);
    FAKE_SCRIPT(k->provider, hangs);
    core_call_begin(k, &first, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_begin(k, &second, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, second.queued == 1);
    struct pool_view *v =
        scheduler_pool_by_hash(k->scheduler, pool_agent_pool(call_pool(second.call)->agent)->hash);
    pool_agent_cancel(v->agent, second.id, NULL, NULL);
    CORE_UNTIL(k, core_is(k, second.id, "cancelled"));
    FAKE_SCRIPT(k->provider, answers);
    scheduler_channel_back(k->scheduler);
    CORE_UNTIL(k, core_queued(k) == 1);
    core_call_cancel(&first);
    CORE_UNTIL(k, core_call_over(&second));
    assert_int_equal(second.ends, 1);
    CORE_UNTIL(k, core_running(k) == 0);
}

static void a_grant_that_overtakes_the_answer_to_a_left_submit_is_given_back(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    char grant[128];
    core_kit_start(k, "rpm: 100", NULL);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    core_call_cancel(&c); /* before Redis has answered */
    (void)snprintf(grant, sizeof(grant), "grant %s 1 1 " CORE_PREFIX, c.id);
    scheduler_message(k->scheduler, grant);
    assert_int_equal(scheduler_unsettled(k->scheduler), 1);
    CORE_UNTIL(k, core_is(k, c.id, "cancelled") && core_running(k) == 0);
    CORE_UNTIL(k, scheduler_unsettled(k->scheduler) == 0);
    assert_int_equal(core_level(k, "rpm"), 100);
}

static void a_client_that_leaves_before_the_submit_is_answered_leaves_nothing(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100", NULL);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    core_call_cancel(&c);
    assert_int_equal(scheduler_active(k->scheduler), 0);
    CORE_UNTIL(k, core_is(k, c.id, "cancelled") && core_running(k) == 0);
    assert_int_equal(core_level(k, "rpm"), 100);
    assert_int_equal(fake_provider_connections(k->provider), 0);
}

#define STREAM_HEAD                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
#define CHUNK "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
#define ERROR_EVENT                                                                                \
    "data: {\"error\":{\"message\":\"bad sk-of-the-service sk-of-the-service\"}}\n\n"

static void the_services_key_is_not_told_when_a_provider_quotes_it(void **state)
{
    static const struct fake_step refuses[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = CORE_REPLY("401 No", "", "no: sk-of-the-service, sk-of-the-service")},
        {.op = FAKE_CLOSE}};
    static const struct fake_step breaks[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = STREAM_HEAD CHUNK ERROR_EVENT},
        {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call whole = {0}, stream = {0};
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, refuses);
    core_call_begin(k, &whole, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, core_call_over(&whole));
    assert_int_equal(whole.status, 401);
    assert_string_equal(whole.body, "no: *****************, *****************");
    FAKE_SCRIPT(k->provider, breaks);
    core_call_begin(k, &stream, CORE_STREAM_BODY, WAIT_MS);
    CORE_UNTIL(k, core_call_over(&stream));
    assert_int_equal(stream.ends, 1); /* the provider's own error event has told it */
    assert_non_null(strstr(stream.body, "bad ****"));
    assert_null(strstr(stream.body, "sk-of"));
    CORE_UNTIL(k, core_is(k, stream.id, "failed"));
}

#define DONE_EVENTS                                                                                \
    CHUNK "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n"     \
          "data: [DONE]\n\n"

static void a_stream_is_passed_on_and_settled_by_its_hidden_usage(void **state)
{
    static const struct fake_step streams[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = STREAM_HEAD DONE_EVENTS, .slice = 7},
        {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "tpm: 6000", NULL);
    FAKE_SCRIPT(k->provider, streams);
    core_call_begin(k, &c, CORE_STREAM_BODY, WAIT_MS);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    assert_string_equal(c.body, CHUNK "data: [DONE]\n\n");
    CORE_UNTIL(k, core_is(k, c.id, "done"));
    assert_in_range(core_level(k, "tpm"), 6000 - 7, 6000);
}

static void a_stream_that_is_cut_fails_and_is_not_repeated(void **state)
{
    static const struct fake_step cuts[] = {
        {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = STREAM_HEAD CHUNK}, {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, cuts);
    core_call_begin(k, &c, CORE_STREAM_BODY, WAIT_MS);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.fails, 1);
    assert_int_equal(c.failure.status, 502);
    assert_int_equal(c.starts, 1);
    assert_int_equal(fake_provider_requests(k->provider), 1);
    CORE_UNTIL(k, core_is(k, c.id, "failed"));
    assert_int_equal(core_running(k), 0);
}

static void an_error_as_the_first_event_is_repeated(void **state)
{
    static const struct fake_step fails[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND,
         .bytes = STREAM_HEAD "data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n"},
        {.op = FAKE_CLOSE}};
    static const struct fake_step streams[] = {
        {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = STREAM_HEAD DONE_EVENTS}, {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, fails);
    core_call_begin(k, &c, CORE_STREAM_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_requests(k->provider) == 1 && core_running(k) == 0);
    FAKE_SCRIPT(k->provider, streams);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.starts, 1);
    assert_string_equal(c.body, CHUNK "data: [DONE]\n\n");
    assert_int_equal(c.attempts, 2);
}

static void a_5xx_is_tried_as_often_as_it_may_be_and_then_told(void **state)
{
    static const struct fake_step fails[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = CORE_REPLY("500 Oh", "retry-after-ms: 20\r\n", "oh")},
        {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, fails);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.status, 500);
    assert_string_equal(c.body, "oh");
    assert_int_equal(c.attempts, 3);
    assert_int_equal(fake_provider_requests(k->provider), 3);
    CORE_UNTIL(k, core_is(k, c.id, "failed"));
    assert_int_equal(core_field(k, c.id, "at"), 3);
    assert_int_equal(core_running(k), 0);
}

static void a_call_can_be_cancelled_inside_its_own_callbacks(void **state)
{
    static const struct fake_step streams[] = {
        {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = STREAM_HEAD DONE_EVENTS}, {.op = FAKE_CLOSE}};
    /* its last event ends with a lone CR, and so comes out when the stream has ended */
    static const struct fake_step late[] = {
        {.op = FAKE_READ},
        {.op = FAKE_SEND, .bytes = STREAM_HEAD "data: {\"choices\":[]}\r\r"},
        {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call c[4] = {{.cancel_at_start = true},
                             {.cancel_at_data = true},
                             {.cancel_at_data = true},
                             {.cancel_at_data = true}};
    core_kit_start(k, "rpm: 100", NULL);
    for (size_t i = 0; i < 4; i++) {
        if (i < 2)
            FAKE_SCRIPT(k->provider, streams);
        else if (i == 2)
            FAKE_SCRIPT(k->provider, late);
        else
            FAKE_SCRIPT(k->provider, answers);
        core_call_begin(k, &c[i], i < 3 ? CORE_STREAM_BODY : CORE_BODY, WAIT_MS);
        CORE_UNTIL(k, !c[i].call);
        CORE_UNTIL(k, core_is(k, c[i].id, "cancelled") && core_running(k) == 0);
        assert_int_equal(c[i].ends + c[i].fails, 0);
    }
    assert_int_equal(scheduler_active(k->scheduler), 0);
}

static void a_call_that_streams_is_cancelled_with_its_connection(void **state)
{
    static const struct fake_step stalls[] = {
        {.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = STREAM_HEAD CHUNK}, {.op = FAKE_STALL}};
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, stalls);
    core_call_begin(k, &c, CORE_STREAM_BODY, WAIT_MS);
    CORE_UNTIL(k, c.len > 0);
    core_call_cancel(&c);
    CORE_UNTIL(k, core_is(k, c.id, "cancelled") && fake_provider_open(k->provider) == 0);
    assert_int_equal(core_running(k), 0);
    assert_int_equal(core_level(k, "rpm"), 99); /* the provider has counted it */
}

static void a_client_that_does_not_read_holds_the_provider_back(void **state)
{
    static const struct fake_step large[] = {{.op = FAKE_READ},
                                             {.op = FAKE_SEND, .bytes = STREAM_HEAD CHUNK},
                                             {.op = FAKE_STALL},
                                             {.op = FAKE_SEND, .bytes = DONE_EVENTS},
                                             {.op = FAKE_CLOSE}};
    struct core_kit *k = *state;
    struct core_call c = {.pause_at_data = true};
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, large);
    core_call_begin(k, &c, CORE_STREAM_BODY, WAIT_MS);
    CORE_UNTIL(k, c.len > 0 && fake_provider_stalled(k->provider) == 1);
    uint64_t sent = fake_provider_sent(k->provider);
    size_t bytes = c.bytes;
    fake_provider_go(k->provider);
    CORE_UNTIL(k, fake_provider_sent(k->provider) > sent && fake_provider_open(k->provider) == 0);
    for (int i = 0; i < 50; i++)
        core_kit_step(k);
    assert_int_equal(c.bytes, bytes); /* it lies in the socket */
    c.pause_at_data = false;
    call_resume(c.call);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    assert_string_equal(c.body, CHUNK CHUNK "data: [DONE]\n\n");
}

static void a_call_goes_on_and_is_settled_when_redis_was_away_meanwhile(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 100", NULL);
    FAKE_SCRIPT(k->provider, hangs);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    redis_fixture_kill(&k->redis);
    CORE_UNTIL(k, !k->up);
    core_call_cancel(&c);
    assert_int_equal(scheduler_unsettled(k->scheduler), 1);
    assert_int_equal(redis_fixture_restart(&k->redis), 0);
    CORE_UNTIL(k, k->up && scheduler_unsettled(k->scheduler) == 0);
}

static void a_submit_outlives_a_short_outage(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0}, late = {0};
    core_kit_start(k, "rpm: 100", "redis: {on_outage: closed}\n");
    FAKE_SCRIPT(k->provider, answers);
    redis_fixture_kill(&k->redis);
    CORE_UNTIL(k, !k->up);
    core_call_begin(k, &late, CORE_BODY, 100); /* has no time for that */
    CORE_UNTIL(k, core_call_over(&late));
    assert_int_equal(late.failure.status, 503);
    assert_true(late.failure.retry_after_ms > 0);
    core_call_begin(k, &c, CORE_BODY, WAIT_MS);
    assert_int_equal(redis_fixture_restart(&k->redis), 0);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    CORE_UNTIL(k, core_running(k) == 0);
}

static void what_can_never_fit_and_what_the_queue_cannot_hold_is_refused(void **state)
{
    struct core_kit *k = *state;
    struct core_call large = {0}, first = {0}, second = {0}, third = {0};
    core_kit_start(k, "tpm: 100, default_output_tokens: 50, max_parallel_requests: 1",
                   "queue: {max_depth: 1}\n");
    core_call_begin(
        k, &large,
        "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\""
        "one two three four five six seven eight nine ten one two three four five six "
        "one two three four five six seven eight nine ten one two three four five six "
        "one two three four five six seven eight nine ten one two three four five six "
        "one two three four five six seven eight nine ten one two three four five six "
        "one two three four five six seven eight nine ten one two three four five six "
        "seven eight nine ten one two three four five six seven eight nine ten\"}]}",
        WAIT_MS);
    CORE_UNTIL(k, core_call_over(&large));
    assert_int_equal(large.failure.status, 413);
    FAKE_SCRIPT(k->provider, hangs);
    core_call_begin(k, &first, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_begin(k, &second, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, second.queued == 1);
    core_call_begin(k, &third, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, core_call_over(&third));
    assert_int_equal(third.failure.status, 503);
    assert_string_equal(third.failure.code, "queue_full");
    core_call_cancel(&second);
    core_call_cancel(&first);
    CORE_UNTIL(k, core_running(k) == 0 && core_queued(k) == 0);
}

static const struct fake_step refuses_for_long[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND,
     .bytes = CORE_REPLY("429 Too Many", "Content-Length: 69\r\nretry-after: 100\r\n", RATE_BODY)},
    {.op = FAKE_CLOSE}};

static void a_ticket_that_is_made_again_begins_with_its_first_fence(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    core_kit_start(k, "rpm: 600", NULL);
    FAKE_SCRIPT(k->provider, refuses_for_long);
    core_call_begin(k, &c, CORE_BODY, 10 * WAIT_MS);
    CORE_UNTIL(k, core_is(k, c.id, "queued")); /* was granted once */
    FAKE_SCRIPT(k->provider, answers);
    redis_fixture_kill(&k->redis); /* the pool begins anew, empty: it is queued, then granted */
    CORE_UNTIL(k, !k->up);
    assert_int_equal(redis_fixture_restart(&k->redis), 0);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    assert_int_equal(core_field(k, c.id, "at"), 1);
    CORE_UNTIL(k, core_running(k) == 0);
}

static void a_grant_that_was_given_back_is_not_taken_again(void **state)
{
    struct core_kit *k = *state;
    struct core_call c = {0};
    char key[128];
    core_kit_start(k, "rpm: 600", NULL);
    FAKE_SCRIPT(k->provider, refuses_for_long);
    core_call_begin(k, &c, CORE_BODY, 10 * WAIT_MS);
    CORE_UNTIL(k, core_is(k, c.id, "queued"));
    /* As if its settle were still on the way. */
    (void)snprintf(key, sizeof(key), CORE_PREFIX "j:%s", c.id);
    assert_int_equal(redis_fixture_ask_int(&k->redis, REDIS_ARGS("HSET", key, "st", "running")), 0);
    int64_t scripts = redis_fixture_info(&k->redis, "cmdstat_evalsha");
    scheduler_channel_back(k->scheduler);
    CORE_UNTIL(k, redis_fixture_info(&k->redis, "cmdstat_evalsha") > scripts);
    for (int i = 0; i < 50; i++)
        core_kit_step(k);
    assert_int_equal(fake_provider_requests(k->provider), 1);
    core_call_cancel(&c);
}

static void a_waiting_call_goes_on_when_all_data_are_flushed(void **state)
{
    struct core_kit *k = *state;
    struct core_call first = {0}, second = {0};
    core_kit_start(k, "max_parallel_requests: 1", NULL);
    FAKE_SCRIPT(k->provider, hangs);
    core_call_begin(k, &first, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    core_call_begin(k, &second, CORE_BODY, WAIT_MS);
    CORE_UNTIL(k, second.queued == 1);
    FAKE_SCRIPT(k->provider, answers);
    assert_true(redis_fixture_says(&k->redis, "OK", REDIS_ARGS("FLUSHALL")));
    CORE_UNTIL(k, core_call_over(&second)); /* at the next heartbeat or settle */
    assert_int_equal(second.ends, 1);
    core_call_cancel(&first);
    CORE_UNTIL(k, scheduler_unsettled(k->scheduler) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, core_kit_setup, core_kit_teardown)
        CORE_TEST(a_call_that_fits_is_sent_at_once_and_settled_to_what_it_used),
        CORE_TEST(a_call_waits_for_a_slot_and_gets_it),
        CORE_TEST(a_call_whose_wait_is_over_leaves_the_queue),
        CORE_TEST(a_request_that_never_left_gives_its_reservation_back),
        CORE_TEST(a_refusal_for_the_rate_waits_and_pauses_the_pool),
        CORE_TEST(a_refusal_that_outlasts_the_wait_is_told_at_once),
        CORE_TEST(a_waiting_call_goes_on_when_redis_lost_its_ticket),
        CORE_TEST(a_grant_that_was_published_to_nobody_is_found_again),
        CORE_TEST(a_ticket_that_was_taken_for_a_dead_instances_is_made_anew),
        CORE_TEST(a_grant_that_overtakes_the_answer_to_a_left_submit_is_given_back),
        CORE_TEST(a_client_that_leaves_before_the_submit_is_answered_leaves_nothing),
        CORE_TEST(the_services_key_is_not_told_when_a_provider_quotes_it),
        CORE_TEST(a_stream_is_passed_on_and_settled_by_its_hidden_usage),
        CORE_TEST(a_stream_that_is_cut_fails_and_is_not_repeated),
        CORE_TEST(an_error_as_the_first_event_is_repeated),
        CORE_TEST(a_5xx_is_tried_as_often_as_it_may_be_and_then_told),
        CORE_TEST(a_call_can_be_cancelled_inside_its_own_callbacks),
        CORE_TEST(a_call_that_streams_is_cancelled_with_its_connection),
        CORE_TEST(a_client_that_does_not_read_holds_the_provider_back),
        CORE_TEST(a_call_goes_on_and_is_settled_when_redis_was_away_meanwhile),
        CORE_TEST(a_submit_outlives_a_short_outage),
        CORE_TEST(a_ticket_that_is_made_again_begins_with_its_first_fence),
        CORE_TEST(a_grant_that_was_given_back_is_not_taken_again),
        CORE_TEST(a_waiting_call_goes_on_when_all_data_are_flushed),
        CORE_TEST(what_can_never_fit_and_what_the_queue_cannot_hold_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
