#include "scheduler/http_client.h"

#include "common/clock.h"
#include "common/limits.h"
#include "scheduler/http_easy.h"
#include "scheduler/http_loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <curl/curl.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#define FIRST_BYTE_MS 600000
#define IDLE_MS       300000
#define KEPT_BYTES    (8 * (size_t)KIB) /* of the reply's headers, until the next use */

enum phase {
    PHASE_CONNECT, /* resolving, connecting, TLS: libcurl's timer */
    PHASE_WAIT,    /* the request goes out, the reply has not begun: first_byte_ms */
    PHASE_REPLY,   /* idle_ms */
    PHASE_ENDED,   /* libcurl has let go of it; to be reported or being reported */
};

struct http_transfer {
    TAILQ_ENTRY(http_transfer) link; /* in exactly one of the client's four lists */
    TAILQ_ENTRY(http_transfer) wake; /* in client->waking while `woken` */
    struct http_client *client;
    struct http_easy easy;
    struct event timer;
    struct http_handlers handlers;
    void *arg;
    enum phase phase;
    enum http_result verdict; /* why we ended it; HTTP_DONE while we did not */
    CURLcode code;            /* why libcurl ended it */
    int status;
    bool added;     /* libcurl has it */
    bool connected; /* the request may go out */
    bool cancelled;
    bool reported;     /* on_headers was called */
    bool paused, held; /* wanted by us; done by libcurl, which keeps bytes back */
    bool woken;
    int first_byte_ms, idle_ms;
    int64_t active_ms; /* last sign of life */
    curl_off_t uploaded;
    size_t header_bytes, body_bytes, max_body_bytes;
    struct buf reply; /* header lines */
    char detail[CURL_ERROR_SIZE];
};

TAILQ_HEAD(transfers, http_transfer);

struct http_client {
    struct event_base *base;
    struct http_loop *loop;
    struct event work;
    struct transfers running, ended, cancelled, idle;
    struct transfers waking; /* resumed, to be told to libcurl from the loop */
    size_t running_count, idle_count;
    const struct http_transfer *reporting; /* its on_done is on the stack */
    char *ca_file;                         /* NULL: the system's */
    http_address_fn is_allowed;            /* NULL: every address is */
    void *allowed_arg;
};

const char *http_result_name(enum http_result r)
{
    static const char *const names[] = {
        [HTTP_DONE] = "done",           [HTTP_NOT_SENT] = "not_sent",
        [HTTP_BROKEN] = "broken",       [HTTP_FIRST_BYTE] = "first_byte_timeout",
        [HTTP_IDLE] = "idle_timeout",   [HTTP_TOO_LARGE] = "too_large",
        [HTTP_NO_MEMORY] = "no_memory",
    };
    return (unsigned)r < sizeof(names) / sizeof(names[0]) ? names[r] : "?";
}

const char *http_reply_header(const struct http_transfer *t, const char *name)
{
    return http_header_find(&t->reply, name);
}

void http_reply_headers(const struct http_transfer *t,
                        void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    http_header_each(&t->reply, fn, arg);
}

bool http_transfer_sent(const struct http_transfer *t)
{
    long bytes = 0; /* the last transfer's, until this one has connected */
    return t->connected &&
           curl_easy_getinfo(t->easy.curl, CURLINFO_REQUEST_SIZE, &bytes) == CURLE_OK && bytes > 0;
}

size_t http_client_running(const struct http_client *c)
{
    return c->running_count;
}

/* ---- the life of a transfer: idle -> running -> ended or cancelled -> idle */

static void arm(struct http_transfer *t, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    (void)evtimer_add(&t->timer, &tv); /* fails only without memory; libcurl goes on then */
}

static void move(struct http_transfer *t, struct transfers *from, struct transfers *to)
{
    TAILQ_REMOVE(from, t, link);
    TAILQ_INSERT_TAIL(to, t, link);
}

static void forget_wake(struct http_transfer *t)
{
    if (t->woken)
        TAILQ_REMOVE(&t->client->waking, t, wake);
    t->woken = false;
}

/* Has the loop look at t: it was started or resumed. */
static void wake(struct http_transfer *t)
{
    if (t->woken)
        return;
    t->woken = true;
    TAILQ_INSERT_TAIL(&t->client->waking, t, wake);
    event_active(&t->client->work, EV_TIMEOUT, 0);
}

/* t is over for libcurl. */
static void let_go(struct http_transfer *t)
{
    http_loop_remove(t->client->loop, t->easy.curl);
    (void)evtimer_del(&t->timer);
    forget_wake(t);
    t->phase = PHASE_ENDED;
}

static void transfer_free(struct http_transfer *t)
{
    if (!t)
        return;
    http_easy_release(&t->easy);
    buf_release(&t->reply);
    free(t);
}

