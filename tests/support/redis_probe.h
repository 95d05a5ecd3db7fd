/*
 * redis_probe: a loop and a connection to Redis that write down what they are told.
 *
 *   ownership  the test owns the structs. A redis_answer must live until it was called.
 */
#ifndef TESTS_SUPPORT_REDIS_PROBE_H
#define TESTS_SUPPORT_REDIS_PROBE_H

#include "storage/redis_link.h"

#include <event2/event.h>

struct redis_probe {
    struct event_base *base;
    struct redis_link *link;
    struct redis_conn *conn; /* of the link; NULL in a cluster */
    int ups, downs;
    char reason[320]; /* of the last down */
};

struct redis_answer {
    int calls; /* 1 when all is well */
    enum redis_status status;
    int64_t number; /* of the reply, or -1 */
    char text[256]; /* of the reply or of its error */
    int order;      /* how many answers of the test came before */
};

/* False, with the reason on stderr, when the URL or the address is wrong. */
bool redis_probe_open(struct redis_probe *p, const char *url);
bool redis_probe_wait_up(struct redis_probe *p);   /* until it is up */
bool redis_probe_wait_down(struct redis_probe *p); /* until it is not */
void redis_probe_close(struct redis_probe *p);

/* A redis_reply_fn for a struct redis_answer. */
void redis_answer_take(void *arg, enum redis_status status, const struct redisReply *reply);
/* Sends and runs the loop until it is answered. */
struct redis_answer redis_probe_call(struct redis_probe *p, const struct redis_args *args);
/* Runs the loop until all of them are answered. */
bool redis_probe_wait_answers(struct redis_probe *p, struct redis_answer *answers, size_t count);

#endif
