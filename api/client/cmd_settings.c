#include "api/client/cmd_settings.h"

#include "api/client/client.h"
#include "api/client/saved.h"
#include "api/client/terminal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_BYTES 96

enum { OPT_OUTPUT = ARGS_NO_CHAR, OPT_TEMPERATURE, OPT_ITERATIONS, OPT_TRIM };

static const struct args_option options[] = {
    CLIENT_OPTIONS,
    {OPT_OUTPUT, "max-output-tokens", "N", "set: 1000 to 100000 in steps of 512"},
    {OPT_TEMPERATURE, "temperature", "X", "set: 0.0 to 2.0 in steps of 0.1"},
    {OPT_ITERATIONS, "max-iterations", "N", "set: 1 to 25 rounds of tool calls in a turn"},
    {OPT_TRIM, "trim", "NAME", "set: none, conservative, balanced, aggressive, or a policy"},
    {0},
};

const struct args_command cmd_settings_usage = {
    .name = "settings",
    .about = "Shows and changes what holds for a model, on all instances at once.",
    .operands = "ls|get|set|reset [PROVIDER/MODEL]",
    .verbs = "ls|get|set|reset",
    .least = 1,
    .most = 2,
    .options = options,
    .example = "  sluice settings ls\n"
               "  sluice settings set openai/gpt-4o --max-output-tokens 8192 --temperature 0.7\n"
               "  sluice settings set openai/gpt-4o --temperature default\n"
               "  sluice settings reset openai/gpt-4o\n"
               "(A value \"default\" takes a setting back. Limits: sluice limits.)\n",
};

struct request {
    struct client_options service;
    json_t *changes;
    const char *name;
};

static int fail(const char *what, const struct error *e)
{
    (void)fprintf(stderr, "sluice settings %s: %s\n", what, e->text);
    return EXIT_FAILURE;
}

