/*
 * Many callers at once, who ask the same, leave, wait too short, pause and go on, before a provider
 * that answers, refuses, is slow or breaks off. Each is answered once, with an answer to what it
 * asked, that no other tenant was given.
 *
 *   --long  for minutes; TEST_SEED as everywhere
 */
#include "api/server.h"
#include "common/rand.h"
#include "tests/support/answer_kit.h"

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>

#define CALLERS     48
#define TENANTS     3
#define QUESTIONS   5
#define CALLS       1000
#define CALLS_LONG  20000
#define SERIALS     (2 * CALLS_LONG)
#define HOLDS       256
#define SPLIT_TEXT  "\"finish_reason\":null}]}\n\n"
#define EVENT(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"},"

struct storm;

struct caller {
    struct storm *storm;
    struct call *call; /* NULL: none is on its way */
    unsigned tenant, question;
    bool embeds, streams, paused;
    unsigned starts, pieces;
    int status;
    char body[2048];
    size_t len;
};

/* A request that the provider has not answered yet. */
struct hold {
    struct storm *storm;
    struct exchange *exchange;
    struct event *timer;
    char body[4096];
    bool streams, began, breaks;
    int64_t serial;
};

struct storm {
    struct core_kit *kit;
    struct server *provider;
    struct event *tick; /* so that the loop goes on when nothing comes */
    struct rand rand;
    uint64_t seed;
    struct caller callers[CALLERS];
    struct hold holds[HOLDS];
    unsigned char owners[SERIALS]; /* tenant + 1 who was given it; 0: nobody */
    int64_t serial, asked, ended, failed, left;
};

static bool one_in(struct storm *s, int64_t n)
{
    return rand_below(&s->rand, n) == 0;
}

/* ---- the provider */

static void hold_end(struct hold *h)
{
    h->exchange = NULL;
    event_del(h->timer);
}

static void on_hold_gone(void *arg)
{
    hold_end(arg);
}

/* One vector for each input: its number, and the serial of the request. */
static int embeddings(const struct hold *h, char *out, size_t size)
{
    int n = snprintf(out, size, "{\"object\":\"list\",\"data\":[");
    size_t i = 0;
    for (const char *at = strstr(h->body, "\"input\":"); (at = strstr(at, "question-")); i++) {
        at += strlen("question-");
        n += snprintf(out + n, size - (size_t)n,
                      "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":[%d,%" PRId64 "]}",
                      i > 0 ? "," : "", i, atoi(at), h->serial);
    }
    n +=
        snprintf(out + n, size - (size_t)n,
                 "],\"model\":\"m\",\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}", i, i);
    return n;
}

static int question_of(const struct hold *h)
{
    const char *at = strstr(h->body, "question-");
    return at ? atoi(at + strlen("question-")) : -1;
}

static void give_plain(struct hold *h)
{
    char text[8192];
    struct exchange *x = h->exchange;
    int n = strstr(h->body, "\"input\"")
                ? embeddings(h, text, sizeof(text))
                : snprintf(text, sizeof(text),
                           "{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":"
                           "{\"content\":\"[%d,%" PRId64 "]\"}}]," USAGE "}",
                           question_of(h), h->serial);
    hold_end(h);
    exchange_reply(x, 200, "application/json", text, (size_t)n);
}

static void write_text(struct exchange *x, const char *text)
{
    (void)exchange_stream_write(x, text, strlen(text));
}

static void give_stream(struct hold *h)
{
    char text[256];
    struct exchange *x = h->exchange;
    struct timeval soon = {.tv_usec = (suseconds_t)rand_below(&h->storm->rand, 4000)};
    if (!h->began) {
        h->began = true;
        exchange_stream_start(x, 200, "text/event-stream");
        (void)snprintf(text, sizeof(text), EVENT("[%d,") SPLIT_TEXT, question_of(h));
        write_text(x, text);
        evtimer_add(h->timer, &soon);
        return;
    }
    if (h->breaks) {
        hold_end(h);
        exchange_stream_abort(x);
        return;
    }
    (void)snprintf(text, sizeof(text), EVENT("%" PRId64 "]") SPLIT_TEXT, h->serial);
    write_text(x, text);
    write_text(x, LAST);
    hold_end(h);
    exchange_stream_end(x);
}