/* t, in list, is over for us: kept with its easy handle for a later request. */
static void recycle(struct http_transfer *t, struct transfers *list)
{
    struct http_client *c = t->client;
    TAILQ_REMOVE(list, t, link);
    if (c->idle_count >= UPSTREAM_MAX_IDLE_TRANSFERS) {
        transfer_free(t);
        return;
    }
    http_easy_shrink(&t->easy);
    if (t->reply.room > KEPT_BYTES)
        buf_release(&t->reply);
    TAILQ_INSERT_HEAD(&c->idle, t, link);
    c->idle_count++;
}

/* Ends a running transfer; libcurl must not be on the stack. */
static void end(struct http_transfer *t, CURLcode code)
{
    t->code = code;
    let_go(t);
    move(t, &t->client->running, &t->client->ended);
}

static enum http_result result_of(const struct http_transfer *t)
{
    if (t->verdict != HTTP_DONE || t->code == CURLE_OK)
        return t->verdict;
    bool sent = http_transfer_sent(t);
    /* libcurl 7.88 says "out of memory" when one line or all lines of a head pass its own
     * maxima (100 and 300 KiB), which stand above ours but count unfinished lines too. */
    if (t->code == CURLE_OUT_OF_MEMORY)
        return sent && !t->reported ? HTTP_TOO_LARGE : HTTP_NO_MEMORY;
    return sent ? HTTP_BROKEN : HTTP_NOT_SENT;
}

static const char *detail_of(const struct http_transfer *t, enum http_result result)
{
    switch (result) {
    case HTTP_DONE:
        return "";
    case HTTP_FIRST_BYTE:
        return "no reply in time";
    case HTTP_IDLE:
        return "the reply stopped";
    case HTTP_TOO_LARGE:
        return t->reported ? "the reply's body is too large" : "the reply's head is too large";
    case HTTP_NO_MEMORY:
        return "out of memory";
    default:
        if (t->verdict == HTTP_BROKEN)
            return "the connection ended before a reply came";
        if (t->easy.barred)
            return "its address is private, local or reserved, which is not allowed";
        return t->detail[0] ? t->detail : curl_easy_strerror(t->code);
    }
}

static void report(struct http_transfer *t)
{
    struct http_client *c = t->client;
    enum http_result result = result_of(t);
    c->running_count--;
    c->reporting = t;
    t->handlers.on_done(t->arg, t, result, t->status, detail_of(t, result));
    c->reporting = NULL;
    recycle(t, &c->ended);
}

/* All that must wait until libcurl is off the stack. What ended is collected before any of
 * it is reported, since a report may start and cancel transfers. */
static void settle(void *arg)
{
    struct http_client *c = arg;
    for (struct http_transfer *t; (t = TAILQ_FIRST(&c->cancelled));) {
        let_go(t);
        recycle(t, &c->cancelled);
    }
    void *ended;
    CURLcode code;
    while (http_loop_ended(c->loop, &ended, &code))
        end(ended, code);
    for (struct http_transfer *t; (t = TAILQ_FIRST(&c->ended));)
        report(t);
}

/* ---- called by libcurl for one transfer */

static void saw_reply(struct http_transfer *t)
{
    t->active_ms = clock_mono_ms();
    t->phase = PHASE_REPLY;
}

/* "HTTP/1.1 200 OK". What an earlier, interim reply (1xx) said is forgotten. */
static void read_status(struct http_transfer *t, const char *line, size_t len)
{
    const char *space = memchr(line, ' ', len);
    size_t left = space ? len - (size_t)(space - line) : 0;
    t->status = 0;
    for (size_t i = 1; i <= 3 && i < left && space[i] >= '0' && space[i] <= '9'; i++)
        t->status = t->status * 10 + (space[i] - '0');
    buf_clear(&t->reply);
}

static bool is_final(int status)
{
    return status >= 200 || status == 101; /* we never ask for 101: a reply like any other */
}

/* False when the transfer must end. */
static bool read_head_line(struct http_transfer *t, const char *line, size_t len)
{
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        read_status(t, line, len);
        return true;
    }
    if (*line != '\r' && *line != '\n') {
        int rc = http_header_store(&t->reply, line, len);
        if (rc < 0)
            t->verdict = rc == -ENOSPC ? HTTP_TOO_LARGE : HTTP_NO_MEMORY;
        return rc == 0;
    }
    if (is_final(t->status)) {
        t->reported = true;
        t->handlers.on_headers(t->arg, t, t->status);
    }
    return !t->cancelled;
}

