#include "common/base64.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(const void *bytes, size_t len, struct buf *out)
{
    const unsigned char *at = bytes;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < len; i += 3) {
        size_t left = len - i < 3 ? len - i : 3;
        uint32_t group = (uint32_t)at[i] << 16;
        group |= left > 1 ? (uint32_t)at[i + 1] << 8 : 0;
        group |= left > 2 ? at[i + 2] : 0;
        char four[4] = {digits[group >> 18], digits[group >> 12 & 63],
                        left > 1 ? digits[group >> 6 & 63] : '=',
                        left > 2 ? digits[group & 63] : '='};
        rc = buf_add(out, four, sizeof(four));
    }
    return rc;
}

static size_t padding(const char *text, size_t len)
{
    if (len >= 2 && text[len - 1] == '=')
        return text[len - 2] == '=' ? 2 : 1;
    return 0;
}

int base64_decode(const char *text, size_t len, unsigned char *ret, size_t room)
{
    size_t pad = padding(text, len), n = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    if (len % 4 != 0)
        return -EINVAL;
    for (size_t i = 0; i < len - pad; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)(digit - digits);
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        if (n == room)
            return -ENOSPC;
        ret[n++] = (unsigned char)(bits >> held & 255);
    }
    /* Left-over bits that say something would make two texts of one key. */
    return (bits & ((1U << held) - 1)) != 0 ? -EINVAL : (int)n;
}
