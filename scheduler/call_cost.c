#include "scheduler/call_internal.h"

#include "common/money.h"
#include "common/period.h"
#include "scheduler/cost.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BYTES_PER_TOKEN 4 /* as call_accrue.c */
#define DAY_S           86400
#define BUSY_RETRY_MS   1000

static struct spending *spending_of(const struct call *c)
{
    return scheduler_options(c->sched)->spending;
}

static bool find_price(const struct call *c, struct price *ret)
{
    struct cost_way way = {c->plan->config, c->provider, c->row, c->model};
    return cost_find_price(scheduler_prices(c->sched), &way, ret);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- what was used */

/* An answer that was cut off is billed all the same, so a caller who leaves just before the usage
 * is told must not have it for nothing: what is not known is as was foreseen of it. */
static bool estimate_usage(const struct call *c, struct price_usage *ret)
{
    const struct wire_usage *u = call_usage(c);
    bool good = c->status >= 200 && c->status < 400 && (c->started || c->state == CALL_DONE);
    bool sent = c->sends > 0 && !c->outcome.unsent;
    if (!sent || !(good || c->left))
        return false;
    int64_t written = c->watch.output_bytes / BYTES_PER_TOKEN;
    *ret = (struct price_usage){.input = larger(u->input, c->estimate.input),
                                .cache_read = u->cache_read,
                                .cache_write = u->cache_write,
                                .output = larger(u->output, written)};
    if (ret->output == 0)
        ret->output = c->estimate.output;
    return true;
}

static bool find_usage(const struct call *c, struct price_usage *ret, bool *estimated)
{
    const struct wire_usage *u = call_usage(c);
    *estimated = !u->known;
    if (!u->known)
        return estimate_usage(c, ret);
    *ret = (struct price_usage){.input = u->input,
                                .cache_read = u->cache_read,
                                .cache_write = u->cache_write,
                                .output = u->output};
    return true;
}

void call_bill(const struct call *c, struct call_bill *ret)
{
    struct price_usage used;
    struct price price;
    *ret = (struct call_bill){.known = false};
    if (c->given.decision && !c->given.source) { /* another one paid for it */
        ret->known = ret->priced = true;
        return;
    }
    ret->known = find_usage(c, &used, &ret->estimated);
    ret->priced = ret->known && find_price(c, &price);
    if (ret->priced)
        ret->pico = cost_of_usage(&price, &used);
}

const char *call_cost_text(const struct call *c, char out[CALL_COST_BYTES])
{
    struct call_bill bill;
    _Static_assert(CALL_COST_BYTES >= MONEY_TEXT_BYTES, "a sum fits");
    call_bill(c, &bill);
    return bill.priced && !bill.estimated ? money_text(money_of_pico(bill.pico), out) : NULL;
}

const char *call_cost_word(const struct call *c, char out[CALL_COST_BYTES])
{
    struct call_bill bill;
    call_bill(c, &bill);
    if (bill.known && !bill.priced)
        return "unknown";
    return money_text(money_of_pico(bill.pico), out);
}

const char *call_cost_of(const struct call *c, const struct wire_usage *part,
                         char out[CALL_COST_BYTES])
{
    const struct price_usage used = {.input = part->input,
                                     .cache_read = part->cache_read,
                                     .cache_write = part->cache_write,
                                     .output = part->output};
    struct price price;
    if (!find_price(c, &price))
        return "null";
    return money_text(money_of_pico(cost_of_usage(&price, &used)), out);
}

const char *call_usage_json(const struct call *c, char out[CALL_USAGE_BYTES])
{
    char cost[CALL_COST_BYTES];
    const struct wire_usage *u = call_usage(c);
    if (!u->known)
        return NULL;
    (void)snprintf(out, CALL_USAGE_BYTES,
                   "{\"input_tokens\":%" PRId64 ",\"output_tokens\":%" PRId64
                   ",\"cached_tokens\":%" PRId64 ",\"cost_usd\":%s}",
                   u->input, u->output, u->cache_read, call_cost_text(c, cost) ? cost : "null");
    return out;
}

const char *call_key(const struct call *c)
{
    return c->money.key;
}

/* ---- counting */

static void start_row(const struct call *c, const struct price_usage *u, struct cost_row *row)
{
    cost_row_start(row, c->spec.tenant, c->money.key, c->model, u);
}

static void count_row(struct call *c, struct cost_row *row)
{
    struct spending_limit limits[SPENDING_MAX_LIMITS];
    struct spending *s = spending_of(c);
    size_t n = spending_limits(s, c->plan->config, c->spec.tenant, c->money.key, limits);
    spending_count(s, row, limits, n);
}

void call_count_cost(struct call *c)
{
    struct price_usage used;
    struct price price;
    struct cost_row row;
    bool estimated;
    call_release_cost(c);
    if (!spending_of(c) || c->given.decision || !find_usage(c, &used, &estimated))
        return;
    start_row(c, &used, &row);
    row.count[COST_unpriced] = 1;
    if (find_price(c, &price)) {
        row.count[COST_unpriced] = 0;
        row.count[COST_cost] = money_of_pico(cost_of_usage(&price, &used));
        row.count[COST_saved_trim] =
            money_of_pico(cost_of_saved_trim(&price, &used, c->fit.trimmed));
        row.count[COST_saved_prompt_cache] =
            money_of_pico(cost_of_saved_prompt_cache(&price, &used));
    }
    count_row(c, &row);
}

static void count_spared(struct call *c, const struct wire_usage *usage, int64_t requests)
{
    struct price price;
    struct cost_row row;
    struct price_usage spared = {.input = usage->input,
                                 .cache_read = usage->cache_read,
                                 .cache_write = usage->cache_write,
                                 .output = usage->output};
    start_row(c, &(struct price_usage){.input = 0}, &row);
    row.count[COST_requests] = requests;
    if (find_price(c, &price))
        row.count[COST_saved_response] = money_of_pico(cost_of_saved_response(&price, &spared));
    count_row(c, &row);
}

void call_count_saved(struct call *c, const struct wire_usage *usage)
{
    /* What a batch gives was paid for by the batch. */
    if (!spending_of(c) || !usage || !usage->known || c->given.source ||
        strcmp(c->given.decision, "batched") == 0)
        return;
    count_spared(c, usage, 1);
}

void call_count_spared(struct call *c, const struct wire_usage *usage)
{
    if (spending_of(c) && usage->known)
        count_spared(c, usage, 0);
}

/* ---- budgets */

void call_reserve_cost(struct call *c)
{
    struct price price;
    struct call_money *m = &c->money;
    const struct price_usage foreseen = {.input = c->estimate.input, .output = c->estimate.output};
    if (m->reserved > 0 || m->held_count == 0 || !find_price(c, &price))
        return;
    m->reserved = money_of_pico(cost_of_usage(&price, &foreseen));
    for (size_t i = 0; i < m->held_count; i++)
        spending_reserve(spending_of(c), &m->held[i], m->reserved);
}

void call_release_cost(struct call *c)
{
    struct call_money *m = &c->money;
    for (size_t i = 0; m->reserved > 0 && i < m->held_count; i++)
        spending_reserve(spending_of(c), &m->held[i], -m->reserved);
    m->reserved = 0;
}

static const char *renewal(int64_t end_s, char out[64])
{
    char date[PERIOD_DATE_BYTES];
    int of_day = (int)(end_s % DAY_S);
    if (end_s == PERIOD_NO_END)
        return "It does not begin anew by itself";
    (void)snprintf(out, 64, "It begins anew at %s %02d:%02d:%02d UTC",
                   period_date_text(end_s / DAY_S, date), of_day / 3600 % 24, of_day / 60 % 60,
                   of_day % 60);
    return out;
}

static void refuse(const struct call *c, const struct spending_limit *l,
                   const struct spending_state *state, struct call_failure *f)
{
    char spent[MONEY_TEXT_BYTES], limit[MONEY_TEXT_BYTES], held[MONEY_TEXT_BYTES], when[64];
    bool of_key = *l->who == 'k', over = state->spent >= l->limit;
    int64_t now_s = spending_now_s(spending_of(c));
    const char *whose = of_key ? "access key" : "tenant";
    (void)money_text(state->spent, spent);
    (void)money_text(l->limit, limit);
    (void)money_text(state->reserved, held);
    if (over)
        call_failure_set(f, 429, CALL_NO_MONEY,
                         "The budget of the %s \"%s\" is used up: $%s of $%s (max_budget) are "
                         "spent, and nothing was sent to the provider. %s; wait for that, or have "
                         "max_budget raised.",
                         whose, l->who + 2, spent, limit, renewal(state->end_s, when));
    else
        call_failure_set(f, 429, CALL_MONEY_HELD,
                         "What is left of the budget of the %s \"%s\" is set aside for requests "
                         "in progress: $%s of $%s (max_budget) are spent and $%s reserved. Nothing "
                         "was sent to the provider; try again when they have ended.",
                         whose, l->who + 2, spent, limit, held);
    if (!over)
        f->retry_after_ms = BUSY_RETRY_MS;
    else if (state->end_s != PERIOD_NO_END)
        f->retry_after_ms = larger(state->end_s - now_s, 1) * 1000;
}

int call_check_budget(struct call *c, struct call_failure *failure)
{
    struct call_money *m = &c->money;
    struct spending_state state;
    struct spending *s = spending_of(c);
    struct call_failure f;
    if (!s)
        return 0;
    m->held_count = spending_limits(s, c->plan->config, c->spec.tenant, m->key, m->held);
    while (m->held_count > 0 && m->held[m->held_count - 1].soft)
        m->held_count--; /* the sum for an alert holds nobody up */
    for (size_t i = 0; i < m->held_count; i++) {
        if (spending_allows(s, &m->held[i], &state))
            continue;
        refuse(c, &m->held[i], &state, &f);
        if (!c->spec.unpaid) {
            *failure = f;
            return -EDQUOT;
        }
        *c->spec.unpaid = f;
    }
    return 0;
}
