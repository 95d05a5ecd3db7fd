/*
 * What is learned, in Lua (storage/lua/adapt.lua through submit and settle) and in C
 * (limiter/adapt.h): the same random answers to the same grants, compared after each.
 * TEST_SEED runs one seed, TEST_QUICK few.
 */
#include "limiter/adapt.h"

#include "common/rand.h"
#include "limiter/pool.h"
#include "tests/support/pool_scripts.h"
#include "tests/support/redis_fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS       200
#define QUICK_SEEDS 30
#define STEPS       600
#define DIMS        3
#define OPEN_MAX    16
#define T0          INT64_C(1767225600000)
#define KEY         "sluice:{test}:b"

struct open_grant {
    int64_t number, seq, granted_ms;
    int64_t cost[DIMS], charged[DIMS];
};

/* The model: what one pool without a queue does. */
struct model {
    struct rand rand;
    struct pool_limits limits;
    struct dim dims[DIMS];
    struct adapt adapt[DIMS];
    struct adapt_slots slots;
    int64_t charged[DIMS]; /* net, so far */
    struct open_grant open[OPEN_MAX];
    size_t open_count;
    int64_t now_ms, seq, numbers;
    int64_t kinds;     /* of answers: two are refusals */
    bool tells_limits; /* else rates are learned from refusals */
    bool tells_high;   /* headers that show more than our level */
};

struct rig {
    struct redis_fixture redis;
    struct pool_scripts scripts;
    struct model m;
};

static int set_up(void **state)
{
    static struct rig rig;
    *state = &rig;
    return redis_fixture_start(&rig.redis, NULL) < 0 ||
           pool_scripts_open(&rig.scripts, rig.redis.socket) < 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    pool_scripts_close(&rig->scripts);
    redis_fixture_stop(&rig->redis);
    return 0;
}

static struct pool_limits random_limits(struct rand *r)
{
    static const char *const names[DIMS] = {"rpm", "tpm", "rpd"};
    struct pool_limits l = {.dim_count = DIMS,
                            .max_depth = 10,
                            .lease_ms = 3600000,
                            .max_parallel = rand_below(r, 2) * (OPEN_MAX - 2)};
    for (size_t i = 0; i < DIMS; i++) {
        struct dim_limit *d = &l.dims[i];
        (void)snprintf(d->name, sizeof(d->name), "%s", names[i]);
        d->period = i == 2 ? 86400 : 60000;
        d->tick_ms = i == 2 ? 1000 : 1;
        d->rate = i == 1 ? 1000 + rand_below(r, 10000000) : 20 + rand_below(r, 5000);
        d->capacity = rand_below(r, 3) ? d->rate : d->rate * 3 / 4 + 1;
        d->headroom = rand_below(r, d->capacity * d->period / 20);
        d->rule = rand_below(r, 2) ? DIM_REFUND : DIM_KEEP;
    }
    return l;
}

static void start(struct rig *rig, uint64_t seed)
{
    struct model *m = &rig->m;
    *m = (struct model){.now_ms = T0};
    rand_seed(&m->rand, seed);
    m->kinds = seed % 3 ? 12 : 150;
    m->tells_limits = seed % 2 == 0;
    m->tells_high = seed % 5 == 0;
    m->limits = random_limits(&m->rand);
    for (size_t i = 0; i < DIMS; i++)
        assert_int_equal(dim_init(&m->dims[i], &m->limits.dims[i], true, m->now_ms), 0);
    assert_int_equal(pool_scripts_begin(&rig->scripts, &m->limits, m->now_ms), 0);
}

static void run(struct rig *rig, struct pool_op *op, const char *news)
{
    char why[256] = "";
    struct scripts_result got;
    op->now_ms = rig->m.now_ms;
    op->pause_dim = -2;
    op->news = news;
    if (pool_scripts_run(&rig->scripts, op, &got, why, sizeof(why)) < 0)
        fail_msg("%s", why);
}

static void refill(struct model *m)
{
    for (size_t i = 0; i < DIMS; i++)
        dim_refill(&m->dims[i], m->now_ms);
}

