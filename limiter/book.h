/*
 * book: every ticket of a pool, and the one place where each is.
 *
 *   QUEUED   in the fair order           DELAYED  by the end of its delay
 *   RUNNING  by the end of its lease     ended    in a list, the latest POOL_MAX_ENDED
 *
 *   ownership  the book owns the records. A record stays valid until its ticket has ended.
 *   threads    none.
 *   errors     only book_add() allocates; moving cannot fail.
 *   invariant  book_move() is the only writer of a record's state (I6).
 */
#ifndef LIMITER_BOOK_H
#define LIMITER_BOOK_H

#include "common/list.h"
#include "common/map.h"
#include "common/tree.h"
#include "limiter/fair.h"
#include "limiter/ticket.h"

struct record {
    char id[TICKET_ID_BYTES];
    enum ticket_state state;
    int64_t cost[POOL_MAX_DIMS];    /* by the pool's number of the dimension's name */
    int64_t accrued[POOL_MAX_DIMS]; /* beyond the cost, while it runs; numbered as the cost */
    int64_t deadline_ms;
    int64_t fence;
    int64_t granted_ms; /* the last time */
    int64_t losses;     /* leases lost */
    int64_t lease_ms;   /* of a permit; 0: the pool's */
    bool cancelled;     /* while it ran */
    bool counted;       /* its tenant had limits when it was granted */
    int64_t until_ms;   /* end of the lease or of the delay */
    struct tree_node timed;
    struct list ended;
    struct fair_entry fair;
};

struct book {
    struct fair fair;
    struct tree delayed, leases; /* by until_ms, then id */
    struct list ended;           /* oldest first */
    size_t ended_count;
    struct map by_id;
};

void book_init(struct book *b, uint64_t seed);
void book_release(struct book *b);

/* A record in state NONE; move it before anything else. Costs are left 0. -ENOMEM. */
int book_add(struct book *b, const struct ticket *t, struct record **ret) MUST_CHECK;
struct record *book_find(const struct book *b, const char *id); /* NULL: not known */

/* Along an edge of limiter/ticket.h. until_ms matters for RUNNING and DELAYED. A queued ticket
 * that becomes RUNNING is charged fairly. An ended record may be freed by the next move. */
void book_move(struct book *b, struct record *r, enum ticket_state state, int64_t until_ms);
void book_extend(struct book *b, struct record *r, int64_t until_ms); /* its lease */

struct record *book_first_delayed(const struct book *b);  /* NULL: none */
struct record *book_first_lease(const struct book *b);    /* NULL: none */
struct record *book_queued(const struct fair_flow *flow); /* its first; NULL: none */

/* NULL, or what does not hold. */
const char *book_check(const struct book *b);

#endif
