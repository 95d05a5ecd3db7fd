#include "storage/redis_cluster.h"

#include "common/clock.h"
#include "common/list.h"
#include "storage/redis_reply.h"
#include "storage/redis_slots.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLD_MS        5   /* between attempts of held commands */
#define LOOK_SOON_MS   100 /* between looks at the map while it changes */
#define MOST_REDIRECTS 8   /* in a row; then the command is held for a while */
#define NOBODY         -1

struct node {
    struct redis_cluster *owner;
    struct redis_conn *conn;
    struct redis_place place;
    bool serves; /* slots, by the map */
    bool failed; /* its connection was lost, or could not be made, and is not back */
};

/* One command and, behind the struct, its words. */
struct op {
    struct list link; /* of held ones */
    struct redis_cluster *owner;
    struct node *node; /* it was sent to */
    redis_reply_fn fn;
    void *arg;
    int64_t deadline_ms;
    enum redis_status held_for;
    int slot, redirects;
    size_t bytes;
    int argc;
    const char **argv;
    size_t *lens;
};

struct redis_cluster {
    struct event_base *base;
    struct redis_address address;
    redis_state_fn on_state;
    void *arg;
    struct redis_conn *home; /* never connected: tells refusals at the next turn */
    struct node nodes[REDIS_MAX_NODES];
    size_t count, asked;
    int16_t served_by[REDIS_SLOTS]; /* index of nodes, or NOBODY */
    uint16_t held_of[REDIS_SLOTS];
    struct list held;
    struct event *on_held, *on_look;
    struct redis_conn *answering;
    size_t ops, held_bytes;
    bool known, looking, up, closing;
    char reason[256];
};

static void arm(struct event *timer, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    (void)event_add(timer, &tv);
}

/* Sooner than it stands, never later. */
static void look_soon(struct redis_cluster *c)
{
    struct timeval at, now, soon = {.tv_usec = LOOK_SOON_MS * 1000};
    if (c->closing)
        return;
    (void)event_base_gettimeofday_cached(c->base, &now);
    evutil_timeradd(&now, &soon, &soon);
    if (!evtimer_pending(c->on_look, &at) || evutil_timercmp(&soon, &at, <))
        arm(c->on_look, LOOK_SOON_MS);
}

/* ---- up and down */

static void judge(struct redis_cluster *c)
{
    bool up = c->known, failed = !c->known;
    for (size_t i = 0; i < c->count; i++) {
        const struct node *n = &c->nodes[i];
        up = up && (!n->serves || redis_conn_is_up(n->conn));
        failed = failed || (n->serves && n->failed);
    }
    /* A node that has just joined is on its way up: the others serve meanwhile. */
    if (c->up ? !failed : !up)
        return;
    c->up = !c->up;
    if (c->on_state && !c->closing)
        c->on_state(c->arg, c->up, c->up ? "" : c->reason);
}

static void on_node(void *arg, bool up, const char *reason)
{
    struct node *n = arg;
    struct redis_cluster *c = n->owner;
    if (c->closing)
        return;
    n->failed = !up;
    if (!up) {
        bool told = strcmp(c->reason, reason) == 0;
        (void)snprintf(c->reason, sizeof(c->reason), "%s", reason);
        if (!c->known && !told && c->on_state)
            c->on_state(c->arg, false, c->reason);
    }
    look_soon(c);
    judge(c);
}

/* ---- the map */

static struct node *add_node(struct redis_cluster *c, const struct redis_place *place,
                             struct error *e)
{
    struct redis_address at;
    if (c->count == REDIS_MAX_NODES)
        return NULL;
    struct node *n = &c->nodes[c->count];
    *n = (struct node){.owner = c, .place = *place};
    /* At the start names are resolved; later there is no time for that. */
    redis_address_at(&c->address, e ? place : NULL, &at);
    n->conn = redis_conn_new(c->base, &at, on_node, n, e);
    explicit_bzero(&at, sizeof(at));
    if (!n->conn)
        return NULL;
    if (!e && redis_conn_retarget(n->conn, place)) {
        redis_conn_free(n->conn);
        return NULL;
    }
    c->count++;
    return n;
}