static bool fits(const struct model *m, const int64_t *cost)
{
    int64_t slots = adapt_slots_now(&m->slots, m->limits.max_parallel);
    if (slots > 0 && (int64_t)m->open_count >= slots)
        return false;
    for (size_t i = 0; i < DIMS; i++)
        if (cost[i] > m->dims[i].limit.capacity || dim_wait_ms(&m->dims[i], cost[i], m->now_ms) > 0)
            return false;
    return m->open_count < OPEN_MAX;
}

/* tokens: what it costs; -1 at random. */
static void submit(struct rig *rig, int64_t tokens)
{
    struct model *m = &rig->m;
    char id[TICKET_ID_BYTES];
    struct open_grant g = {.number = ++m->numbers, .seq = m->seq + 1, .granted_ms = m->now_ms};
    g.cost[0] = g.cost[2] = 1;
    g.cost[1] = tokens >= 0 ? tokens : rand_below(&m->rand, m->limits.dims[1].rate / 2 + 1);
    struct dim before[DIMS];
    memcpy(before, m->dims, sizeof(before));
    refill(m);
    if (!fits(m, g.cost)) {
        memcpy(m->dims, before, sizeof(before)); /* nothing is asked, so nothing is refilled */
        return;
    }
    for (size_t i = 0; i < DIMS; i++) {
        dim_take(&m->dims[i], g.cost[i], m->now_ms);
        g.charged[i] = m->charged[i] += g.cost[i];
    }
    m->seq++;
    m->open[m->open_count++] = g;
    (void)snprintf(id, sizeof(id), "t%" PRId64, g.number);
    struct pool_op op = {.kind = OP_SUBMIT,
                         .ticket = {.id = id, .tenant = "x", .weight = 1, .fair_cost = 1}};
    memcpy(op.ticket.cost, g.cost, sizeof(g.cost));
    run(rig, &op, NULL);
}

/* ---- one answer, on both */

struct answer {
    char news[400];
    int64_t actual[DIMS];
    bool good;
};

static void hint(struct model *m, const struct open_grant *g, size_t i, struct answer *a)
{
    const struct dim_limit *base = &m->limits.dims[i];
    struct adapt_news n = {
        .limit = m->tells_limits && rand_below(&m->rand, 3)
                     ? 1 + rand_below(&m->rand, 2 * base->rate)
                     : -1,
        .remaining = m->tells_high             ? 2 * base->rate
                     : rand_below(&m->rand, 4) ? rand_below(&m->rand, 2 * base->rate)
                                               : -1,
        .grain = rand_below(&m->rand, 2) * 1001,
        .debt = m->tells_high || rand_below(&m->rand, 4) ? 0 : rand_below(&m->rand, base->rate),
        .seq = g->seq,
        .granted_ms = g->granted_ms,
        .charged = m->charged[i] - g->charged[i],
    };
    size_t used = strlen(a->news);
    (void)snprintf(a->news + used, sizeof(a->news) - used,
                   "limit %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 ";", base->name, n.limit,
                   n.remaining, n.grain, n.debt);
    adapt_hint(&m->adapt[i], base, &m->dims[i], &n, m->now_ms);
}

static void refuse_by(struct model *m, const struct open_grant *g, size_t one, bool ramp,
                      struct answer *a)
{
    struct adapt_refusal r = {.ramp = ramp, .seq = g->seq, .last_seq = m->seq};
    size_t used = strlen(a->news);
    (void)snprintf(a->news + used, sizeof(a->news) - used, "refused %s %s;",
                   m->limits.dims[one].name, ramp ? "ramp" : "rate");
    for (size_t i = 0; i < DIMS; i++)
        if (ramp || i == one)
            adapt_refused(&m->adapt[i], &m->limits.dims[i], &m->dims[i], &r, m->now_ms);
}

static void refuse(struct model *m, const struct open_grant *g, struct answer *a)
{
    bool ramp = rand_below(&m->rand, 6) == 0;
    refuse_by(m, g, (size_t)rand_below(&m->rand, DIMS), ramp, a);
}

