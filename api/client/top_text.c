#include "api/client/top_text.h"

#include "api/client/canvas.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_COLUMNS   24
#define NUMBER_COLUMNS 11
#define BAR_LEAST      6
#define BAR_MOST       40
#define HEAD_LINES     4

static const char *const view_names[] = {"pools", "tenants", "models", "instances"};
static const char *const sort_names[] = {"name", "waiting", "running", "rate"};
static const char *const classes[] = {"interactive", "normal", "batch"};
#define CLASSES (sizeof(classes) / sizeof(classes[0]))

/* ---- reading */

/* Below zero: it is not told. */
static int64_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static const char *amount(const json_t *object, const char *key, char out[GROUPED_BYTES])
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? grouped_text(json_integer_value(value), out) : "-";
}

static int64_t waiting(const json_t *pool)
{
    const json_t *queue = json_object_get(pool, "queue");
    int64_t sum = 0;
    for (size_t i = 0; i < CLASSES; i++)
        sum += json_integer_value(json_object_get(json_object_get(queue, classes[i]), "depth"));
    return sum;
}

static int64_t finished(const json_t *of)
{
    const json_t *counts = json_object_get(of, "counts");
    return json_integer_value(json_object_get(counts, "succeeded")) +
           json_integer_value(json_object_get(counts, "failed"));
}

static int64_t tokens(const json_t *of, const char *kind)
{
    return json_integer_value(json_object_get(json_object_get(of, "tokens"), kind));
}

/* The row of the earlier answer that is of the same thing; NULL: none. */
static const json_t *earlier(const struct top_frame *f, const char *part, const char *key,
                             const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(f->before, part), i, one)
    {
        if (strcmp(text(one, key), name) == 0)
            return one;
    }
    return NULL;
}

/* A second; -1: not known. Counters begin anew when Redis was emptied. */
static double rate(const struct top_frame *f, const json_t *then, int64_t now_n, int64_t then_n)
{
    if (!then || f->gap_ms <= 0 || now_n < then_n)
        return -1;
    return (double)(now_n - then_n) * 1000 / (double)f->gap_ms;
}

static const char *rate_text(double a_second, char out[GROUPED_BYTES])
{
    if (a_second < 0)
        (void)snprintf(out, GROUPED_BYTES, "-");
    else if (a_second < 100)
        (void)snprintf(out, GROUPED_BYTES, "%.1f", a_second);
    else
        (void)grouped_text((int64_t)llround(a_second), out);
    return out;
}

/* ---- order */

struct row {
    const json_t *json, *then;
    const char *name;
    double key; /* the greatest first */
};

static int compare(const void *a, const void *b)
{
    const struct row *one = a, *other = b;
    if (one->key < other->key || one->key > other->key)
        return one->key > other->key ? -1 : 1;
    return strcmp(one->name, other->name);
}

static double key_of(const struct top_frame *f, const struct row *r)
{
    bool is_pool = json_object_get(r->json, "queue") != NULL;
    if (f->sort == TOP_BY_WAITING)
        return (double)(is_pool ? waiting(r->json) : number(r->json, "queued"));
    if (f->sort == TOP_BY_RUNNING)
        return (double)number(r->json, is_pool ? "in_flight" : "running");
    if (f->sort == TOP_BY_RATE)
        return rate(f, r->then, finished(r->json), finished(r->then));
    return 0;
}

/* Sorted; to be freed. NULL: there are none, or no memory. */
static struct row *rows_of(const struct top_frame *f, const char *part, const char *key,
                           size_t *ret_count)
{
    const json_t *list = json_object_get(f->now, part), *one;
    size_t count = json_array_size(list), i;
    struct row *rows = count > 0 ? calloc(count, sizeof(*rows)) : NULL;
    *ret_count = rows ? count : 0;
    if (!rows)
        return NULL;
    json_array_foreach(list, i, one)
    {
        const char *name = text(one, key);
        rows[i] = (struct row){.json = one, .name = name, .then = earlier(f, part, key, name)};
        rows[i].key = key_of(f, &rows[i]);
    }
    qsort(rows, count, sizeof(*rows), compare);
    return rows;
}

