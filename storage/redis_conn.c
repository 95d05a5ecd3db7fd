#include "storage/redis_conn.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/rand.h"
#include "storage/redis_channels.h"
#include "storage/redis_endpoint.h"
#include "storage/redis_protocol.h"
#include "storage/redis_queue.h"
#include "storage/redis_reply.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKOFF_LEAST_MS 50
#define BACKOFF_MOST_MS  5000
#define STABLE_MS        5000        /* up for so long: the next loss starts with short waits */
#define READ_BYTES       (16 * 1024) /* of one pass, so that a long reply cannot hold the loop */
#define OVERDUE_PASSES   1024 /* extra passes for replies that came in time but are not read */
#define INTERNAL_ROOM    (REDIS_MAX_CHANNELS + 8) /* PING and such, beside REDIS_MAX_PENDING */

enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_HANDSHAKE, CONN_READY, CONN_CLOSED };

struct redis_conn {
    struct event_base *base;
    struct redis_address address;
    struct redis_endpoint endpoint;
    redis_state_fn on_state;
    void *arg;
    redis_message_fn on_message;
    void *message_arg;

    enum conn_state state;
    int fd; /* -1 unless CONNECTING, HANDSHAKE or READY */
    struct event on_read, on_write;
    struct event on_retry, on_ping, on_deadline; /* timers */
    struct event on_flush, on_refusals;          /* work put off to a later turn */
    struct evbuffer *out;
    struct redis_reader *reader;

    struct redis_queue sent;    /* in the order in which Redis will answer */
    struct redis_queue refused; /* told at the next turn */
    int64_t timer_at_ms;        /* when on_deadline fires; INT64_MAX: not armed */
    int overdue_passes;
    int handshake_left; /* answers until READY */
    uint64_t generation;

    bool subscriber;
    struct redis_channels channels;

    struct rand rand;
    int64_t backoff_ms;
    int64_t up_since_ms;
    struct error told; /* the last reason told to on_state, so that it is told once */
    int calling;       /* depth of callbacks */
};

static void arm(struct event *timer, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    (void)event_add(timer, &tv); /* fails only without memory for the heap; others still run */
}

static void answer(struct redis_conn *c, const struct redis_waiter *w, enum redis_status status,
                   const struct redisReply *reply)
{
    if (!w->fn)
        return;
    c->calling++;
    w->fn(w->arg, status, reply);
    c->calling--;
}

static void tell_state(struct redis_conn *c, bool up, const char *reason)
{
    (void)error_set(&c->told, 0, "%s", reason);
    if (!c->on_state)
        return;
    c->calling++;
    c->on_state(c->arg, up, c->told.text);
    c->calling--;
}

static void disarm_deadline(struct redis_conn *c)
{
    (void)event_del(&c->on_deadline);
    c->timer_at_ms = INT64_MAX;
}

static void conn_close(struct redis_conn *c, enum conn_state next)
{
    if (c->fd >= 0) {
        (void)event_del(&c->on_read);
        (void)event_del(&c->on_write);
        (void)close(c->fd);
    }
    (void)event_del(&c->on_ping);
    (void)event_del(&c->on_flush);
    disarm_deadline(c);
    c->fd = -1;
    c->state = next;
    c->overdue_passes = 0;
    (void)evbuffer_drain(c->out, evbuffer_get_length(c->out));
}

static void answer_lost(struct redis_conn *c)
{
    struct redis_waiter w;
    while (redis_queue_pop(&c->sent, &w))
        answer(c, &w, REDIS_LOST, NULL);
}

/* The only way down. The socket is gone and the retry is set before anybody is told, so a
 * callback finds a consistent connection that is down. Nothing can be added to `sent`
 * meanwhile, since only a READY connection sends. */
static void conn_lost(struct redis_conn *c, const char *reason)
{
    assert(c->state != CONN_CLOSED);
    bool was_up = c->state == CONN_READY;
    if (was_up && clock_mono_ms() - c->up_since_ms >= STABLE_MS)
        c->backoff_ms = BACKOFF_LEAST_MS;

    conn_close(c, CONN_DOWN);
    arm(&c->on_retry, 1 + rand_below(&c->rand, c->backoff_ms));
    c->backoff_ms = c->backoff_ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : c->backoff_ms * 2;

    if (was_up || strcmp(c->told.text, reason) != 0)
        tell_state(c, false, reason);
    answer_lost(c);
}

