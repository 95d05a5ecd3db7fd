/*
 * digest: SHA-256 as lower-case hex, by OpenSSL.
 */
#ifndef COMMON_DIGEST_H
#define COMMON_DIGEST_H

#include <stddef.h>

#define DIGEST_HEX_BYTES 65

/* Writes the first hex_digits (even, at most 64) of SHA-256 and a NUL. */
void digest_hex(const void *bytes, size_t len, char *ret, size_t hex_digits);

#endif
