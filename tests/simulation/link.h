/*
 * link: the two connections between one instance and the simulated Redis.
 *
 * Commands arrive and are answered in their order, each direction with its own delay; the
 * channel is another connection, so that what is published passes by answers or falls behind them.
 * Everything that ends a connection is told as storage/redis_conn.h promises: the state first, then
 * REDIS_LOST for all that was pending, of which a part may still arrive and be executed, even
 * after the commands of the next connection. While down, REDIS_DOWN at the next turn.
 *
 * A silent cut swallows everything until a command passes its deadline.
 */
#ifndef TESTS_SIMULATION_LINK_H
#define TESTS_SIMULATION_LINK_H

#include "tests/simulation/loop.h"
#include "tests/simulation/server.h"

typedef void (*link_fn)(void *arg, struct answer *a); /* status says what came of it */

struct link_hooks {
    void (*on_state)(void *arg, bool up);
    void (*on_channel)(void *arg, bool up);
    void (*on_message)(void *arg, const char *payload);
    void *arg;
};

struct lane {
    bool up, silent, closed;
    uint64_t epoch;
    int64_t backoff_ms;
    struct happening retry;
};

struct link {
    struct event_base *process;
    struct server *server;
    int owner;
    bool *server_down;
    bool channel_stalls; /* what is published may come seconds late */
    bool cut;            /* nothing passes between the two */
    struct link_hooks hooks;
    struct lane commands, channel;
    struct list pending, refused;
    struct happening refusals;
    struct happening deadline;
    int64_t there_us, back_us, channel_us; /* the last arrival in each direction */
    int64_t latency_us;                    /* the most */
};

void link_init(struct link *l, struct event_base *process, struct server *server);
void link_open(struct link *l);
/* Ends it for good: pending commands are answered REDIS_LOST, further ones REDIS_DOWN. */
void link_close(struct link *l, bool sent_arrives);
void link_send(struct link *l, struct op *op, link_fn fn, void *arg);
void link_publish(struct link *l, const char *payload);

/* Both connections break. silent: nobody is told. */
void link_break(struct link *l, bool silent);
void link_break_channel(struct link *l, bool silent);
size_t link_pending(const struct link *l);

#endif