static void on_hold_timer(evutil_socket_t fd, short what, void *arg)
{
    struct hold *h = arg;
    (void)fd;
    (void)what;
    if (h->streams)
        give_stream(h);
    else
        give_plain(h);
}

static void refuse(struct storm *s, struct exchange *x)
{
    static const int statuses[] = {500, 503, 400, 422};
    int status = one_in(s, 40) ? 429 : statuses[rand_below(&s->rand, 4)];
    static const char text[] = "{\"error\":{\"message\":\"no\"}}";
    if (status == 429)
        assert_int_equal(exchange_set_header(x, "retry-after-ms", "20"), 0);
    exchange_reply(x, status, "application/json", text, sizeof(text) - 1);
}

static void on_request(void *arg, struct exchange *x)
{
    struct storm *s = arg;
    struct hold *h = NULL;
    size_t len;
    const char *body = exchange_body(x, &len);
    for (size_t i = 0; i < HOLDS && !h; i++)
        h = s->holds[i].exchange ? NULL : &s->holds[i];
    assert_non_null(h);
    assert_in_range(len, 1, sizeof(h->body) - 1);
    if (one_in(s, 12)) {
        refuse(s, x);
        return;
    }
    struct timeval wait = {.tv_usec = (suseconds_t)rand_below(&s->rand, 15000)};
    if (one_in(s, 40))
        wait.tv_usec = 400000;
    h->exchange = x;
    memcpy(h->body, body, len);
    h->body[len] = '\0';
    h->streams = strstr(h->body, "\"stream\":true") != NULL;
    h->began = false;
    h->breaks = one_in(s, 10);
    h->serial = ++s->serial;
    assert_in_range(h->serial, 1, SERIALS - 1);
    exchange_on_gone(x, on_hold_gone, h);
    evtimer_add(h->timer, &wait);
}

/* ---- who ask */

static void is_own(struct caller *c, const char *at, int64_t question)
{
    int64_t got = -1, serial = -1;
    struct storm *s = c->storm;
    if (sscanf(at, "[%" SCNd64 ",%" SCNd64 "]", &got, &serial) != 2 || got != question)
        fail_msg("TEST_SEED=%" PRIu64 " question %" PRId64 ": %s", s->seed, question, c->body);
    assert_in_range(serial, 1, s->serial);
    if (s->owners[serial] && s->owners[serial] != c->tenant + 1)
        fail_msg("TEST_SEED=%" PRIu64 " an answer of another tenant", s->seed);
    s->owners[serial] = (unsigned char)(c->tenant + 1);
}

/* Of a stream, the text of its events put together. */
static void join_stream(struct caller *c)
{
    char text[128];
    size_t n = 0;
    assert_non_null(strstr(c->body, "[DONE]"));
    for (const char *at = c->body; (at = strstr(at, "\"content\":\""));) {
        at += strlen("\"content\":\"");
        while (*at && *at != '"' && n < sizeof(text) - 1)
            text[n++] = *at++;
    }
    text[n] = '\0';
    (void)snprintf(c->body, sizeof(c->body), "%s", text);
}

static void look_at_answer(struct caller *c)
{
    const char *at = c->body;
    if (c->status != 200)
        return;
    if (c->streams)
        join_stream(c);
    else
        assert_int_equal(c->pieces, 1);
    for (unsigned i = 0; c->embeds && i < 2; i++) {
        at = strstr(at, "\"embedding\":[");
        assert_non_null(at);
        at += strlen("\"embedding\":");
        is_own(c, at, c->question + i);
    }
    if (!c->embeds) {
        at = strchr(c->streams ? c->body : strstr(c->body, "content"), '[');
        assert_non_null(at);
        is_own(c, at, c->question);
    }
}