/* ---- pools */

static enum colour level_colour(int64_t left, int64_t whole)
{
    if (whole <= 0 || left * 10 <= whole)
        return COLOUR_RED;
    return left * 2 <= whole ? COLOUR_YELLOW : COLOUR_GREEN;
}

static void put_limit(struct canvas *c, const char *name, const json_t *l, bool binds)
{
    char left[GROUPED_BYTES], whole[GROUPED_BYTES], of[2 * GROUPED_BYTES + 4], full[DURATION_BYTES];
    int64_t remaining = json_integer_value(json_object_get(l, "remaining"));
    int64_t capacity = number(l, "capacity"), learned = number(l, "learned");
    int spare = c->columns > 0 ? c->columns - 58 : 24;
    int cells = spare < BAR_LEAST ? BAR_LEAST : spare > BAR_MOST ? BAR_MOST : spare;
    enum colour colour = level_colour(remaining, capacity);
    canvas_put(c, binds ? COLOUR_RED : COLOUR_NONE, binds ? " >" : "  ");
    if (strcmp(name, "max_parallel_requests") == 0)
        name = "parallel";
    canvas_fit(c, binds ? COLOUR_BOLD : COLOUR_NONE, name, 8);
    canvas_bar(c, colour, cells, remaining, capacity);
    (void)snprintf(of, sizeof(of), "%s/%s", amount(l, "remaining", left),
                   amount(l, "capacity", whole));
    canvas_fit_right(c, colour, of, 22);
    if (number(l, "resets_ms") > 0)
        canvas_putf(c, COLOUR_NONE, "  full in %s", duration_text(number(l, "resets_ms"), full));
    if (learned > 0)
        canvas_putf(c, COLOUR_YELLOW, "  learned %s of %s", grouped_text(learned, left),
                    amount(l, "configured", whole));
    canvas_end(c);
}

static void put_queue(struct canvas *c, const json_t *pool)
{
    const json_t *queue = json_object_get(pool, "queue");
    char depth[GROUPED_BYTES], age[DURATION_BYTES], running[GROUPED_BYTES];
    canvas_put(c, COLOUR_DIM, "  queue ");
    for (size_t i = 0; i < CLASSES; i++) {
        const json_t *one = json_object_get(queue, classes[i]);
        bool some = number(one, "depth") > 0;
        canvas_putf(c, some ? COLOUR_YELLOW : COLOUR_NONE, " %s %s", classes[i],
                    amount(one, "depth", depth));
        if (some)
            canvas_putf(c, COLOUR_NONE, " (%s)", duration_text(number(one, "oldest_ms"), age));
    }
    canvas_putf(c, COLOUR_NONE, "  running %s  starts in %s", amount(pool, "in_flight", running),
                duration_text(number(pool, "eta_ms"), age));
    canvas_end(c);
}

static void put_pool_rates(struct canvas *c, const struct top_frame *f, const struct row *r)
{
    char p50[DURATION_BYTES], p95[DURATION_BYTES], p99[DURATION_BYTES];
    char refused[GROUPED_BYTES], requests[GROUPED_BYTES], per_s[GROUPED_BYTES];
    const json_t *wait = json_object_get(r->json, "wait_ms");
    const json_t *counts = json_object_get(r->json, "counts");
    int64_t now = tokens(r->json, "input") + tokens(r->json, "output");
    int64_t then = tokens(r->then, "input") + tokens(r->then, "output");
    canvas_put(c, COLOUR_DIM, "  waits ");
    canvas_putf(c, COLOUR_NONE, " p50 %s  p95 %s  p99 %s ", duration_text(number(wait, "p50"), p50),
                duration_text(number(wait, "p95"), p95), duration_text(number(wait, "p99"), p99));
    canvas_putf(c, number(counts, "provider_429") > 0 ? COLOUR_RED : COLOUR_NONE, " 429s %s",
                amount(counts, "provider_429", refused));
    canvas_putf(c, COLOUR_NONE, "  requests/s %s  tokens/s %s",
                rate_text(rate(f, r->then, finished(r->json), finished(r->then)), requests),
                rate_text(rate(f, r->then, now, then), per_s));
    canvas_end(c);
}

