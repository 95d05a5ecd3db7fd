/*
 * redis_check: what the Redis at the other end is, and whether jobs are safe in it.
 *
 * One INFO, asked at start (and whenever the connection came back, as another server may
 * answer then). Judging is separate from asking: an operator may run a volatile Redis on
 * purpose, so the caller decides between refusing and warning. appendfsync is not in INFO,
 * and the service should not be allowed CONFIG GET; it is the operator's to state.
 *
 *   threads    one event loop; parsing and judging are pure.
 */
#ifndef STORAGE_REDIS_CHECK_H
#define STORAGE_REDIS_CHECK_H

#include "storage/redis_link.h"

#define REDIS_LEAST_VERSION   60200 /* 6.2.0: what the scripts need */
#define REDIS_WAITAOF_VERSION 70200

struct redis_facts {
    int version; /* 70015 for 7.0.15; 0: not told */
    char version_text[16];
    char policy[32];    /* maxmemory_policy */
    int64_t used_bytes; /* used_memory */
    int64_t max_bytes;  /* maxmemory; 0: no maximum */
    int64_t uptime_s;   /* of the server; a loading one counts too */
    int64_t replicas;   /* connected to it; of several masters the most */
    bool aof_enabled;
    bool aof_write_ok; /* the last write to the append-only file succeeded */
    bool loading;
    bool replica;
    bool cluster;
};

/* What holds of two servers together: the worse of each. */
void redis_facts_add(struct redis_facts *f, const struct redis_facts *other);
/* Reads the text of INFO. Missing fields give 0, "" and false. */
void redis_facts_parse(const char *info, size_t len, struct redis_facts *ret);

enum redis_verdict {
    REDIS_SAFE,
    REDIS_VOLATILE, /* works, but may lose jobs: no append-only file, or eviction */
    REDIS_UNFIT,    /* cannot work: too old, a replica */
};
/* e says why unless REDIS_SAFE: the gravest reason and how to mend it. */
enum redis_verdict redis_facts_judge(const struct redis_facts *facts, struct error *e);

/* facts is NULL unless status is REDIS_OK; borrowed. */
typedef void (*redis_facts_fn)(void *arg, enum redis_status status,
                               const struct redis_facts *facts);
/* Answered once, as redis_command(); of several masters by the worst of all. 0 or -ENOMEM, and fn
 * is not called then. */
int redis_check(struct redis_link *l, int deadline_ms, redis_facts_fn fn, void *arg) MUST_CHECK;

/* Whether every master says `appendfsync always`. The status is not REDIS_OK when one did not tell:
 * REDIS_DENIED where the user may not ask. Answered once. 0 or -ENOMEM, and fn is not called then.
 */
typedef void (*redis_fsync_fn)(void *arg, enum redis_status status, bool always);
int redis_check_fsync(struct redis_link *l, int deadline_ms, redis_fsync_fn fn,
                      void *arg) MUST_CHECK;

#endif