static void lost_errno(struct redis_conn *c, const char *what, int error)
{
    struct error e;
    char label[REDIS_LABEL_BYTES];
    (void)error_set(&e, 0, "%s %s: %s", what, redis_address_label(&c->address, label),
                    strerror(error));
    conn_lost(c, e.text);
}

/* Only the first word of the reply: the rest of "unknown command 'AUTH', with args
 * beginning with ..." would be the password. */
static void lost_refused(struct redis_conn *c, const char *what, enum redis_status status,
                         const struct redisReply *reply)
{
    struct error e;
    const char *text = reply_error(reply);
    (void)error_set(&e, 0, "redis refused the %s: %.*s (%s)", what,
                    text ? (int)strcspn(text, " ") : 0, text ? text : "",
                    redis_status_name(status));
    conn_lost(c, e.text);
}

static void arm_deadline(struct redis_conn *c, int64_t at_ms)
{
    if (at_ms >= c->timer_at_ms)
        return;
    int64_t left_ms = at_ms - clock_mono_ms();
    c->timer_at_ms = at_ms;
    arm(&c->on_deadline, left_ms < 0 ? 0 : left_ms);
}

/* One timer for all: it is set for the earliest deadline known when it was set, and looks
 * at every waiter only when it fires, which is at most once per shortest deadline. */
static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct redis_conn *c = arg;
    int64_t now_ms = clock_mono_ms(), fired_at_ms = c->timer_at_ms;
    bool connecting = c->state == CONN_CONNECTING;

    c->timer_at_ms = INT64_MAX;
    int64_t next_ms = connecting ? fired_at_ms : redis_queue_deadline_ms(&c->sent);
    if (next_ms == INT64_MAX)
        return;
    if (next_ms > now_ms) {
        c->overdue_passes = 0;
        arm_deadline(c, next_ms);
    } else if (!connecting && c->overdue_passes < OVERDUE_PASSES &&
               redis_endpoint_has_input(c->fd)) {
        /* Our own loop was late, not Redis: what it sent is read first. */
        c->overdue_passes++;
        arm_deadline(c, now_ms + 1);
    } else {
        conn_lost(c, connecting ? "redis did not accept the connection in time"
                                : "redis did not answer a command within its deadline");
    }
}

static void flush(struct redis_conn *c)
{
    int rc = 0;
    while (rc == 0 && evbuffer_get_length(c->out) > 0)
        rc = redis_endpoint_send(c->fd, c->out);
    if (rc == -EAGAIN || rc == -EINTR)
        (void)event_add(&c->on_write, NULL);
    else if (rc &&
             !redis_endpoint_has_input(c->fd)) /* else answers, or why it closed, are read first */
        lost_errno(c, "sending to redis at", -rc);
}

/* Commands of one turn leave together, at the end of the turn. */
static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    flush(arg);
}

/* Encodes and queues. False: a maximum or no memory, and nothing was queued. */
static bool send_command(struct redis_conn *c, const struct redis_args *args,
                         const struct redis_waiter *w)
{
    size_t bytes = redis_encoded_bytes(args);
    size_t queued = evbuffer_get_length(c->out);
    if (bytes > REDIS_MAX_QUEUED_BYTES || queued > REDIS_MAX_QUEUED_BYTES - bytes)
        return false;
    if (c->sent.count == c->sent.room || redis_encode(c->out, bytes, args))
        return false;
    (void)redis_queue_push(&c->sent, w);
    arm_deadline(c, w->deadline_ms);
    event_active(&c->on_flush, 0, 0);
    return true;
}

/* A command of the connection itself. There is always room for it, or no memory. */
static bool send_internal(struct redis_conn *c, const struct redis_args *args, redis_reply_fn fn)
{
    struct redis_waiter w = {
        .fn = fn, .arg = c, .deadline_ms = clock_mono_ms() + REDIS_INTERNAL_TIMEOUT_MS};
    return send_command(c, args, &w);
}

