#include "api/client/cmd_limits.h"

#include "api/client/client.h"
#include "api/client/saved.h"
#include "api/client/terminal.h"

#include "common/config.h"
#include "common/limits.h"
#include "common/nearest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPERANDS 10
#define POOL_BYTES   (POOL_NAME_BYTES + 64)

static const struct args_option options[] = {
    CLIENT_OPTIONS,
    {0},
};

const struct args_command cmd_limits_usage = {
    .name = "limits",
    .about = "Shows and changes the limits of pools, on all instances at once.",
    .operands = "show [POOL] | set POOL LIMIT=N ...",
    .verbs = "show|set",
    .least = 1,
    .most = MAX_OPERANDS,
    .options = options,
    .example =
        "  sluice limits show\n"
        "  sluice limits set openai:default:gpt-4o rpm=300 tpm=20000\n"
        "  sluice limits set openai:default:gpt-4o tpm=default\n"
        "(Limits are rpm, tpm, itpm, otpm, rpd, tpd and max_parallel_requests. They hold for\n"
        "the pools of all keys of the provider, but for a key with a limit of its own.)\n",
};

struct request {
    struct client_options service;
    const char *pool; /* NULL: all */
    json_t *limits;   /* of set */
};

static int fail(const char *what, const struct error *e)
{
    (void)fprintf(stderr, "sluice limits %s: %s\n", what, e->text);
    return EXIT_FAILURE;
}

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* ---- what is shown: one object for each limit of each pool */

/* Of a pool as /v1/stats tells it; NULL: it has not been used, or is of a caller's own key. */
static const json_t *find_stats(const json_t *stats, const char *pool)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(stats, "pools"), i, one)
    {
        if (strcmp(text_at(one, "pool"), pool) == 0)
            return one;
    }
    return NULL;
}

static json_t *or_null(const json_t *value)
{
    return value ? json_incref((json_t *)(uintptr_t)value) : json_null();
}

/* A limit that was learned is lower than what is set, and holds in its place. */
static json_t *limit_row(const json_t *entry, const char *pool, const char *name,
                         const json_t *limit, const json_t *told)
{
    const json_t *configured =
        json_object_get(json_object_get(json_object_get(entry, "configuration"), "limits"), name);
    const json_t *saved =
        json_object_get(json_object_get(json_object_get(entry, "saved"), "limits"), name);
    const json_t *learned = json_object_get(told, "learned");
    const json_t *value = json_object_get(limit, "value");
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:o}", "pool", pool, "limit", name,
                     "configured", or_null(configured), "saved", or_null(saved), "learned",
                     or_null(learned), "effective",
                     or_null(json_is_integer(learned) ? learned : value), "source",
                     json_is_integer(learned) ? "learned" : text_at(limit, "source"), "remaining",
                     or_null(json_object_get(told, "remaining")));
}

static void add_pool(json_t *rows, const json_t *entry, const char *pool, const json_t *limits,
                     const json_t *stats)
{
    const json_t *told = json_object_get(find_stats(stats, pool), "limits");
    const char *name;
    json_t *limit;
    json_object_foreach((json_t *)(uintptr_t)limits, name, limit)
    {
        if (!json_is_null(json_object_get(limit, "value")))
            (void)json_array_append_new(
                rows, limit_row(entry, pool, name, limit, json_object_get(told, name)));
    }
}

/* The pools of an entry; where callers bring their own keys, one that stands for all of them. */
static void add_entry(json_t *rows, const json_t *entry, const char *wanted, const json_t *stats)
{
    const json_t *pools = json_object_get(entry, "pools"), *one;
    char id[POOL_BYTES];
    size_t i;
    json_array_foreach(pools, i, one)
    {
        if (!wanted || strcmp(text_at(one, "pool"), wanted) == 0)
            add_pool(rows, entry, text_at(one, "pool"), json_object_get(one, "limits"), stats);
    }
    (void)snprintf(id, sizeof(id), "%.60s:*:%.100s", text_at(entry, "provider"),
                   text_at(entry, "pool"));
    if (json_array_size(pools) == 0 && (!wanted || strcmp(id, wanted) == 0))
        add_pool(rows, entry, id, json_object_get(json_object_get(entry, "effective"), "limits"),
                 stats);
}

