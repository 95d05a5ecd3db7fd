/*
 * webhook_sign: the signature of Standard Webhooks (github.com/standard-webhooks, version 1).
 *
 * What is signed is "ID.SECONDS.BODY" by HMAC-SHA256; a secret is "whsec_" and base64 of its bytes.
 * While secrets are exchanged there are several, parted by blanks: each of them signs, and a
 * receiver accepts a request when one of the signatures is right.
 *
 *   ownership  texts are borrowed.
 *   threads    none; pure.
 */
#ifndef SCHEDULER_WEBHOOK_SIGN_H
#define SCHEDULER_WEBHOOK_SIGN_H

#include "common/buf.h"

#include <stdint.h>

struct webhook_message {
    const char *id;
    int64_t at_s; /* Unix time of this attempt, so that a receiver may refuse old ones */
    const char *body;
    size_t body_len;
};

/* Appends "v1,SIGNATURE v1,SIGNATURE …". secrets was accepted by config_text_webhook_secret().
 * -EINVAL: it holds none; -ENOMEM, -ENOSPC. */
int webhook_sign(const char *secrets, const struct webhook_message *m, struct buf *out) MUST_CHECK;

#endif