static void on_pong(void *arg, enum redis_status status, const struct redisReply *reply)
{
    /* Any answer, an error too, shows that the peer lives. */
    (void)arg, (void)status, (void)reply;
}

static void on_ping(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct redis_conn *c = arg;
    if (c->sent.count > 0)
        return; /* an answer with a deadline is due anyway */
    if (!send_internal(c, REDIS_ARGS("PING"), on_pong))
        conn_lost(c, "out of memory for a PING to redis");
}

static void on_subscribed(void *arg, enum redis_status status, const struct redisReply *reply)
{
    if (status != REDIS_OK && status != REDIS_LOST)
        lost_refused(arg, "subscription", status, reply);
}

/* Nothing is pending here: the last answer of the handshake made it up. */
static void conn_up(struct redis_conn *c)
{
    disarm_deadline(c);
    c->state = CONN_READY;
    c->up_since_ms = clock_mono_ms();
    c->generation++;
    arm(&c->on_ping, REDIS_PING_EVERY_MS);
    tell_state(c, true, "");
}

static void on_handshake(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct redis_conn *c = arg;
    if (status == REDIS_LOST)
        return;
    if (status != REDIS_OK)
        lost_refused(c, "connection", status, reply);
    else if (--c->handshake_left == 0)
        conn_up(c);
}

static void on_role(void *arg, enum redis_status status, const struct redisReply *reply)
{
    const char *role = status == REDIS_OK ? reply_text(reply_at(reply, 0), NULL) : NULL;
    if (role && strcmp(role, "master") != 0)
        conn_lost(arg, "this redis is no master now");
    else
        on_handshake(arg, status, reply);
}

static bool send_subscriptions(struct redis_conn *c)
{
    for (size_t i = 0; i < c->channels.count; i++)
        if (!send_internal(c, REDIS_ARGS("SUBSCRIBE", c->channels.names[i]), on_handshake))
            return false;
    return true;
}

/* PING closes it in any case: it tells a server that still loads, or wants a password. */
static bool send_handshake(struct redis_conn *c)
{
    const struct redis_address *a = &c->address;
    char db[16];
    (void)snprintf(db, sizeof(db), "%d", a->db);
    bool ok = true;
    if (a->user[0])
        ok = send_internal(c, REDIS_ARGS("AUTH", a->user, a->password), on_handshake);
    else if (a->password[0])
        ok = send_internal(c, REDIS_ARGS("AUTH", a->password), on_handshake);
    if (ok && a->db != 0)
        ok = send_internal(c, REDIS_ARGS("SELECT", db), on_handshake);
    if (ok && a->must_be_master)
        ok = send_internal(c, REDIS_ARGS("ROLE"), on_role);
    return ok && send_internal(c, REDIS_ARGS("PING"), on_handshake) && send_subscriptions(c);
}

static void conn_handshake(struct redis_conn *c)
{
    disarm_deadline(c);
    c->state = CONN_HANDSHAKE;
    (void)event_add(&c->on_read, NULL);
    if (!send_handshake(c)) {
        conn_lost(c, "out of memory for the handshake with redis");
        return;
    }
    c->handshake_left = (int)c->sent.count;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct redis_conn *c = arg;
    if (c->state != CONN_CONNECTING) {
        flush(c);
        return;
    }
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) || error)
        lost_errno(c, "connecting to redis at", error ? error : errno);
    else
        conn_handshake(c);
}

static bool deliver_message(struct redis_conn *c, const struct redisReply *reply)
{
    const char *channel, *payload;
    size_t len = 0;
    if (!c->subscriber || !reply_message(reply, &channel, &payload, &len))
        return false;
    /* What was published before Redis saw an UNSUBSCRIBE is not wanted either. */
    if (c->on_message && redis_channels_has(&c->channels, channel)) {
        c->calling++;
        c->on_message(c->message_arg, channel, payload, len);
        c->calling--;
    }
    return true;
}

