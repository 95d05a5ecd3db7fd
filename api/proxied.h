/*
 * proxied: one call on its way between an exchange and the scheduler; route_proxy.c.
 *
 * Ends by itself, with the exchange. A watcher may look at the answer, hold its end back until
 * something is stored, and turn it into a failure.
 *
 *   threads  one event loop.
 */
#ifndef API_PROXIED_H
#define API_PROXIED_H

#include "api/request_options.h"
#include "api/route.h"
#include "scheduler/call.h"

struct proxied;

struct proxied_watch {
    /* A part of the answer; true: it is to be held back until proxied_finish(). Once one part was
     * held, so are all behind it. */
    bool (*data)(void *arg, const struct call *c, const char *bytes, size_t len);
    /* The answer is whole (any status). proxied_finish() must follow, later or at once; the call
     * is not to be touched after the return. */
    void (*end)(void *arg, const struct call *c, struct proxied *p);
    /* Instead of end: it failed, or the client left. Nothing follows. */
    void (*lost)(void *arg);
};

struct proxied_plan {
    enum wire_endpoint endpoint;
    char *body; /* given */
    size_t body_len;
    const struct request_options *options;
    const struct session_facts *facts; /* of the conversation; NULL: looked up if it has a name */
    const struct proxied_watch *watch; /* NULL: none */
    void *arg;
};

/* Answers the exchange, now or later. lost() is called when it cannot even begin. */
void proxied_begin(const struct route_request *r, const struct proxied_plan *plan);
/* What was held goes out, or the failure instead of it. */
void proxied_finish(struct proxied *p, const struct call_failure *failure);

#endif
