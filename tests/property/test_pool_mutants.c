/*
 * Proof that the comparison of tests/property/test_pool_lua.c can fail: each mutant is one small
 * mistake in the scripts, and some seed must tell it from the pool in memory.
 */
#include "tests/support/pool_duel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MAX_SEEDS 60

static const struct pool_mutation mutants[] = {
    {"refill is floored to whole tokens", "d.L = d.L + d.R * n",
     "d.L = d.L + math.floor(d.R * n / d.P) * d.P"},
    {"refill has no cap", "if gap <= 0 or d.R * n >= gap then", "if gap <= 0 then"},
    {"the clock's step back moves T", "  if n <= 0 then\n",
     "  if n < 0 then d.T = ms end\n  if n <= 0 then\n"},
    {"the rest of a tick is lost", "d.T = d.T + n * d.U", "d.T = ms"},
    {"numbers are printed as Lua does", "return format('%d', x)", "return tostring(x)"},
    {"headroom is not kept", "return math.min(c * d.P + d.M, d.C * d.P)", "return c * d.P"},
    {"the wait is rounded down", "math.ceil((units - d.L) / d.R) * d.U - p.ms",
     "math.floor((units - d.L) / d.R) * d.U - p.ms"},
    {"one dimension is not charged", "    d.L = d.L - cost[i] * d.P\n",
     "    if i > 1 or d.A then d.L = d.L - cost[i] * d.P end\n"},
    {"a pause is not waited for", "local wait = math.max(d.W - p.ms, 0)", "local wait = 0"},
    {"a cost above a lowered capacity stays", "        cut_cost(p, t)\n", ""},
    {"the fence is not looked at", " or t.at ~= tonumber(ARGV[5])", ""},
    {"a refund has no cap", "d.L = math.min(d.C * d.P, d.L + delta * d.P)",
     "d.L = d.L + delta * d.P"},
    {"a kept surplus comes back", "elseif always or d.F ~= 'k' then", "else"},
    {"an overshoot is not charged", "d.L = math.max(d.L + delta * d.P, LEAST)", "d.L = d.L"},
    {"a settled ticket keeps its slot", "free_slot(p, t.id)\np.svc", "p.svc"},
    {"the reaper keeps the slot", "  free_slot(p, id)\n  local t", "  local t"},
    {"a batch ticket is not counted", "  if class == 2 then\n    redis.call('SADD'",
     "  if false then\n    redis.call('SADD'"},
    {"the slots of the class batch are never free again",
     "  redis.call('SREM', p.pre .. 'inb', id)\n", ""},
    {"one slot too many for the class batch", "math.max(math.floor(p.K * p.B / 1000), 1)",
     "math.max(math.floor(p.K * p.B / 1000), 1) + 1"},
    {"a class that was barred has its credit", "    m.S2 = math.max(m.S2, m.v)", "    m.S2 = m.S2"},
    {"a batch ticket goes past its slots at once", "  and not (class == 2 and batch_full(p))\n",
     ""},
    {"one slot too many", ">= p.K\n", "> p.K\n"},
    {"a flow starts at its own F only", "int(math.max(m['v' .. class], F))", "int(F)"},
    {"a class starts at its own F only", "math.max(m.v, m['F' .. class])", "m['F' .. class]"},
    {"a late settlement moves the tags of another busy period", " and t.fb == tags(p).bp", ""},
    {"a settlement moves no tags", "  if S then\n    redis.call('ZADD', p.pre .. 'q:'",
     "  if false then\n    redis.call('ZADD', p.pre .. 'q:'"},
    {"weights are ignored", "local F = t.S + math.ceil(t.fc * 1000 / t.w)",
     "local F = t.S + t.fc * 1000"},
    {"ties go to the higher class", "(A == B and a < b)", "(A == B and a > b)"},
    {"the head yields its place", "      if d.L - c < keep then\n", "      if false then\n"},
    {"what passed is not counted", "        takes[d.name] = used\n", ""},
    {"a hold outlives its ticket", "  if m['h:id'] == head.id then\n    return",
     "  if m['h:id'] ~= '' then\n    return"},
    {"a deadline does not wake", "p.wait = math.min(p.wait, head.dl - p.ms)", "p.wait = p.wait"},
    {"a deadline does not order", "t.dl > 0 and t.dl * 1000 or math.huge", "math.huge"},
    {"a delayed ticket does not wake", "(p.wait > 0 and math.min(p.wait, wait) or p.wait)",
     "p.wait"},
    {"a marked ticket is repeated", "if cancelled then\n", "if false then\n"},
    {"one lost lease more than allowed", "if lost >= p.losses then", "if lost > p.losses then"},
    {"a raised capacity fills the bucket", "d.L, d.T = math.min(old.L, d.C * d.P), old.A",
     "d.L, d.T = d.C * d.P, old.A"},
    {"an entry leaves a ms early", "while at and at <= till do", "while at and at <= till + 1 do"},
    {"an entry leaves a ms late", "while at and at <= till do", "while at and at < till do"},
    {"headroom does not lengthen a window", "(d.P + math.ceil(d.M / d.R)) * d.U", "d.P * d.U"},
    {"a grant is not logged", "      log_add(d, p.ms, cost[i])\n", ""},
    {"what left stays in the log", "    redis.call('LPOP', d.key, 2 * d.drop)\n", ""},
    {"what left comes back all the same", "if charged_ms <= math.max(gone, d.gone or 0) then",
     "if false then"},
    {"a refund is taken from the oldest entry", "local low, high = d.drop,",
     "local low, high = 0, 0 *"},
    {"more than reserved is forgotten", "    log_extra(d, p.ms, -delta)\n", ""},
    {"accrued output stays at its grant", "if d.A and d.F == 'a' and not always then",
     "if false then"},
    {"what accrued is charged again", "produced - t.cost[i] - known", "produced - t.cost[i]"},
    {"a settlement forgets what accrued", "local more = t.e and t.e[d.name] or 0",
     "local more = 0"},
    {"what accrued outlives its grant", "    redis.call('HDEL', p.pre .. 'j:' .. t.id, 'ac')\n",
     ""},
    {"a tenant is not charged what accrued", "\nown_accrue(p, t, more)\n", "\n"},
    {"the wait of a window ends an entry early", "    if tokens <= 0 then\n      return math.max",
     "    if tokens <= 1 then\n      return math.max"},
    {"passing has the whole window", "local leave = math.ceil(tokens * 1000 / p.beta)",
     "local leave = tokens"},
    {"what left before the hold counts for passing", "m['h:g:' .. d.name] = d.A and 0 or nil",
     "local none = nil"},
    {"a lowered capacity forgives a window", "old.L + (d.C - old.C) * d.P, old.T",
     "math.max(old.L + (d.C - old.C) * d.P, 0), old.T"},
    {"a bucket becomes a full window", "same and d.C - math.floor(held / d.P) or d.C,", "0,"},
    {"a tenant's bucket is not charged", "      o.L = o.L - cost[i] * o.P\n", ""},
    {"a tenant has a slot too many", "if q.K > 0 and q.run >= q.K then",
     "if q.K > 0 and q.run > q.K then"},
    {"a tenant's slot is not given back", "      q.run = q.run - places\n", ""},
    {"a tenant queues one too many", "if waiting >= own.Q then", "if waiting > own.Q then"},
    {"a tenant's settlement corrects the pool only",
     "      settle_dim(p, o, t, t.cost[i], a, unsent)\n", ""},
    {"who is at its limit blocks others", "return own_lets(p, t) and t or nil",
     "local ok = own_lets(p, t)\n        p.drops = ok and p.drops or 999\n        return ok and t "
     "or nil"},
    {"nobody wakes a parked flow", "  if parked and parked[2] and tonumber(parked[2]) < NEVER then",
     "  if false then"},
    {"a slot that comes free does not bring its tenant back",
     "  if q then\n    hurry(p, t.tn)\n  end\n", ""},
    {"a reload does not reach who is parked",
     "redis.call('ZUNIONSTORE', pre .. 'pk', 1, pre .. 'pk', 'WEIGHTS', 0)", "local same = true"},
    {"a window becomes a full bucket", "d.L, d.T = math.min(old.L, d.C * d.P), old.A",
     "d.L, d.T = old.A and d.C * d.P or math.min(old.L, d.C * d.P), old.A"},
};

static int set_up(void **state)
{
    static struct pool_duel duel;
    *state = &duel;
    return pool_duel_start(&duel);
}

static int tear_down(void **state)
{
    pool_duel_stop(*state);
    return 0;
}

static void every_mutant_is_told_from_the_pool_in_memory(void **state)
{
    struct pool_duel *duel = *state;
    size_t survivors = 0;
    for (size_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
        assert_int_equal(pool_scripts_load(&duel->scripts, &mutants[i]), 0);
        char why[DUEL_WHY_BYTES];
        int same = 1;
        for (uint64_t seed = 1; seed <= MAX_SEEDS && same == 1; seed++)
            same = pool_duel_seed(duel, seed, why);
        assert_int_not_equal(same, -1);
        survivors += same == 1;
        print_message("%s: %s\n", mutants[i].name, same ? "NOT SEEN" : why);
    }
    assert_int_equal(survivors, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mutant_is_told_from_the_pool_in_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
