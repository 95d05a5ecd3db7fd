/*
 * sha256: the digest (FIPS 180-4) as lower-case hex, by libcrypto.
 */
#ifndef COMMON_SHA256_H
#define COMMON_SHA256_H

#include "common/error.h"

#include <stddef.h>

#define SHA256_HEX_BYTES 65 /* 64 digits and a NUL */

/* 0, or -ENOMEM. */
int sha256_hex(const void *bytes, size_t len, char ret_hex[SHA256_HEX_BYTES]) MUST_CHECK;

#endif
