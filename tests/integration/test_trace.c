/* What becomes of a trace, and what the log and the answer tell of a request. */
#include "common/clock.h"
#include "tests/support/api_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID       "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN     "00f067aa0ba902b7"
#define SEEN     4096
#define TRACES   "traceparent: 00-" ID "-" SPAN "-01\r\ntracestate: a=1,b=2"
#define STATE    "tracestate: a=1,b=2\r\n"
#define ANSWERED "\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}"

static struct api_kit kit;
static struct {
    pid_t pid;
    int port, heads; /* the heads of requests as they came, one write each */
} provider;

/* Answers each connection once, and tells the test what head it read. */
static void run_provider(int listener, int out)
{
    static const char body[] = "{\"id\":\"x\",\"object\":\"chat.completion\"," ANSWERED;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        char head[SEEN] = "", answer[512];
        size_t len = 0;
        ssize_t got = 0;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            _exit(1);
        while (len < sizeof(head) - 1 && !strstr(head, "\r\n\r\n") &&
               (got = read(fd, head + len, sizeof(head) - 1 - len)) > 0)
            head[len += (size_t)got] = '\0';
        int n = snprintf(answer, sizeof(answer),
                         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Server-Timing: theirs;dur=1\r\nConnection: close\r\n"
                         "Content-Length: %zu\r\n\r\n%s",
                         sizeof(body) - 1, body);
        if (write(out, head, sizeof(head)) != (ssize_t)sizeof(head) ||
            write(fd, answer, (size_t)n) != n)
            _exit(1);
        (void)shutdown(fd, SHUT_WR);
        while (read(fd, head, sizeof(head)) > 0)
            ;
        (void)close(fd);
    }
}

static void start_provider(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int ends[2], fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(pipe(ends), 0);
    provider.pid = fork();
    assert_true(provider.pid >= 0);
    if (provider.pid == 0)
        run_provider(fd, ends[1]);
    (void)close(fd);
    (void)close(ends[1]);
    provider.heads = ends[0];
    provider.port = ntohs(address.sin_port);
}

static void serve(const char *more)
{
    char config[1024];
    (void)snprintf(config, sizeof(config),
                   "log: {level: info, format: json}\n%s"
                   "providers:\n"
                   "  - {name: p, format: openai, base_url: \"http://127.0.0.1:%d/v1\","
                   " api_key: sk-of-the-provider, models: [{name: m, rpm: 600, tpm: 60000}]}\n",
                   more, provider.port);
    kit = (struct api_kit){.header = ""};
    serve_child_start(&kit.serve, config, NULL);
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;) {
        if (api_kit_status(&kit, "GET", "/readyz", NULL) == 200)
            return;
    }
    fail_msg("sluice serve is not ready, see %s", kit.serve.log);
}

static int setup(void **state)
{
    (void)state;
    start_provider();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    serve_child_stop(&kit.serve);
    (void)kill(provider.pid, SIGKILL);
    (void)waitpid(provider.pid, NULL, 0);
    (void)close(provider.heads);
    return 0;
}

static void next_head(char head[SEEN])
{
    size_t len = 0;
    while (len < SEEN) {
        ssize_t got = read(provider.heads, head + len, SEEN - len);
        assert_true(got > 0);
        len += (size_t)got;
    }
}

/* The span that the provider was told; "" when it was told of no trace. */
static const char *span_in(const char *head, const char *id, char out[17])
{
    const char *at = strstr(head, "traceparent: 00-");
    out[0] = '\0';
    if (!at)
        return out;
    at += strlen("traceparent: 00-");
    if (id)
        assert_memory_equal(at, id, 32);
    assert_int_equal(at[49], '-');
    (void)snprintf(out, 17, "%.16s", at + 33);
    assert_null(strstr(at, "traceparent:")); /* it is told once */
    return out;
}

static void a_trace_goes_on_to_the_provider_and_into_the_log(void **state)
{
    char head[SEEN], span[17], line[64], timing[256];
    (void)state;
    serve("");
    (void)strcpy(kit.header, TRACES);
    struct http_answer a = api_kit_ask(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("m"));
    assert_int_equal(a.status, 200);
    next_head(head);
    assert_string_not_equal(span_in(head, ID, span), SPAN);
    assert_int_equal(strlen(span), 16);
    assert_non_null(strstr(head, STATE));
    (void)snprintf(line, sizeof(line), "\"span_id\":\"%s\"", span);
    assert_true(serve_child_says(&kit.serve, line));
    assert_true(serve_child_said(&kit.serve, "\"trace_id\":\"" ID "\""));
    (void)http_answer_header(&a, "server-timing", timing, sizeof(timing));
    double queue = -1, upstream = -1, own = -1;
    assert_int_equal(
        sscanf(timing, "queue;dur=%lf, upstream;dur=%lf, sluice;dur=%lf", &queue, &upstream, &own),
        3);
    assert_true(queue >= 0 && upstream >= 0 && own >= 0);
    assert_null(strstr(a.headers.data, "theirs"));
    http_answer_release(&a);
}