static void put_pool_title(struct canvas *c, const json_t *pool)
{
    const char *circuit = text(pool, "circuit");
    const json_t *aside = json_object_get(pool, "set_aside"), *model;
    char duration[DURATION_BYTES];
    size_t i;
    canvas_put(c, COLOUR_BOLD, text(pool, "pool"));
    if (strcmp(circuit, "closed") != 0 && *circuit)
        canvas_putf(c, COLOUR_RED, "  circuit %s (%s), tried in %s", circuit,
                    text(pool, "circuit_reason"),
                    duration_text(number(pool, "circuit_ms"), duration));
    if (number(pool, "paused_ms") > 0)
        canvas_putf(c, COLOUR_YELLOW, "  paused for %s",
                    duration_text(number(pool, "paused_ms"), duration));
    if (json_is_object(aside))
        canvas_putf(c, COLOUR_RED, "  set aside (%s) for %s", text(aside, "reason"),
                    duration_text(number(aside, "ms"), duration));
    if (json_is_false(json_object_get(pool, "known")))
        canvas_put(c, COLOUR_RED, "  levels are not known");
    json_array_foreach(json_object_get(pool, "models"), i, model)
        canvas_putf(c, COLOUR_DIM, "%s%.100s", i ? ", " : "  ",
                    json_is_string(model) ? json_string_value(model) : "-");
    canvas_end(c);
}

static void put_pool(struct canvas *c, const struct top_frame *f, const struct row *r)
{
    const char *binding = text(r->json, "binding_limit"), *name;
    json_t *l;
    put_pool_title(c, r->json);
    json_object_foreach(json_object_get(r->json, "limits"), name, l)
        put_limit(c, name, l, strcmp(name, binding) == 0);
    put_queue(c, r->json);
    put_pool_rates(c, f, r);
    canvas_end(c);
}

static void put_pools(struct canvas *c, const struct top_frame *f)
{
    size_t count = 0;
    struct row *rows = rows_of(f, "pools", "pool", &count);
    for (size_t i = 0; i < count; i++)
        put_pool(c, f, &rows[i]);
    if (count == 0 && f->now) {
        canvas_put(c, COLOUR_DIM, "no pools: no request has come yet");
        canvas_end(c);
    }
    free(rows);
}

/* ---- tenants, models, instances */

static void put_titles(struct canvas *c, const char *first, const char *const *titles)
{
    canvas_fit(c, COLOUR_DIM, first, NAME_COLUMNS);
    for (; *titles; titles++)
        canvas_fit_right(c, COLOUR_DIM, *titles, NUMBER_COLUMNS);
    canvas_end(c);
}

/* What its weight entitles it to, of those who have one. */
static double fair_share(const struct row *rows, size_t count, const struct row *of)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += number(rows[i].json, "weight") > 0 ? number(rows[i].json, "weight") : 0;
    return sum > 0 ? (double)number(of->json, "weight") / (double)sum : 0;
}

static void put_tail(struct canvas *c, const struct top_frame *f, const struct row *r)
{
    char cell[GROUPED_BYTES], p95[DURATION_BYTES];
    int64_t now = tokens(r->json, "input") + tokens(r->json, "output");
    int64_t then = tokens(r->then, "input") + tokens(r->then, "output");
    canvas_fit_right(c, COLOUR_NONE,
                     rate_text(rate(f, r->then, finished(r->json), finished(r->then)), cell),
                     NUMBER_COLUMNS);
    canvas_fit_right(c, COLOUR_NONE, rate_text(rate(f, r->then, now, then), cell), NUMBER_COLUMNS);
    canvas_fit_right(c, COLOUR_NONE,
                     duration_text(number(json_object_get(r->json, "wait_ms"), "p95"), p95),
                     NUMBER_COLUMNS);
    canvas_end(c);
}

