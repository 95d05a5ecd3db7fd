#include "api/client/cmd_costs.h"

#include "api/client/client.h"
#include "api/client/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MONEY_BYTES 40
#define QUERY_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-"

enum { OPT_FROM = ARGS_NO_CHAR, OPT_TO, OPT_BY, OPT_TENANT };

static const struct args_option options[] = {
    CLIENT_OPTIONS,
    {OPT_FROM, "from", "DATE", "first day in UTC (29 days before the last)"},
    {OPT_TO, "to", "DATE", "last day in UTC (today)"},
    {OPT_BY, "group-by", "WHAT", "day, model, tenant or key (day)"},
    {OPT_TENANT, "tenant", "NAME", "only this tenant's, for administrators"},
    {0},
};

const struct args_command cmd_costs_usage = {
    .name = "costs",
    .about = "Shows what was spent and saved, or, with the operand budgets, what is left of them.",
    .operands = "[budgets]",
    .verbs = "budgets",
    .most = 1,
    .options = options,
    .example = "  sluice costs --group-by model --from 2026-11-01\n"
               "  sluice costs budgets\n",
};

struct request {
    struct client_options service;
    char path[CLIENT_PATH_BYTES];
    const char *by;
    bool budgets;
};

static const char *money(double dollars, char out[MONEY_BYTES])
{
    (void)snprintf(out, MONEY_BYTES, dollars > 0 && dollars < 1 ? "$%.6f" : "$%.2f", dollars);
    return out;
}

static double number_at(const json_t *value, const char *name)
{
    return json_number_value(json_object_get(value, name));
}

static void add_count(struct table *t, const json_t *row, const char *name)
{
    char text[GROUPED_BYTES];
    table_add(t, grouped_text(json_integer_value(json_object_get(row, name)), text));
}

/* What has no price is told, so that nobody takes a sum for all of it. */
static void add_row(struct table *t, const char *name, const json_t *row)
{
    char cost[MONEY_BYTES + 4], text[MONEY_BYTES];
    const json_t *saved = json_object_get(row, "saved_usd"), *one;
    const char *kind;
    double sum = 0;
    json_object_foreach((json_t *)(uintptr_t)saved, kind, one) sum += json_number_value(one);
    bool priced = json_is_true(json_object_get(row, "priced"));
    (void)snprintf(cost, sizeof(cost), "%s%s", money(number_at(row, "cost_usd"), text),
                   priced ? "" : " +?");
    table_add(t, name);
    add_count(t, row, "requests");
    add_count(t, row, "input_tokens");
    add_count(t, row, "cached_tokens");
    add_count(t, row, "output_tokens");
    table_add(t, cost);
    table_add(t, money(sum, text));
}

static int print_costs(const json_t *answer, const char *by)
{
    static const char *const titles[] = {"",        ">REQUESTS", ">INPUT", ">CACHED",
                                         ">OUTPUT", ">COST",     ">SAVED"};
    struct terminal out;
    struct table t;
    size_t i;
    const json_t *row, *total = json_object_get(answer, "total");
    terminal_init(&out, stdout);
    table_init(&t, titles, sizeof(titles) / sizeof(titles[0]));
    json_array_foreach(json_object_get(answer, "data"), i, row)
    {
        const char *name = json_string_value(json_object_get(row, by));
        add_row(&t, name ? name : "(no key)", row);
    }
    add_row(&t, "total", total);
    int rc = table_print(&t, &out);
    table_release(&t);
    json_int_t unpriced = json_integer_value(json_object_get(total, "unpriced_requests"));
    if (unpriced > 0)
        (void)fprintf(stderr,
                      "+?: the price of the model of %" JSON_INTEGER_FORMAT " requests is not "
                      "known; set `price` in its row, or costs.default_price.\n",
                      unpriced);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void renewal(const json_t *row, char *out, size_t size)
{
    time_t at = (time_t)json_integer_value(json_object_get(row, "renews_at"));
    struct tm tm;
    (void)snprintf(out, size, "never");
    if (at > 0 && gmtime_r(&at, &tm))
        (void)strftime(out, size, "%Y-%m-%d %H:%M", &tm);
}

static int print_budgets(const json_t *answer)
{
    static const char *const titles[] = {"WHOSE", "NAME", ">SPENT", ">LIMIT", "RENEWS (UTC)", ""};
    struct terminal out;
    struct table t;
    size_t i;
    const json_t *row, *data = json_object_get(answer, "data");
    terminal_init(&out, stdout);
    table_init(&t, titles, sizeof(titles) / sizeof(titles[0]));
    json_array_foreach(data, i, row)
    {
        char text[MONEY_BYTES], when[32];
        bool hard = json_is_true(json_object_get(row, "hard"));
        bool over = json_is_true(json_object_get(row, "exceeded"));
        renewal(row, when, sizeof(when));
        table_add(&t, json_string_value(json_object_get(row, "whose")));
        table_add(&t, json_string_value(json_object_get(row, "name")));
        table_add(&t, money(number_at(row, "spent_usd"), text));
        table_add(&t, money(number_at(row, "limit_usd"), text));
        table_add(&t, when);
        table_add(&t, !hard ? "alert only" : over ? "used up" : "");
    }
    int rc = json_array_size(data) > 0 ? table_print(&t, &out) : 0;
    table_release(&t);
    if (json_array_size(data) == 0 && out.rich)
        (void)puts("no budgets");
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(struct client *c, const struct request *r)
{
    json_t *answer = NULL;
    struct error e;
    int code;
    if (client_call(c, &(struct client_call){.method = "GET", .path = r->path}, &answer, &e) < 0) {
        (void)fprintf(stderr, "sluice costs: %s\n", e.text);
        return EXIT_FAILURE;
    }
    if (r->service.json)
        code = json_dumpf(answer, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF ? EXIT_FAILURE
                                                                                    : EXIT_SUCCESS;
    else
        code = r->budgets ? print_budgets(answer) : print_costs(answer, r->by);
    json_decref(answer);
    return code;
}

static void take(struct request *r, struct args *a, int id)
{
    static const char *const names[] = {"from", "to", "group_by", "tenant"};
    size_t used = strlen(r->path);
    if (client_option(&r->service, id, a->value))
        return;
    if (strspn(a->value, QUERY_CHARS) != strlen(a->value) || strlen(a->value) > 64) {
        args_error(a, "\"%.70s\" cannot be that", a->value);
        return;
    }
    if (id == OPT_BY)
        r->by = a->value;
    (void)snprintf(r->path + used, sizeof(r->path) - used, "%c%s=%s", used > 9 ? '&' : '?',
                   names[id - OPT_FROM], a->value);
}

int cmd_costs(int argc, char **argv)
{
    struct request r = {.path = "/v1/costs", .by = "day"};
    struct client c;
    struct error e;
    struct args a;
    args_init(&a, &cmd_costs_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;)
        take(&r, &a, id);
    r.budgets = a.operand_count == 1;
    if (a.exit_code >= 0)
        return a.exit_code;
    if (r.budgets)
        (void)snprintf(r.path, sizeof(r.path), "/v1/costs/budgets");
    int code = EXIT_FAILURE;
    if (client_init(&c, &r.service, &e) < 0)
        (void)fprintf(stderr, "sluice costs: %s\n", e.text);
    else
        code = run(&c, &r);
    client_release(&c);
    return code;
}
