/*
 * http_rig: a server of api/server.h and raw clients, all on one libevent loop.
 *
 * Nothing sleeps: a wait runs the loop until a condition holds, and fails the test when it
 * does not within RIG_PATIENCE_S. The server's handler is the rig's:
 *
 *   /hello      200 "hello"
 *   /echo       the body back
 *   /take       the same, after exchange_take_body()
 *   /hold       waits: the exchange is rig->held
 *   /stream     a stream is started and waits: rig->held
 *   /deaf       waits, without a gone callback
 */
#ifndef TESTS_SUPPORT_HTTP_RIG_H
#define TESTS_SUPPORT_HTTP_RIG_H

#include "api/server.h"

#include <stdbool.h>
#include <stddef.h>

#define RIG_PATIENCE_S 20
#define RIG_MAX_BODY   200000 /* more than HTTP_READ_AHEAD_BYTES */

struct event;
struct event_base;

struct rig {
    struct event_base *base;
    struct event *patience;
    struct server *server;
    struct exchange *held;
    size_t requests; /* that reached the handler */
    size_t gone, drains;
    bool out_of_patience;
    void (*observe)(struct rig *rig, struct exchange *x); /* may be NULL; before the answer */
    char seen[256];                                       /* the observer's notes */
};

/* One connection from outside; what it receives is kept. */
struct client {
    struct rig *rig;
    int fd;
    struct event *readable;
    char *in; /* NUL-terminated */
    size_t len, room;
    bool ended; /* the server closed; `reset` when not in order */
    bool reset;
};

/* Options with the rig's sizes and generous times. */
struct server_options rig_options(void);
void rig_start(struct rig *rig, const struct server_options *options);
void rig_stop(struct rig *rig);

/* Runs the loop until *count is at least want. */
void rig_until(struct rig *rig, const size_t *count, size_t want);
/* Runs the loop until rig->held is set, or is not. */
void rig_until_held(struct rig *rig, bool is_held);
void rig_until_connections(struct rig *rig, size_t want);
/* Runs the loop once without waiting; what is due happens. */
void rig_turn(struct rig *rig);
/* Runs the loop for so long: where that nothing happens is what is tested. */
void rig_pass(struct rig *rig, int ms);

void client_open(struct client *c, struct rig *rig);
void client_close(struct client *c);          /* with a FIN; safe to repeat */
void client_close_by_reset(struct client *c); /* with a RST */
void client_half_close(struct client *c);
void client_send(struct client *c, const char *text);
void client_send_bytes(struct client *c, const void *bytes, size_t len);
/* Sends as much of len as the kernel takes now; returns that. */
size_t client_push(struct client *c, const void *bytes, size_t len);
void client_stop_reading(struct client *c);
void client_read_on(struct client *c);
void client_until(struct client *c, const char *text); /* until text was received */
void client_until_bytes(struct client *c, size_t len);
void client_until_end(struct client *c);
/* How often text stands in what was received. */
size_t client_count(const struct client *c, const char *text);

#endif
