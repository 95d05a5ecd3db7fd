#include "api/client/cmd_submit.h"

#include "api/client/client.h"
#include "api/client/job_text.h"
#include "api/client/job_wait.h"
#include "api/client/submission.h"
#include "api/client/terminal.h"
#include "api/request_options.h"

#include "common/buf.h"
#include "common/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES    (64 * KIB)
#define MAX_TIMEOUT_S (30 * 86400)

enum { OPT_PRIORITY = ARGS_NO_CHAR, OPT_TIMEOUT };

static const struct args_option options[] = {
    CLIENT_OPTIONS,
    {'w', "wait", NULL, "wait for the jobs and print their answers, a line each"},
    {OPT_TIMEOUT, "timeout", "SECONDS", "with --wait: give up after so long"},
    {OPT_PRIORITY, "priority", "CLASS", "interactive, normal or batch, for jobs that name none"},
    {0},
};

const struct args_command cmd_submit_usage = {
    .name = "submit",
    .about = "Gives jobs to a running service and prints their ids. FILE, or standard input, is\n"
             "one job as JSON or many as NDJSON: {\"endpoint\":\"/v1/chat/completions\","
             "\"body\":{...}}",
    .operands = "[FILE]",
    .most = 1,
    .options = options,
    .example = "  sluice submit --wait --priority batch jobs.ndjson",
};

struct request {
    struct client_options service;
    const char *path; /* NULL: standard input */
    const char *priority;
    int64_t timeout_s;
    bool wait;
};

static int fail(const struct error *e)
{
    (void)fprintf(stderr, "sluice submit: %s\n", e->text);
    return EXIT_FAILURE;
}

static int read_input(const char *path, struct buf *into)
{
    char chunk[READ_BYTES];
    bool standard = !path || strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : 0;
    for (ssize_t n = 1; rc == 0 && n > 0;) {
        n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            rc = -errno;
        else
            rc = buf_add(into, chunk, (size_t)n);
    }
    if (!standard && fd >= 0)
        (void)close(fd);
    return rc == -ENOSPC ? -EFBIG : rc;
}

static bool is_job(const json_t *answer)
{
    return strcmp(job_text(answer, "object"), "job") == 0;
}

static void complain(const struct submission *s, const struct submission_line *line,
                     const char *text)
{
    if (s->many)
        (void)fprintf(stderr, "sluice submit: line %zu: %s\n", line->number, text);
    else
        (void)fprintf(stderr, "sluice submit: %s\n", text);
}

static void print_json(const json_t *value, size_t flags)
{
    (void)json_dumpf(value, stdout, flags | JSON_ENCODE_ANY);
    (void)putchar('\n');
}

/* ---- what came of it */

/* Its id, or why there is none. False when it was refused. */
static bool print_submitted(const struct submission *s, const struct submission_line *line,
                            bool json)
{
    if (json && line->answer)
        print_json(line->answer, JSON_COMPACT);
    if (is_job(line->answer)) {
        if (!json)
            (void)puts(job_text(line->answer, "id"));
        return true;
    }
    if (line->answer && !json)
        complain(s, line, job_error_text(line->answer));
    return false;
}

static int print_ids(const struct submission *s, const struct request *r)
{
    struct terminal out;
    int code = EXIT_SUCCESS;
    terminal_init(&out, stdout);
    for (size_t i = 0; i < s->count; i++) {
        if (!print_submitted(s, &s->lines[i], r->service.json))
            code = EXIT_FAILURE;
    }
    if (out.rich && !r->service.json && s->many && *s->group)
        (void)fprintf(stderr, "They are one group, whose progress is at /v1/job-groups/%s\n",
                      s->group);
    if (out.rich && !r->service.json && s->count == 1 && code == EXIT_SUCCESS)
        (void)fprintf(stderr, "See what comes of it: sluice jobs wait %s\n",
                      job_text(s->lines[0].answer, "id"));
    return code;
}

/* The answer's body. False when the job did not succeed. */
static bool print_ended(const struct submission *s, const struct submission_line *line,
                        const struct job_wait_item *item, const struct request *r)
{
    struct error why;
    bool good = item->job && job_has_succeeded(item->job);
    const json_t *body = json_object_get(json_object_get(item->job, "response"), "body");
    if (r->service.json) {
        print_json(item->job ? item->job : line->answer, JSON_COMPACT);
        return good;
    }
    if (good) {
        print_json(body, !s->many && isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT);
        return true;
    }
    const char *text = *item->error.text ? item->error.text
                       : item->job       ? job_error_text(item->job)
                                         : job_error_text(line->answer);
    (void)error_set(&why, 0, "%.60s%s%.20s%s%.200s", job_text(item->job, "id"),
                    item->job ? " " : "", job_text(item->job, "status"),
                    item->job && *text ? ": " : "", text);
    complain(s, line, why.text);
    if (s->many)
        (void)puts("null"); /* keeps lines of output beside lines of input */
    return false;
}

