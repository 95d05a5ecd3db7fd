/*
 * digest: SHA-256 as lower-case hex, and HMAC-SHA-256 (RFC 2104), by OpenSSL.
 */
#ifndef COMMON_DIGEST_H
#define COMMON_DIGEST_H

#include <stddef.h>

#define DIGEST_HEX_BYTES  65
#define DIGEST_HMAC_BYTES 32

/* Writes the first hex_digits (even, at most 64) of SHA-256 and a NUL. */
void digest_hex(const void *bytes, size_t len, char *ret, size_t hex_digits);
/* 0 or -ENOMEM. */
int digest_hmac(const void *key, size_t key_len, const void *bytes, size_t len,
                unsigned char ret[DIGEST_HMAC_BYTES]);

#endif