/* One that serves nothing and is not connected leaves its place to a new one. */
static struct node *reuse_node(struct redis_cluster *c, const struct redis_place *place)
{
    for (size_t i = 0; i < c->count; i++) {
        struct node *n = &c->nodes[i];
        if (n->serves || !n->failed || redis_conn_retarget(n->conn, place))
            continue;
        n->place = *place;
        n->failed = false;
        return n;
    }
    return NULL;
}

static struct node *node_at(struct redis_cluster *c, const struct redis_place *place,
                            const struct node *teller)
{
    struct redis_place at = *place;
    if (!at.host[0] && teller)
        memcpy(at.host, teller->place.host, sizeof(at.host));
    for (size_t i = 0; i < c->count; i++)
        if (redis_place_equal(&c->nodes[i].place, &at))
            return &c->nodes[i];
    struct node *n = add_node(c, &at, NULL);
    return n ? n : reuse_node(c, &at);
}

static int16_t index_of(const struct redis_cluster *c, const struct node *n)
{
    return n ? (int16_t)(n - c->nodes) : NOBODY;
}

static void on_range(void *arg, int first, int last, const struct redis_place *master)
{
    struct node *teller = arg;
    struct redis_cluster *c = teller->owner;
    struct node *n = node_at(c, master, teller);
    if (!n) {
        (void)snprintf(c->reason, sizeof(c->reason),
                       "a node of the cluster announces no usable IP address (%.100s)",
                       master->host);
        return;
    }
    n->serves = true;
    for (int slot = first; slot <= last; slot++)
        c->served_by[slot] = index_of(c, n);
}

static void on_map(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct node *teller = arg;
    struct redis_cluster *c = teller->owner;
    c->looking = false;
    if (c->closing)
        return;
    if (status != REDIS_OK || reply_count(reply) == 0) {
        look_soon(c);
        return;
    }
    for (size_t i = 0; i < c->count; i++)
        c->nodes[i].serves = false;
    for (int slot = 0; slot < REDIS_SLOTS; slot++)
        c->served_by[slot] = NOBODY;
    redis_slots_read(reply, on_range, teller);
    c->known = true;
    judge(c);
}

static struct node *any_node(struct redis_cluster *c, bool must_serve)
{
    for (size_t i = 0; i < c->count; i++) {
        struct node *n = &c->nodes[(c->asked + i) % c->count];
        if (redis_conn_is_up(n->conn) && (n->serves || !must_serve))
            return n;
    }
    return NULL;
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct redis_cluster *c = arg;
    (void)fd, (void)what;
    arm(c->on_look, CLUSTER_LOOK_MS);
    c->asked++; /* one that was cut off must not be asked for ever */
    struct node *n = any_node(c, false);
    if (!n || c->looking)
        return;
    c->looking = true;
    redis_command(n->conn, REDIS_ARGS("CLUSTER", "SLOTS"), REDIS_INTERNAL_TIMEOUT_MS, on_map, n);
}

/* ---- commands */

static void op_end(struct op *op, enum redis_status status, const struct redisReply *reply)
{
    struct redis_cluster *c = op->owner;
    struct redis_conn *before = c->answering;
    c->held_bytes -= op->bytes;
    c->ops--;
    c->answering = op->node ? op->node->conn : NULL;
    redis_reply_fn fn = op->fn;
    void *arg = op->arg;
    free(op);
    if (fn)
        fn(arg, status, reply);
    c->answering = before;
}

static void hold(struct op *op, enum redis_status why)
{
    struct redis_cluster *c = op->owner;
    op->held_for = why;
    op->redirects = 0;
    if (op->slot >= 0)
        c->held_of[op->slot]++;
    list_add_last(&c->held, &op->link);
    if (!evtimer_pending(c->on_held, NULL))
        arm(c->on_held, HOLD_MS);
}

static void unhold(struct op *op)
{
    list_remove(&op->link);
    if (op->slot >= 0)
        op->owner->held_of[op->slot]--;
}