static void put_tenants(struct canvas *c, const struct top_frame *f)
{
    static const char *const titles[] = {"waiting", "running",  "share",    "fair",
                                         "req/s",   "tokens/s", "wait p95", NULL};
    size_t count = 0;
    struct row *rows = rows_of(f, "tenants", "tenant", &count);
    put_titles(c, "TENANT", titles);
    for (size_t i = 0; i < count; i++) {
        char cell[GROUPED_BYTES];
        const json_t *share = json_object_get(rows[i].json, "share");
        canvas_fit(c, COLOUR_NONE, rows[i].name, NAME_COLUMNS);
        canvas_fit_right(c, number(rows[i].json, "queued") > 0 ? COLOUR_YELLOW : COLOUR_NONE,
                         amount(rows[i].json, "queued", cell), NUMBER_COLUMNS);
        canvas_fit_right(c, COLOUR_NONE, amount(rows[i].json, "running", cell), NUMBER_COLUMNS);
        (void)snprintf(cell, sizeof(cell), json_is_number(share) ? "%.1f %%" : "-",
                       json_number_value(share) * 100);
        canvas_fit_right(c, COLOUR_NONE, cell, NUMBER_COLUMNS);
        (void)snprintf(cell, sizeof(cell), "%.1f %%", fair_share(rows, count, &rows[i]) * 100);
        canvas_fit_right(c, COLOUR_NONE, cell, NUMBER_COLUMNS);
        put_tail(c, f, &rows[i]);
    }
    free(rows);
}

static void put_models(struct canvas *c, const struct top_frame *f)
{
    static const char *const titles[] = {"requests", "failed",   "req/s",
                                         "tokens/s", "wait p95", NULL};
    size_t count = 0;
    struct row *rows = rows_of(f, "models", "model", &count);
    put_titles(c, "MODEL", titles);
    for (size_t i = 0; i < count; i++) {
        char cell[GROUPED_BYTES];
        const json_t *counts = json_object_get(rows[i].json, "counts");
        canvas_fit(c, COLOUR_NONE, rows[i].name, NAME_COLUMNS);
        canvas_fit_right(c, COLOUR_NONE, amount(counts, "requests", cell), NUMBER_COLUMNS);
        canvas_fit_right(c, number(counts, "failed") > 0 ? COLOUR_RED : COLOUR_NONE,
                         amount(counts, "failed", cell), NUMBER_COLUMNS);
        put_tail(c, f, &rows[i]);
    }
    free(rows);
}

static void put_instances(struct canvas *c, const struct top_frame *f)
{
    static const char *const titles[] = {"heartbeat", "up for", NULL};
    size_t count = 0;
    struct row *rows = rows_of(f, "instances", "id", &count);
    put_titles(c, "INSTANCE", titles);
    for (size_t i = 0; i < count; i++) {
        char age[DURATION_BYTES];
        bool alive = json_is_true(json_object_get(rows[i].json, "alive"));
        bool asked = json_is_true(json_object_get(rows[i].json, "this"));
        canvas_fit(c, COLOUR_NONE, rows[i].name, NAME_COLUMNS);
        canvas_fit_right(c, COLOUR_NONE,
                         duration_text(number(rows[i].json, "heartbeat_age_ms"), age),
                         NUMBER_COLUMNS);
        canvas_fit_right(c, COLOUR_NONE, duration_text(number(rows[i].json, "uptime_ms"), age),
                         NUMBER_COLUMNS);
        canvas_putf(c, alive ? COLOUR_GREEN : COLOUR_RED, "  %s%s", alive ? "alive" : "gone",
                    asked ? ", asked" : "");
        canvas_end(c);
    }
    free(rows);
}

/* ---- the whole */

static void put_first_line(struct canvas *c, const struct top_frame *f)
{
    const json_t *redis = json_object_get(f->now, "redis"), *one;
    const char *mode = text(json_object_get(f->now, "outage"), "mode");
    bool up = json_is_true(json_object_get(redis, "up"));
    size_t i, alive = 0;
    json_array_foreach(json_object_get(f->now, "instances"), i, one) alive +=
        json_is_true(json_object_get(one, "alive"));
    canvas_put(c, COLOUR_BOLD, "sluice top");
    canvas_putf(c, COLOUR_NONE, "  %s", f->url);
    if (f->now) {
        canvas_putf(c, COLOUR_NONE, "  instances %zu", alive);
        canvas_putf(c, up ? COLOUR_GREEN : COLOUR_RED, "  redis %s", up ? "up" : "away");
        if (number(redis, "latency_us") >= 0)
            canvas_putf(c, COLOUR_NONE, " %.1fms", (double)number(redis, "latency_us") / 1000);
    }
    if (*mode && strcmp(mode, "none") != 0 && !up && f->now)
        canvas_putf(c, COLOUR_RED, "  outage: %s", mode);
    if (f->paused)
        canvas_put(c, COLOUR_YELLOW, "  paused");
    canvas_end(c);
}

