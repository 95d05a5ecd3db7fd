#include "api/client/cmd_cache.h"

#include "api/client/client.h"
#include "common/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two names, each byte of which may be escaped. */
#define PATH_BYTES (64 + 2 * 3 * MODEL_NAME_MAX_BYTES)

enum { OPT_TENANT = ARGS_NO_CHAR, OPT_MODEL };

static const struct args_option options[] = {
    CLIENT_OPTIONS,
    {OPT_TENANT, "tenant", "NAME", "purge: only answers to this tenant"},
    {OPT_MODEL, "model", "NAME", "purge: only answers of this model"},
    {0},
};

const struct args_command cmd_cache_usage = {
    .name = "cache",
    .about = "Shows or forgets the answers that a running service keeps.",
    .operands = "show|purge",
    .verbs = "show|purge",
    .least = 1,
    .most = 1,
    .options = options,
    .example = "  sluice cache show\n"
               "  sluice cache purge --model gpt-4o\n",
};

struct request {
    struct client_options service;
    const char *tenant, *model;
};

static int ask(struct client *c, const struct client_call *call, json_t **ret)
{
    struct error e;
    if (client_call(c, call, ret, &e) == 0)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "sluice cache: %s\n", e.text);
    return EXIT_FAILURE;
}

static int print_json(const json_t *value)
{
    return json_dumpf(value, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF ? EXIT_FAILURE
                                                                               : EXIT_SUCCESS;
}

static int run_show(struct client *c, const struct request *r)
{
    json_t *cache = NULL;
    const char *name;
    const json_t *value;
    struct client_call call = {.method = "GET", .path = "/v1/admin/cache"};
    int code = ask(c, &call, &cache);
    if (code == EXIT_SUCCESS && r->service.json)
        code = print_json(cache);
    else if (code == EXIT_SUCCESS)
        json_object_foreach(cache, name, value)
        {
            if (json_is_integer(value))
                (void)printf("%-14s %12" PRId64 "\n", name, (int64_t)json_integer_value(value));
        }
    json_decref(cache);
    return code;
}

/* Appends "?name=value", escaped (RFC 3986, section 2.1). */
static void add(char *path, size_t size, const char *name, const char *value)
{
    size_t at = strlen(path);
    if (!value)
        return;
    at += (size_t)snprintf(path + at, size - at, "%c%s=", strchr(path, '?') ? '&' : '?', name);
    for (; *value && at + 4 < size; value++) {
        unsigned char byte = (unsigned char)*value;
        bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= 'a' && byte <= 'z') || strchr("-._~", byte);
        at += (size_t)snprintf(path + at, size - at, plain ? "%c" : "%%%02X", byte);
    }
}

static int run_purge(struct client *c, const struct request *r)
{
    json_t *done = NULL;
    char path[PATH_BYTES] = "/v1/admin/cache";
    add(path, sizeof(path), "tenant", r->tenant);
    add(path, sizeof(path), "model", r->model);
    int code = ask(c, &(struct client_call){.method = "DELETE", .path = path}, &done);
    if (code == EXIT_SUCCESS && r->service.json)
        code = print_json(done);
    else if (code == EXIT_SUCCESS)
        (void)puts("forgotten on all instances");
    json_decref(done);
    return code;
}

/* A longer name is none that a service knows. */
static void take(struct request *r, struct args *a, int id)
{
    if (client_option(&r->service, id, a->value))
        return;
    if (!*a->value || strlen(a->value) >= MODEL_NAME_MAX_BYTES)
        args_error(a, "\"%.60s\" is no name", a->value);
    else if (id == OPT_TENANT)
        r->tenant = a->value;
    else if (id == OPT_MODEL)
        r->model = a->value;
}

int cmd_cache(int argc, char **argv)
{
    struct request r = {.tenant = NULL};
    struct client c;
    struct error e;
    struct args a;
    args_init(&a, &cmd_cache_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;)
        take(&r, &a, id);
    bool purge = a.exit_code < 0 && strcmp(a.operands[0], "purge") == 0;
    if (a.exit_code < 0 && !purge && (r.tenant || r.model))
        args_error(&a, "show takes neither --tenant nor --model");
    if (a.exit_code >= 0)
        return a.exit_code;
    int code = EXIT_FAILURE;
    if (client_init(&c, &r.service, &e) < 0)
        (void)fprintf(stderr, "sluice cache: %s\n", e.text);
    else
        code = purge ? run_purge(&c, &r) : run_show(&c, &r);
    client_release(&c);
    return code;
}
