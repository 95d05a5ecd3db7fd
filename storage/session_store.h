/*
 * session_store: conversations in Redis: what is known of those that callers name, and the
 * messages of those that are kept here.
 *
 * A conversation is a tenant's own name for it; another tenant's of the same name is another one.
 * Its numbers (facts) are updated by increments, so calls of one conversation that end at the
 * same time on several instances lose nothing.
 *
 *   units      tokens; times of expiry in seconds.
 *   ownership  opaque; arguments are copied before return.
 *   threads    one event loop. Callbacks are called exactly once, never before return.
 */
#ifndef STORAGE_SESSION_STORE_H
#define STORAGE_SESSION_STORE_H

#include "common/limits.h"
#include "storage/redis_link.h"
#include "storage/redis_script.h"
#include "storage/time_index.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session_store;

/* A request of which the provider has told its input tokens: the first `messages` of it, whose
 * bytes (from the list's bracket to the end of the last one) have this hash. */
struct session_anchor {
    int64_t tokens, messages; /* 0: none */
    int64_t counted;          /* of its own input, by Sluice; 0: it was not */
    uint64_t high, low;
    char model[MODEL_NAME_BYTES];
};

struct session_facts {
    int64_t requests; /* that were answered */
    int64_t calls;    /* of tools, that passed */
    int64_t dropped;  /* and that did not */
    int64_t input, output;
    int64_t trims, saved; /* requests that were made smaller, and tokens saved by that, net of */
    int64_t spent;        /* what making them smaller took */
    int64_t cost, priced; /* pico-dollars, of so many requests whose price was known */
    uint64_t turn;        /* hash of the message that began the last turn, and */
    int64_t iterations;   /* its rounds of calls */
    struct session_anchor anchor;
};

/* What one answered request adds. turn, iterations and anchor replace what was there. */
struct session_delta {
    int64_t calls, dropped, input, output, trims, saved, spent, cost, priced;
    uint64_t turn;
    int64_t iterations;
    struct session_anchor anchor; /* of 0 messages: the old one stays */
};

struct session_store *session_store_new(struct redis_link *link, int timeout_ms);
/* Calls without an answer are answered REDIS_LOST. Accepts NULL. */
void session_store_free(struct session_store *s);

/* Whether id can name a conversation: 1..SESSION_ID_BYTES printable ASCII bytes. */
bool session_id_is_good(const char *id);

/* status other than REDIS_OK: nothing is known (facts are zero then). */
typedef void (*session_facts_fn)(void *arg, enum redis_status status,
                                 const struct session_facts *facts);
void session_store_facts(struct session_store *s, const char *tenant, const char *id,
                         session_facts_fn fn, void *arg);
void session_store_add(struct session_store *s, const char *tenant, const char *id,
                       const struct session_delta *delta, int64_t ttl_s);

/* ---- conversations that are kept here */

/* One as it is at one moment; all borrowed inside the callback. */
struct session_view {
    const char *setup; /* as it was made, JSON */
    size_t setup_len;
    int64_t created_ms, bytes, left_ms; /* left: until it is forgotten */
    int64_t fence;                      /* of session_store_begin() */
    struct session_facts facts;
    const struct redisReply *messages; /* session_view_message() */
    size_t count;
};
const char *session_view_message(const struct session_view *v, size_t index, size_t *ret_len);

enum session_turn {
    SESSION_GO,     /* view is set */
    SESSION_WAIT,   /* ask again in SESSION_POLL_MS */
    SESSION_FULL,   /* SESSION_MAX_WAITING wait already */
    SESSION_NONE,   /* there is no such conversation of this tenant */
    SESSION_FAILED, /* Redis: status says why */
};
typedef void (*session_view_fn)(void *arg, enum session_turn turn, enum redis_status status,
                                const struct session_view *view);
void session_store_read(struct session_store *s, const char *tenant, const char *id,
                        session_view_fn fn, void *arg);
/* Takes the conversation's turn for SESSION_LEASE_MS, in the order in which waiters first asked. */
void session_store_begin(struct session_store *s, const char *tenant, const char *id,
                         const char *waiter, session_view_fn fn, void *arg);

typedef void (*session_done_fn)(void *arg, enum redis_status status, bool done);
struct session_setup {
    const char *tenant, *id;
    const char *text; /* JSON */
    size_t len;
    int64_t now_us, ttl_s; /* now: wall clock */
};
void session_store_create(struct session_store *s, const struct session_setup *setup,
                          session_done_fn fn, void *arg);
/* done: false when the turn was lost meanwhile. fn may be NULL. */
void session_store_renew(struct session_store *s, const char *tenant, const char *id, int64_t fence,
                         session_done_fn fn, void *arg);
/* Gives the turn back, or the place in the queue of a waiter (fence 0). */
void session_store_release(struct session_store *s, const char *tenant, const char *id,
                           int64_t fence, const char *waiter);
struct session_commit {
    const char *tenant, *id;
    int64_t fence;
    const struct session_delta *delta;
    int64_t now_us, ttl_s;       /* now: wall clock */
    const char *const *messages; /* SESSION_COMMIT_MESSAGES at most */
    const size_t *lens;
    size_t count;
};
#define SESSION_COMMIT_MESSAGES 256
/* Messages and numbers, and gives the turn back. done: false when it was lost; nothing is stored
 * then. */
void session_store_commit(struct session_store *s, const struct session_commit *what,
                          session_done_fn fn, void *arg);
void session_store_clear(struct session_store *s, const char *tenant, const char *id,
                         session_done_fn fn, void *arg);
void session_store_delete(struct session_store *s, const char *tenant, const char *id,
                          session_done_fn fn, void *arg);

/* Last used first, as storage/time_index.h orders them; before_us 0: from the first. */
struct session_range {
    const char *tenant;
    int64_t before_us, since_us; /* older ones have been forgotten */
    const char *before_id;
    int limit;
};
void session_store_list(struct session_store *s, const struct session_range *range,
                        time_index_fn fn, void *arg);
/* When that one was last used; 0: it is not in the list. */
void session_store_place(struct session_store *s, const char *tenant, const char *id,
                         time_index_place_fn fn, void *arg);

#endif
