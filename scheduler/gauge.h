/*
 * gauge: how many input tokens a request will be billed, and how many are to be reserved for it.
 *
 *   exact      counted with the model's own vocabulary and the rules of its provider
 *   anchored   what the conversation's last request was billed, and what came since
 *   estimated  counted with a vocabulary near to it, times what was learned of the model
 *
 * What is reserved is what 98 of 100 requests do not exceed, as learned from the bills
 * (prompt/calibration.h). What is learned of a model is kept in Redis and shared by all instances:
 * read when a model is first met (until the answer comes, the family's figures stand), and written
 * at most every GAUGE_SYNC_MS. Anchors are kept by each instance for itself, as they are of use to
 * the next request of a conversation only, and a missing one costs precision and nothing else. That
 * of a conversation with a name comes with what Redis knows of it anyway.
 *
 *   units      tokens.
 *   ownership  opaque; a reading may be kept until gauge_free().
 *   threads    one event loop. Nothing here waits.
 */
#ifndef SCHEDULER_GAUGE_H
#define SCHEDULER_GAUGE_H

#include "scheduler/prompt/anchor.h"
#include "scheduler/prompt/count.h"
#include "storage/calibration_store.h"

#define GAUGE_SYNC_MS 5000

struct event_base;
struct gauge;
struct gauge_model; /* what is known of one model of one provider */

struct gauge_options {
    struct event_base *base;
    struct calibration_store *store; /* NULL: what is learned stays here */
    uint64_t seed;
};

int gauge_new(const struct gauge_options *options, struct gauge **ret) MUST_CHECK;
/* Tells the store what it does not know yet; nothing after that. */
void gauge_stop(struct gauge *g);
/* When the store has answered all. Accepts NULL. */
void gauge_free(struct gauge *g);

/* Shared with all who count on this loop. */
struct counter *gauge_counter(struct gauge *g);

/* clang-format off */
#define GAUGE_METHODS(X) X(exact) X(anchored) X(estimated)
enum gauge_method {
#define X(name) GAUGE_##name,
    GAUGE_METHODS(X)
#undef X
};
/* clang-format on */
const char *gauge_method_name(enum gauge_method m); /* static storage */

struct gauge_ask {
    const char *provider, *model, *tenant;
    const char *session; /* as the caller named the conversation; NULL */
    /* of its last request on any instance, when there is none here; billed 0: none */
    struct calibration_anchor stored;
    enum wire_endpoint endpoint;
    const struct wire_request *request;
    double chars_per_token; /* above 0: the operator's own rule, in place of all this */
    bool by_characters;     /* the provider's limit takes a quarter of the characters at least */
};

struct gauge_reading {
    int64_t tokens;   /* expected */
    int64_t reserved; /* at least tokens, at least 1 */
    enum gauge_method method;
    /* for gauge_learn() */
    struct gauge_model *model;
    int64_t counted;
    struct calibration_anchor anchor;
    struct content_hash whole, session;
    bool has_whole, has_session;
};

void gauge_read(struct gauge *g, const struct gauge_ask *ask, struct gauge_reading *ret);
/* The request of this reading was billed so many input tokens. */
void gauge_learn(struct gauge *g, const struct gauge_reading *r, int64_t billed);

/* Loads the vocabulary of a model now, so that no request waits for it. model may be a pattern. */
void gauge_prepare(struct gauge *g, const char *model);

#endif
