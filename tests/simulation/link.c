#include "tests/simulation/link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_US       2000000
#define BACKOFF_LEAST_MS 50
#define BACKOFF_MOST_MS  5000
#define SILENT_LEAST_US  5000000 /* a quiet channel is asked PING after so long, */
#define SILENT_MOST_US   7000000 /* and given up here */

/* A command on its way there or back. Freed when it was answered and nothing of it is under way. */
struct sent {
    struct list link; /* on pending until it was answered */
    struct link *conn;
    uint64_t epoch, start; /* of the connection, and of the server */
    struct op *op;         /* NULL once it arrived, or got lost */
    struct answer answer;
    int64_t sent_us;
    bool answered, travels;
    link_fn fn;
    void *arg;
};

static void sent_free(struct sent *s)
{
    if (!s->answered || s->travels)
        return;
    if (s->op)
        op_free(s->op);
    if (s->answer.refused)
        op_free(s->answer.refused);
    answer_release(&s->answer);
    free(s);
}

static void tell(struct sent *s)
{
    list_remove(&s->link);
    s->answered = true;
    if (s->fn)
        s->fn(s->arg, &s->answer);
}

static void on_deadline(void *arg);

static void tell_failed(struct sent *s, enum redis_status status)
{
    struct answer ours = {.status = status,
                          .turn = {.status = status, .result = "", .detail = "", .binding = ""}};
    list_remove(&s->link);
    s->answered = true;
    if (s->fn)
        s->fn(s->arg, &ours);
    sent_free(s);
}

/* Only those of now: a caller that tries again at once must not hold the loop. */
static void on_refusals(void *arg)
{
    struct link *l = arg;
    struct list now;
    list_init(&now);
    while (!list_is_empty(&l->refused)) {
        struct list *first = l->refused.next;
        list_remove(first);
        list_add_last(&now, first);
    }
    while (!list_is_empty(&now))
        tell_failed(LIST_ITEM(now.next, struct sent, link), REDIS_DOWN);
}

static void on_answer(void *arg)
{
    struct sent *s = arg;
    s->travels = false;
    if (!s->answered)
        tell(s);
    sent_free(s);
}

static void on_arrival(void *arg)
{
    struct sent *s = arg;
    struct link *l = s->conn;
    struct op *op = s->op;
    s->travels = false;
    s->op = NULL;
    if (!op || s->start != l->server->starts) {
        if (op)
            op_free(op);
        sent_free(s);
        return;
    }
    server_run(l->server, op, &s->answer);
    s->answer.turn.status = s->answer.status;
    if (s->answered || l->commands.silent || s->epoch != l->commands.epoch) {
        sent_free(s); /* executed, and nobody hears of it */
        return;
    }
    int64_t at_us = loop_now_us() + chance_latency_us(l->latency_us);
    l->back_us = at_us > l->back_us ? at_us : l->back_us;
    s->travels = true;
    loop_later(l->process, l->back_us - loop_now_us(), on_answer, s);
}

void link_send(struct link *l, struct op *op, link_fn fn, void *arg)
{
    struct sent *s = calloc(1, sizeof(*s));
    assert(s);
    *s = (struct sent){.conn = l, .epoch = l->commands.epoch, .op = op, .fn = fn, .arg = arg};
    list_init(&s->link);
    s->sent_us = loop_now_us();
    s->start = l->server->starts;
    if (!l->commands.up) {
        list_add_last(&l->refused, &s->link);
        if (!l->commands.closed)
            happening_at(&l->refusals, loop_now_us());
        return;
    }
    list_add_last(&l->pending, &s->link);
    if (l->deadline.place == 0)
        happening_at(&l->deadline, loop_now_us() + TIMEOUT_US);
    if (l->commands.silent)
        return;
    int64_t at_us = loop_now_us() + chance_latency_us(l->latency_us);
    l->there_us = at_us > l->there_us ? at_us : l->there_us;
    s->travels = true;
    loop_later(NULL, l->there_us - loop_now_us(), on_arrival, s);
}

size_t link_pending(const struct link *l)
{
    size_t n = 0;
    for (const struct list *at = l->pending.next; at != &l->pending; at = at->next)
        n++;
    return n;
}

/* Of what is on its way there, a first part arrives. */
static void lose_rest(struct link *l, bool all_arrives)
{
    bool lost = false;
    for (struct list *at = l->pending.next; at != &l->pending; at = at->next) {
        struct sent *s = LIST_ITEM(at, struct sent, link);
        lost |= !all_arrives && chance_permille(300);
        if (lost && s->op) {
            op_free(s->op);
            s->op = NULL;
        }
    }
}

static void answer_lost(struct link *l)
{
    while (!list_is_empty(&l->pending))
        tell_failed(LIST_ITEM(l->pending.next, struct sent, link), REDIS_LOST);
}

static void arm_retry(struct lane *lane)
{
    happening_at(&lane->retry, loop_now_us() + (1 + chance_below(lane->backoff_ms)) * 1000);
    lane->backoff_ms =
        lane->backoff_ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : lane->backoff_ms * 2;
}

static void commands_lost(struct link *l)
{
    if (!l->commands.up)
        return;
    trace("lost", "", l->owner, 0);
    l->commands.up = l->commands.silent = false;
    l->commands.epoch++;
    happening_drop(&l->deadline);
    arm_retry(&l->commands);
    l->hooks.on_state(l->hooks.arg, false);
    answer_lost(l);
}