static size_t on_curl_header(char *line, size_t size, size_t count, void *arg)
{
    struct http_transfer *t = arg;
    size_t len = size * count;
    if (t->cancelled)
        return 0;
    saw_reply(t);
    if (len > UPSTREAM_MAX_HEADER_BYTES - t->header_bytes) {
        t->verdict = HTTP_TOO_LARGE;
        return 0;
    }
    t->header_bytes += len;
    /* After the head only trailers come; they are counted and left out. */
    if (len == 0 || t->reported)
        return len;
    return read_head_line(t, line, len) ? len : 0;
}

static size_t on_curl_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_transfer *t = arg;
    size_t len = size * count;
    if (t->cancelled)
        return CURL_WRITEFUNC_ERROR;
    if (t->paused) {
        t->held = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    saw_reply(t);
    if (len > t->max_body_bytes - t->body_bytes) {
        t->verdict = HTTP_TOO_LARGE;
        return CURL_WRITEFUNC_ERROR;
    }
    t->body_bytes += len;
    t->handlers.on_body(t->arg, t, bytes, len);
    return t->cancelled ? CURL_WRITEFUNC_ERROR : len;
}

/* A connection stands and the request is about to go out on it. When it already went out
 * once, that connection died without an answer, and libcurl wants to send it again. */
static int on_curl_send(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    (void)remote_ip, (void)local_ip, (void)remote_port, (void)local_port;
    struct http_transfer *t = arg;
    if (t->cancelled)
        return CURL_PREREQFUNC_ABORT;
    if (http_transfer_sent(t)) {
        t->verdict = HTTP_BROKEN;
        return CURL_PREREQFUNC_ABORT;
    }
    t->connected = true;
    t->phase = PHASE_WAIT;
    t->active_ms = clock_mono_ms();
    /* One timer for both limits, set to the shorter one and once it fires to what is left
     * then: a reply's pieces need not move it. */
    arm(t, t->first_byte_ms < t->idle_ms ? t->first_byte_ms : t->idle_ms);
    return CURL_PREREQFUNC_OK;
}

/* Called all the time; only a growing upload means anything here. */
static int on_curl_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                            curl_off_t up)
{
    (void)down_total, (void)down, (void)up_total;
    struct http_transfer *t = arg;
    if (up != t->uploaded) {
        t->uploaded = up;
        t->active_ms = clock_mono_ms();
    }
    return t->cancelled;
}

static void on_transfer_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct http_transfer *t = arg;
    if (t->phase == PHASE_REPLY && t->paused)
        return; /* http_transfer_resume() arms it again */
    bool waiting = t->phase == PHASE_WAIT;
    int64_t left = t->active_ms + (waiting ? t->first_byte_ms : t->idle_ms) - clock_mono_ms();
    if (left > 0) {
        arm(t, left);
        return;
    }
    t->verdict = waiting ? HTTP_FIRST_BYTE : HTTP_IDLE;
    end(t, CURLE_OPERATION_TIMEDOUT);
    settle(t->client);
}

/* ---- work that waits for the loop */

/* Tells libcurl of a resumed transfer; it delivers what it holds before it returns. */
static void unhold(struct http_transfer *t)
{
    t->held = false;
    CURLcode code = http_loop_unpause(t->client->loop, t->easy.curl);
    /* A handler's refusal comes back here, and libcurl forgets it: it would wait on. */
    if (code != CURLE_OK && !t->cancelled)
        end(t, code);
}

/* A new transfer. Not done in http_transfer_start(), which may be called inside libcurl. */
static void hand_over(struct http_transfer *t)
{
    t->added = true;
    if (!http_loop_add(t->client->loop, t->easy.curl))
        end(t, CURLE_OUT_OF_MEMORY);
}

static void on_work(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct http_client *c = arg;
    for (struct http_transfer *t; (t = TAILQ_FIRST(&c->waking));) {
        forget_wake(t);
        if (!t->added)
            hand_over(t);
        else if (t->held && !t->paused)
            unhold(t);
    }
    settle(c);
}

/* ---- a new transfer */

static bool set_callbacks(struct http_transfer *t)
{
    CURL *easy = t->easy.curl;
    return curl_easy_setopt(easy, CURLOPT_PRIVATE, (void *)t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->detail) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_curl_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, (void *)t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_curl_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, (void *)t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_curl_send) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQDATA, (void *)t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_curl_progress) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_XFERINFODATA, (void *)t) == CURLE_OK;
}

static struct http_transfer *transfer_new(struct http_client *c)
{
    struct http_transfer *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->client = c;
    buf_init(&t->reply, UPSTREAM_MAX_HEADER_BYTES);
    event_assign(&t->timer, c->base, -1, 0, on_transfer_timer, t);
    if (!http_easy_init(&t->easy, c->ca_file) || !http_loop_adopt(c->loop, t->easy.curl) ||
        !set_callbacks(t) || !http_easy_guard(&t->easy, c->is_allowed, c->allowed_arg)) {
        transfer_free(t);
        return NULL;
    }
    return t;
}

