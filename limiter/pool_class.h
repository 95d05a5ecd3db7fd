/*
 * pool_class: the priority classes of a pool, as requests name them.
 *
 * Weighted, not strict: a lower class always makes some progress.
 */
#ifndef LIMITER_POOL_CLASS_H
#define LIMITER_POOL_CLASS_H

#include <stdbool.h>
#include <stdint.h>

enum pool_class { CLASS_INTERACTIVE, CLASS_NORMAL, CLASS_BATCH, CLASS_COUNT };

extern const int pool_class_weight[CLASS_COUNT]; /* 16, 4, 1 */

/* "interactive", "normal", "batch"; "?" for a value that is no class. Static storage. */
const char *pool_class_name(enum pool_class c);

/* A priority as a number, where the lower one goes first, as LiteLLM's clients send it: 0 (its
 * High) and below is interactive, 255 (its Low) and above is batch, what is between (its Medium is
 * 128) is normal. False: it does not fit 32 bits. */
bool pool_class_of_number(int64_t priority, enum pool_class *ret);
#define PRIORITY_FIRST_NORMAL 1
#define PRIORITY_FIRST_BATCH  255

#endif