static int print_json(const json_t *value)
{
    bool failed = json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15)) < 0 ||
                  putchar('\n') == EOF;
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void value_text(const json_t *value, char out[CELL_BYTES])
{
    if (json_is_integer(value))
        (void)snprintf(out, CELL_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        (void)snprintf(out, CELL_BYTES, "%.1f", json_real_value(value));
    else
        (void)snprintf(out, CELL_BYTES, "%.60s",
                       json_is_string(value) ? json_string_value(value) : "-");
}

/* What is applied stands bare; what is only shown stands in brackets. */
static void effective_text(const json_t *entry, const char *name, char out[CELL_BYTES])
{
    char text[CELL_BYTES];
    const json_t *one = json_object_get(json_object_get(entry, "effective"), name);
    const json_t *value = json_object_get(one, "value");
    bool applied = json_is_true(json_object_get(one, "applied")) || json_is_null(value);
    value_text(value, text);
    (void)snprintf(out, CELL_BYTES, applied ? "%.80s" : "(%.80s)", text);
}

static void name_text(const json_t *entry, char out[2 * CELL_BYTES])
{
    const char *provider = json_string_value(json_object_get(entry, "provider"));
    const char *model = json_string_value(json_object_get(entry, "model"));
    (void)snprintf(out, 2 * CELL_BYTES, "%.60s/%.100s", provider ? provider : "-",
                   model ? model : "-");
}

static const char *const names[] = {"max_output_tokens", "temperature", "max_iterations", "trim"};
#define NAMES (sizeof(names) / sizeof(names[0]))

static int print_list(const json_t *list)
{
    static const char *const titles[] = {"MODEL",       ">MAX OUTPUT", ">TEMPERATURE",
                                         ">ITERATIONS", "TRIM",        ">VERSION"};
    struct terminal out;
    struct table t;
    size_t i;
    const json_t *entry;
    terminal_init(&out, stdout);
    table_init(&t, titles, sizeof(titles) / sizeof(titles[0]));
    json_array_foreach(json_object_get(list, "data"), i, entry)
    {
        char name[2 * CELL_BYTES], cell[CELL_BYTES];
        name_text(entry, name);
        table_add(&t, name);
        for (size_t k = 0; k < NAMES; k++) {
            effective_text(entry, names[k], cell);
            table_add(&t, cell);
        }
        value_text(json_object_get(entry, "version"), cell);
        table_add(&t, cell);
    }
    int rc = table_print(&t, &out);
    table_release(&t);
    if (out.rich)
        (void)puts("(a value in brackets is a suggestion that is not applied until it is saved)");
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void add_row(struct table *t, const char *name, const json_t *one)
{
    char cell[CELL_BYTES];
    const char *source = json_string_value(json_object_get(one, "source"));
    const char *note = json_string_value(json_object_get(one, "note"));
    const json_t *applied = json_object_get(one, "applied");
    value_text(json_object_get(one, "value"), cell);
    table_add(t, name);
    table_add(t, cell);
    table_add(t, source ? source : "-");
    if (note)
        table_add(t, note);
    else
        table_add(t, json_is_false(applied) ? "not applied" : "");
}

static int print_entry(const json_t *entry)
{
    static const char *const titles[] = {"SETTING", ">VALUE", "FROM", ""};
    const json_t *effective = json_object_get(entry, "effective");
    struct terminal out;
    struct table t;
    const char *name;
    json_t *one;
    if (!effective) /* reset, of a model that is no more */
        return EXIT_SUCCESS;
    terminal_init(&out, stdout);
    table_init(&t, titles, sizeof(titles) / sizeof(titles[0]));
    for (size_t k = 0; k < NAMES; k++)
        add_row(&t, names[k], json_object_get(effective, names[k]));
    json_object_foreach(json_object_get(effective, "limits"), name, one)
    {
        if (!json_is_null(json_object_get(one, "value")))
            add_row(&t, name, one);
    }
    int rc = table_print(&t, &out);
    table_release(&t);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- what can be done */

static int run_ls(struct client *c, const struct request *r, json_t **ret, struct error *e)
{
    (void)r;
    return saved_list(c, ret, e);
}

static int run_get(struct client *c, const struct request *r, json_t **ret, struct error *e)
{
    return saved_get(c, r->name, ret, e);
}

static int run_set(struct client *c, const struct request *r, json_t **ret, struct error *e)
{
    return saved_change(c, r->name, r->changes, ret, e);
}

static int run_reset(struct client *c, const struct request *r, json_t **ret, struct error *e)
{
    return saved_reset(c, r->name, ret, e);
}

static const struct action {
    const char *name;
    int (*run)(struct client *c, const struct request *r, json_t **ret, struct error *e);
    bool takes_name;
    const char *done; /* told on standard error */
} actions[] = {{"ls", run_ls, false, NULL},
               {"get", run_get, true, NULL},
               {"set", run_set, true, "saved"},
               {"reset", run_reset, true, "reset"}};

static int act(const struct action *action, const struct request *r)
{
    struct client c;
    struct error e;
    json_t *answer = NULL;
    int rc = client_init(&c, &r->service, &e);
    if (rc == 0)
        rc = action->run(&c, r, &answer, &e);
    client_release(&c);
    if (rc < 0)
        return fail(action->name, &e);
    if (action->done && !r->service.json)
        (void)fprintf(stderr, "%s %s, on all instances\n", r->name, action->done);
    int code = r->service.json      ? print_json(answer)
               : action->takes_name ? print_entry(answer)
                                    : print_list(answer);
    json_decref(answer);
    return code;
}

static void take_number(struct request *r, struct args *a, const char *name)
{
    json_t *value = saved_value(a->value);
    if (value)
        (void)json_object_set_new(r->changes, name, value);
    else
        args_error(a, "\"%s\" is no number (and not \"default\") for %s", a->value, name);
}

static void take(struct request *r, struct args *a, int id)
{
    if (client_option(&r->service, id, a->value))
        return;
    if (id == OPT_OUTPUT)
        take_number(r, a, "max_output_tokens");
    else if (id == OPT_TEMPERATURE)
        take_number(r, a, "temperature");
    else if (id == OPT_ITERATIONS)
        take_number(r, a, "max_iterations");
    else if (id == OPT_TRIM)
        (void)json_object_set_new(r->changes, "trim",
                                  strcmp(a->value, "default") == 0 ? json_null()
                                                                   : json_string(a->value));
}

static const struct action *find_action(struct args *a, const struct request *r)
{
    const struct action *found = NULL;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, a->operands[0]) == 0)
            found = &actions[i];
    bool sets = found && found->run == run_set, any = json_object_size(r->changes) > 0;
    if (!found)
        return NULL; /* args_next() has let verbs in only */
    if (found->takes_name != (a->operand_count == 2))
        args_error(a,
                   found->takes_name ? "%s needs PROVIDER/MODEL (sluice settings ls)"
                                     : "%s takes no model",
                   found->name);
    else if (sets != any)
        args_error(a,
                   sets ? "%s needs at least one setting, such as --temperature 0.7"
                        : "%s takes no values: they are for set",
                   found->name);
    else
        return found;
    return NULL;
}

int cmd_settings(int argc, char **argv)
{
    struct request r = {.changes = json_object()};
    struct args a;
    args_init(&a, &cmd_settings_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;)
        take(&r, &a, id);
    const struct action *action = a.exit_code < 0 ? find_action(&a, &r) : NULL;
    int code = a.exit_code;
    if (action) {
        r.name = a.operand_count == 2 ? a.operands[1] : NULL;
        code = act(action, &r);
    }
    json_decref(r.changes);
    return code;
}