/* Rows of one pool have the same limits: they are shown once, by the row with saved ones. */
static bool speaks(const json_t *list, const json_t *entry)
{
    size_t i;
    const json_t *one;
    const json_t *first = NULL, *saved = NULL;
    if (strcmp(text_at(entry, "row"), text_at(entry, "model")) != 0)
        return false;
    json_array_foreach(json_object_get(list, "data"), i, one)
    {
        if (strcmp(text_at(one, "provider"), text_at(entry, "provider")) != 0 ||
            strcmp(text_at(one, "pool"), text_at(entry, "pool")) != 0)
            continue;
        const char *name;
        json_t *limit;
        first = first ? first : one;
        json_object_foreach(json_object_get(json_object_get(one, "saved"), "limits"), name, limit)
        {
            if (json_is_integer(limit))
                saved = saved ? saved : one;
        }
    }
    return entry == (saved ? saved : first);
}

static json_t *gather(const json_t *list, const char *wanted, const json_t *stats)
{
    json_t *rows = json_array();
    size_t i;
    const json_t *entry;
    json_array_foreach(json_object_get(list, "data"), i, entry)
    {
        if (speaks(list, entry))
            add_entry(rows, entry, wanted, stats);
    }
    return rows;
}

/* The PROVIDER/MODEL whose settings hold the limits of a pool; NULL none. */
static const json_t *find_entry(const json_t *list, const char *pool)
{
    size_t i, k;
    const json_t *entry, *one;
    char id[POOL_BYTES];
    json_array_foreach(json_object_get(list, "data"), i, entry)
    {
        if (!speaks(list, entry))
            continue;
        (void)snprintf(id, sizeof(id), "%.60s:*:%.100s", text_at(entry, "provider"),
                       text_at(entry, "pool"));
        if (strcmp(id, pool) == 0)
            return entry;
        json_array_foreach(json_object_get(entry, "pools"), k, one)
        {
            if (strcmp(text_at(one, "pool"), pool) == 0)
                return entry;
        }
    }
    return NULL;
}

static void add_number(struct table *t, const json_t *row, const char *name)
{
    char text[GROUPED_BYTES];
    const json_t *value = json_object_get(row, name);
    table_add(t, json_is_integer(value) ? grouped_text(json_integer_value(value), text) : "-");
}