static void leave(struct caller *c)
{
    struct call *call = c->call;
    c->call = NULL;
    c->storm->left++;
    call_cancel(call);
}

static void on_queued(void *arg, int64_t eta_ms, const char *binding)
{
    const struct caller *c = arg;
    (void)eta_ms;
    (void)binding;
    assert_non_null(c->call);
}

static void on_start(void *arg)
{
    struct caller *c = arg;
    assert_non_null(c->call);
    assert_int_equal(c->starts++, 0);
    c->status = call_status(c->call);
    if (one_in(c->storm, 25))
        leave(c);
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct caller *c = arg;
    assert_non_null(c->call);
    assert_int_equal(c->starts, 1);
    assert_in_range(len, 1, sizeof(c->body) - c->len - 1);
    memcpy(c->body + c->len, bytes, len);
    c->len += len;
    c->pieces++;
    if (one_in(c->storm, 30)) {
        leave(c);
    } else if (c->streams && one_in(c->storm, 4)) {
        c->paused = true;
        call_pause(c->call);
    }
}

static void on_end(void *arg)
{
    struct caller *c = arg;
    assert_non_null(c->call);
    assert_int_equal(c->starts, 1);
    c->body[c->len] = '\0';
    look_at_answer(c);
    c->call = NULL;
    c->storm->ended++;
}

static void on_fail(void *arg, const struct call_failure *f)
{
    struct caller *c = arg;
    assert_non_null(c->call);
    assert_in_range(f->status, 400, 599);
    c->call = NULL;
    c->storm->failed++;
}

static const struct call_sink sink = {
    .queued = on_queued, .start = on_start, .data = on_data, .end = on_end, .fail = on_fail};

static void write_request(struct caller *c, char out[512])
{
    if (c->embeds)
        (void)snprintf(out, 512, "{\"model\":\"m\",\"input\":[\"question-%u \",\"question-%u \"]}",
                       c->question, c->question + 1);
    else
        (void)snprintf(out, 512,
                       "{\"model\":\"m\",\"max_tokens\":10,\"temperature\":0,\"stream\":%s,"
                       "\"messages\":[{\"role\":\"user\",\"content\":\"question-%u \"}]}",
                       c->streams ? "true" : "false", c->question);
}

static void ask(struct storm *s, struct caller *c)
{
    static const char *const tenants[TENANTS] = {"ann", "bob", "cid"};
    struct call_failure f;
    char body[512];
    *c = (struct caller){.storm = s,
                         .tenant = (unsigned)rand_below(&s->rand, TENANTS),
                         .question = (unsigned)rand_below(&s->rand, QUESTIONS),
                         .embeds = one_in(s, 3)};
    c->streams = !c->embeds && one_in(s, 2);
    write_request(c, body);
    struct call_spec spec = {.endpoint = c->embeds ? WIRE_EMBEDDINGS : WIRE_CHAT,
                             .body = strdup(body),
                             .body_len = strlen(body),
                             .tenant = tenants[c->tenant],
                             .weight = 1,
                             .class = (enum pool_class)rand_below(&s->rand, 3),
                             .max_wait_ms = one_in(s, 8) ? rand_below(&s->rand, 260) : 20000,
                             .no_batch = one_in(s, 5)};
    spec.cache.no_cache = one_in(s, 3);
    spec.cache.no_store = one_in(s, 9);
    spec.cache.has_max_age = one_in(s, 3); /* of 0 s */
    c->call = call_new(s->kit->scheduler, &spec, &sink, c, &f);
    if (!c->call)
        fail_msg("refused: %s", f.message);
    call_start(c->call);
    assert_int_equal(c->starts + c->len, 0);
    s->asked++;
}

static void on_purged(void *arg, enum redis_status status)
{
    (void)arg;
    (void)status;
}