static int wait_for(const struct submission *s, struct client *c, const struct request *r)
{
    struct error e = {.text = ""};
    struct terminal err;
    struct job_wait_item *items = calloc(s->count, sizeof(*items));
    int code = EXIT_SUCCESS;
    terminal_init(&err, stderr);
    if (!items) {
        (void)error_set(&e, -ENOMEM, "out of memory; the jobs were submitted");
        return fail(&e);
    }
    struct job_wait w = {.client = c,
                         .items = items,
                         .count = s->count,
                         .timeout_ms = r->timeout_s * 1000,
                         .progress = {.term = &err}};
    for (size_t i = 0; i < s->count; i++)
        items[i].id = is_job(s->lines[i].answer) ? job_text(s->lines[i].answer, "id") : NULL;
    int rc = job_wait_run(&w, &e);
    for (size_t i = 0; i < s->count; i++) {
        if (!print_ended(s, &s->lines[i], &items[i], r))
            code = EXIT_FAILURE;
    }
    job_wait_release(&w);
    free(items);
    return rc < 0 ? fail(&e) : code;
}

/* A call broke off: those before it are in, those after it are not. */
static int print_broken(const struct submission *s, const struct request *r, const struct error *e)
{
    size_t sent = 0;
    while (sent < s->count && s->lines[sent].answer)
        sent++;
    for (size_t i = 0; i < sent; i++)
        (void)print_submitted(s, &s->lines[i], r->service.json);
    if (s->many && sent < s->count)
        (void)fprintf(stderr,
                      "sluice submit: from line %zu on no job is known to be accepted: %s\n",
                      s->lines[sent].number, e->text);
    else
        (void)fail(e);
    return EXIT_FAILURE;
}

/* ---- the command */

static int submit(struct submission *s, const struct request *r)
{
    struct client c;
    struct error e;
    struct terminal err;
    terminal_init(&err, stderr);
    struct progress progress = {.term = &err};
    if (client_init(&c, &r->service, &e) < 0) {
        client_release(&c);
        return fail(&e);
    }
    int code;
    if (submission_send(s, &c, r->priority, &progress, &e) < 0)
        code = print_broken(s, r, &e);
    else
        code = r->wait ? wait_for(s, &c, r) : print_ids(s, r);
    client_release(&c);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)error_set(&e, -EIO, "the output could not be written");
        return fail(&e);
    }
    return code;
}

static int read_and_submit(const struct request *r)
{
    struct submission s = {.lines = NULL};
    struct error e;
    struct buf text;
    const char *name = r->path ? r->path : "standard input";
    buf_init(&text, CLIENT_MAX_INPUT_BYTES);
    int code = EXIT_FAILURE;
    int rc = read_input(r->path, &text);
    if (rc < 0) {
        (void)fprintf(stderr, "sluice submit: %s: %s\n", name, strerror(-rc));
    } else if (submission_read(&s, text.data ? text.data : "", text.len, &e) < 0) {
        (void)fprintf(stderr, "sluice submit: %s: %s\n", name, e.text);
    } else {
        code = submit(&s, r);
    }
    submission_release(&s);
    buf_release(&text);
    return code;
}

int cmd_submit(int argc, char **argv)
{
    struct request r = {.path = NULL};
    struct args a;
    enum pool_class ignored;
    args_init(&a, &cmd_submit_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;) {
        if (client_option(&r.service, id, a.value))
            continue;
        if (id == 'w')
            r.wait = true;
        else if (id == OPT_TIMEOUT)
            (void)args_number(&a, 1, MAX_TIMEOUT_S, &r.timeout_s);
        else if (request_class(a.value, &ignored))
            r.priority = a.value;
        else
            args_error(&a, "--priority is interactive, normal or batch, not \"%.40s\"", a.value);
    }
    if (a.exit_code < 0 && r.timeout_s > 0 && !r.wait)
        args_error(&a, "--timeout needs --wait");
    if (a.exit_code >= 0)
        return a.exit_code;
    r.path = a.operand_count ? a.operands[0] : NULL;
    return read_and_submit(&r);
}
