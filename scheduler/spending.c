#include "scheduler/spending.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"
#include "common/money.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_MS   100
#define AWAY_MS    1000 /* while Redis is away */
#define DAY_S      86400
#define NAME_BYTES (COST_ROW_BYTES + 32)
#define JSON_BYTES 512

/* What is spent of a budget in its period, as known here. Kept until the end of the process: there
 * are as many as there are budgets. */
struct account {
    struct spending *owner;
    struct spending_limit limit;
    int64_t start_s, end_s;
    int64_t known;   /* as Redis told last */
    int64_t unsent;  /* on top of it, not sent */
    int64_t sending; /* sent, without an answer */
    unsigned turn;   /* which period: what was sent in another one is not of this one */
    int64_t reserved;
    int64_t looked_ms;
    bool looking;
};

struct row {
    char name[NAME_BYTES]; /* in the map */
    struct spending *owner;
    struct cost_row cost;
};

struct spending {
    struct spending_options options;
    struct event *timer;
    struct map accounts, rows;
    bool armed, stopped;
    spending_key_fn key_fn;
    void *key_arg;
    spending_alert_fn alert_fn;
    void *alert_arg;
};

struct spending *spending_new(const struct spending_options *options)
{
    struct spending *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->options = *options;
    if (!s->options.now_ms)
        s->options.now_ms = clock_wall_ms;
    map_init(&s->accounts, options->seed);
    map_init(&s->rows, options->seed);
    return s;
}

void spending_on_key(struct spending *s, spending_key_fn fn, void *arg)
{
    s->key_fn = fn;
    s->key_arg = arg;
}

void spending_on_alert(struct spending *s, spending_alert_fn fn, void *arg)
{
    s->alert_fn = fn;
    s->alert_arg = arg;
}

struct cost_store *spending_store(const struct spending *s)
{
    return s->options.store;
}

int64_t spending_now_s(const struct spending *s)
{
    return s->options.now_ms() / 1000;
}

static void free_all(struct map *m)
{
    size_t at = 0;
    for (void *one; (one = map_next(m, &at));)
        free(one);
    map_release(m);
}

void spending_free(struct spending *s)
{
    if (!s)
        return;
    if (s->timer)
        event_free(s->timer);
    free_all(&s->accounts);
    free_all(&s->rows);
    free(s);
}

/* ---- budgets */

bool spending_limit_read(const char *max_budget, const char *duration, struct spending_limit *ret)
{
    *ret = (struct spending_limit){.limit = 0};
    return max_budget && money_parse(max_budget, &ret->limit) == 0 &&
           period_parse(duration ? duration : "", &ret->period) == 0;
}

static void name_limit(struct spending_limit *l, const char *kind, const char *name,
                       const char *tenant)
{
    (void)snprintf(l->who, sizeof(l->who), "%s%.*s", kind, TENANT_NAME_BYTES, name);
    (void)snprintf(l->tenant, sizeof(l->tenant), "%s", tenant);
}

static const struct config_tenant *find_tenant(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->tenant_count; i++) {
        if (strcmp(c->tenants[i].name, name) == 0)
            return &c->tenants[i];
    }
    return NULL;
}

size_t spending_limits(const struct spending *s, const struct config *c, const char *tenant,
                       const char *key, struct spending_limit ret[SPENDING_MAX_LIMITS])
{
    const struct config_tenant *t = find_tenant(c, tenant);
    size_t n = 0;
    if (t && spending_limit_read(t->max_budget, t->budget_duration, &ret[n]))
        name_limit(&ret[n++], "t:", tenant, tenant);
    if (*key && s->key_fn && s->key_fn(s->key_arg, key, &ret[n]))
        name_limit(&ret[n++], "k:", key, tenant);
    if (spending_limit_read(c->costs.alert_usd, "1mo", &ret[n]) && ret[n].limit > 0) {
        ret[n].soft = true;
        name_limit(&ret[n++], "all", "", "");
    }
    return n;
}

static void send_account(struct account *a);

/* What is not sent belongs to the period that is over. Without Redis it is dropped: the day's costs
 * have it, and no request is held against that period any more. */
static void roll(struct account *a, const struct period *p, int64_t now_s)
{
    int64_t start_s = period_start_s(p, now_s);
    if (a->start_s == start_s && a->limit.period.seconds == p->seconds &&
        a->limit.period.months == p->months)
        return;
    if (cost_store_is_up(a->owner->options.store))
        send_account(a);
    a->start_s = start_s;
    a->end_s = period_end_s(p, now_s);
    a->known = a->sending = a->unsent = 0;
    a->looked_ms = 0;
    a->turn++;
}