static void overload(struct model *m, const struct open_grant *g, struct answer *a)
{
    struct adapt_refusal r = {.seq = g->seq, .last_seq = m->seq};
    size_t used = strlen(a->news);
    (void)snprintf(a->news + used, sizeof(a->news) - used, "overload;");
    adapt_slots_overload(&m->slots, m->limits.max_parallel, (int64_t)m->open_count, &r);
}

static void succeed(struct model *m, struct answer *a)
{
    size_t used = strlen(a->news);
    (void)snprintf(a->news + used, sizeof(a->news) - used, "good;");
    a->good = true;
    adapt_slots_good(&m->slots, m->limits.max_parallel, (int64_t)m->open_count);
}

static void correct(struct model *m, const struct open_grant *g, const struct answer *a)
{
    for (size_t i = 0; i < DIMS; i++) {
        struct dim *d = &m->dims[i];
        int64_t spent = a->actual[i] >= 0 ? a->actual[i] : g->cost[i];
        if (a->actual[i] >= 0) {
            struct dim_charge charge = {.cost = g->cost[i]};
            dim_settle(d, &charge, a->actual[i], false, m->now_ms);
            if (a->actual[i] > g->cost[i] || d->limit.rule != DIM_KEEP)
                m->charged[i] += a->actual[i] - g->cost[i];
        }
        if (a->good)
            adapt_passed(&m->adapt[i], &m->limits.dims[i], d, spent, m->now_ms);
    }
}

/* The end of the grant at a place: what it really cost, and the script. */
static void finish(struct rig *rig, size_t at, const struct answer *a)
{
    struct model *m = &rig->m;
    const struct open_grant g = m->open[at];
    char id[TICKET_ID_BYTES];
    correct(m, &g, a);
    m->open[at] = m->open[--m->open_count];
    (void)snprintf(id, sizeof(id), "t%" PRId64, g.number);
    struct pool_op op = {.kind = OP_SETTLE, .id = id, .fence = 1};
    op.outcome =
        (struct pool_outcome){.id = id, .fence = 1, .state = TICKET_DONE, .fair_actual = -1};
    memcpy(op.outcome.actual, a->actual, sizeof(a->actual));
    run(rig, &op, a->news);
}

static void settle(struct rig *rig, char *text, size_t size)
{
    struct model *m = &rig->m;
    if (m->open_count == 0)
        return;
    size_t at = (size_t)rand_below(&m->rand, (int64_t)m->open_count);
    const struct open_grant g = m->open[at];
    struct answer a = {.news = ""};
    refill(m);
    a.actual[0] = a.actual[2] = 1;
    a.actual[1] = rand_below(&m->rand, 3) ? rand_below(&m->rand, 2 * g.cost[1] + 1) : -1;
    for (size_t i = 0; i < DIMS; i++)
        if (rand_below(&m->rand, 3) == 0)
            hint(m, &g, i, &a);
    int64_t kind = rand_below(&m->rand, m->kinds);
    if (kind == 0)
        refuse(m, &g, &a);
    else if (kind == 1)
        overload(m, &g, &a);
    else
        succeed(m, &a);
    finish(rig, at, &a);
    (void)snprintf(text, size, "%s at %" PRId64, a.news, m->now_ms - T0);
}

/* ---- comparison */

static void learned_text(const struct model *m, size_t i, char *out, size_t size)
{
    const struct adapt *a = &m->adapt[i];
    (void)snprintf(
        out, size,
        "[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
        ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "]",
        a->told, a->told_ms, a->rate, a->ceiling, a->former, a->cut_seq, a->cut_ms, a->grown_ms,
        a->refused_ms, a->seen_seq, a->above, a->ramped, a->streak, a->passed);
}

