#include "api/client/cmd_keys.h"

#include "api/client/client.h"
#include "api/client/terminal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_EXPIRE_S (10 * 366 * 86400LL)
#define MAX_GRACE_S  (30 * 86400)
#define BUDGET_BYTES 64

enum {
    OPT_NAME = ARGS_NO_CHAR,
    OPT_TENANT,
    OPT_SCOPES,
    OPT_MODELS,
    OPT_EXPIRES,
    OPT_GRACE,
    OPT_BUDGET,
    OPT_DURATION
};

static const struct args_option options[] = {
    CLIENT_OPTIONS,
    {OPT_NAME, "name", "TEXT", "create: what to call it"},
    {OPT_TENANT, "tenant", "NAME", "create: whose requests come with it (default)"},
    {OPT_SCOPES, "scopes", "LIST", "create: of proxy,jobs,permits,stats,admin (proxy,jobs)"},
    {OPT_MODELS, "models", "LIST", "create: names or patterns such as gpt-4o*; left out: all"},
    {OPT_EXPIRES, "expires-in", "S", "create: it holds for so many seconds; left out: for ever"},
    {OPT_BUDGET, "max-budget", "USD", "create: it may spend so much; left out: without a limit"},
    {OPT_DURATION, "budget-duration", "TIME", "create: in so long, such as 1d, 7d, 1mo (for ever)"},
    {OPT_GRACE, "grace", "S", "rotate: the old key still holds for so many seconds (0)"},
    {0},
};

const struct args_command cmd_keys_usage = {
    .name = "keys",
    .about = "List, make, rotate and remove the access keys of a running service.",
    .operands = "ls|create|rotate|rm [ID]",
    .verbs = "ls|create|rotate|rm",
    .least = 1,
    .most = 2,
    .options = options,
    .example = "  sluice keys create --name ci --tenant research --scopes proxy,jobs\n"
               "  sluice keys create --name intern --max-budget 10 --budget-duration 1mo\n"
               "  sluice keys ls\n"
               "  sluice keys rotate key_5f0c1d2e3a4b5c6d --grace 3600\n",
};

struct request {
    struct client_options service;
    json_t *wish; /* of create */
    int64_t grace_s;
    const char *id;
};

static int fail(const char *what, const struct error *e)
{
    (void)fprintf(stderr, "sluice keys %s: %s\n", what, e->text);
    return EXIT_FAILURE;
}

static int call(struct client *c, const struct client_call *call, json_t **ret, const char *what)
{
    struct error e;
    int rc = client_call(c, call, ret, &e);
    return rc < 0 ? fail(what, &e) : EXIT_SUCCESS;
}

static const char *text_of(const json_t *key, const char *name)
{
    const char *text = json_string_value(json_object_get(key, name));
    return text ? text : "";
}

