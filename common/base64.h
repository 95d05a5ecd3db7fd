/*
 * base64: RFC 4648 section 4, with padding.
 *
 *   threads  none; pure.
 */
#ifndef COMMON_BASE64_H
#define COMMON_BASE64_H

#include "common/buf.h"

int base64_encode(const void *bytes, size_t len, struct buf *out) MUST_CHECK; /* as buf_add() */
/* How many bytes it stands for; -EINVAL when it is not whole base64, -ENOSPC past room. */
int base64_decode(const char *text, size_t len, unsigned char *ret, size_t room) MUST_CHECK;

#endif
