#include "api/client/stats_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME_WIDTH   22
#define NUMBER_WIDTH 13

static int64_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

/* A level may be a debt, so "unknown" is not below zero here. */
static const char *amount(const json_t *object, const char *key, char out[GROUPED_BYTES])
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return "-";
    return grouped_text(json_integer_value(value), out);
}

static void put_text(const struct terminal *t, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        (void)fputc(*p < 0x20 || *p == 0x7f ? '?' : *p, t->out);
}

static void put_title(const struct terminal *t, const char *name, const char *const columns[3])
{
    (void)fprintf(t->out, "  %s%-*s%*s%*s%*s%s\n", terminal_colour(t, COLOUR_DIM), NAME_WIDTH, name,
                  NUMBER_WIDTH, columns[0], NUMBER_WIDTH, columns[1], NUMBER_WIDTH, columns[2],
                  terminal_colour(t, COLOUR_NONE));
}

static void print_limits(const json_t *limits, const struct terminal *t)
{
    static const char *const columns[] = {"remaining", "of", "full in"};
    char left[GROUPED_BYTES], whole[GROUPED_BYTES], full[DURATION_BYTES];
    const char *name;
    json_t *l;
    put_title(t, "limit", columns);
    json_object_foreach((json_t *)(uintptr_t)limits, name, l)
    {
        bool out = json_integer_value(json_object_get(l, "remaining")) <= 0 &&
                   json_is_integer(json_object_get(l, "remaining"));
        (void)fprintf(t->out, "  %-*s%s%*s%s%*s%*s\n", NAME_WIDTH, name,
                      out ? terminal_colour(t, COLOUR_YELLOW) : "", NUMBER_WIDTH,
                      amount(l, "remaining", left), out ? terminal_colour(t, COLOUR_NONE) : "",
                      NUMBER_WIDTH, amount(l, "capacity", whole), NUMBER_WIDTH,
                      duration_text(number(l, "resets_ms"), full));
    }
    if (json_object_size(limits) == 0)
        (void)fputs("  none\n", t->out);
}

static void print_queue(const json_t *queue, const struct terminal *t)
{
    static const char *const columns[] = {"waiting", "oldest", ""};
    static const char *const classes[] = {"interactive", "normal", "batch"};
    char depth[GROUPED_BYTES], oldest[DURATION_BYTES];
    put_title(t, "queue", columns);
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        const json_t *c = json_object_get(queue, classes[i]);
        int64_t age_ms = number(c, "depth") > 0 ? number(c, "oldest_ms") : -1;
        (void)fprintf(t->out, "  %-*s%*s%*s\n", NAME_WIDTH, classes[i], NUMBER_WIDTH,
                      amount(c, "depth", depth), NUMBER_WIDTH, duration_text(age_ms, oldest));
    }
}

static void print_waits(const json_t *pool, const struct terminal *t)
{
    char eta[DURATION_BYTES], p50[DURATION_BYTES], p95[DURATION_BYTES], p99[DURATION_BYTES];
    char flying[GROUPED_BYTES];
    const json_t *wait = json_object_get(pool, "wait_ms");
    const char *binding = json_string_value(json_object_get(pool, "binding_limit"));
    (void)fprintf(t->out, "  in flight %s, a new request starts in %s%s",
                  amount(pool, "in_flight", flying), duration_text(number(pool, "eta_ms"), eta),
                  binding ? ", bound by " : "");
    put_text(t, binding ? binding : "");
    (void)fprintf(t->out, "\n  waits p50 %s, p95 %s, p99 %s\n",
                  duration_text(number(wait, "p50"), p50), duration_text(number(wait, "p95"), p95),
                  duration_text(number(wait, "p99"), p99));
}

/* Counts that are zero say nothing, but for the one that Sluice is there to keep at zero. */
static void print_counts(const json_t *pool, const struct terminal *t)
{
    static const char refused[] = "provider_429";
    char text[GROUPED_BYTES];
    const char *name, *between = "";
    json_t *counts = json_object_get(pool, "counts"), *value;
    int64_t refusals = number(counts, refused);
    (void)fputs("  counts ", t->out);
    json_object_foreach(counts, name, value)
    {
        if (json_integer_value(value) == 0 || strcmp(name, refused) == 0)
            continue;
        (void)fprintf(t->out, "%s%s %s", between, name,
                      grouped_text(json_integer_value(value), text));
        between = ", ";
    }
    (void)fprintf(t->out, "%s\n  429s from the provider %s%s%s\n", *between ? "" : "none",
                  terminal_colour(t, refusals > 0 ? COLOUR_RED : COLOUR_GREEN),
                  amount(counts, refused, text), terminal_colour(t, COLOUR_NONE));
}

static void print_pool(const json_t *pool, const struct terminal *t)
{
    const char *id = json_string_value(json_object_get(pool, "pool"));
    const char *circuit = json_string_value(json_object_get(pool, "circuit"));
    char paused[DURATION_BYTES];
    size_t i;
    json_t *model;
    (void)fprintf(t->out, "\n%s", terminal_colour(t, COLOUR_BOLD));
    put_text(t, id ? id : "-");
    (void)fputs(terminal_colour(t, COLOUR_NONE), t->out);
    json_array_foreach(json_object_get(pool, "models"), i, model)
    {
        (void)fputs(i ? ", " : "  ", t->out);
        put_text(t, json_is_string(model) ? json_string_value(model) : "-");
    }
    if (number(pool, "paused_ms") > 0)
        (void)fprintf(t->out, "  paused for %s", duration_text(number(pool, "paused_ms"), paused));
    if (circuit && strcmp(circuit, "closed") != 0)
        (void)fprintf(t->out, "  circuit %s, tried in %s", circuit,
                      duration_text(number(pool, "circuit_ms"), paused));
    (void)fputc('\n', t->out);
    print_limits(json_object_get(pool, "limits"), t);
    print_queue(json_object_get(pool, "queue"), t);
    print_waits(pool, t);
    print_counts(pool, t);
}

void stats_print(const json_t *stats, const struct terminal *term)
{
    const json_t *totals = json_object_get(stats, "totals");
    char open[GROUPED_BYTES], running[GROUPED_BYTES];
    size_t i, alive = 0;
    json_t *one;
    json_array_foreach(json_object_get(stats, "instances"), i, one) alive +=
        json_is_true(json_object_get(one, "alive"));
    (void)fprintf(term->out, "instances %zu; in this one: requests open %s, jobs running %s\n",
                  alive, amount(totals, "requests_open_here", open),
                  amount(totals, "jobs_running_here", running));
    json_array_foreach(json_object_get(stats, "pools"), i, one) print_pool(one, term);
    if (json_array_size(json_object_get(stats, "pools")) == 0)
        (void)fputs("\nno pools: no request has come yet, and no provider has a key of its own\n",
                    term->out);
}