static void put_totals(struct canvas *c, const struct top_frame *f)
{
    const json_t *now = json_object_get(f->now, "totals");
    const json_t *then = json_object_get(f->before, "totals"), *pool;
    char a[GROUPED_BYTES], b[GROUPED_BYTES], d[GROUPED_BYTES], e[GROUPED_BYTES], g[GROUPED_BYTES];
    int64_t queued = 0, running = 0,
            refused = number(json_object_get(now, "counts"), "provider_429");
    size_t i;
    json_array_foreach(json_object_get(f->now, "pools"), i, pool)
    {
        queued += waiting(pool);
        running += json_integer_value(json_object_get(pool, "in_flight"));
    }
    if (f->trouble)
        canvas_putf(c, COLOUR_RED, "%s", f->trouble);
    if (f->trouble || !f->now) {
        canvas_end(c);
        return;
    }
    canvas_putf(c, COLOUR_NONE, "requests/s %s  tokens/s in %s out %s",
                rate_text(rate(f, then, finished(now), finished(then)), a),
                rate_text(rate(f, then, tokens(now, "input"), tokens(then, "input")), b),
                rate_text(rate(f, then, tokens(now, "output"), tokens(then, "output")), d));
    canvas_putf(c, queued > 0 ? COLOUR_YELLOW : COLOUR_NONE, "  waiting %s",
                grouped_text(queued, e));
    canvas_putf(c, COLOUR_NONE, "  running %s", grouped_text(running, g));
    canvas_putf(c, refused > 0 ? COLOUR_RED : COLOUR_GREEN, "  429s %s",
                refused < 0 ? "-" : grouped_text(refused, a));
    canvas_end(c);
}

static void put_keys(struct canvas *c, const struct top_frame *f)
{
    for (int i = 0; i < TOP_VIEWS; i++) {
        bool chosen = i == (int)f->view;
        canvas_putf(c, chosen ? COLOUR_BOLD : COLOUR_DIM, chosen ? "[%s] " : " %s  ",
                    view_names[i]);
    }
    canvas_putf(c, COLOUR_DIM, "  q quit  p %s  s by %s  tab view  %s scroll",
                f->paused ? "go on" : "pause", sort_names[f->sort],
                f->utf8 ? "\xe2\x86\x91\xe2\x86\x93" : "up/down");
    canvas_end(c);
}

static void put_view(struct canvas *c, const struct top_frame *f, enum top_view view)
{
    static void (*const put[])(struct canvas *, const struct top_frame *) = {
        put_pools, put_tenants, put_models, put_instances};
    put[view](c, f);
}

int top_text(const struct top_frame *f, const struct terminal *term, struct buf *out)
{
    struct canvas c = {
        .out = out, .term = term, .columns = f->columns, .utf8 = f->utf8, .rows = f->rows};
    put_first_line(&c, f);
    put_totals(&c, f);
    if (f->keys)
        put_keys(&c, f);
    canvas_end(&c);
    if (f->rows > 0 && f->rows <= HEAD_LINES)
        return 0; /* no room for more; rows of 0 would mean all */
    c = (struct canvas){.out = out, .term = term, .columns = f->columns, .utf8 = f->utf8};
    c.rows = f->rows > 0 ? f->rows - HEAD_LINES : 0;
    c.skip = f->scroll;
    if (f->keys) {
        put_view(&c, f, f->view);
        return c.line;
    }
    for (int i = 0; i < TOP_VIEWS; i++) {
        put_view(&c, f, (enum top_view)i);
        if (i > TOP_POOLS && i + 1 < TOP_VIEWS)
            canvas_end(&c);
    }
    return c.line;
}
