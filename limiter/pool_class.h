/*
 * pool_class: the priority classes of a pool, as requests name them.
 *
 * Weighted, not strict: a lower class always makes some progress.
 */
#ifndef LIMITER_POOL_CLASS_H
#define LIMITER_POOL_CLASS_H

enum pool_class { CLASS_INTERACTIVE, CLASS_NORMAL, CLASS_BATCH, CLASS_COUNT };

extern const int pool_class_weight[CLASS_COUNT]; /* 16, 4, 1 */

/* "interactive", "normal", "batch"; "?" for a value that is no class. Static storage. */
const char *pool_class_name(enum pool_class c);

#endif