/* The account of a budget as it is now; NULL: no memory, or too many. */
static struct account *account_of(struct spending *s, const struct spending_limit *l)
{
    struct account *a = map_get(&s->accounts, l->who);
    if (!a) {
        a = s->accounts.count < SPENDING_MAX_BUDGETS ? calloc(1, sizeof(*a)) : NULL;
        if (!a)
            return NULL;
        *a = (struct account){.owner = s, .limit = *l, .start_s = INT64_MIN};
        if (map_put(&s->accounts, a->limit.who, a) < 0) {
            free(a);
            return NULL;
        }
    }
    roll(a, &l->period, spending_now_s(s));
    a->limit.limit = l->limit;
    a->limit.period = l->period;
    a->limit.soft = l->soft;
    memcpy(a->limit.tenant, l->tenant, sizeof(l->tenant));
    return a;
}

/* A question or an addition that Redis has not answered. */
struct asked {
    struct account *account;
    unsigned turn;
    int64_t amount;
};

static void on_looked(void *arg, enum redis_status status, int64_t sum)
{
    struct asked *q = arg;
    q->account->looking = false;
    if (status == REDIS_OK && q->turn == q->account->turn)
        q->account->known = sum;
    free(q);
}

static void look(struct account *a)
{
    struct spending *s = a->owner;
    int64_t now_ms = clock_mono_ms();
    bool recent = a->looked_ms > 0 && now_ms - a->looked_ms < SPENDING_LOOK_MS;
    struct asked *q = NULL;
    if (a->looking || recent || s->stopped || !cost_store_is_up(s->options.store))
        return;
    q = malloc(sizeof(*q));
    if (!q)
        return;
    *q = (struct asked){.account = a, .turn = a->turn};
    a->looking = true;
    a->looked_ms = now_ms;
    cost_store_spent(s->options.store, &(struct cost_period){a->limit.who, a->start_s, a->end_s},
                     on_looked, q);
}

static int64_t spent_of(const struct account *a)
{
    return money_add(a->known, money_add(a->unsent, a->sending));
}

bool spending_allows(struct spending *s, const struct spending_limit *l, struct spending_state *ret)
{
    struct account *a = account_of(s, l);
    *ret = (struct spending_state){.end_s = PERIOD_NO_END};
    if (!a) {
        log_write(LOG_ERROR, "no memory to check a budget", "budget", l->who, NULL);
        return true;
    }
    look(a);
    *ret = (struct spending_state){spent_of(a), a->reserved, a->start_s, a->end_s};
    return l->soft || money_add(ret->spent, ret->reserved) < l->limit;
}

void spending_reserve(struct spending *s, const struct spending_limit *l, int64_t amount)
{
    struct account *a = account_of(s, l);
    if (!a)
        return;
    a->reserved = amount < 0 ? a->reserved + amount : money_add(a->reserved, amount);
    if (a->reserved < 0)
        a->reserved = 0;
}

/* ---- alerts */

static const char *whose(const char *who)
{
    return *who == 't' ? "tenant" : *who == 'k' ? "key" : "all";
}

static void alert(const struct account *a, int percent, int64_t sum)
{
    char spent[MONEY_TEXT_BYTES], limit[MONEY_TEXT_BYTES], part[LOG_NUMBER_BYTES];
    char renews[32] = "null", json[JSON_BYTES];
    const struct spending *s = a->owner;
    const char *who = a->limit.who, *name = who[1] == ':' ? who + 2 : "";
    (void)money_text(sum, spent);
    (void)money_text(a->limit.limit, limit);
    log_write(LOG_WARN, "budget alert", "whose", whose(who), "name", name, "percent",
              log_number(part, percent), "spent_usd", spent, "limit_usd", limit, NULL);
    if (!s->alert_fn)
        return;
    if (a->end_s != PERIOD_NO_END)
        (void)snprintf(renews, sizeof(renews), "%" PRId64, a->end_s);
    (void)snprintf(json, sizeof(json),
                   "{\"object\":\"budget_alert\",\"whose\":\"%s\",\"name\":\"%s\","
                   "\"tenant\":\"%s\",\"percent\":%d,\"spent_usd\":%s,\"limit_usd\":%s,"
                   "\"hard\":%s,\"renews_at\":%s}",
                   whose(who), name, a->limit.tenant, percent, spent, limit,
                   a->limit.soft ? "false" : "true", renews);
    s->alert_fn(s->alert_arg, a->limit.tenant, json);
}

/* Of all instances, one sees its own addition cross a threshold. */
static void look_for_alerts(const struct account *a, int64_t before, int64_t sum)
{
    int64_t most = a->limit.limit;
    int64_t soft = most / 100 * SPENDING_SOFT_PERCENT + most % 100 * SPENDING_SOFT_PERCENT / 100;
    if (most <= 0)
        return;
    if (!a->limit.soft && before < soft && sum >= soft && sum < most)
        alert(a, SPENDING_SOFT_PERCENT, sum);
    if (before < most && sum >= most)
        alert(a, 100, sum);
}

/* ---- sending */

static void arm(struct spending *s, int64_t ms);

