/*
 * adapt: limits that follow what the provider really allows.
 *
 * A dimension is configured with a rate (base). What holds now is the lowest of that, of the
 * limit that the provider tells in its headers, and of a rate that was learned from refusals
 * where it tells none. An operator's limit is never exceeded. This is the reference for what
 * storage/lua/adapt.lua does: the same integer arithmetic, compared by a property test.
 *
 * LIMIT    A limit header is believed at once, down and up: rate and capacity follow it, the
 *          level is cut to the capacity and never scaled up. Answers come in another order than
 *          their requests were admitted: what an older grant was told is ignored, here and in
 *          the next.
 * RESYNC   Headers are a snapshot of the provider's bucket as it admitted that request. With n
 *          ticks since the grant (n <= P; an older snapshot says nothing), grain what remaining
 *          is rounded to, and U the tokens charged here since the grant less what came back:
 *            seen = (remaining - debt - grain / 2) * P + R * n
 *            L    = min(L, seen - U * P)                               lower at once
 *            when min(seen, C*P) - max(U, 0) * P was above L in 3 snapshots in a row, and
 *            nothing was refused for 60 s: L += a quarter of the difference   raise slowly
 *          Not where the limit told is above base: that bucket is always fuller than this one,
 *          and raising after it would spend more than the operator allows.
 *          Lowering takes the higher of two possible values and raising the lower one, for it
 *          is not known which provider gives back what, and when: a level too low heals
 *          slowly, one too high at once.
 * REFUSAL  L = min(L, 0). When no limit was told in the last minute, and the refused request
 *          was granted after the last cut (so that one wave of refusals counts once), the rate
 *          becomes 97 % of what went through in a period since the last cut (for between two
 *          refusals a bucket gives exactly its refill), but 80 to 95 % of itself. Where too
 *          little time has passed to say, 80 %; 95 % within 10 % of the one refused before.
 *          "Grew too fast" (ramp): half the rate, whatever headers say.
 *          Never below base / 10.
 * GROWTH   With a learned rate, a level below half, and no cut, refusal or step for 10 s:
 *            + 1 % of the rate below 105 % of the one that was refused last (ceiling), and above
 *              the one that was refused twice in a row before it fell (former)
 *            + 1.5, 2.0, 2.5 ... 4.0 % of base between the two: the limit has changed
 *            + 0.15 % of the rate from 90 to 105 % of former: there it may be again, and the
 *              provider's bucket, full by now, would hide for minutes that it is not; from there
 *              to 125 % 0.5 %
 *            + 0.45 % of the rate after a ramp: 50 % in 15 minutes
 *          until base is reached, which ends what was learned.
 *          Sources: additive increase, multiplicative decrease (Chiu and Jain 1989); slow
 *          around the last refusal and faster beyond it as CUBIC is (RFC 9438).
 * SLOTS    Overload (503, 529, 498) is not about our rate: max_parallel *= 0.7, once per wave;
 *          +1 for as many successes as it has slots, while half of them are in use.
 *
 *   units      tokens, ms, levels in units (limiter/pool.h). A period has at least 1000 ticks,
 *              so that a thousand times a rate stays below 2^53.
 *   ownership  caller-owned structs; zero is the state in which nothing was learned.
 *   threads    none. No clock.
 */
#ifndef LIMITER_ADAPT_H
#define LIMITER_ADAPT_H

#include "limiter/dim.h"

#include <stdbool.h>
#include <stdint.h>

struct adapt {
    int64_t told, told_ms; /* the last limit header; 0: none */
    int64_t rate;          /* learned; 0: none */
    int64_t ceiling;       /* the rate that was refused last; 0: none */
    int64_t former;        /* refused twice in a row, before it fell */
    int64_t cut_seq, cut_ms;
    int64_t grown_ms, refused_ms;
    int64_t seen_seq;       /* the newest grant whose headers counted */
    int64_t above;          /* snapshots in a row that showed more than our level */
    int64_t ramped, streak; /* after a ramp; steps beyond the ceiling */
    int64_t passed;         /* tokens of successes since the last cut */
};

/* What holds now. */
void adapt_limit(const struct adapt *a, const struct dim_limit *base, struct dim_limit *ret);
/* What one request may cost: a told limit bounds it, a learned rate does not. */
int64_t adapt_largest(const struct adapt *a, const struct dim_limit *base);

struct adapt_news {
    int64_t limit, remaining; /* -1: not told */
    int64_t grain, debt;      /* as in struct hint */
    int64_t seq, granted_ms;  /* of the grant that was answered */
    int64_t charged;          /* U: tokens since then, of others */
};

/* For all of these d was refilled to now_ms and has the limit that holds, also afterwards. */
void adapt_hint(struct adapt *a, const struct dim_limit *base, struct dim *d,
                const struct adapt_news *news, int64_t now_ms);

struct adapt_refusal {
    bool ramp;
    int64_t seq, last_seq; /* of the refused grant, and of the pool's last one */
};
void adapt_refused(struct adapt *a, const struct dim_limit *base, struct dim *d,
                   const struct adapt_refusal *r, int64_t now_ms);
/* A request was answered well; tokens are what it cost. */
void adapt_passed(struct adapt *a, const struct dim_limit *base, struct dim *d, int64_t tokens,
                  int64_t now_ms);

struct adapt_slots {
    int64_t limit; /* learned; 0: none */
    int64_t top;   /* where it ends to be learned */
    int64_t cut_seq, good;
};
/* base: max_parallel, 0 none. running counts the one that was refused. */
void adapt_slots_overload(struct adapt_slots *s, int64_t base, int64_t running,
                          const struct adapt_refusal *r);
void adapt_slots_good(struct adapt_slots *s, int64_t base, int64_t running);
int64_t adapt_slots_now(const struct adapt_slots *s, int64_t base); /* 0: no limit */

#endif