static void channel_lost(struct link *l)
{
    if (!l->channel.up)
        return;
    trace("channel_lost", "", l->owner, 0);
    l->channel.up = l->channel.silent = false;
    l->channel.epoch++;
    arm_retry(&l->channel);
    l->hooks.on_channel(l->hooks.arg, false);
}

static void on_deadline(void *arg)
{
    struct link *l = arg;
    if (list_is_empty(&l->pending))
        return;
    const struct sent *first = LIST_ITEM(l->pending.next, struct sent, link);
    if (first->sent_us + TIMEOUT_US > loop_now_us()) {
        happening_at(&l->deadline, first->sent_us + TIMEOUT_US);
        return;
    }
    lose_rest(l, false);
    commands_lost(l);
}

/* What tells a process of a broken connection, for one that was broken under this epoch. */
struct bad_news {
    struct link *conn;
    uint64_t epoch;
    bool channel;
};

static void on_bad_news(void *arg)
{
    struct bad_news *n = arg;
    struct link *l = n->conn;
    const struct lane *lane = n->channel ? &l->channel : &l->commands;
    if (!lane->closed && lane->epoch == n->epoch) {
        if (n->channel)
            channel_lost(l);
        else
            commands_lost(l);
    }
    free(n);
}

static void bring_bad_news(struct link *l, bool channel, int64_t in_us)
{
    struct bad_news *n = malloc(sizeof(*n));
    assert(n);
    *n = (struct bad_news){l, channel ? l->channel.epoch : l->commands.epoch, channel};
    loop_later(l->process, in_us, on_bad_news, n);
}

void link_break_channel(struct link *l, bool silent)
{
    if (!l->channel.up || l->channel.silent)
        return;
    l->channel.silent = true;
    bring_bad_news(l, true,
                   silent ? chance_between(SILENT_LEAST_US, SILENT_MOST_US)
                          : chance_between(50, 2000));
}

void link_break(struct link *l, bool silent)
{
    link_break_channel(l, silent);
    if (!l->commands.up || l->commands.silent)
        return;
    l->commands.silent = true;
    lose_rest(l, false);
    if (!silent)
        bring_bad_news(l, false, chance_between(50, 2000));
}

static bool is_reachable(const struct link *l)
{
    return !l->cut && !*l->server_down;
}

static void on_retry_commands(void *arg)
{
    struct link *l = arg;
    if (!is_reachable(l)) {
        arm_retry(&l->commands);
        return;
    }
    l->commands.up = true;
    l->commands.backoff_ms = BACKOFF_LEAST_MS;
    trace("up", "", l->owner, 0);
    l->hooks.on_state(l->hooks.arg, true);
}

static void on_retry_channel(void *arg)
{
    struct link *l = arg;
    if (!is_reachable(l)) {
        arm_retry(&l->channel);
        return;
    }
    l->channel.up = true;
    trace("channel_up", "", l->owner, 0);
    l->channel.backoff_ms = BACKOFF_LEAST_MS;
    l->hooks.on_channel(l->hooks.arg, true);
}

/* ---- the channel */

struct published {
    struct link *conn;
    uint64_t epoch;
    char payload[160];
};

static void on_published(void *arg)
{
    struct published *p = arg;
    struct link *l = p->conn;
    if (!l->channel.closed && l->channel.up && p->epoch == l->channel.epoch)
        l->hooks.on_message(l->hooks.arg, p->payload);
    free(p);
}

void link_publish(struct link *l, const char *payload)
{
    if (!l->channel.up || l->channel.silent)
        return;
    struct published *p = calloc(1, sizeof(*p));
    assert(p);
    *p = (struct published){.conn = l, .epoch = l->channel.epoch};
    strncpy(p->payload, payload, sizeof(p->payload) - 1);
    int64_t at_us = loop_now_us() + chance_latency_us(l->latency_us);
    if (l->channel_stalls && chance_permille(10))
        at_us += chance_between(200000, 4000000);
    l->channel_us = at_us > l->channel_us ? at_us : l->channel_us;
    loop_later(l->process, l->channel_us - loop_now_us(), on_published, p);
}

/* ---- the whole */

void link_init(struct link *l, struct event_base *process, struct server *server)
{
    *l = (struct link){.process = process, .server = server, .owner = process->number};
    l->commands.backoff_ms = l->channel.backoff_ms = BACKOFF_LEAST_MS;
    list_init(&l->pending);
    list_init(&l->refused);
    happening_init(&l->refusals, process, on_refusals, l);
    happening_init(&l->deadline, process, on_deadline, l);
    happening_init(&l->commands.retry, process, on_retry_commands, l);
    happening_init(&l->channel.retry, process, on_retry_channel, l);
}

void link_open(struct link *l)
{
    happening_at(&l->commands.retry, loop_now_us() + chance_between(100, 3000));
    happening_at(&l->channel.retry, loop_now_us() + chance_between(100, 3000));
}

void link_close(struct link *l, bool sent_arrives)
{
    l->commands.up = l->channel.up = false;
    l->commands.closed = l->channel.closed = true;
    l->commands.epoch++;
    l->channel.epoch++;
    happening_drop(&l->deadline);
    happening_drop(&l->commands.retry);
    happening_drop(&l->channel.retry);
    happening_drop(&l->refusals);
    lose_rest(l, sent_arrives);
    answer_lost(l);
    while (!list_is_empty(&l->refused))
        on_refusals(l);
}