static int print_rows(const json_t *rows)
{
    static const char *const titles[] = {"POOL",     "LIMIT",      ">CONFIGURED", ">SAVED",
                                         ">LEARNED", ">EFFECTIVE", "FROM",        ">REMAINING"};
    static const char *const numbers[] = {"configured", "saved", "learned", "effective"};
    struct terminal out;
    struct table t;
    size_t i;
    const json_t *row;
    terminal_init(&out, stdout);
    table_init(&t, titles, sizeof(titles) / sizeof(titles[0]));
    json_array_foreach(rows, i, row)
    {
        table_add(&t, text_at(row, "pool"));
        table_add(&t, text_at(row, "limit"));
        for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
            add_number(&t, row, numbers[k]);
        table_add(&t, text_at(row, "source"));
        add_number(&t, row, "remaining");
    }
    if (json_array_size(rows) == 0 && out.rich)
        (void)puts("no limits: everything is sent at once");
    int rc = json_array_size(rows) > 0 ? table_print(&t, &out) : 0;
    table_release(&t);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_json(const json_t *rows)
{
    bool failed = json_dumpf(rows, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF;
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- what can be done */

static int show(struct client *c, const struct request *r, const char *what)
{
    json_t *list = NULL, *stats = NULL;
    struct error e;
    int code = EXIT_FAILURE;
    int rc = saved_list(c, &list, &e);
    if (rc == 0)
        rc =
            client_call(c, &(struct client_call){.method = "GET", .path = "/v1/stats"}, &stats, &e);
    if (rc == 0 && r->pool && !find_entry(list, r->pool))
        rc = error_set(&e, -ENOENT, "there is no pool \"%.100s\" (sluice limits show lists them)",
                       r->pool);
    if (rc == 0) {
        json_t *rows = gather(list, r->pool, stats);
        code = r->service.json ? print_json(rows) : print_rows(rows);
        json_decref(rows);
    } else {
        (void)fail(what, &e);
    }
    json_decref(list);
    json_decref(stats);
    return code;
}

static int run_show(struct client *c, const struct request *r)
{
    return show(c, r, "show");
}

/* A key's own limit goes before what was just saved: that must not come as a surprise. */
static void warn_of_keys(const json_t *entry, const struct request *r)
{
    size_t i;
    const json_t *one;
    const char *name;
    json_t *wanted;
    json_array_foreach(json_object_get(entry, "pools"), i, one)
    {
        json_object_foreach(r->limits, name, wanted)
        {
            const json_t *limit = json_object_get(json_object_get(one, "limits"), name);
            if (!json_is_null(wanted) && strcmp(text_at(limit, "source"), "key") == 0)
                (void)fprintf(stderr,
                              "%s keeps its %s of %" JSON_INTEGER_FORMAT
                              ": the key has one of its own in the configuration\n",
                              text_at(one, "pool"), name,
                              json_integer_value(json_object_get(limit, "value")));
        }
    }
}

static int run_set(struct client *c, const struct request *r)
{
    json_t *list = NULL, *entry = NULL, *changes = json_pack("{s:O}", "limits", r->limits);
    struct error e;
    char name[POOL_BYTES];
    int rc = saved_list(c, &list, &e);
    const json_t *found = rc == 0 ? find_entry(list, r->pool) : NULL;
    if (rc == 0 && !found)
        rc = error_set(&e, -ENOENT, "there is no pool \"%.100s\" (sluice limits show lists them)",
                       r->pool);
    if (found) {
        (void)snprintf(name, sizeof(name), "%.60s/%.100s", text_at(found, "provider"),
                       text_at(found, "model"));
        rc = saved_change(c, name, changes, &entry, &e);
    }
    json_decref(changes);
    json_decref(list);
    if (rc < 0)
        return fail("set", &e);
    if (!r->service.json)
        (void)fprintf(stderr, "saved for %s, on all instances\n", name);
    warn_of_keys(entry, r);
    json_decref(entry);
    return show(c, r, "set");
}

/* LIMIT=N, or LIMIT=default. */
static void take_limit(struct request *r, struct args *a, const char *text)
{
    char name[40];
    struct nearest nearest;
    size_t i = 0, len = strcspn(text, "=");
    (void)snprintf(name, sizeof(name), "%.*s", len < sizeof(name) ? (int)len : 0, text);
    nearest_init(&nearest, name);
    for (i = 0; config_limit_name(i) && strcmp(config_limit_name(i), name) != 0; i++)
        nearest_offer(&nearest, config_limit_name(i));
    json_t *value = text[len] ? saved_value(text + len + 1) : NULL;
    if (!config_limit_name(i))
        args_error(a, "\"%s\" is no limit%s%s%s", name, nearest.best ? "; did you mean " : "",
                   nearest.best ? nearest.best : "", nearest.best ? "?" : "");
    else if (!value)
        args_error(a, "\"%s\" must be LIMIT=N, such as rpm=60, or LIMIT=default", text);
    else
        (void)json_object_set(r->limits, name, value);
    json_decref(value);
}

static const struct action {
    const char *name;
    int (*run)(struct client *c, const struct request *r);
} actions[] = {{"show", run_show}, {"set", run_set}};

static const struct action *find_action(struct request *r, struct args *a)
{
    const struct action *found = NULL;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, a->operands[0]) == 0)
            found = &actions[i];
    bool sets = found && found->run == run_set;
    if (!found)
        return NULL; /* args_next() has let verbs in only */
    if (sets && a->operand_count < 3)
        args_error(a, "set needs a POOL (sluice limits show) and LIMIT=N");
    else if (!sets && a->operand_count > 2)
        args_error(a, "unexpected \"%s\"", a->operands[2]);
    for (int i = 2; i < a->operand_count && a->exit_code < 0; i++)
        take_limit(r, a, a->operands[i]);
    r->pool = a->operand_count > 1 ? a->operands[1] : NULL;
    return a->exit_code < 0 ? found : NULL;
}

int cmd_limits(int argc, char **argv)
{
    struct request r = {.limits = json_object()};
    struct client c;
    struct error e;
    struct args a;
    args_init(&a, &cmd_limits_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;)
        (void)client_option(&r.service, id, a.value);
    const struct action *action = a.exit_code < 0 ? find_action(&r, &a) : NULL;
    int code = a.exit_code;
    if (action) {
        code = client_init(&c, &r.service, &e) < 0 ? fail(action->name, &e) : action->run(&c, &r);
        client_release(&c);
    }
    json_decref(r.limits);
    return code;
}
