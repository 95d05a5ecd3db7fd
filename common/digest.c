#include "common/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

void digest_hex(const void *bytes, size_t len, char *ret, size_t hex_digits)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[SHA256_DIGEST_LENGTH];

    SHA256(bytes, len, sum);
    for (size_t i = 0; i < hex_digits; i++)
        ret[i] = digits[i % 2 ? sum[i / 2] & 15 : sum[i / 2] >> 4];
    ret[hex_digits] = '\0';
}

int digest_hmac(const void *key, size_t key_len, const void *bytes, size_t len,
                unsigned char ret[DIGEST_HMAC_BYTES])
{
    unsigned written = DIGEST_HMAC_BYTES;
    return HMAC(EVP_sha256(), key, (int)key_len, bytes, len, ret, &written) ? 0 : -ENOMEM;
}
