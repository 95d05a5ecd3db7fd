#include "scheduler/prompt/content_hash.h"

#include <string.h>

/* Odd, with half of the bits set and no pattern: digits of the golden ratio, of e and of pi. */
#define K0 UINT64_C(0x9e3779b97f4a7c15)
#define K1 UINT64_C(0xb7e151628aed2a6b)
#define K2 UINT64_C(0x243f6a8885a308d3)
#define K3 UINT64_C(0xc5a5bf715880a3f1)

#define STEP_BYTES 32

__extension__ typedef unsigned __int128 u128;

static uint64_t load(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* Both halves of the product: every bit of the result depends on every bit of both factors. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    u128 product = (u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

struct content_hash content_hash(const void *bytes, size_t len, uint64_t seed)
{
    const unsigned char *p = bytes;
    uint64_t a = seed ^ K0, b = mix(seed ^ K1, K2) ^ len;
    size_t left = len;

    /* The old lane is added, so that a factor of zero does not wipe out what came before. */
    for (; left >= STEP_BYTES; left -= STEP_BYTES, p += STEP_BYTES) {
        a = a * K3 + mix(load(p) ^ a ^ K1, load(p + 8) ^ K2);
        b = b * K0 + mix(load(p + 16) ^ b ^ K2, load(p + 24) ^ K3);
    }
    unsigned char tail[STEP_BYTES] = {0};
    if (left > 0)
        memcpy(tail, p, left);
    a = a * K3 + mix(load(tail) ^ a ^ K1, load(tail + 8) ^ K2);
    b = b * K0 + mix(load(tail + 16) ^ b ^ K2, load(tail + 24) ^ K3);

    return (struct content_hash){
        .high = mix(a ^ K3, b ^ K0 ^ len),
        .low = mix(b ^ K1, a + K2),
    };
}
