/*
 * session_body: requests made of a kept conversation: how it was set up, what was said, what is
 * said now.
 *
 * A set-up is the caller's own JSON: `model`, `system`, `preset`, `metadata` and `format` are
 * Sluice's to read, every other member (tools, temperature, max_tokens, ...) goes into each
 * request as it came, unless the post brings another one. Messages are those of the provider's
 * format; they are kept and sent byte for byte.
 *
 *   ownership  spans borrow from the texts.
 *   threads    none.
 */
#ifndef SCHEDULER_SESSION_BODY_H
#define SCHEDULER_SESSION_BODY_H

#include "common/config.h"
#include "scheduler/prompt/trim_policy.h"
#include "scheduler/provider/wire.h"
#include "storage/session_store.h"

struct session_setup_read {
    enum wire_endpoint endpoint;
    struct json_span root; /* as the caller gave it */
    struct json_span model, system, metadata;
    const char *preset; /* "conservative", ... or "" */
};

/* A new conversation's set-up as the caller gives it. The format is the one it names, or that of
 * the provider which serves the model. Appends what is to be stored. 0, -ENOMEM, or -EINVAL and
 * -ENOENT (no such model) with e. */
int session_setup_make(const struct config *c, const char *text, size_t len, struct buf *out,
                       struct error *e) MUST_CHECK;
/* What was stored. 0 or -EINVAL. */
int session_setup_parse(const char *text, size_t len, struct session_setup_read *ret) MUST_CHECK;

/* What a post says. */
struct session_said {
    struct json_span root;
    struct json_span content;  /* of one message of the user's, or */
    struct json_span messages; /* messages as they are */
    size_t count;
};
/* 0, or -EINVAL with e. */
int session_said_read(const char *text, size_t len, struct session_said *ret,
                      struct error *e) MUST_CHECK;
/* The raw JSON of its messages, one after the other; fn is called for each until it is not 0. */
int session_said_each(const struct session_said *said,
                      int (*fn)(void *arg, const char *text, size_t len), void *arg) MUST_CHECK;

/* A stored message: {"message":{...},"at":ms} and what is known of its usage. */
int session_entry(struct json_span message, int64_t now_ms, const struct wire_usage *usage,
                  struct buf *out) MUST_CHECK;
struct json_span session_entry_message(const char *text, size_t len);

/* The request; said may be NULL: what was said before only. 0, -ENOMEM, -ENOSPC. */
int session_body(const struct session_setup_read *setup, const struct session_view *view,
                 const struct session_said *said, struct buf *out) MUST_CHECK;

#endif