static void handle_reply(struct redis_conn *c, const struct redisReply *reply)
{
    struct redis_waiter w;
    if (deliver_message(c, reply))
        return;
    if (!redis_queue_pop(&c->sent, &w)) {
        conn_lost(c, "redis sent a reply that nothing asked for");
        return;
    }
    const char *error = reply_error(reply);
    enum redis_status status = error ? redis_status_of_error(error) : REDIS_OK;
    /* The master became a replica under this connection. The command did not run. */
    bool demoted = status == REDIS_READONLY && c->address.must_be_master &&
                   strncmp(error, "NOREPLICAS", 10) != 0;
    answer(c, &w, demoted ? REDIS_DOWN : status, demoted ? NULL : reply);
    if (demoted && c->fd >= 0)
        conn_lost(c, "this redis is no master any more");
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct redis_conn *c = arg;
    struct redisReply *reply;
    char bytes[READ_BYTES];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        lost_errno(c, "reading from redis at", errno);
        return;
    }
    if (n == 0) {
        conn_lost(c, "redis closed the connection");
        return;
    }
    int rc = redis_reader_feed(c->reader, bytes, (size_t)n);
    while (rc >= 0 && c->fd >= 0 && (rc = redis_reader_next(c->reader, &reply)) == 1) {
        handle_reply(c, reply);
        redis_reply_free(reply);
    }
    if (rc < 0 && c->fd >= 0)
        conn_lost(c, redis_reader_reason(rc));
}

