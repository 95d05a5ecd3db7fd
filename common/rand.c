#include "common/rand.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

void rand_seed(struct rand *r, uint64_t seed)
{
    /* splitmix64 step, so that neighbouring seeds give unlike streams */
    uint64_t z = seed + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    r->state = (z ^ (z >> 31)) | 1;
}

uint64_t rand_next(struct rand *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * UINT64_C(0x2545f4914f6cdd1d);
}

int64_t rand_below(struct rand *r, int64_t n)
{
    assert(n > 0);
    return (int64_t)(rand_next(r) % (uint64_t)n);
}

void rand_bytes(void *bytes, size_t len)
{
    arc4random_buf(bytes, len);
}

uint64_t rand_system_seed(void)
{
    uint64_t seed;
    rand_bytes(&seed, sizeof(seed));
    return seed;
}

/* Bytes come in blocks: glibc has no buffer of its own, so each request of it is a system call. */
void rand_hex(char *text, size_t hex_digits)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[16];
    for (size_t i = 0; i < hex_digits; i++) {
        size_t at = i % (2 * sizeof(bytes));
        if (at == 0)
            rand_bytes(bytes, sizeof(bytes));
        text[i] = digits[i % 2 ? bytes[at / 2] & 15 : bytes[at / 2] >> 4];
    }
    text[hex_digits] = '\0';
}