static void on_answer(void *arg, enum redis_status status, const struct redisReply *reply);

static void send_to(struct op *op, struct node *n, bool asking)
{
    const struct redis_args args = {op->argc, op->argv, op->lens};
    int64_t left_ms = op->deadline_ms - clock_mono_ms();
    int deadline_ms = left_ms > 0 ? (int)left_ms : 1;
    op->node = n;
    if (asking)
        redis_command(n->conn, REDIS_ARGS("ASKING"), deadline_ms, NULL, NULL);
    redis_command(n->conn, &args, deadline_ms, on_answer, op);
}

static struct node *node_of(struct redis_cluster *c, int slot)
{
    if (slot < 0)
        return any_node(c, true);
    return c->served_by[slot] == NOBODY ? NULL : &c->nodes[c->served_by[slot]];
}

static void send_op(struct op *op)
{
    struct node *n = node_of(op->owner, op->slot);
    if (n && (redis_conn_is_up(n->conn) || n->failed))
        send_to(op, n, false); /* or is told there that it is down */
    else
        hold(op, n ? REDIS_DOWN : REDIS_SPLIT);
}

static void redirect(struct op *op, const struct redis_redirect *r)
{
    struct redis_cluster *c = op->owner;
    struct node *n = node_at(c, &r->to, op->node);
    if (n && !r->ask) {
        n->serves = true;
        c->served_by[r->slot] = index_of(c, n);
        look_soon(c);
    }
    if (n && redis_conn_is_up(n->conn) && op->redirects++ < MOST_REDIRECTS)
        send_to(op, n, r->ask);
    else
        hold(op, REDIS_DOWN);
}

static void on_answer(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct op *op = arg;
    struct redis_cluster *c = op->owner;
    struct redis_redirect r;
    bool in_time = !c->closing && clock_mono_ms() < op->deadline_ms;
    if (in_time && status == REDIS_MOVED && redis_redirect_parse(reply_error(reply), &r)) {
        redirect(op, &r);
        return;
    }
    if (status == REDIS_SPLIT)
        look_soon(c);
    if (in_time && (status == REDIS_TRYAGAIN || status == REDIS_SPLIT)) {
        hold(op, status);
        return;
    }
    op_end(op, status, reply);
}

/* Those that stand here now, once each; what is held again waits for the next time. */
static void on_held(evutil_socket_t fd, short what, void *arg)
{
    struct redis_cluster *c = arg;
    struct list now;
    (void)fd, (void)what;
    int64_t now_ms = clock_mono_ms();
    list_init(&now);
    while (!list_is_empty(&c->held)) {
        struct op *op = LIST_ITEM(c->held.next, struct op, link);
        unhold(op);
        list_add_last(&now, &op->link);
    }
    while (!list_is_empty(&now)) {
        struct op *op = LIST_ITEM(now.next, struct op, link);
        list_remove(&op->link);
        if (op->deadline_ms <= now_ms)
            op_end(op, op->held_for, NULL);
        else
            send_op(op);
    }
}

static struct op *op_new(struct redis_cluster *c, const struct redis_args *args)
{
    size_t argc = (size_t)args->argc, bytes = 0;
    for (int i = 0; i < args->argc; i++)
        bytes += redis_args_len(args, i);
    size_t total = sizeof(struct op) + argc * (sizeof(char *) + sizeof(size_t)) + bytes;
    if (total > (size_t)REDIS_MAX_QUEUED_BYTES - c->held_bytes)
        return NULL;
    struct op *op = malloc(total);
    if (!op)
        return NULL;
    *op = (struct op){.owner = c, .bytes = total, .argc = args->argc};
    op->argv = (const char **)(op + 1);
    op->lens = (size_t *)(op->argv + argc);
    char *at = (char *)(op->lens + argc);
    for (int i = 0; i < args->argc; i++) {
        op->lens[i] = redis_args_len(args, i);
        op->argv[i] = at;
        if (op->lens[i] > 0)
            memcpy(at, args->argv[i], op->lens[i]);
        at += op->lens[i];
    }
    return op;
}

