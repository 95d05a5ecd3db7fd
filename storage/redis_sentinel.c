#include "storage/redis_sentinel.h"

#include "storage/redis_reply.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct watch {
    struct redis_sentinel *owner;
    struct redis_conn *conn;
    bool knows;
    int64_t epoch;
    struct redis_place master;
};

struct redis_sentinel {
    redis_sentinel_fn fn;
    void *arg;
    char master[REDIS_MASTER_BYTES];
    struct event *again;
    struct watch watches[REDIS_MAX_SEEDS];
    size_t count;
    bool closing;
    char reason[256];
};

static void tell(struct redis_sentinel *s)
{
    const struct watch *best = NULL;
    for (size_t i = 0; i < s->count; i++) {
        const struct watch *w = &s->watches[i];
        if (w->knows && (!best || w->epoch > best->epoch))
            best = w;
    }
    s->fn(s->arg, best ? &best->master : NULL, best ? "" : s->reason);
}

static void forget(struct watch *w, const char *reason)
{
    struct redis_sentinel *s = w->owner;
    w->knows = false;
    if (s->closing)
        return;
    (void)snprintf(s->reason, sizeof(s->reason), "%s", reason);
    tell(s);
}

static void on_master(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct watch *w = arg;
    size_t len = 0;
    const char *host = reply_text(reply_field(reply, "ip"), &len);
    int64_t port = reply_int(reply_field(reply, "port"), 0);
    if (status != REDIS_OK || !host || len >= sizeof(w->master.host) || port < 1 || port > 65535) {
        forget(w, status == REDIS_ERROR ? "the sentinels know no master of this name"
                                        : "no sentinel tells where the master is");
        return;
    }
    w->knows = true;
    w->epoch = reply_int(reply_field(reply, "config-epoch"), 0);
    (void)snprintf(w->master.host, sizeof(w->master.host), "%s", host);
    w->master.port = (int)port;
    tell(w->owner);
}

static void ask(struct watch *w)
{
    if (redis_conn_is_up(w->conn) && redis_conn_pending(w->conn) == 0)
        redis_command(w->conn, REDIS_ARGS("SENTINEL", "MASTER", w->owner->master),
                      REDIS_INTERNAL_TIMEOUT_MS, on_master, w);
}

static void on_state(void *arg, bool up, const char *reason)
{
    struct watch *w = arg;
    if (up)
        ask(w);
    else
        forget(w, reason);
}

void redis_sentinel_ask(struct redis_sentinel *s)
{
    for (size_t i = 0; i < s->count; i++)
        ask(&s->watches[i]);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    redis_sentinel_ask(arg);
}

/* Sentinels have no users and databases of the servers they watch. */
static void add_watch(struct redis_sentinel *s, struct event_base *base,
                      const struct redis_place *place, struct error *e)
{
    struct redis_address at = {.kind = REDIS_PLAIN, .places = {*place}, .place_count = 1};
    struct watch *w = &s->watches[s->count];
    w->owner = s;
    w->conn = redis_conn_new(base, &at, on_state, w, e);
    s->count += w->conn != NULL;
}

struct redis_sentinel *redis_sentinel_new(struct event_base *base,
                                          const struct redis_address *address, redis_sentinel_fn fn,
                                          void *arg, struct error *e)
{
    static const struct timeval every = {.tv_sec = SENTINEL_ASK_MS / 1000};
    struct redis_sentinel *s = calloc(1, sizeof(*s));
    if (s)
        s->again = event_new(base, -1, EV_PERSIST, on_again, s);
    if (!s || !s->again || evtimer_add(s->again, &every)) {
        redis_sentinel_free(s);
        (void)error_set(e, -ENOMEM, "out of memory for sentinels");
        return NULL;
    }
    s->fn = fn;
    s->arg = arg;
    memcpy(s->master, address->master, sizeof(s->master));
    for (size_t i = 0; i < address->place_count; i++)
        add_watch(s, base, &address->places[i], e);
    if (s->count == 0) {
        redis_sentinel_free(s);
        return NULL;
    }
    return s;
}

void redis_sentinel_free(struct redis_sentinel *s)
{
    if (!s)
        return;
    s->closing = true;
    for (size_t i = 0; i < s->count; i++)
        redis_conn_free(s->watches[i].conn);
    if (s->again)
        event_free(s->again);
    free(s);
}
