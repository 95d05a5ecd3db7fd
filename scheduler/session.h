/*
 * session: posts to conversations that are kept here.
 *
 *   WAITING ---- its turn ---> READY ---- call ends ---> COMMITTING ---> over
 *      |  polls                  |  renews its lease          stores all or nothing
 *      +--- left, too long ------+--- failed, left: the turn is given back, history as before
 *
 * A post waits for those before it, over all instances; then it is a request like any other, and
 * what was said and answered is stored together when the answer is whole. When the instance dies,
 * its lease ends, and nothing of the post is in the history. Clearing or deleting a conversation
 * takes the turn away from the post that runs: it fails with 409.
 *
 *   ownership  opaque. A post ends by session_post_end() or session_post_drop(), or by the failure
 *              that is told to its owner; it must not be touched after that.
 *   threads    one event loop. Callbacks come once; that of session_post_end() perhaps at once,
 * others never before the return of what asked.
 */
#ifndef SCHEDULER_SESSION_H
#define SCHEDULER_SESSION_H

#include "scheduler/call.h"
#include "scheduler/prompt/trim.h"
#include "scheduler/session_body.h"

struct event_base;
struct sessions;
struct session_post;

struct sessions_options {
    struct event_base *base;
    struct scheduler *scheduler;
    struct session_store *store;
    struct counter *counter;
};

struct sessions *sessions_new(const struct sessions_options *options); /* NULL: no memory */
void sessions_free(struct sessions *s);                                /* accepts NULL */
struct session_store *sessions_store(const struct sessions *s);
struct counter *sessions_counter(const struct sessions *s);

struct session_post_spec {
    const char *tenant, *id;
    char *text; /* of the post, given */
    size_t len;
    int64_t max_wait_ms; /* for its turn */
};

/* failure NULL: it is its turn. Else the post is over. */
typedef void (*session_post_fn)(void *arg, const struct call_failure *failure);
/* NULL with *failure: a post that is none, or no memory. */
struct session_post *session_post_new(struct sessions *s, const struct session_post_spec *spec,
                                      session_post_fn fn, void *arg, struct call_failure *failure);

/* ---- while it is its turn */
enum wire_endpoint session_post_endpoint(const struct session_post *p);
char *session_post_take_body(struct session_post *p, size_t *ret_len); /* given, once */
const struct session_facts *session_post_facts(const struct session_post *p);
const struct config_tool_calls *session_post_caps(const struct session_post *p); /* of the preset */
/* A part of the answer. True: nothing from here on may go out before the end is stored. */
bool session_post_data(struct session_post *p, const struct call *c, const char *bytes, size_t len);
/* The call has ended; stores what is to be stored. fn's failure is NULL when the answer may go out:
 * it is stored, or was none to be stored (a status of 400 or more). */
void session_post_end(struct session_post *p, const struct call *c, session_post_fn fn, void *arg);
void session_post_drop(struct session_post *p);

/* What the next call would send, trimmed as its preset says: trim_result_release() and *ret_body
 * are the caller's. 0; -EINVAL, -ENOMEM with e. */
int session_context(struct counter *counter, const struct session_setup_read *setup,
                    const struct session_view *view, const struct session_said *said,
                    struct buf *ret_body, struct trim_result *ret) MUST_CHECK;

#endif