static void conn_open(struct redis_conn *c)
{
    redis_reader_free(c->reader);
    c->reader = redis_reader_new(REDIS_MAX_REPLY_BYTES);
    if (!c->reader) {
        conn_lost(c, "out of memory for a connection to redis");
        return;
    }
    int fd = redis_endpoint_open(&c->endpoint);
    if (fd < 0) {
        lost_errno(c, "connecting to redis at", -fd);
        return;
    }
    c->fd = fd;
    c->state = CONN_CONNECTING;
    (void)event_assign(&c->on_read, c->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    (void)event_assign(&c->on_write, c->base, fd, EV_WRITE, on_writable, c);
    if (event_add(&c->on_write, NULL))
        lost_errno(c, "connecting to redis at", ENOMEM);
    else
        arm_deadline(c, clock_mono_ms() + REDIS_INTERNAL_TIMEOUT_MS);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    conn_open(arg);
}

/* Those that are refused by these answers wait for the turn after, so that a caller which
 * tries again at once does not hold the loop. */
static void on_refusals(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct redis_conn *c = arg;
    struct redis_waiter w;
    for (size_t n = c->refused.count; n > 0 && redis_queue_pop(&c->refused, &w); n--)
        answer(c, &w, w.status, NULL);
    if (c->refused.count > 0)
        arm(&c->on_refusals, 0);
}

static void assign_events(struct redis_conn *c)
{
    (void)event_assign(&c->on_retry, c->base, -1, 0, on_retry, c);
    (void)event_assign(&c->on_ping, c->base, -1, EV_PERSIST, on_ping, c);
    (void)event_assign(&c->on_deadline, c->base, -1, 0, on_deadline, c);
    (void)event_assign(&c->on_flush, c->base, -1, 0, on_flush, c);
    (void)event_assign(&c->on_refusals, c->base, -1, 0, on_refusals, c);
}

struct redis_conn *redis_conn_new(struct event_base *base, const struct redis_address *address,
                                  redis_state_fn on_state, void *arg, struct error *e)
{
    struct redis_conn *c = calloc(1, sizeof(*c));
    if (!c) {
        (void)error_set(e, -ENOMEM, "out of memory for a connection to redis");
        return NULL;
    }
    c->base = base;
    c->address = *address;
    c->on_state = on_state;
    c->arg = arg;
    c->fd = -1;
    c->timer_at_ms = INT64_MAX;
    c->backoff_ms = BACKOFF_LEAST_MS;
    rand_seed(&c->rand, rand_system_seed());
    assign_events(c);
    c->out = evbuffer_new();
    if (!c->out || redis_queue_init(&c->sent, REDIS_MAX_PENDING + INTERNAL_ROOM) ||
        redis_queue_init(&c->refused, REDIS_MAX_PENDING)) {
        (void)error_set(e, -ENOMEM, "out of memory for a connection to redis");
        redis_conn_free(c);
        return NULL;
    }
    if (redis_endpoint_init(&c->endpoint, address, e)) {
        redis_conn_free(c);
        return NULL;
    }
    if (redis_endpoint_is_set(&c->endpoint))
        arm(&c->on_retry, 0);
    return c;
}

int redis_conn_retarget(struct redis_conn *c, const struct redis_place *place)
{
    if (c->address.place_count > 0 && redis_place_equal(&c->address.places[0], place))
        return 0;
    if (redis_endpoint_move(&c->endpoint, place))
        return -EINVAL;
    c->address.places[0] = *place;
    c->address.place_count = 1;
    if (c->state != CONN_DOWN)
        conn_lost(c, "redis has another address now");
    c->backoff_ms = BACKOFF_LEAST_MS;
    arm(&c->on_retry, 0);
    return 0;
}

void redis_conn_free(struct redis_conn *c)
{
    struct redis_waiter w;
    if (!c)
        return;
    assert(c->calling == 0);
    if (c->out)
        conn_close(c, CONN_CLOSED);
    (void)event_del(&c->on_retry);
    answer_lost(c);
    while (redis_queue_pop(&c->refused, &w))
        answer(c, &w, w.status, NULL);
    (void)event_del(&c->on_refusals);

    if (c->out)
        evbuffer_free(c->out);
    redis_reader_free(c->reader);
    redis_queue_release(&c->sent);
    redis_queue_release(&c->refused);
    redis_channels_release(&c->channels);
    explicit_bzero(&c->address, sizeof(c->address));
    free(c);
}

bool redis_conn_is_up(const struct redis_conn *c)
{
    return c->state == CONN_READY;
}

uint64_t redis_conn_generation(const struct redis_conn *c)
{
    return c->state == CONN_READY ? c->generation : 0;
}

size_t redis_conn_pending(const struct redis_conn *c)
{
    return c->sent.count + c->refused.count;
}

void redis_refuse(struct redis_conn *c, enum redis_status status, redis_reply_fn fn, void *arg)
{
    struct redis_waiter w = {.fn = fn, .arg = arg, .status = status};
    if (!fn)
        return;
    if (!redis_queue_push(&c->refused, &w)) {
        answer(c, &w, status, NULL);
        return;
    }
    if (!evtimer_pending(&c->on_refusals, NULL))
        arm(&c->on_refusals, 0);
}

void redis_command(struct redis_conn *c, const struct redis_args *args, int deadline_ms,
                   redis_reply_fn fn, void *arg)
{
    struct redis_waiter w = {.fn = fn, .arg = arg};
    if (c->state != CONN_READY || c->subscriber) {
        redis_refuse(c, REDIS_DOWN, fn, arg);
        return;
    }
    w.deadline_ms = clock_mono_ms() + (deadline_ms > 0 ? deadline_ms : 1);
    if (c->sent.count >= REDIS_MAX_PENDING || !send_command(c, args, &w))
        redis_refuse(c, REDIS_BUSY_LOCAL, fn, arg);
}

void redis_conn_on_message(struct redis_conn *c, redis_message_fn fn, void *arg)
{
    c->subscriber = true;
    c->on_message = fn;
    c->message_arg = arg;
}

int redis_subscribe(struct redis_conn *c, const char *channel)
{
    int rc = redis_channels_add(&c->channels, channel);
    c->subscriber = true;
    if (rc <= 0)
        return rc;
    if (c->state == CONN_READY &&
        !send_internal(c, REDIS_ARGS("SUBSCRIBE", channel), on_subscribed)) {
        (void)redis_channels_remove(&c->channels, channel);
        return -ENOMEM;
    }
    return 0;
}

void redis_unsubscribe(struct redis_conn *c, const char *channel)
{
    if (redis_channels_remove(&c->channels, channel) && c->state == CONN_READY)
        (void)send_internal(c, REDIS_ARGS("UNSUBSCRIBE", channel), on_pong);
}