static void a_bad_trace_is_dropped_and_none_is_made_up(void **state)
{
    char head[SEEN], span[17];
    (void)state;
    serve("");
    (void)strcpy(kit.header, "traceparent: 00-" ID "-0000000000000000-01\r\ntracestate: a=1");
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("m")), 200);
    next_head(head);
    assert_string_equal(span_in(head, NULL, span), "");
    assert_null(strstr(head, "tracestate"));
    assert_true(serve_child_says(&kit.serve, "\"trace_id\":\"\",\"span_id\":\"\""));
}

static void a_trace_begins_here_where_that_is_wanted(void **state)
{
    char head[SEEN], span[17];
    (void)state;
    serve("http: {start_traces: true}\n");
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("m")), 200);
    next_head(head);
    assert_int_equal(strlen(span_in(head, NULL, span)), 16);
    (void)strcpy(kit.header, TRACES);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("m")), 200);
    next_head(head);
    assert_int_equal(strlen(span_in(head, ID, span)), 16);
}

static void a_job_keeps_its_trace(void **state)
{
    char head[SEEN], span[17], line[64];
    (void)state;
    serve("");
    (void)strcpy(kit.header, TRACES);
    json_decref(api_kit_json(&kit, "POST", "/v1/jobs", KIT_JOB("m"), 202));
    next_head(head);
    (void)span_in(head, ID, span);
    (void)snprintf(line, sizeof(line), "\"span_id\":\"%s\"", span);
    assert_true(serve_child_says(&kit.serve, line));
    assert_true(serve_child_said(&kit.serve, "\"msg\":\"job ended\",\"job\":\"job_"));
    assert_true(serve_child_said(&kit.serve, "\"kind\":\"job\""));
}

/* Of the log: the last line with this text, as JSON. */
static json_t *logged(const char *text)
{
    char line[8192];
    json_t *found = NULL;
    assert_true(serve_child_says(&kit.serve, text));
    FILE *in = fopen(kit.serve.log, "r");
    assert_non_null(in);
    while (fgets(line, sizeof(line), in)) {
        if (!strstr(line, text))
            continue;
        json_decref(found);
        found = json_loads(line, 0, NULL);
        assert_non_null(found);
    }
    (void)fclose(in);
    assert_non_null(found);
    return found;
}

static void log_has(const json_t *line, const char *name, const char *value)
{
    const char *found = json_string_value(json_object_get(line, name));
    if (!found || (value && strcmp(found, value) != 0))
        fail_msg("%s is '%s', not '%s'", name, found ? found : "(absent)", value ? value : "there");
}

static void the_log_has_one_line_for_each_request(void **state)
{
    static const char *const there[] = {"queue_ms",        "upstream_ms", "overhead_us", "limit",
                                        "tokens_reserved", "trim",        "pool",        "class",
                                        "tokens_trimmed",  "job",         "whose",       "route"};
    char head[SEEN], path[128];
    (void)state;
    serve("");
    (void)strcpy(kit.header, "x-request-id: r-1");
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("m")), 200);
    next_head(head);
    json_t *line = logged("\"request_id\":\"r-1\"");
    log_has(line, "msg", "request");
    log_has(line, "tenant", "default");
    log_has(line, "decision", "admitted");
    log_has(line, "status", "200");
    log_has(line, "tokens_in", "7");
    log_has(line, "tokens_out", "3");
    for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++)
        log_has(line, there[i], NULL);
    json_decref(line);

    json_t *permit =
        api_kit_json(&kit, "POST", "/v1/permits", "{\"model\":\"m\",\"input_tokens\":10}", 200);
    line = logged("permit granted");
    log_has(line, "permit", json_text_at(permit, "id"));
    log_has(line, "decision", "admitted");
    log_has(line, "tenant", "default");
    json_decref(line);
    (void)snprintf(path, sizeof(path), "/v1/permits/%s/settle", json_text_at(permit, "id"));
    assert_int_equal(
        api_kit_status(&kit, "POST", path,
                       "{\"status\":200,\"usage\":{\"input_tokens\":9,\"output_tokens\":4}}"),
        200);
    line = logged("permit settled");
    log_has(line, "tokens_in", "9");
    log_has(line, "status", "200");
    json_decref(line);
    json_decref(permit);
    assert_false(serve_child_said(&kit.serve, "hello")); /* the prompt */
    assert_false(serve_child_said(&kit.serve, "sk-of-the-provider"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_trace_goes_on_to_the_provider_and_into_the_log, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_bad_trace_is_dropped_and_none_is_made_up, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_trace_begins_here_where_that_is_wanted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_job_keeps_its_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(the_log_has_one_line_for_each_request, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