/* Somebody comes, leaves, or goes on. */
static void stir(struct storm *s, int64_t calls)
{
    struct caller *c = &s->callers[rand_below(&s->rand, CALLERS)];
    if (!c->call && s->asked < calls) {
        ask(s, c);
    } else if (c->call && c->paused) {
        c->paused = false;
        call_resume(c->call);
    } else if (c->call && one_in(s, 50)) {
        leave(c);
    }
    if (one_in(s, 400))
        answers_purge(s->kit->answers, one_in(s, 2) ? "ann" : "", "", on_purged, NULL);
}

static bool is_over(const struct storm *s)
{
    for (size_t i = 0; i < CALLERS; i++) {
        if (s->callers[i].call)
            return false;
    }
    return true;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static void start(struct storm *s)
{
    struct timeval often = {.tv_usec = 1000};
    struct error e;
    struct server_options options = {
        .listen = "127.0.0.1:0", .max_body_bytes = 4096, .max_connections = 1000};
    s->provider = server_new(s->kit->base, &options, on_request, s, &e);
    assert_non_null(s->provider);
    s->tick = event_new(s->kit->base, -1, EV_PERSIST, on_tick, s);
    assert_non_null(s->tick);
    event_add(s->tick, &often);
    for (size_t i = 0; i < HOLDS; i++) {
        s->holds[i].storm = s;
        s->holds[i].timer = evtimer_new(s->kit->base, on_hold_timer, &s->holds[i]);
        assert_non_null(s->holds[i].timer);
    }
}

static void stop(struct storm *s)
{
    server_free(s->provider);
    event_free(s->tick);
    for (size_t i = 0; i < HOLDS; i++)
        event_free(s->holds[i].timer);
    free(s);
}

static void nothing_is_left(struct storm *s)
{
    struct embedder_counts counts;
    struct answers_stats stats;
    answer_settled(s->kit);
    embedder_count(s->kit->embedder, &counts);
    assert_int_equal(counts.batches + counts.keys + counts.held_bytes, 0);
    answers_stats(s->kit->answers, &stats);
    assert_int_equal(stats.flights, 0);
    assert_int_equal(s->asked, s->ended + s->failed + s->left);
    print_message("%" PRId64 " asked, %" PRId64 " sent, %" PRId64 " answered, %" PRId64
                  " failed, %" PRId64 " left; %" PRId64 " shared, %" PRId64 " kept\n",
                  s->asked, s->serial, s->ended, s->failed, s->left, stats.shared,
                  stats.hits_memory + stats.hits_redis);
    /* Else it was no storm. */
    assert_true(stats.shared > 0 && stats.hits_memory > 0 && stats.hits_redis > 0);
}

static int64_t calls = CALLS;

static void each_is_answered_once_with_its_own_answer(void **state)
{
    static char url[64];
    const char *seed = getenv("TEST_SEED");
    struct storm *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->kit = *state;
    s->seed = seed ? strtoull(seed, NULL, 10) : rand_system_seed();
    print_message("TEST_SEED=%" PRIu64 "\n", s->seed);
    rand_seed(&s->rand, s->seed);
    start(s);
    (void)snprintf(url, sizeof(url), "http://%s", server_address(s->provider));
    s->kit->url = url;
    core_kit_start(s->kit, "rpm: 10000000, tpm: 1000000000, max_parallel_requests: 24",
                   "cache: {enabled: true, redis: true, memory_bytes: 4096}\n"
                   "batcher: {embeddings: {enabled: true, wait_ms: 3}}\n");
    while (s->asked < calls || !is_over(s)) {
        stir(s, calls);
        event_base_loop(s->kit->base, EVLOOP_ONCE);
    }
    nothing_is_left(s);
    stop(s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_is_answered_once_with_its_own_answer, core_kit_setup,
                                        core_kit_teardown),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as api/server.h asks for */
    if (argc > 1 && strcmp(argv[1], "--long") == 0)
        calls = CALLS_LONG;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