static struct http_transfer *transfer_get(struct http_client *c)
{
    struct http_transfer *t = TAILQ_FIRST(&c->idle);
    if (!t)
        return transfer_new(c);
    TAILQ_REMOVE(&c->idle, t, link);
    c->idle_count--;
    return t;
}

/* Everything of the last request but what is kept on purpose. */
static void begin(struct http_transfer *t, const struct http_request *r,
                  const struct http_handlers *handlers, void *arg)
{
    t->handlers = *handlers;
    t->arg = arg;
    t->phase = PHASE_CONNECT;
    t->verdict = HTTP_DONE;
    t->code = CURLE_OK;
    t->status = 0;
    t->added = t->connected = t->cancelled = t->reported = t->paused = t->held = t->woken = false;
    t->first_byte_ms = r->first_byte_ms > 0 ? r->first_byte_ms : FIRST_BYTE_MS;
    t->idle_ms = r->idle_ms > 0 ? r->idle_ms : IDLE_MS;
    t->uploaded = 0;
    t->header_bytes = t->body_bytes = 0;
    t->max_body_bytes = r->max_body_bytes ? r->max_body_bytes : UPSTREAM_MAX_STREAM_BYTES;
    t->detail[0] = '\0';
    buf_clear(&t->reply);
}

struct http_transfer *http_transfer_start(struct http_client *c, const struct http_request *request,
                                          const struct http_handlers *handlers, void *arg,
                                          struct error *e)
{
    assert(handlers->on_headers && handlers->on_body && handlers->on_done);
    struct http_transfer *t = transfer_get(c);
    if (!t) {
        (void)error_set(e, -ENOMEM, "out of memory");
        return NULL;
    }
    begin(t, request, handlers, arg);
    if (http_easy_set(&t->easy, request, e) < 0) {
        transfer_free(t);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&c->running, t, link);
    c->running_count++;
    wake(t);
    return t;
}

void http_transfer_cancel(struct http_transfer *t)
{
    struct http_client *c = t->client;
    if (t->cancelled || c->reporting == t)
        return;
    t->cancelled = true;
    forget_wake(t);
    c->running_count--;
    struct transfers *list = t->phase == PHASE_ENDED ? &c->ended : &c->running;
    if (http_loop_inside(c->loop)) { /* settle() follows, as soon as libcurl is off the stack */
        http_easy_stop(&t->easy);
        move(t, list, &c->cancelled);
        return;
    }
    let_go(t);
    recycle(t, list);
}

void http_transfer_pause(struct http_transfer *t)
{
    t->paused = true; /* the next on_curl_body() tells libcurl */
}

void http_transfer_resume(struct http_transfer *t)
{
    if (!t->paused)
        return;
    t->paused = false;
    if (t->phase == PHASE_REPLY) {
        t->active_ms = clock_mono_ms();
        if (!evtimer_pending(&t->timer, NULL))
            arm(t, t->idle_ms);
    }
    if (t->held && !t->cancelled)
        wake(t);
}

/* ---- the client */

struct http_client *http_client_new(struct event_base *base)
{
    struct http_client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->base = base;
    TAILQ_INIT(&c->running);
    TAILQ_INIT(&c->ended);
    TAILQ_INIT(&c->cancelled);
    TAILQ_INIT(&c->idle);
    TAILQ_INIT(&c->waking);
    event_assign(&c->work, base, -1, 0, on_work, c);
    c->loop = http_loop_new(base, settle, c);
    if (!c->loop) {
        http_client_free(c);
        return NULL;
    }
    return c;
}

void http_client_guard(struct http_client *c, http_address_fn is_allowed, void *arg)
{
    c->is_allowed = is_allowed;
    c->allowed_arg = arg;
}

int http_client_trust(struct http_client *c, const char *ca_file)
{
    assert(TAILQ_EMPTY(&c->running) && TAILQ_EMPTY(&c->idle));
    char *copy = strdup(ca_file);
    if (!copy)
        return -ENOMEM;
    free(c->ca_file);
    c->ca_file = copy;
    return 0;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    assert(!c->reporting && (!c->loop || !http_loop_inside(c->loop)));
    struct http_transfer *next;
    for (struct http_transfer *t = TAILQ_FIRST(&c->running); t; t = next) {
        next = TAILQ_NEXT(t, link);
        http_transfer_cancel(t);
    }
    for (struct http_transfer *t = TAILQ_FIRST(&c->idle); t; t = next) {
        next = TAILQ_NEXT(t, link);
        transfer_free(t);
    }
    http_loop_free(c->loop);
    (void)event_del(&c->work);
    free(c->ca_file);
    free(c);
}
