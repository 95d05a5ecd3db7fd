#include "common/sha256.h"

#include <errno.h>

#include <openssl/evp.h>

int sha256_hex(const void *bytes, size_t len, char ret_hex[SHA256_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;

    /* With a digest that is built in, only memory can be missing. */
    if (!EVP_Digest(bytes, len, digest, &size, EVP_sha256(), NULL))
        return -ENOMEM;
    for (unsigned int i = 0; i < size; i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4];
        ret_hex[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_hex[2 * size] = '\0';
    return 0;
}
