#include "storage/instance.h"

#include "common/clock.h"
#include "storage/key.h"
#include "storage/redis_reply.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TTL_MS     "15000"
#define FORGET_MS  3600000
#define TIMEOUT_MS 2000
#define MAX_LISTED 64
#define NOTE_BYTES 256

struct instance {
    struct redis_link *link;
    struct event *beat;
    char id[64];
    int64_t started_ms;
    bool up;
};

static void command(struct redis_link *link, int argc, const char *const *argv, redis_reply_fn fn,
                    void *arg)
{
    size_t lens[MAX_LISTED + 4];
    for (int k = 0; k < argc; k++)
        lens[k] = strlen(argv[k]);
    struct redis_args args = {.argc = argc, .argv = argv, .lens = lens};
    redis_link_command(link, &args, TIMEOUT_MS, fn, arg);
}

static void tell(struct instance *i)
{
    struct key key = key_instance(i->id);
    char note[NOTE_BYTES], now[24], old[24], host[64] = "";
    int64_t now_ms = clock_wall_ms();
    if (gethostname(host, sizeof(host) - 1) < 0 || strpbrk(host, "\"\\"))
        host[0] = '\0';
    (void)snprintf(note, sizeof(note),
                   "{\"pid\":%d,\"host\":\"%s\",\"version\":\"" SLUICE_VERSION
                   "\",\"uptime_ms\":%" PRId64 "}",
                   (int)getpid(), host, now_ms - i->started_ms);
    (void)snprintf(now, sizeof(now), "%" PRId64, now_ms);
    (void)snprintf(old, sizeof(old), "%" PRId64, now_ms - FORGET_MS);
    const char *set[] = {"SET", key.text, note, "PX", TTL_MS};
    const char *add[] = {"ZADD", KEY_INSTANCES, now, i->id};
    const char *trim[] = {"ZREMRANGEBYSCORE", KEY_INSTANCES, "-inf", old};
    command(i->link, 5, set, NULL, NULL);
    command(i->link, 4, add, NULL, NULL);
    command(i->link, 4, trim, NULL, NULL);
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct instance *i = arg;
    (void)fd;
    (void)what;
    if (i->up)
        tell(i);
}

struct instance *instance_new(struct event_base *base, struct redis_link *link, const char *id)
{
    struct timeval tv = {.tv_sec = INSTANCE_BEAT_MS / 1000};
    struct instance *i = calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    i->link = link;
    i->started_ms = clock_wall_ms();
    (void)snprintf(i->id, sizeof(i->id), "%s", id);
    i->beat = event_new(base, -1, EV_PERSIST, on_beat, i);
    if (!i->beat || evtimer_add(i->beat, &tv) < 0) {
        if (i->beat)
            event_free(i->beat);
        free(i);
        return NULL;
    }
    return i;
}

void instance_free(struct instance *i)
{
    if (!i)
        return;
    if (i->up) {
        struct key key = key_instance(i->id);
        const char *del[] = {"DEL", key.text};
        const char *leave[] = {"ZREM", KEY_INSTANCES, i->id};
        command(i->link, 2, del, NULL, NULL);
        command(i->link, 3, leave, NULL, NULL);
    }
    event_free(i->beat);
    free(i);
}

void instance_connected(struct instance *i, bool up)
{
    i->up = up;
    if (up)
        tell(i);
}

/* Two steps: who told of itself and when, then what each wrote. The instance may be freed between
 * them, but never the link, which gives the answers. */
struct listing {
    struct redis_link *link;
    instance_fn fn;
    void *arg;
    int count;
    char ids[MAX_LISTED][64];
    int64_t seen_ms[MAX_LISTED];
};

static void on_notes(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct listing *l = arg;
    int64_t now_ms = clock_wall_ms();
    for (int k = 0; k < l->count; k++) {
        const char *note = status == REDIS_OK ? reply_text(reply_at(reply, (size_t)k), NULL) : NULL;
        l->fn(l->arg, l->ids[k], now_ms - l->seen_ms[k], note);
    }
    l->fn(l->arg, NULL, 0, NULL);
    free(l);
}

static void on_ids(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct listing *l = arg;
    struct key keys[MAX_LISTED];
    const char *argv[MAX_LISTED + 1] = {"MGET"};
    size_t n = status == REDIS_OK ? reply_count(reply) / 2 : 0;
    for (size_t k = 0; k < n && k < MAX_LISTED; k++) {
        const char *id = reply_text(reply_at(reply, 2 * k), NULL);
        if (!id)
            continue;
        (void)snprintf(l->ids[l->count], sizeof(l->ids[0]), "%s", id);
        l->seen_ms[l->count] = reply_int(reply_at(reply, 2 * k + 1), 0);
        keys[l->count] = key_instance(l->ids[l->count]);
        argv[l->count + 1] = keys[l->count].text;
        l->count++;
    }
    if (l->count == 0)
        on_notes(l, REDIS_DOWN, NULL);
    else
        command(l->link, l->count + 1, argv, on_notes, l);
}

void instance_list(struct instance *i, instance_fn fn, void *arg)
{
    static const char *const range[] = {"ZREVRANGE", KEY_INSTANCES, "0", "63", "WITHSCORES"};
    struct listing *l = calloc(1, sizeof(*l));
    if (!l) {
        fn(arg, NULL, 0, NULL);
        return;
    }
    *l = (struct listing){.link = i->link, .fn = fn, .arg = arg};
    command(i->link, 5, range, on_ids, l);
}