static void join(const json_t *list, char *out, size_t size)
{
    size_t i, used = 0;
    const json_t *one;
    out[0] = '\0';
    json_array_foreach(list, i, one)
    {
        int n = snprintf(out + used, size - used, "%s%s", i ? "," : "", json_string_value(one));
        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}

static void print_time(const json_t *key, const char *name, char *out, size_t size)
{
    time_t at = (time_t)json_integer_value(json_object_get(key, name));
    struct tm tm;
    (void)snprintf(out, size, "-");
    if (at > 0 && gmtime_r(&at, &tm))
        (void)strftime(out, size, "%Y-%m-%d %H:%M", &tm);
}

/* "$10.00 in 30d" */
static const char *budget_text(const json_t *key, char out[BUDGET_BYTES])
{
    const json_t *most = json_object_get(key, "max_budget");
    const char *duration = text_of(key, "budget_duration");
    (void)snprintf(out, BUDGET_BYTES, "-");
    if (json_is_number(most))
        (void)snprintf(out, BUDGET_BYTES, "$%.2f%s%s", json_number_value(most),
                       *duration ? " in " : "", duration);
    return out;
}

static int print_keys(const json_t *list)
{
    static const char *const titles[] = {"ID",     "KEY",    "NAME",   "TENANT",
                                         "SCOPES", "MODELS", "BUDGET", "EXPIRES (UTC)"};
    struct terminal out;
    struct table t;
    size_t i;
    const json_t *key, *data = json_object_get(list, "data");
    terminal_init(&out, stdout);
    table_init(&t, titles, sizeof(titles) / sizeof(titles[0]));
    json_array_foreach(data, i, key)
    {
        char scopes[64], models[256], expires[32], budget[BUDGET_BYTES];
        join(json_object_get(key, "scopes"), scopes, sizeof(scopes));
        join(json_object_get(key, "models"), models, sizeof(models));
        print_time(key, "expires_at", expires, sizeof(expires));
        bool fixed = json_is_true(json_object_get(key, "of_config"));
        table_add(&t, text_of(key, "id"));
        table_add(&t, fixed ? "(configuration)" : text_of(key, "hint"));
        table_add(&t, text_of(key, "name"));
        table_add(&t, text_of(key, "tenant"));
        table_add(&t, scopes);
        table_add(&t, *models ? models : "all");
        table_add(&t, budget_text(key, budget));
        table_add(&t, expires);
    }
    if (json_array_size(data) == 0 && out.rich)
        (void)puts("no keys: everybody on this machine may call");
    int rc = json_array_size(data) > 0 ? table_print(&t, &out) : 0;
    table_release(&t);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print(const json_t *value, bool json)
{
    if (json)
        return json_dumpf(value, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF ? EXIT_FAILURE
                                                                                   : EXIT_SUCCESS;
    /* The key alone on standard output, so that it can go straight into a file or a variable. */
    (void)fprintf(stderr, "%s; the key is shown this once:\n", text_of(value, "id"));
    return puts(text_of(value, "key")) == EOF ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_ls(struct client *c, const struct request *r)
{
    json_t *list = NULL;
    int code =
        call(c, &(struct client_call){.method = "GET", .path = "/v1/admin/keys"}, &list, "ls");
    if (code == EXIT_SUCCESS)
        code = r->service.json ? print(list, true) : print_keys(list);
    json_decref(list);
    return code;
}

static int run_create(struct client *c, const struct request *r)
{
    json_t *made = NULL;
    char *body = json_dumps(r->wish, JSON_COMPACT);
    struct client_call ask = {.method = "POST",
                              .path = "/v1/admin/keys",
                              .body = body,
                              .body_len = body ? strlen(body) : 0};
    int code = body ? call(c, &ask, &made, "create") : EXIT_FAILURE;
    if (code == EXIT_SUCCESS)
        code = print(made, r->service.json);
    json_decref(made);
    free(body);
    return code;
}

static int run_rotate(struct client *c, const struct request *r)
{
    json_t *made = NULL;
    char path[CLIENT_PATH_BYTES], body[64];
    (void)snprintf(path, sizeof(path), "/v1/admin/keys/%s/rotate", r->id);
    (void)snprintf(body, sizeof(body), "{\"grace_s\":%" PRId64 "}", r->grace_s);
    struct client_call ask = {
        .method = "POST", .path = path, .body = body, .body_len = strlen(body)};
    int code = call(c, &ask, &made, "rotate");
    if (code == EXIT_SUCCESS)
        code = print(made, r->service.json);
    json_decref(made);
    return code;
}

static int run_rm(struct client *c, const struct request *r)
{
    json_t *gone = NULL;
    char path[CLIENT_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "/v1/admin/keys/%s", r->id);
    int code = call(c, &(struct client_call){.method = "DELETE", .path = path}, &gone, "rm");
    if (code == EXIT_SUCCESS && r->service.json)
        code = print(gone, true);
    else if (code == EXIT_SUCCESS)
        (void)printf("%s removed\n", r->id);
    json_decref(gone);
    return code;
}

static const struct action {
    const char *name;
    int (*run)(struct client *c, const struct request *r);
    bool takes_id;
} actions[] = {{"ls", run_ls, false},
               {"create", run_create, false},
               {"rotate", run_rotate, true},
               {"rm", run_rm, true}};

static json_t *split(const char *text)
{
    json_t *list = json_array();
    for (text += strspn(text, ", "); *text; text += strspn(text, ", ")) {
        size_t len = strcspn(text, ", ");
        if (json_array_append_new(list, json_stringn(text, len)) < 0)
            break;
        text += len;
    }
    return list;
}

static void take(struct request *r, struct args *a, int id)
{
    int64_t number = 0;
    if (client_option(&r->service, id, a->value))
        return;
    if (id == OPT_NAME)
        (void)json_object_set_new(r->wish, "name", json_string(a->value));
    else if (id == OPT_TENANT)
        (void)json_object_set_new(r->wish, "tenant", json_string(a->value));
    else if (id == OPT_SCOPES)
        (void)json_object_set_new(r->wish, "scopes", split(a->value));
    else if (id == OPT_MODELS)
        (void)json_object_set_new(r->wish, "models", split(a->value));
    else if (id == OPT_EXPIRES && args_number(a, 1, MAX_EXPIRE_S, &number))
        (void)json_object_set_new(r->wish, "expires_at",
                                  json_integer((json_int_t)(time(NULL) + number)));
    else if (id == OPT_BUDGET)
        (void)json_object_set_new(r->wish, "max_budget", json_string(a->value));
    else if (id == OPT_DURATION)
        (void)json_object_set_new(r->wish, "budget_duration", json_string(a->value));
    else if (id == OPT_GRACE)
        (void)args_number(a, 0, MAX_GRACE_S, &r->grace_s);
}

static const struct action *find_action(struct args *a)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(actions[i].name, a->operands[0]) != 0)
            continue;
        if (actions[i].takes_id == (a->operand_count == 2))
            return &actions[i];
        args_error(
            a, actions[i].takes_id ? "%s needs the ID of a key (sluice keys ls)" : "%s takes no ID",
            actions[i].name);
        return NULL;
    }
    return NULL; /* args_next() has let verbs in only */
}

int cmd_keys(int argc, char **argv)
{
    struct request r = {.wish = json_object()};
    struct client c;
    struct error e;
    struct args a;
    args_init(&a, &cmd_keys_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;)
        take(&r, &a, id);
    const struct action *action = a.exit_code < 0 ? find_action(&a) : NULL;
    int code = a.exit_code;
    if (action) {
        r.id = a.operand_count == 2 ? a.operands[1] : NULL;
        code = client_init(&c, &r.service, &e) < 0 ? fail(action->name, &e) : action->run(&c, &r);
        client_release(&c);
    }
    json_decref(r.wish);
    return code;
}