static void on_spent(void *arg, enum redis_status status, int64_t sum)
{
    struct asked *q = arg;
    struct account *a = q->account;
    bool same = q->turn == a->turn;
    if (same)
        a->sending -= q->amount;
    if (same && (status == REDIS_DOWN || status == REDIS_BUSY_LOCAL)) {
        a->unsent = money_add(a->unsent, q->amount);
        arm(a->owner, AWAY_MS);
    } else if (status == REDIS_OK && same) {
        a->known = sum;
        a->looked_ms = clock_mono_ms();
    } else if (same) {
        a->known = money_add(a->known, q->amount); /* until Redis is asked again */
    }
    if (status == REDIS_OK && same)
        look_for_alerts(a, sum - q->amount, sum);
    if (status == REDIS_OK && !a->limit.soft)
        send_account(a); /* what has gathered meanwhile */
    free(q);
}

static void send_account(struct account *a)
{
    struct asked *q = a->unsent > 0 ? malloc(sizeof(*q)) : NULL;
    if (!q)
        return;
    *q = (struct asked){.account = a, .turn = a->turn, .amount = a->unsent};
    a->sending = money_add(a->sending, a->unsent);
    a->unsent = 0;
    cost_store_spend(a->owner->options.store,
                     &(struct cost_period){a->limit.who, a->start_s, a->end_s}, q->amount, on_spent,
                     q);
}

static void add_row(struct spending *s, const struct cost_row *cost);

static void on_added(void *arg, enum redis_status status)
{
    struct row *r = arg;
    if (status == REDIS_DOWN || status == REDIS_BUSY_LOCAL)
        add_row(r->owner, &r->cost);
    else if (status != REDIS_OK)
        log_write(LOG_WARN, "the cost of requests may not have been counted", "redis",
                  redis_status_name(status), NULL);
    free(r);
}

static void send_all(struct spending *s)
{
    size_t at = 0;
    struct map rows = s->rows;
    map_init(&s->rows, s->rows.seed);
    for (struct row *r; (r = map_next(&rows, &at));)
        cost_store_add(s->options.store, &r->cost, on_added, r);
    map_release(&rows);
    at = 0;
    for (struct account *a; (a = map_next(&s->accounts, &at));)
        send_account(a);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct spending *s = arg;
    (void)fd;
    (void)what;
    s->armed = false;
    if (cost_store_is_up(s->options.store))
        send_all(s);
    else
        arm(s, AWAY_MS);
}

static void arm(struct spending *s, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    if (s->armed || s->stopped)
        return;
    if (!s->timer)
        s->timer = evtimer_new(s->options.base, on_timer, s);
    s->armed = s->timer && evtimer_add(s->timer, &tv) == 0;
}

void spending_stop(struct spending *s)
{
    s->stopped = true;
    if (s->timer)
        event_del(s->timer);
    if (cost_store_is_up(s->options.store))
        send_all(s);
}

/* ---- gathering */

static void name_row(const struct cost_row *c, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%" PRId64 " %s %s %s", c->day, c->tenant, c->key, c->model);
}

static void merge(struct cost_row *into, const struct cost_row *from)
{
    for (int i = 0; i < COST_COUNTER_COUNT; i++)
        into->count[i] = money_add(into->count[i], from->count[i]);
}

static struct row *row_of(struct spending *s, const struct cost_row *cost)
{
    char name[NAME_BYTES];
    name_row(cost, name);
    struct row *r = map_get(&s->rows, name);
    if (r || s->rows.count >= SPENDING_MAX_ROWS + 1)
        return r;
    r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    *r = (struct row){.owner = s, .cost = *cost};
    memset(r->cost.count, 0, sizeof(r->cost.count));
    memcpy(r->name, name, sizeof(name));
    if (map_put(&s->rows, r->name, r) == 0)
        return r;
    free(r);
    return NULL;
}

static void add_row(struct spending *s, const struct cost_row *cost)
{
    struct cost_row c = *cost;
    struct row *r = s->rows.count < SPENDING_MAX_ROWS ? row_of(s, &c) : NULL;
    if (!r) {
        (void)snprintf(c.model, sizeof(c.model), "%s", COST_OTHER);
        c.key[0] = '\0';
        r = row_of(s, &c);
    }
    if (r)
        merge(&r->cost, cost);
    else
        log_write(LOG_WARN, "no room to count the cost of a request", "tenant", c.tenant, NULL);
    arm(s, FLUSH_MS);
}

void spending_count(struct spending *s, struct cost_row *row, const struct spending_limit *limits,
                    size_t count)
{
    int64_t now_s = spending_now_s(s);
    row->day = now_s / DAY_S;
    add_row(s, row);
    for (size_t i = 0; i < count && row->count[COST_cost] > 0; i++) {
        struct account *a = account_of(s, &limits[i]);
        if (!a)
            continue;
        a->unsent = money_add(a->unsent, row->count[COST_cost]);
        /* A budget is told at once, one command at a time: the answer says what the others spent.
         */
        if (!a->limit.soft && a->sending == 0 && !s->stopped && cost_store_is_up(s->options.store))
            send_account(a);
    }
}
