#include "tests/support/redis_probe.h"

#include "storage/redis_reply.h"
#include "tests/support/wait_loop.h"

#include <stdio.h>
#include <string.h>

#define CALL_MS 5000

static void on_state(void *arg, bool up, const char *reason)
{
    struct redis_probe *p = arg;
    if (up) {
        p->ups++;
        return;
    }
    p->downs++;
    (void)snprintf(p->reason, sizeof(p->reason), "%s", reason);
}

bool redis_probe_open(struct redis_probe *p, const char *url)
{
    struct redis_address address;
    struct error e = {""};
    *p = (struct redis_probe){.base = event_base_new()};
    if (!redis_address_parse(url, &address, &e))
        p->link = redis_link_new(p->base, &address, on_state, p, &e);
    if (!p->link)
        (void)fprintf(stderr, "redis_probe: %s\n", e.text);
    else
        p->conn = redis_link_conn(p->link);
    return p->link != NULL;
}

static bool is_up(void *arg)
{
    return redis_link_is_up(((struct redis_probe *)arg)->link);
}

static bool is_down(void *arg)
{
    return !is_up(arg);
}

bool redis_probe_wait_up(struct redis_probe *p)
{
    return wait_loop(p->base, is_up, p);
}

bool redis_probe_wait_down(struct redis_probe *p)
{
    return wait_loop(p->base, is_down, p);
}

void redis_probe_close(struct redis_probe *p)
{
    redis_link_free(p->link);
    event_base_free(p->base);
    p->link = NULL;
    p->conn = NULL;
}

void redis_answer_take(void *arg, enum redis_status status, const struct redisReply *reply)
{
    static int order;
    struct redis_answer *a = arg;
    const char *text = reply_error(reply);
    if (!text)
        text = reply_text(reply, NULL);
    a->calls++;
    a->status = status;
    a->number = reply_int(reply, -1);
    a->order = order++;
    (void)snprintf(a->text, sizeof(a->text), "%s", text ? text : "");
}

struct awaited {
    const struct redis_answer *answers;
    size_t count;
};

static bool are_answered(void *arg)
{
    struct awaited *w = arg;
    while (w->count > 0 && w->answers[w->count - 1].calls > 0)
        w->count--;
    return w->count == 0;
}

bool redis_probe_wait_answers(struct redis_probe *p, struct redis_answer *answers, size_t count)
{
    struct awaited w = {answers, count};
    return wait_loop(p->base, are_answered, &w);
}

struct redis_answer redis_probe_call(struct redis_probe *p, const struct redis_args *args)
{
    struct redis_answer a = {.calls = 0};
    redis_link_command(p->link, args, CALL_MS, redis_answer_take, &a);
    (void)redis_probe_wait_answers(p, &a, 1);
    return a;
}