void redis_cluster_refuse(struct redis_cluster *c, enum redis_status status, redis_reply_fn fn,
                          void *arg)
{
    redis_refuse(c->home, status, fn, arg);
}

void redis_cluster_command(struct redis_cluster *c, const struct redis_args *args, int deadline_ms,
                           redis_reply_fn fn, void *arg)
{
    if (!c->up || c->closing) {
        redis_refuse(c->home, REDIS_DOWN, fn, arg);
        return;
    }
    struct op *op = c->ops < REDIS_MAX_PENDING ? op_new(c, args) : NULL;
    if (!op) {
        redis_refuse(c->home, REDIS_BUSY_LOCAL, fn, arg);
        return;
    }
    op->fn = fn;
    op->arg = arg;
    op->deadline_ms = clock_mono_ms() + (deadline_ms > 0 ? deadline_ms : 1);
    op->slot = redis_slot_of_command(args);
    c->ops++;
    c->held_bytes += op->bytes;
    if (op->slot >= 0 && c->held_of[op->slot] > 0)
        hold(op, REDIS_TRYAGAIN);
    else
        send_op(op);
}

/* ---- the whole */

struct redis_cluster *redis_cluster_new(struct event_base *base,
                                        const struct redis_address *address,
                                        redis_state_fn on_state, void *arg, struct error *e)
{
    struct redis_address nowhere;
    struct redis_cluster *c = calloc(1, sizeof(*c));
    if (!c) {
        (void)error_set(e, -ENOMEM, "out of memory for a redis cluster");
        return NULL;
    }
    c->base = base;
    c->address = *address;
    c->on_state = on_state;
    c->arg = arg;
    list_init(&c->held);
    for (int slot = 0; slot < REDIS_SLOTS; slot++)
        c->served_by[slot] = NOBODY;
    redis_address_at(address, NULL, &nowhere);
    c->home = redis_conn_new(base, &nowhere, NULL, NULL, e);
    explicit_bzero(&nowhere, sizeof(nowhere));
    c->on_held = evtimer_new(base, on_held, c);
    c->on_look = evtimer_new(base, on_look, c);
    for (size_t i = 0; i < address->place_count; i++)
        (void)add_node(c, &address->places[i], e);
    if (!c->home || !c->on_held || !c->on_look || c->count == 0) {
        if (c->count > 0)
            (void)error_set(e, -ENOMEM, "out of memory for a redis cluster");
        redis_cluster_free(c);
        return NULL;
    }
    return c;
}

void redis_cluster_free(struct redis_cluster *c)
{
    if (!c)
        return;
    c->closing = true;
    while (!list_is_empty(&c->held)) {
        struct op *op = LIST_ITEM(c->held.next, struct op, link);
        unhold(op);
        op_end(op, REDIS_LOST, NULL);
    }
    for (size_t i = 0; i < c->count; i++)
        redis_conn_free(c->nodes[i].conn);
    redis_conn_free(c->home);
    if (c->on_held)
        event_free(c->on_held);
    if (c->on_look)
        event_free(c->on_look);
    explicit_bzero(&c->address, sizeof(c->address));
    free(c);
}

bool redis_cluster_is_up(const struct redis_cluster *c)
{
    return c->up;
}

size_t redis_cluster_pending(const struct redis_cluster *c)
{
    return c->ops + redis_conn_pending(c->home);
}

struct redis_conn *redis_cluster_master(const struct redis_cluster *c, size_t at)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->nodes[i].serves && redis_conn_is_up(c->nodes[i].conn) && at-- == 0)
            return c->nodes[i].conn;
    return NULL;
}

struct redis_conn *redis_cluster_answering(const struct redis_cluster *c)
{
    return c->answering;
}

struct redis_conn *redis_cluster_conn(const struct redis_cluster *c, size_t number)
{
    return number < c->count ? c->nodes[number].conn : NULL;
}

size_t redis_cluster_number(const struct redis_cluster *c, const struct redis_conn *conn)
{
    size_t i = 0;
    while (i < c->count && c->nodes[i].conn != conn)
        i++;
    return i;
}
