/*
 * rand: injected randomness.
 *
 * A struct rand is a small deterministic generator (xorshift64*, Vigna 2016) for
 * jitter and for tests: a seed says everything about a run. rand_system_seed()
 * and rand_id() read the kernel's generator and are for start-up and for ids.
 * Not for secrets, except rand_bytes().
 */
#ifndef COMMON_RAND_H
#define COMMON_RAND_H

#include <stddef.h>
#include <stdint.h>

struct rand {
    uint64_t state; /* never 0 */
};

void rand_seed(struct rand *r, uint64_t seed);
uint64_t rand_next(struct rand *r);
/* Uniform in 0..n-1; n > 0. */
int64_t rand_below(struct rand *r, int64_t n);

uint64_t rand_system_seed(void);
void rand_bytes(void *bytes, size_t len);     /* from the kernel; for secrets too */
void rand_hex(char *text, size_t hex_digits); /* hex_digits even; writes a NUL after them */

#endif
