/* Open answers: deadlines, clients that leave, back-pressure, ends that are not clean. */
#include "common/limits.h"
#include "tests/support/http_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HOLD   "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"
#define STREAM "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST   "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
#define HELLO  "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

static int start(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct server_options options = rig_options();
    rig_start(rig, &options);
    *state = rig;
    return 0;
}

/* Deadlines of a tenth of a second. */
static int start_hasty(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct server_options options = rig_options();
    options.header_ms = options.idle_ms = options.body_ms = options.write_ms = 100;
    rig_start(rig, &options);
    *state = rig;
    return 0;
}

static int stop(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

static void ask(struct rig *rig, struct client *c, const char *request)
{
    client_open(c, rig);
    client_send(c, request);
    rig_until_held(rig, true);
}

/* ---- deadlines */

static void a_head_that_drips_in_is_cut_with_408(void **state)
{
    struct rig *rig = *state;
    struct client c;
    client_open(&c, rig);
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    while (!c.ended) { /* the deadline is for the head, not for the next byte */
        (void)client_push(&c, "x", 1);
        rig_pass(rig, 10);
    }
    assert_int_equal(strncmp(c.in, "HTTP/1.1 408 ", 13), 0);
    assert_int_equal(client_count(&c, "{\"error\":"), 1);
    client_close(&c);
}

static void a_later_head_that_drips_in_is_cut_too(void **state)
{
    struct rig *rig = *state;
    struct client c;
    client_open(&c, rig);
    client_send(&c, HELLO);
    client_until(&c, "\r\n\r\nhello");
    client_send(&c, "GET /");
    client_until_end(&c);
    assert_int_equal(client_count(&c, "HTTP/1.1 408 "), 1);
    client_close(&c);
}

static void a_head_pipelined_in_part_is_cut_too(void **state)
{
    struct rig *rig = *state;
    struct client c;
    client_open(&c, rig);
    client_send(&c, HELLO "GET /");
    client_until_end(&c);
    assert_int_equal(client_count(&c, "\r\n\r\nhello"), 1);
    assert_int_equal(client_count(&c, "HTTP/1.1 408 "), 1);
    client_close(&c);
}

static void a_body_that_stops_is_cut_with_408(void **state)
{
    struct rig *rig = *state;
    struct client c;
    client_open(&c, rig);
    client_send(&c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    client_until_end(&c);
    assert_int_equal(strncmp(c.in, "HTTP/1.1 408 ", 13), 0);
    assert_int_equal(rig->requests, 0);
    client_close(&c);
}

static void a_body_may_take_long_while_it_moves(void **state)
{
    (void)state;
    struct rig rig;
    struct client c;
    static char block[HTTP_BODY_STEP_BYTES];
    struct server_options options = rig_options();
    options.max_body_bytes = 4 * sizeof(block);
    options.body_ms = 1000;
    rig_start(&rig, &options);
    client_open(&c, &rig);
    client_send(&c, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 262144\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        rig_pass(&rig, 400);
        client_send_bytes(&c, block, sizeof(block));
    }
    client_until(&c, "\r\n\r\nhello");
    client_close(&c);
    rig_stop(&rig);
}

static void silent_connections_are_closed_without_a_word(void **state)
{
    struct rig *rig = *state;
    struct client fresh, used;
    client_open(&fresh, rig);
    client_until_end(&fresh);
    assert_int_equal(fresh.len, 0);
    client_close(&fresh);

    client_open(&used, rig);
    client_send(&used, HELLO);
    client_until_end(&used);
    assert_int_equal(client_count(&used, "HTTP/1.1 "), 1);
    client_close(&used);
}

static void a_used_connection_may_idle_longer_than_a_new_one(void **state)
{
    (void)state;
    struct rig rig;
    struct client used, fresh;
    struct server_options options = rig_options();
    options.header_ms = 100;
    options.idle_ms = 60000;
    rig_start(&rig, &options);
    client_open(&used, &rig);
    client_send(&used, HELLO);
    client_until(&used, "\r\n\r\nhello");
    client_open(&fresh, &rig); /* has the header deadline, and later than `used` had it */
    client_until_end(&fresh);
    assert_false(used.ended);
    client_close(&fresh);
    client_close(&used);
    rig_stop(&rig);
}

static void silence_longer_than_every_deadline_does_not_cut_an_answer(void **state)
{
    struct rig *rig = *state;
    struct client waiting, streaming;
    ask(rig, &waiting, HOLD);
    struct exchange *held = rig->held;
    rig->held = NULL;
    ask(rig, &streaming, STREAM);
    (void)exchange_stream_write(rig->held, "one", 3);
    rig_pass(rig, 500);
    (void)exchange_stream_write(rig->held, "two", 3);
    rig_pass(rig, 500);
    exchange_stream_end(rig->held);
    exchange_reply(held, 200, "text/plain", "late", 4);
    client_until(&streaming, "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    client_until(&waiting, "\r\n\r\nlate");
    assert_int_equal(rig->gone, 0);
    client_close(&waiting);
    client_close(&streaming);
}

static void a_client_that_takes_nothing_is_cut(void **state)
{
    struct rig *rig = *state;
    struct client c;
    static char block[64 * KIB];
    ask(rig, &c, STREAM);
    client_stop_reading(&c);
    while (exchange_stream_write(rig->held, block, sizeof(block)) <= HTTP_STREAM_HIGH_BYTES)
        rig_turn(rig);
    rig_until(rig, &rig->gone, 1);
    assert_null(rig->held);
    client_close(&c);
}

/* ---- clients that leave */

static void check_gone(struct rig *rig, struct client *c)
{
    rig_until_held(rig, false);
    rig_until_connections(rig, 0);
    assert_int_equal(rig->gone, 1);
    assert_int_equal(server_open_exchanges(rig->server), 0);
    rig->gone = 0;
    client_close(c);
}

static void leaving_is_told_once_before_and_during_an_answer(void **state)
{
    struct rig *rig = *state;
    static const char *const requests[] = {HOLD, STREAM, POST};
    static void (*const ways[])(struct client *) = {client_close, client_close_by_reset,
                                                    client_half_close};
    for (size_t i = 0; i < 9; i++) {
        struct client c;
        ask(rig, &c, requests[i % 3]);
        assert_int_equal(server_open_exchanges(rig->server), 1);
        if (i % 3 == 1)
            (void)exchange_stream_write(rig->held, "x", 1);
        ways[i / 3](&c);
        check_gone(rig, &c);
    }
}

static void leaving_with_a_full_queue_is_told_once(void **state)
{
    struct rig *rig = *state;
    static char block[64 * KIB];
    for (int i = 0; i < 2; i++) {
        struct client c;
        ask(rig, &c, STREAM);
        client_stop_reading(&c);
        while (exchange_stream_write(rig->held, block, sizeof(block)) <= HTTP_STREAM_HIGH_BYTES)
            rig_turn(rig);
        if (i)
            client_close_by_reset(&c);
        else
            client_close(&c);
        check_gone(rig, &c);
    }
}

static void an_exchange_without_a_callback_outlives_its_client(void **state)
{
    struct rig *rig = *state;
    struct client c;
    ask(rig, &c, "GET /deaf HTTP/1.1\r\nHost: a\r\n\r\n");
    client_close(&c);
    rig_until_connections(rig, 0);
    assert_int_equal(server_open_exchanges(rig->server), 0);
    assert_null(exchange_header(rig->held, "Host"));
    assert_int_equal(exchange_set_header(rig->held, "x-a", "b"), 0);
    exchange_stream_start(rig->held, 200, "text/plain");
    assert_int_equal(exchange_stream_write(rig->held, "x", 1), 0);
    exchange_stream_end(rig->held);
}

static void stopping_the_server_tells_open_exchanges(void **state)
{
    (void)state;
    struct rig rig;
    struct client held, fresh;
    struct server_options options = rig_options();
    rig_start(&rig, &options);
    ask(&rig, &held, STREAM);
    client_open(&fresh, &rig); /* still in the backlog, or just taken */
    client_close(&held);
    client_close(&fresh);
    rig_stop(&rig);
    assert_int_equal(rig.gone, 1);
}

static void bytes_on_a_waiting_request_are_the_next_request(void **state)
{
    struct rig *rig = *state;
    struct client c;
    ask(rig, &c, HOLD "G");
    client_send(&c, "ET /hello HTTP/1.1\r\nHost: ");
    rig_pass(rig, 20);
    assert_int_equal(rig->requests, 1);
    exchange_reply(rig->held, 200, "text/plain", "first", 5);
    client_until(&c, "\r\n\r\nfirst");
    client_send(&c, "a\r\n\r\n");
    client_until(&c, "\r\n\r\nhello");
    client_close(&c);
}

static size_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%*u %lu", &pages), 1);
    (void)fclose(statm);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Pushes until the server takes no more, or 100 MiB; returns how much went. */
static size_t flood(struct rig *rig, struct client *c)
{
    static char block[256 * KIB];
    size_t pushed = 0;
    for (int rests = 0; rests < 50 && pushed < 100 * MIB;) {
        size_t n = client_push(c, block, sizeof(block));
        pushed += n;
        rests = n ? 0 : rests + 1;
        rig_turn(rig);
    }
    return pushed;
}

static void a_flood_during_an_answer_takes_no_memory(void **state)
{
    struct rig *rig = *state;
    static const char *const requests[] = {HOLD, STREAM};
    for (int i = 0; i < 2; i++) {
        struct client c;
        ask(rig, &c, requests[i]);
        size_t before = resident_bytes();
        size_t pushed = flood(rig, &c);
        assert_in_range(pushed, HTTP_READ_AHEAD_BYTES, 50 * MIB); /* the kernel's part */
        assert_in_range(resident_bytes(), 0, before + 4 * MIB);
        assert_int_equal(rig->gone, 0);
        if (i) {
            (void)exchange_stream_write(rig->held, "still", 5);
            client_until(&c, "5\r\nstill\r\n");
        }
        /* Reading rests, and still a client that leaves is noticed. */
        client_close_by_reset(&c);
        check_gone(rig, &c);
    }
}

/* ---- streams */

static void a_queue_that_was_high_says_when_it_is_low(void **state)
{
    struct rig *rig = *state;
    struct client c;
    char block[10000];
    memset(block, 'x', sizeof(block));
    ask(rig, &c, STREAM);
    for (int round = 0; round < 2; round++) {
        client_stop_reading(&c);
        while (exchange_stream_queued(rig->held) <= HTTP_STREAM_HIGH_BYTES) {
            size_t queued = exchange_stream_write(rig->held, block, sizeof(block));
            assert_int_equal(queued, exchange_stream_queued(rig->held));
            rig_turn(rig); /* the kernel may take some more */
        }
        size_t drains = rig->drains;
        client_read_on(&c);
        rig_until(rig, &rig->drains, drains + 1);
        assert_int_equal(rig->drains, drains + 1);
        assert_in_range(exchange_stream_queued(rig->held), 0, HTTP_STREAM_LOW_BYTES - 1);
    }
    size_t drains = rig->drains;
    exchange_stream_end(rig->held);
    client_until(&c, "\r\n0\r\n\r\n");
    assert_int_equal(rig->drains, drains);
    assert_int_equal(client_count(&c, "2710\r\nxxxx") * 10008 + 5,
                     (size_t)(c.len - (size_t)(strstr(c.in, "\r\n\r\n") + 4 - c.in)));
    client_send(&c, HELLO); /* the connection serves on */
    client_until(&c, "\r\n\r\nhello");
    client_close(&c);
}

/* Writes until more than bytes are queued, with the kernel's buffers full. */
static void fill_queue(struct rig *rig, size_t bytes)
{
    char block[10000];
    memset(block, 'x', sizeof(block));
    while (exchange_stream_queued(rig->held) <= bytes) {
        (void)exchange_stream_write(rig->held, block, sizeof(block));
        rig_turn(rig);
    }
}

static void a_queue_that_was_never_high_says_nothing(void **state)
{
    struct rig *rig = *state;
    struct client c;
    ask(rig, &c, STREAM);
    client_stop_reading(&c);
    fill_queue(rig, HTTP_STREAM_HIGH_BYTES);
    client_read_on(&c);
    rig_until(rig, &rig->drains, 1);
    client_stop_reading(&c);
    fill_queue(rig, (HTTP_STREAM_LOW_BYTES + HTTP_STREAM_HIGH_BYTES) / 2);
    (void)exchange_stream_write(rig->held, "the last", 8);
    client_read_on(&c);
    client_until(&c, "the last");
    assert_int_equal(rig->drains, 1);
    client_close(&c);
}

static void a_small_stream_never_drains(void **state)
{
    struct rig *rig = *state;
    struct client c;
    ask(rig, &c, STREAM);
    (void)exchange_stream_write(rig->held, "x", 1);
    (void)exchange_stream_write(rig->held, "", 0); /* would be the last chunk */
    (void)exchange_stream_write(rig->held, "y", 1);
    exchange_stream_end(rig->held);
    client_until(&c, "\r\n\r\n1\r\nx\r\n1\r\ny\r\n0\r\n\r\n");
    assert_int_equal(rig->drains, 0);
    assert_int_equal(client_count(&c, "Content-Type: text/event-stream\r\n"), 1);
    assert_int_equal(client_count(&c, "Transfer-Encoding: chunked\r\n"), 1);
    client_close(&c);
}

static void a_large_answer_arrives_whole_before_the_close(void **state)
{
    struct rig *rig = *state;
    struct client c;
    size_t len = 8 * MIB;
    char *body = malloc(len);
    assert_non_null(body);
    memset(body, 'b', len);
    ask(rig, &c, "GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    exchange_reply(rig->held, 200, "text/plain", body, len);
    free(body);
    client_until_end(&c);
    assert_int_equal(strspn(strstr(c.in, "\r\n\r\n") + 4, "b"), len);
    client_close(&c);
}

static void an_abort_is_not_a_clean_end(void **state)
{
    struct rig *rig = *state;
    struct client c;
    static char block[64 * KIB];
    memset(block, 'x', sizeof(block));
    ask(rig, &c, STREAM);
    client_stop_reading(&c);
    size_t count = 0;
    do
        count++;
    while (exchange_stream_write(rig->held, block, sizeof(block)) <= HTTP_STREAM_HIGH_BYTES);
    (void)exchange_stream_write(rig->held, "last words", 10);
    exchange_stream_abort(rig->held);
    client_read_on(&c);
    client_until_end(&c);
    assert_int_equal(client_count(&c, "10000\r\nxxxx"), count); /* nothing queued is lost */
    assert_int_equal(strcmp(c.in + c.len - 12, "last words\r\n"), 0);
    assert_int_equal(rig->gone, 0);
    rig_until_connections(rig, 0);
    client_close(&c);
}

static void without_chunks_only_a_reset_tells_of_an_abort(void **state)
{
    struct rig *rig = *state;
    for (int aborted = 0; aborted < 2; aborted++) {
        struct client c;
        rig->held = NULL;
        ask(rig, &c, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        (void)exchange_stream_write(rig->held, "half", 4);
        client_until(&c, "\r\n\r\nhalf");
        if (aborted)
            exchange_stream_abort(rig->held);
        else
            exchange_stream_end(rig->held);
        client_until_end(&c);
        assert_int_equal(c.reset, aborted);
        assert_int_equal(client_count(&c, "Transfer-Encoding"), 0);
        client_close(&c);
    }
}

static void an_abort_before_the_answer_closes(void **state)
{
    struct rig *rig = *state;
    struct client c;
    ask(rig, &c, HOLD);
    exchange_stream_abort(rig->held);
    client_until_end(&c);
    assert_int_equal(c.len, 0);
    client_close(&c);
}

static void head_of_a_stream_has_no_body(void **state)
{
    struct rig *rig = *state;
    struct client c;
    ask(rig, &c, "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)exchange_stream_write(rig->held, "x", 1);
    exchange_stream_end(rig->held);
    client_send(&c, HELLO);
    client_until(&c, "\r\n\r\nhello");
    assert_int_equal(client_count(&c, "\r\n\r\nHTTP/1.1 200"), 1);
    client_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define HASTY(test)       cmocka_unit_test_setup_teardown(test, start_hasty, stop)
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, stop)
        HASTY(a_head_that_drips_in_is_cut_with_408),
        HASTY(a_later_head_that_drips_in_is_cut_too),
        HASTY(a_head_pipelined_in_part_is_cut_too),
        HASTY(a_body_that_stops_is_cut_with_408),
        cmocka_unit_test(a_body_may_take_long_while_it_moves),
        HASTY(silent_connections_are_closed_without_a_word),
        cmocka_unit_test(a_used_connection_may_idle_longer_than_a_new_one),
        HASTY(silence_longer_than_every_deadline_does_not_cut_an_answer),
        HASTY(a_client_that_takes_nothing_is_cut),
        WITH_SERVER(leaving_is_told_once_before_and_during_an_answer),
        WITH_SERVER(leaving_with_a_full_queue_is_told_once),
        WITH_SERVER(an_exchange_without_a_callback_outlives_its_client),
        cmocka_unit_test(stopping_the_server_tells_open_exchanges),
        WITH_SERVER(bytes_on_a_waiting_request_are_the_next_request),
        WITH_SERVER(a_flood_during_an_answer_takes_no_memory),
        WITH_SERVER(a_queue_that_was_high_says_when_it_is_low),
        WITH_SERVER(a_queue_that_was_never_high_says_nothing),
        WITH_SERVER(a_small_stream_never_drains),
        WITH_SERVER(a_large_answer_arrives_whole_before_the_close),
        WITH_SERVER(an_abort_is_not_a_clean_end),
        WITH_SERVER(without_chunks_only_a_reset_tells_of_an_abort),
        WITH_SERVER(an_abort_before_the_answer_closes),
        WITH_SERVER(head_of_a_stream_has_no_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
