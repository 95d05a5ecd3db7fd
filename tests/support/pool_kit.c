#include "tests/support/pool_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct pool_limits kit_one_a_second(void)
{
    struct pool_limits l = {.dim_count = 1, .max_depth = 100, .lease_ms = 15000, .max_losses = 3};
    l.dims[0] = (struct dim_limit){
        .name = "tpm", .rate = 60, .period = KIT_MINUTE, .tick_ms = 1, .capacity = 60};
    return l;
}

struct pool_limits kit_two_dims(void)
{
    struct pool_limits l = kit_one_a_second();
    l.dims[1] = l.dims[0];
    memcpy(l.dims[1].name, "rpm", sizeof("rpm"));
    l.dim_count = 2;
    return l;
}

struct pool *kit_make(const struct pool_limits *l)
{
    struct pool *p = pool_new(l, true, KIT_T0);
    assert_non_null(p);
    return p;
}

struct ticket kit_ticket(const char *id, const char *tenant, int64_t cost)
{
    return (struct ticket){.id = id,
                           .class = CLASS_NORMAL,
                           .tenant = tenant,
                           .weight = 1,
                           .cost = {cost},
                           .fair_cost = cost ? cost : 1,
                           .order_us = 1};
}

enum submit_result kit_submit(struct pool *p, const struct ticket *t, int64_t now,
                              struct pool_turn *turn)
{
    int rc = pool_submit(p, t, DISPATCH_MAX_GRANTS, now, turn);
    assert_true(rc >= 0);
    assert_null(pool_check(p));
    return (enum submit_result)rc;
}

enum submit_result kit_put(struct pool *p, const char *id, const char *tenant, int64_t cost,
                           int64_t now)
{
    struct pool_turn turn;
    struct ticket t = kit_ticket(id, tenant, cost);
    return kit_submit(p, &t, now, &turn);
}

struct pool_turn kit_dispatch(struct pool *p, int64_t now)
{
    struct pool_turn turn;
    pool_dispatch(p, DISPATCH_MAX_GRANTS, now, &turn);
    assert_null(pool_check(p));
    return turn;
}

struct pool_outcome kit_outcome(enum ticket_state state)
{
    struct pool_outcome o = {.state = state, .fair_actual = -1};
    for (size_t i = 0; i < POOL_MAX_DIMS; i++)
        o.actual[i] = -1;
    return o;
}

bool kit_settle_turn(struct pool *p, const char *id, int64_t fence, const struct pool_outcome *o,
                     int64_t now, struct pool_turn *turn)
{
    struct pool_outcome outcome = *o;
    outcome.id = id;
    outcome.fence = fence;
    bool took = pool_settle(p, &outcome, DISPATCH_MAX_GRANTS, now, turn);
    assert_null(pool_check(p));
    return took;
}

bool kit_settle(struct pool *p, const char *id, int64_t fence, const struct pool_outcome *o,
                int64_t now)
{
    struct pool_turn turn;
    return kit_settle_turn(p, id, fence, o, now, &turn);
}

void kit_assert_granted(const struct pool_turn *turn, size_t i, const char *id, int64_t fence)
{
    assert_true(i < turn->grant_count);
    assert_string_equal(turn->grants[i].id, id);
    assert_int_equal(turn->grants[i].fence, fence);
}

void kit_assert_granted_exactly_after(struct pool *p, int64_t wait, int64_t now, const char *id)
{
    struct pool_turn turn = kit_dispatch(p, now);
    assert_int_equal(turn.grant_count, 0);
    assert_int_equal(turn.wait_ms, wait);
    turn = kit_dispatch(p, now + wait - 1);
    assert_int_equal(turn.grant_count, 0);
    assert_int_equal(turn.wait_ms, 1);
    turn = kit_dispatch(p, now + wait);
    assert_int_equal(turn.grant_count, 1);
    assert_string_equal(turn.grants[0].id, id);
}