static void same_dim(struct rig *rig, size_t i, const char *ad, const char *what, uint64_t seed)
{
    const struct model *m = &rig->m;
    char row[400], want[440];
    static const struct adapt nothing;
    redisReply *r = redisCommand(rig->scripts.redis, "HGET " KEY " %s:L", m->dims[i].limit.name);
    int64_t level = r && r->str ? strtoll(r->str, NULL, 10) : INT64_MIN;
    freeReplyObject(r);
    if (level != m->dims[i].level)
        fail_msg("seed %" PRIu64 ": %s: level of %s: %" PRId64 " in C, %" PRId64 " in Lua", seed,
                 what, m->dims[i].limit.name, m->dims[i].level, level);
    learned_text(m, i, row, sizeof(row));
    (void)snprintf(want, sizeof(want), "\"%s\":%s", m->dims[i].limit.name, row);
    bool is_nothing = memcmp(&m->adapt[i], &nothing, sizeof(nothing)) == 0;
    if (!strstr(ad, want) && !(is_nothing && !strstr(ad, m->dims[i].limit.name)))
        fail_msg("seed %" PRIu64 ": %s: wanted %s in %s", seed, what, want, ad);
}

static void same(struct rig *rig, const char *what, uint64_t seed)
{
    const struct adapt_slots *s = &rig->m.slots;
    char slots[120];
    redisReply *r = redisCommand(rig->scripts.redis, "HGET " KEY " ad");
    const char *ad = r && r->str ? r->str : "";
    for (size_t i = 0; i < DIMS; i++)
        same_dim(rig, i, ad, what, seed);
    (void)snprintf(slots, sizeof(slots), "\"k\":[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "]",
                   s->limit, s->top, s->cut_seq, s->good);
    if (s->cut_seq > 0 && !strstr(ad, slots))
        fail_msg("seed %" PRIu64 ": %s: wanted %s in %s", seed, what, slots, ad);
    freeReplyObject(r);
}

static void one_seed(struct rig *rig, uint64_t seed)
{
    start(rig, seed);
    for (int n = 0; n < STEPS; n++) {
        char what[500] = "submit";
        if (rand_below(&rig->m.rand, 2))
            submit(rig, -1);
        else
            settle(rig, what, sizeof(what));
        same(rig, what, seed);
        rig->m.now_ms += rand_below(&rig->m.rand, rand_below(&rig->m.rand, 4) ? 2500 : 25000);
    }
    assert_true(rig->m.numbers > 0);
}

static void the_scripts_learn_what_the_reference_learns(void **state)
{
    struct rig *rig = *state;
    const char *given = getenv("TEST_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : 1;
    uint64_t count = given ? 1 : getenv("TEST_QUICK") ? QUICK_SEEDS : SEEDS;
    print_message("seeds %" PRIu64 " to %" PRIu64 "\n", first, first + count - 1);
    assert_int_equal(pool_scripts_load(&rig->scripts, NULL), 0);
    for (uint64_t seed = first; seed < first + count; seed++)
        one_seed(rig, seed);
}

/* Random answers hardly leave a learned rate alone for long enough. */
static void both_grow_beyond_what_was_refused_and_measure_it(void **state)
{
    struct rig *rig = *state;
    struct model *m = &rig->m;
    assert_int_equal(pool_scripts_load(&rig->scripts, NULL), 0);
    start(rig, 1);
    m->limits.max_parallel = 0;
    assert_int_equal(pool_scripts_begin(&rig->scripts, &m->limits, m->now_ms), 0);
    for (int n = 0; n < 200; n++) {
        struct answer a = {.news = "", .actual = {1, -1, 1}};
        m->now_ms += n % 50 < 8 ? 2500 : 10001;
        refill(m);
        int64_t rest = m->dims[1].level / m->limits.dims[1].period - 1000;
        submit(rig, rest > 0 ? rest * 9 / 10 : 0);
        if (m->open_count == 0)
            continue;
        if (n % 50 < 8 && n % 2 == 0)
            refuse_by(m, &m->open[0], 1, false, &a);
        else
            succeed(m, &a);
        finish(rig, 0, &a);
        same(rig, a.news, 1);
    }
    assert_true(m->adapt[1].cut_seq > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_grow_beyond_what_was_refused_and_measure_it),
        cmocka_unit_test(the_scripts_learn_what_the_reference_learns),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
