#include "api/client/cmd_jobs.h"

#include "api/client/client.h"
#include "api/client/job_text.h"
#include "api/client/job_wait.h"
#include "api/client/terminal.h"

#include "common/clock.h"
#include "common/nearest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_IDS       1000
#define MAX_TIMEOUT_S (30 * 86400)

enum { OPT_LIMIT = ARGS_NO_CHAR, OPT_AFTER, OPT_TIMEOUT };

struct request {
    struct client_options service;
    int64_t limit, timeout_s;
    const char *after;
    char **ids;
    size_t id_count;
};

static int fail(const char *what, const struct error *e)
{
    (void)fprintf(stderr, "sluice jobs %s: %s\n", what, e->text);
    return EXIT_FAILURE;
}

static int print_json(const json_t *value)
{
    if (json_dumpf(value, stdout, JSON_COMPACT) < 0)
        return EXIT_FAILURE;
    (void)putchar('\n');
    return EXIT_SUCCESS;
}

static int close_output(const char *what, int code)
{
    struct error e;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    (void)error_set(&e, -EIO, "the output could not be written");
    return fail(what, &e);
}

/* ---- ls */

static int print_list(const json_t *list)
{
    struct terminal out;
    struct table t;
    size_t i;
    const json_t *job;
    const json_t *data = json_object_get(list, "data");
    terminal_init(&out, stdout);
    table_init(&t, job_titles, JOB_COLUMNS);
    json_array_foreach(data, i, job) job_add_row(&t, job, clock_wall_ms() / 1000);
    if (json_array_size(data) == 0 && out.rich)
        (void)puts("no jobs");
    int rc = json_array_size(data) > 0 ? table_print(&t, &out) : 0;
    table_release(&t);
    if (json_is_true(json_object_get(list, "has_more")) && out.rich)
        (void)fprintf(stderr, "There are more: sluice jobs ls --after %s\n",
                      job_text(json_array_get(data, json_array_size(data) - 1), "id"));
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_ls(struct client *c, const struct request *r)
{
    char path[CLIENT_PATH_BYTES];
    struct error e;
    json_t *list = NULL;
    (void)snprintf(path, sizeof(path), "/v1/jobs?limit=%" PRId64 "%s%s", r->limit,
                   r->after ? "&after=" : "", r->after ? r->after : "");
    if (client_call(c, &(struct client_call){.method = "GET", .path = path}, &list, &e) < 0)
        return fail("ls", &e);
    int code = r->service.json ? print_json(list) : print_list(list);
    json_decref(list);
    return code;
}

/* ---- get, cancel and retry */

static int run_get(struct client *c, const struct request *r)
{
    struct error e;
    struct terminal out;
    json_t *job = NULL;
    terminal_init(&out, stdout);
    if (job_call(c, "GET", r->ids[0], &job, &e) < 0)
        return fail("get", &e);
    int code = r->service.json             ? print_json(job)
               : job_print(job, &out) == 0 ? EXIT_SUCCESS
                                           : EXIT_FAILURE;
    json_decref(job);
    return code;
}

static void print_status(const struct terminal *out, const json_t *job)
{
    const char *status = job_text(job, "status");
    (void)fprintf(out->out, "%s%c%s%s%s\n", job_text(job, "id"), out->rich ? ' ' : '\t',
                  terminal_colour(out, terminal_status_colour(status)), status,
                  terminal_colour(out, COLOUR_NONE));
}

/* path: with the id in it. */
static int run_each(struct client *c, const struct request *r, const char *what, const char *method,
                    const char *path)
{
    struct error e;
    struct terminal out;
    int code = EXIT_SUCCESS;
    terminal_init(&out, stdout);
    for (size_t i = 0; i < r->id_count; i++) {
        char whole[CLIENT_PATH_BYTES];
        json_t *job = NULL;
        (void)snprintf(whole, sizeof(whole), "/v1/jobs/%s%s", r->ids[i], path);
        if (client_call(c, &(struct client_call){.method = method, .path = whole}, &job, &e) < 0) {
            code = fail(what, &e);
            continue;
        }
        if (r->service.json)
            (void)print_json(job);
        else
            print_status(&out, job);
        json_decref(job);
    }
    return code;
}

static int run_cancel(struct client *c, const struct request *r)
{
    return run_each(c, r, "cancel", "DELETE", "");
}

/* Tells the new jobs: they are what one waits for. */
static int run_retry(struct client *c, const struct request *r)
{
    return run_each(c, r, "retry", "POST", "/retry");
}

/* ---- wait */

static int print_waited(const struct job_wait *w, bool json)
{
    struct terminal out;
    int code = EXIT_SUCCESS;
    terminal_init(&out, stdout);
    for (size_t i = 0; i < w->count; i++) {
        const struct job_wait_item *item = &w->items[i];
        if (!item->job || *item->error.text) {
            code = *item->error.text ? fail("wait", &item->error) : EXIT_FAILURE;
            continue;
        }
        if (!job_has_succeeded(item->job))
            code = EXIT_FAILURE;
        if (json)
            (void)print_json(item->job);
        else
            print_status(&out, item->job);
    }
    return code;
}

static int run_wait(struct client *c, const struct request *r)
{
    struct error e = {.text = ""};
    struct terminal err;
    struct job_wait_item *items = calloc(r->id_count, sizeof(*items));
    terminal_init(&err, stderr);
    if (!items) {
        (void)error_set(&e, -ENOMEM, "out of memory");
        return fail("wait", &e);
    }
    struct job_wait w = {.client = c,
                         .items = items,
                         .count = r->id_count,
                         .timeout_ms = r->timeout_s * 1000,
                         .progress = {.term = &err}};
    for (size_t i = 0; i < r->id_count; i++)
        items[i].id = r->ids[i];
    int rc = job_wait_run(&w, &e);
    int code = print_waited(&w, r->service.json);
    if (rc < 0)
        code = fail("wait", &e);
    job_wait_release(&w);
    free(items);
    return code;
}

/* ---- the commands */

static const struct args_option ls_options[] = {
    CLIENT_OPTIONS,
    {OPT_LIMIT, "limit", "N", "how many, at most (20; 1 to 100)"},
    {OPT_AFTER, "after", "ID", "go on behind this job"},
    {0},
};
static const struct args_option plain_options[] = {CLIENT_OPTIONS, {0}};
static const struct args_option wait_options[] = {
    CLIENT_OPTIONS,
    {OPT_TIMEOUT, "timeout", "SECONDS", "give up after so long (without: never)"},
    {0},
};

static const struct verb {
    const char *name;
    struct args_command command;
    int (*run)(struct client *c, const struct request *r);
} verbs[] = {
    {"ls",
     {.name = "jobs ls",
      .about = "Lists your jobs, newest first.",
      .operands = "",
      .options = ls_options,
      .example = "  sluice jobs ls --limit 50"},
     run_ls},
    {"get",
     {.name = "jobs get",
      .about = "Shows one job and its answer.",
      .operands = "ID",
      .least = 1,
      .most = 1,
      .options = plain_options,
      .example = "  sluice jobs get job_2f6c1f0e... --json"},
     run_get},
    {"wait",
     {.name = "jobs wait",
      .about = "Waits until all of these jobs have ended; exit code 0 when all succeeded.",
      .operands = "ID...",
      .least = 1,
      .most = MAX_IDS,
      .options = wait_options,
      .example = "  sluice jobs wait --timeout 600 job_2f6c1f0e..."},
     run_wait},
    {"cancel",
     {.name = "jobs cancel",
      .about = "Takes jobs out of the queue, and stops those that run.",
      .operands = "ID...",
      .least = 1,
      .most = MAX_IDS,
      .options = plain_options,
      .example = "  sluice jobs cancel job_2f6c1f0e..."},
     run_cancel},
    {"retry",
     {.name = "jobs retry",
      .about = "Submits the requests of jobs that have ended as new jobs, and prints their ids.",
      .operands = "ID...",
      .least = 1,
      .most = MAX_IDS,
      .options = plain_options,
      .example = "  sluice jobs retry job_2f6c1f0e..."},
     run_retry},
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void read_options(struct args *a, struct request *r)
{
    for (int id; (id = args_next(a)) != ARGS_END;) {
        if (client_option(&r->service, id, a->value))
            continue;
        if (id == OPT_LIMIT)
            (void)args_number(a, 1, 100, &r->limit);
        else if (id == OPT_TIMEOUT)
            (void)args_number(a, 1, MAX_TIMEOUT_S, &r->timeout_s);
        else if (id == OPT_AFTER && job_id_is_sane(a->value))
            r->after = a->value;
        else
            args_error(a, "\"%.60s\" is no id of a job", a->value);
    }
    for (int i = 0; a->exit_code < 0 && i < a->operand_count; i++) {
        if (!job_id_is_sane(a->operands[i]))
            args_error(a, "\"%.60s\" is no id of a job", a->operands[i]);
    }
}

static int run(const struct verb *v, int argc, char **argv)
{
    struct request r = {.limit = 20};
    struct client c;
    struct error e;
    struct args a;
    args_init(&a, &v->command, argc, argv);
    read_options(&a, &r);
    if (a.exit_code >= 0)
        return a.exit_code;
    r.ids = a.operands;
    r.id_count = (size_t)a.operand_count;
    int code = client_init(&c, &r.service, &e) < 0 ? fail(v->name, &e) : v->run(&c, &r);
    client_release(&c);
    return close_output(v->name, code);
}

static void print_help(FILE *out)
{
    (void)fputs(
        "Jobs of a running service.\n\nusage: sluice jobs ls|get|wait|cancel|retry [options]\n\n",
        out);
    for (size_t i = 0; i < VERBS; i++)
        (void)fprintf(out, "  %-8s%s\n", verbs[i].name, verbs[i].command.about);
    (void)fputs("\nexample:\n  sluice jobs ls\n\nEach has --help with an example.\n", out);
}

const struct args_command *cmd_jobs_usage(size_t i)
{
    return i < VERBS ? &verbs[i].command : NULL;
}

int cmd_jobs(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    struct nearest nearest;
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (!*name) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    nearest_init(&nearest, name);
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return run(&verbs[i], argc - 1, argv + 1);
        nearest_offer(&nearest, verbs[i].name);
    }
    (void)fprintf(stderr, "sluice jobs: unknown command \"%s\"", name);
    if (nearest.best)
        (void)fprintf(stderr, "; did you mean \"%s\"?", nearest.best);
    (void)fputs("\nTry: sluice jobs --help\n", stderr);
    return EXIT_USAGE;
}
