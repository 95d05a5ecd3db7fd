/* Output that counts as it is produced: a stream that writes more than was foreseen is charged for
 * it while it writes, and others wait accordingly. */
#include "tests/support/core_kit.h"

#include "storage/redis_protocol.h"
#include "storage/redis_reply.h"

#define WAIT_MS 15000
#define PREFIX  "sluice:{a:default:claude}:"

/* Four bytes are taken for a token. */
#define TEXT_BYTES 10400
#define FORESEEN   512

#define BODY                                                                                       \
    "{\"model\":\"claude\",\"max_tokens\":4000,\"stream\":true,"                                   \
    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define HEAD                                                                                       \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"              \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":"              \
    "{\"input_tokens\":8,\"output_tokens\":1}}}\n\n"
#define DELTA                                                                                      \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"             \
    "\"delta\":{\"type\":\"text_delta\",\"text\":\""
#define TAIL(tokens)                                                                               \
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"          \
    "\"end_turn\"},\"usage\":{\"output_tokens\":" tokens "}}\n\n"                                  \
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

static void start(struct core_kit *k)
{
    char more[512];
    (void)snprintf(more, sizeof(more),
                   "  - {name: a, format: anthropic, base_url: \"%s\", api_key: sk-a,\n"
                   "     profile: anthropic, models: [{name: claude, rpm: 100, otpm: 3000}]}\n",
                   fake_provider_url(k->provider));
    core_kit_start(k, "rpm: 100", more);
}

static void begin(struct core_kit *k, struct core_call *c)
{
    struct call_spec spec = {.endpoint = WIRE_MESSAGES,
                             .body = strdup(BODY),
                             .body_len = sizeof(BODY) - 1,
                             .tenant = "default",
                             .weight = 1,
                             .class = CLASS_NORMAL,
                             .max_wait_ms = WAIT_MS};
    core_call_spec(k, c, &spec);
}

static int64_t left(struct core_kit *k)
{
    struct redisReply *r = redis_fixture_ask(&k->redis, REDIS_ARGS("HGET", PREFIX "b", "otpm:L"));
    int64_t units = reply_int(r, -1);
    redis_reply_free(r);
    return units / 60000;
}

static void script(struct core_kit *k, char *event, size_t size, const char *tail)
{
    static char text[TEXT_BYTES + 1];
    static struct fake_step steps[] = {{.op = FAKE_READ}, {.op = FAKE_SEND, .bytes = HEAD},
                                       {.op = FAKE_SEND}, {.op = FAKE_STALL},
                                       {.op = FAKE_SEND}, {.op = FAKE_CLOSE}};
    memset(text, 'a', TEXT_BYTES);
    (void)snprintf(event, size, DELTA "%s\"}}\n\n", text);
    steps[2].bytes = event;
    steps[4].bytes = tail;
    FAKE_SCRIPT(k->provider, steps);
}

static void a_stream_is_charged_while_it_writes_more_than_was_foreseen(void **state)
{
    static char event[TEXT_BYTES + 256];
    struct core_kit *k = *state;
    struct core_call c = {0}, other = {0};
    start(k);
    script(k, event, sizeof(event), TAIL("2700"));
    begin(k, &c);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    CORE_UNTIL(k, left(k) < 3000 - FORESEEN - 1);
    assert_in_range(left(k), 3000 - TEXT_BYTES / 4, 3000 - TEXT_BYTES / 4 + 200);
    begin(k, &other); /* it would have fitted beside what was foreseen */
    CORE_UNTIL(k, other.queued == 1);
    assert_int_equal(fake_provider_requests(k->provider), 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.ends, 1);
    if (other.call)
        core_call_cancel(&other);
}

static void the_settle_corrects_what_was_counted_too_high(void **state)
{
    static char event[TEXT_BYTES + 256];
    struct core_kit *k = *state;
    struct core_call c = {0};
    start(k);
    script(k, event, sizeof(event), TAIL("600"));
    begin(k, &c);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    CORE_UNTIL(k, left(k) < 3000 - FORESEEN - 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&c));
    CORE_UNTIL(k, left(k) >= 3000 - 600);
}

static void what_is_foreseen_is_learned_by_all_instances(void **state)
{
    static char event[TEXT_BYTES + 256];
    struct core_kit *k = *state;
    struct core_call c = {0}, next = {0};
    start(k);
    /* As if another instance had learned it: e^7.6 tokens. */
    (void)redis_fixture_ask_int(&k->redis, REDIS_ARGS("HSET", PREFIX "b", "oq", "7.600902 400"));
    script(k, event, sizeof(event), TAIL("10"));
    begin(k, &c);
    CORE_UNTIL(k, fake_provider_stalled(k->provider) == 1);
    fake_provider_go(k->provider);
    CORE_UNTIL(k, core_call_over(&c));
    /* It was charged what it used; and it was short: by 0.02 * 0.05 lower, to 1998. */
    CORE_UNTIL(k, left(k) >= 2900);
    begin(k, &next);
    CORE_UNTIL(k, left(k) < 2900);
    assert_in_range(left(k), 2900 - 1998, 3000 - 1997 + 60);
    core_call_cancel(&next);
}

int main(void)
{
#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, core_kit_setup, core_kit_teardown)
    const struct CMUnitTest tests[] = {
        CORE_TEST(a_stream_is_charged_while_it_writes_more_than_was_foreseen),
        CORE_TEST(the_settle_corrects_what_was_counted_too_high),
        CORE_TEST(what_is_foreseen_is_learned_by_all_instances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
