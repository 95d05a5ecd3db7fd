/*
 * joint_breaker: how many requests of one kind may be joined, by how well it went.
 *
 * It begins with as many as the configuration lets. When more than 5 % of the items did not come
 * back well it lets half as many, down to one, which is none joined. It grows again by one for each
 * JOINT_BREAKER_WINDOW items that went well; those that went alone while it was at one count as
 * such, or it would stay there.
 *
 *   threads  none
 */
#ifndef SCHEDULER_JOINT_JOINT_BREAKER_H
#define SCHEDULER_JOINT_JOINT_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define JOINT_BREAKER_WINDOW  200 /* items */
#define JOINT_BREAKER_LEAST   20  /* items before it judges, or */
#define JOINT_BREAKER_FAILED  4   /* failures */
#define JOINT_BREAKER_PERCENT 5

struct joint_breaker {
    int64_t size;         /* 0: as many as the most */
    int64_t seen, failed; /* since it last moved, JOINT_BREAKER_WINDOW at most */
};

/* How many may be joined now, 1 to most. */
int64_t joint_breaker_size(const struct joint_breaker *b, int64_t most);
/* So many items were sent joined (or one alone), so many of them did not come back well. */
void joint_breaker_note(struct joint_breaker *b, int64_t most, int64_t items, int64_t failed);

#endif
