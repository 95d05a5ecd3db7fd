/*
 * spending: what was spent, told to all instances, and the budgets that it is held against.
 *
 * Each request's cost is gathered here and sent to Redis a few times a second; no answer waits for
 * it. What a process has gathered and not sent is lost when it dies: money is counted at most once.
 * While Redis is away it is kept (SPENDING_MAX_ROWS; the rest as the model "(other)") and sent when
 * Redis is back.
 *
 * A budget is checked against spent + reserved, without a question to Redis:
 *   spent     what Redis told of all instances, plus what of this process has not reached it yet.
 *             Additions to a budget are sent at once, and their answers tell the sum of all;
 * without any, it is asked when a request comes and the last answer is SPENDING_LOOK_MS old
 *   reserved  the estimated cost of the requests that run or wait in this process
 * and a request is let in while that is below the limit. So the limit is passed by at most
 *   - the last request of each instance, which is let in with little left,
 *   - what the other instances have in progress, and what they let in until their next answer,
 *   - what requests cost more than was estimated of them.
 * Rejected: reserving in Redis, with the charge in one script. It would be exact over instances,
 * but costs a round trip before each request is queued, fails or blocks when Redis is away, and
 * leaves reservations behind when a process dies, which then need leases of their own. A budget is
 * for a day or a month; a few requests over it are told, and a bill that is a few cents higher is
 * not worth that. (An instance that has not heard of a budget yet lets requests in until the first
 * answer, one round trip.)
 *
 * Alerts: the instance whose addition crosses 80 % or all of a budget, or the monthly sum at which
 * an alert is wished, says so, once over all instances, since additions are atomic: in the log, and
 * to whoever registered (spending_on_alert). A threshold that is lowered below what was spent
 * already is crossed in the next period only.
 *
 *   units     nano-dollars (common/money.h), ms
 *   ownership opaque; base and store are kept.
 *   threads   one event loop.
 */
#ifndef SCHEDULER_SPENDING_H
#define SCHEDULER_SPENDING_H

#include "common/config.h"
#include "common/period.h"
#include "storage/cost_store.h"

struct event_base;
struct spending;

#define SPENDING_LOOK_MS      1000
#define SPENDING_MAX_ROWS     4096
#define SPENDING_MAX_BUDGETS  20000
#define SPENDING_SOFT_PERCENT 80
#define SPENDING_MAX_LIMITS   3 /* of one request: its tenant's, its key's, the sum for an alert */

/* A budget, as somebody gave it. */
struct spending_limit {
    char who[COST_WHO_BYTES];           /* as key_cost_budget() */
    char tenant[TENANT_NAME_BYTES + 1]; /* who is told of it; "": whoever administers */
    int64_t limit;
    struct period period;
    bool soft; /* it only alerts */
};

/* How it stands. */
struct spending_state {
    int64_t spent, reserved;
    int64_t start_s, end_s; /* PERIOD_NO_END: it never begins anew */
};

struct spending_options {
    struct event_base *base;
    struct cost_store *store;
    uint64_t seed;
    int64_t (*now_ms)(void); /* wall clock; NULL: the system's */
};

/* The budget of an access key; false: it has none. Called within the turn. */
typedef bool (*spending_key_fn)(void *arg, const char *key, struct spending_limit *ret);
/* json: {"object":"budget_alert",…}; borrowed. */
typedef void (*spending_alert_fn)(void *arg, const char *tenant, const char *json);

struct spending *spending_new(const struct spending_options *options); /* NULL: no memory */
void spending_on_key(struct spending *s, spending_key_fn fn, void *arg);
void spending_on_alert(struct spending *s, spending_alert_fn fn, void *arg);
void spending_stop(struct spending *s); /* sends what was gathered; before the link is freed */
void spending_free(struct spending *s); /* after that; accepts NULL */
struct cost_store *spending_store(const struct spending *s);
int64_t spending_now_s(const struct spending *s);

/* A budget out of the texts of the configuration. False: there is none. */
bool spending_limit_read(const char *max_budget, const char *duration, struct spending_limit *ret);
/* Those that hold for a request; how many. key "": none. */
size_t spending_limits(const struct spending *s, const struct config *c, const char *tenant,
                       const char *key, struct spending_limit ret[SPENDING_MAX_LIMITS]);

/* False: nothing more may be spent. *ret is set either way. */
bool spending_allows(struct spending *s, const struct spending_limit *l,
                     struct spending_state *ret);
/* In progress here: give it back with the amount below 0. */
void spending_reserve(struct spending *s, const struct spending_limit *l, int64_t amount);
/* A request has ended. row->day is set here. */
void spending_count(struct spending *s, struct cost_row *row, const struct spending_limit *limits,
                    size_t count);

#endif
