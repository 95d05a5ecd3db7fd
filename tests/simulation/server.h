/*
 * server: the Redis of a simulation: limiter/pool.h for each pool (which a property test proves
 * equal to the scripts), and around it what the scripts keep beside: records of tickets, owners
 * that live, charges, idempotency keys.
 *
 * An op is what one script call says; it is executed whole, and answered. Every op can be kept, so
 * that a restart which loses the last second is a replay of those before it.
 *
 * It watches itself: I1 window, I2 no overdraft, I3, I4 and I7 by records of its own, I6, I8.
 *
 *   ownership  ops are the server's once given. Answers are the caller's: answer_release().
 */
#ifndef TESTS_SIMULATION_SERVER_H
#define TESTS_SIMULATION_SERVER_H

#include "common/list.h"
#include "common/map.h"
#include "limiter/pool.h"
#include "storage/job_store.h"
#include "storage/pool_store.h"

#define SERVER_MAX_POOLS  4
#define SERVER_MAX_OWNERS 64

enum op_kind {
    OP_CONFIGURE,
    OP_SUBMIT,
    OP_DISPATCH,
    OP_SETTLE,
    OP_CANCEL,
    OP_REAP,
    OP_CHARGE,
    OP_ACCRUE,
    OP_HEARTBEAT,
    OP_PEEK,
    OP_CLAIM,
    OP_NOTHING, /* a command that only has to be on its way */
};

struct op_lease {
    char id[TICKET_ID_BYTES];
    int64_t fence;
};

struct op {
    enum op_kind kind;
    int owner, most;
    int64_t at_ms, at_us; /* when it was executed: by the server's clock, and truly */
    char pool[64], id[TICKET_ID_BYTES], tenant[TENANT_NAME_BYTES];
    struct pool_limits *limits; /* configure */
    bool start_full;
    struct store_ticket ticket;
    struct store_outcome outcome; /* settle */
    char pause_dim[8];
    struct store_charge charge;
    struct op_lease lease; /* accrue */
    int64_t produced[POOL_MAX_DIMS];
    struct op_lease *leases;
    size_t lease_count;
    struct store_field fields[STORE_MAX_FIELDS]; /* values are copies; of a peek only names */
    size_t field_count;
    char key[80], fingerprint[65]; /* claim */
};

struct answer {
    enum redis_status status;
    bool no_pool;       /* NOPOOL: the pool is not known here */
    struct op *refused; /* given back with it */
    struct store_turn turn;
    struct redisReply *items;
    char claimed_id[TICKET_ID_BYTES]; /* claim: who stands there; "" the caller's own */
    bool same;
};

/* What a script would have kept of a ticket. */
struct record {
    char id[TICKET_ID_BYTES];
    struct list link; /* on the pool's open or ended ones */
    struct server_pool *pool;
    bool is_job, cancelled;
    int owner, class;
    enum ticket_state state; /* QUEUED stands for DELAYED too */
    int64_t fence, weight, cost[POOL_MAX_DIMS];
    int64_t t0_ms, t1_ms, t2_ms, lease_ms;
    int64_t accepted_us, granted_us, changed_us;
    int64_t sent_fence,
        arrived_fence; /* of the last grant that was sent, and reached the provider */
    int64_t seen_us;   /* when somebody was last seen to care for it */
    bool replayed;     /* what was sent for it is not known any more */
    struct store_field fields[STORE_MAX_FIELDS];
    size_t field_count;
};

/* I1 for one dimension: units charged less what came back and what was earned, and its least. */
struct sim_window {
    int64_t charged, earned_until_ms, earned_ticks, least;
    int64_t level; /* I5: what the level must be, kept apart from it */
    struct dim_limit limit;
};

struct server_pool {
    char id[64];
    struct pool *pool;
    struct pool_limits limits;
    struct sim_window windows[POOL_MAX_DIMS];
    struct map records;
    struct list open, ended;
    int64_t alive_until_ms[SERVER_MAX_OWNERS], beat_until_ms[SERVER_MAX_OWNERS];
    int64_t charged[SERVER_MAX_OWNERS];
    int64_t seq;
    int64_t charged_tokens[SERVER_MAX_OWNERS]; /* of the first dimension */
    int64_t due_us;    /* when somebody must have taken a turn; INT64_MAX: nobody must */
    int64_t open_jobs; /* that have not ended */
};

struct server {
    struct server_pool pools[SERVER_MAX_POOLS];
    size_t pool_count;
    struct map claims; /* key -> struct claim */
    int64_t shift_ms;  /* of its clock */
    bool keeps;        /* every op, for a restart that loses some */
    bool replaying;
    struct op **kept;
    size_t kept_count, kept_room;
    uint64_t starts;         /* of its process: what was on its way to an earlier one is gone */
    int64_t losses, lost_us; /* when the data of the last second were lost; 0 never */
    void (*publish)(void *arg, int owner, const char *payload);
    void (*configured)(void *arg, const char *pool, const struct pool_limits *limits);
    void *arg;
    uint64_t grants, settles, stale, reaped, reaped_in_use, charges;
};

void server_init(struct server *s, bool keeps);
void server_release(struct server *s);
int64_t server_now_ms(const struct server *s);

struct op *op_new(enum op_kind kind, int owner, const char *pool);
void op_free(struct op *op);
void server_claim(struct server *s, const struct op *op, struct answer *a);
void op_copy_field(struct store_field *to, const struct store_field *from);
void op_free_fields(struct store_field *fields, size_t count);
void op_add_fields(struct op *op, const struct store_field *fields, size_t count);

void server_run(struct server *s, struct op *op, struct answer *ret); /* takes the op */
struct redisReply *answer_items(size_t n);                            /* n nils */
void answer_text(struct redisReply *list, size_t at, const char *text, size_t len);
void answer_int(struct redisReply *list, size_t at, int64_t value);
void answer_release(struct answer *a);

/* Starts again without what came in the last lost_ms; 0: nothing is lost. */
void server_restart(struct server *s, int64_t lost_ms);
/* All of it is gone, as after FLUSHALL. */
void server_forget(struct server *s);

struct record *server_find(struct server *s, const char *id);
void server_check(struct server *s); /* what must hold in every state */

/* server_check.c: told of each change, before and after */
void watch_configure(struct server_pool *p, bool fresh, bool full, int64_t now_ms);
void watch_refill(struct server_pool *p, int64_t now_ms);
void watch_charge(struct server_pool *p, const int64_t *tokens, bool is_grant, int64_t now_ms);
void watch_grant(struct server_pool *p, const struct record *r, int64_t fence, int64_t seq);
void watch_sent(const struct record *r, const struct store_outcome *o);
void watch_levels(struct server_pool *p, const struct pool_turn *turn, int64_t now_ms);
void watch_state(struct record *r, enum ticket_state next);

#endif
