#include "api/client/cmd_batch.h"

#include "api/client/client.h"
#include "api/client/job_text.h"
#include "api/client/job_wait.h"
#include "api/client/terminal.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/json_scan.h"
#include "common/limits.h"
#include "common/rand.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define UPLOAD_MS        600000
#define FIRST_LOOK_MS    200
#define LAST_LOOK_MS     2000
#define NOTE_BYTES       96
#define EXIT_INTERRUPTED 130 /* as a shell says it of SIGINT */

enum { OPT_ENDPOINT = ARGS_NO_CHAR, OPT_ERRORS, OPT_PROVIDER, OPT_DETACH, OPT_RESUME };

static const struct args_option options[] = {
    CLIENT_OPTIONS,
    {OPT_ENDPOINT, "endpoint", "PATH", "of all lines (else the url of the first one)"},
    {'o', "output", "FILE", "gets the answers (FILE.output.jsonl; - is standard output)"},
    {OPT_ERRORS, "errors", "FILE", "gets the lines that failed (FILE.errors.jsonl)"},
    {OPT_PROVIDER, "provider-batch", NULL, "the provider's own batch endpoint runs it, cheaper"},
    {'w', "wait", NULL, "wait for its end and fetch the results (as without --detach)"},
    {OPT_DETACH, "detach", NULL, "print its id and leave; --resume ID waits for it later"},
    {OPT_RESUME, "resume", "ID", "wait for this batch instead of starting one"},
    {0},
};

const struct args_command cmd_batch_usage = {
    .name = "batch",
    .about =
        "Runs a file of requests, one a line, and writes the answers to a file. The format is\n"
        "OpenAI's: {\"custom_id\":\"1\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
        "\"body\":{...}}\n"
        "Interrupted, the batch goes on; --resume fetches it. Exit code 0: all lines are\n"
        "answered; 1: some failed.",
    .operands = "[FILE.jsonl]",
    .most = 1,
    .options = options,
    .example = "  sluice batch requests.jsonl --output answers.jsonl\n"
               "  sluice batch --resume batch_01a1fdc6f859d93295f58fc7dd56255b\n",
};

struct request {
    struct client_options service;
    const char *path, *endpoint, *output, *errors, *resume;
    bool provider, wait, detach;
};

struct work {
    const struct request *r;
    struct client client;
    struct terminal term;
    struct progress progress;
    json_t *batch;
    int64_t told; /* the part of it that was last told, where there is no bar */
    sigset_t signals;
};

static int fail(struct work *w, const struct error *e)
{
    progress_clear(&w->progress);
    (void)fprintf(stderr, "sluice batch: %s\n", e->text);
    return EXIT_FAILURE;
}

static bool has_status(const json_t *batch, const char *status)
{
    return strcmp(job_text(batch, "status"), status) == 0;
}

static bool has_ended(const json_t *batch)
{
    return has_status(batch, "completed") || has_status(batch, "failed") ||
           has_status(batch, "expired") || has_status(batch, "cancelled");
}

static int64_t count(const json_t *batch, const char *what)
{
    return json_integer_value(json_object_get(json_object_get(batch, "request_counts"), what));
}

/* ---- start */

/* Where all lines go: what the first one says. */
static int find_endpoint(const struct buf *text, struct buf *out, struct error *e)
{
    const char *stop = memchr(text->data, '\n', text->len);
    size_t len = stop ? (size_t)(stop - text->data) : text->len;
    struct error why;
    if (json_scan_check(text->data, len, &why) < 0 ||
        json_text(json_get(json_span_of(text->data, len), "url"), out) < 0 || out->len == 0)
        return error_set(e, -EINVAL,
                         "the first line is no request with a url; say --endpoint to leave that to "
                         "the service");
    return 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int write_form(const struct buf *text, const char *name, const char *boundary,
                      struct buf *out)
{
    (void)buf_addf(out,
                   "--%s\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
                   "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"",
                   boundary, boundary);
    for (; *name; name++)
        (void)buf_add(out, strchr("\"\\\r\n", *name) ? "_" : name, 1);
    (void)buf_adds(out, "\"\r\nContent-Type: application/jsonl\r\n\r\n");
    (void)buf_add(out, text->data, text->len);
    (void)buf_addf(out, "\r\n--%s--\r\n", boundary);
    return out->failed;
}

static int upload(struct work *w, const struct buf *text, json_t **ret_file, struct error *e)
{
    char random[33], boundary[64], type[128];
    struct buf form;
    rand_hex(random, 32);
    (void)snprintf(boundary, sizeof(boundary), "sluice-%s", random);
    (void)snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", boundary);
    buf_init(&form, FILE_MAX_UPLOAD_BYTES);
    int rc = write_form(text, base_name(w->r->path), boundary, &form);
    if (rc < 0)
        rc = error_set(e, rc, "%.300s: %s", w->r->path, strerror(-rc));
    else
        rc = client_call(&w->client,
                         &(struct client_call){.method = "POST",
                                               .path = "/v1/files",
                                               .type = type,
                                               .body = form.data,
                                               .body_len = form.len,
                                               .timeout_ms = UPLOAD_MS},
                         ret_file, e);
    buf_release(&form);
    return rc;
}

static int create(struct work *w, const char *endpoint, const json_t *file, struct error *e)
{
    json_t *asked =
        json_pack("{s:s, s:s, s:s, s:b}", "input_file_id", job_text(file, "id"), "endpoint",
                  endpoint, "completion_window", "24h", "provider_batch", w->r->provider);
    char *body = asked ? json_dumps(asked, JSON_COMPACT) : NULL;
    json_decref(asked);
    if (!body)
        return error_set(e, -ENOMEM, "out of memory");
    int rc = client_call(
        &w->client,
        &(struct client_call){
            .method = "POST", .path = "/v1/batches", .body = body, .body_len = strlen(body)},
        &w->batch, e);
    free(body);
    return rc;
}

static int start(struct work *w, struct error *e)
{
    struct buf text, endpoint;
    json_t *file = NULL;
    buf_init(&text, FILE_MAX_BYTES);
    buf_init(&endpoint, CLIENT_PATH_BYTES);
    int rc = file_append(w->r->path, &text);
    if (rc < 0)
        rc = error_set(e, rc, "%.300s: %s", w->r->path,
                       rc == -EFBIG ? "a batch has at most 200 MB" : strerror(-rc));
    else if (text.len == 0)
        rc = error_set(e, -EINVAL, "%.300s is empty", w->r->path);
    if (rc == 0 && !w->r->endpoint)
        rc = find_endpoint(&text, &endpoint, e);
    if (rc == 0)
        rc = upload(w, &text, &file, e);
    if (rc == 0)
        rc = create(w, w->r->endpoint ? w->r->endpoint : endpoint.data, file, e);
    json_decref(file);
    buf_release(&endpoint);
    buf_release(&text);
    return rc;
}

static int look(struct work *w, const char *id, struct error *e)
{
    char path[CLIENT_PATH_BYTES];
    json_t *batch = NULL;
    (void)snprintf(path, sizeof(path), "/v1/batches/%.128s", id);
    int rc =
        client_call(&w->client, &(struct client_call){.method = "GET", .path = path}, &batch, e);
    if (rc < 0)
        return rc;
    json_decref(w->batch);
    w->batch = batch;
    return 0;
}

/* ---- wait */

/* A bar on a terminal; else a line for each tenth of it. */
static void show(struct work *w)
{
    char note[NOTE_BYTES];
    int64_t total = count(w->batch, "total"), failed = count(w->batch, "failed");
    int64_t done = count(w->batch, "completed") + failed;
    const json_t *own = json_object_get(w->batch, "x_sluice");
    const char *waits = job_text(json_object_get(own, "provider_batch"), "waits_for");
    (void)snprintf(note, sizeof(note), "%.20s, %" PRId64 " failed%s%.40s",
                   job_text(w->batch, "status"), failed, *waits ? ", waits: " : "", waits);
    progress_show(&w->progress, (size_t)done, (size_t)total, note);
    if (w->term.rich || total == 0 || done * 10 / total <= w->told)
        return;
    w->told = done * 10 / total;
    (void)fprintf(stderr, "sluice batch: %" PRId64 " of %" PRId64 ", %s\n", done, total, note);
}

static int interrupted(struct work *w)
{
    progress_clear(&w->progress);
    (void)fprintf(stderr,
                  "sluice batch: the batch goes on; fetch it by: sluice batch --resume %s\n",
                  job_text(w->batch, "id"));
    return EXIT_INTERRUPTED;
}

/* Signals are taken here and nowhere else, so that none ends the command in the middle of a file.
 */
static bool rest(const struct work *w, int64_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return sigtimedwait(&w->signals, NULL, &time) < 0;
}

/* 0: it has ended; EXIT_INTERRUPTED; negative. */
static int wait_for(struct work *w, struct error *e)
{
    char id[CLIENT_PATH_BYTES];
    int64_t seen_ms = clock_mono_ms(), pause_ms = FIRST_LOOK_MS;
    (void)snprintf(id, sizeof(id), "%s", job_text(w->batch, "id"));
    while (!has_ended(w->batch)) {
        show(w);
        if (!rest(w, pause_ms))
            return interrupted(w);
        pause_ms = pause_ms * 2 < LAST_LOOK_MS ? pause_ms * 2 : LAST_LOOK_MS;
        int rc = look(w, id, e);
        if (rc == 0)
            seen_ms = clock_mono_ms();
        else if (rc != -EAGAIN || clock_mono_ms() - seen_ms > JOB_WAIT_OUTAGE_MS)
            return rc;
    }
    show(w);
    progress_clear(&w->progress);
    return 0;
}

/* ---- results */

static void default_name(const struct work *w, const char *what, char out[CLIENT_PATH_BYTES])
{
    const char *from = w->r->path ? w->r->path : job_text(w->batch, "id");
    size_t len = strlen(from);
    if (len > 6 && strcmp(from + len - 6, ".jsonl") == 0)
        len -= 6;
    (void)snprintf(out, CLIENT_PATH_BYTES, "%.*s.%s.jsonl", (int)(len < 400 ? len : 400), from,
                   what);
}

/* Under its name once it is whole, so that a file that is there is all of it. */
static int fetch_to(struct work *w, const char *id, const char *name, struct error *e)
{
    char path[CLIENT_PATH_BYTES], beside[CLIENT_PATH_BYTES + 8];
    bool standard = strcmp(name, "-") == 0;
    (void)snprintf(path, sizeof(path), "/v1/files/%.128s/content", id);
    (void)snprintf(beside, sizeof(beside), "%s.part", name);
    FILE *out = standard ? stdout : fopen(beside, "w");
    if (!out)
        return error_set(e, -errno, "%.300s cannot be written: %s", beside, strerror(errno));
    int rc = client_fetch(&w->client, path, out, e);
    bool bad = standard ? fflush(out) != 0 : fclose(out) != 0;
    if (rc == 0 && (bad || (!standard && rename(beside, name) < 0)))
        rc = error_set(e, -EIO, "%.300s cannot be written: %s", name, strerror(errno));
    if (rc < 0 && !standard)
        (void)remove(beside);
    return rc;
}

/* name: as given, or NULL; filled in. 0 also when there is nothing. */
static int fetch(struct work *w, const char *key, const char *given, char name[CLIENT_PATH_BYTES],
                 struct error *e)
{
    const char *id = job_text(w->batch, key);
    if (given)
        (void)snprintf(name, CLIENT_PATH_BYTES, "%.500s", given);
    else
        default_name(w, strcmp(key, "error_file_id") == 0 ? "errors" : "output", name);
    int rc = *id ? fetch_to(w, id, name, e) : 0;
    if (!*id)
        *name = '\0';
    return rc;
}

static void print_errors(const json_t *batch)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(json_object_get(batch, "errors"), "data"), i, one)
    {
        const json_t *line = json_object_get(one, "line");
        if (json_is_integer(line))
            (void)fprintf(stderr, "sluice batch: line %lld: %s\n",
                          (long long)json_integer_value(line), job_text(one, "message"));
        else
            (void)fprintf(stderr, "sluice batch: %s\n", job_text(one, "message"));
    }
}

static int finish(struct work *w)
{
    char output[CLIENT_PATH_BYTES], errors[CLIENT_PATH_BYTES];
    struct error e;
    int64_t failed = count(w->batch, "failed"), done = count(w->batch, "completed");
    if (fetch(w, "output_file_id", w->r->output, output, &e) < 0 ||
        fetch(w, "error_file_id", w->r->errors, errors, &e) < 0) {
        int code = fail(w, &e);
        (void)interrupted(w);
        return code;
    }
    print_errors(w->batch);
    if (w->r->service.json) {
        (void)json_dumpf(w->batch, stdout, JSON_COMPACT);
        (void)putchar('\n');
    } else {
        FILE *out = strcmp(output, "-") == 0 || strcmp(errors, "-") == 0 ? stderr : stdout;
        (void)fprintf(out, "%s\t%s\t%" PRId64 " answered\t%" PRId64 " failed%s%s%s%s\n",
                      job_text(w->batch, "id"), job_text(w->batch, "status"), done, failed,
                      *output ? "\t" : "", output, *errors ? "\t" : "", errors);
    }
    bool good = has_status(w->batch, "completed") && failed == 0;
    return good && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- the command */

static int run(struct work *w)
{
    struct error e = {.text = ""};
    const struct request *r = w->r;
    int rc = r->resume ? look(w, r->resume, &e) : start(w, &e);
    if (rc < 0)
        return fail(w, &e);
    if (r->detach) {
        if (r->service.json)
            (void)json_dumpf(w->batch, stdout, JSON_COMPACT);
        else
            (void)fputs(job_text(w->batch, "id"), stdout);
        return putchar('\n') == EOF || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    (void)sigemptyset(&w->signals);
    (void)sigaddset(&w->signals, SIGINT);
    (void)sigaddset(&w->signals, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &w->signals, NULL);
    rc = wait_for(w, &e);
    if (rc < 0) {
        int code = fail(w, &e);
        (void)interrupted(w);
        return code;
    }
    return rc > 0 ? rc : finish(w);
}

static void read_option(struct args *a, int id, struct request *r)
{
    switch (id) {
    case OPT_ENDPOINT:
        r->endpoint = a->value;
        break;
    case 'o':
        r->output = a->value;
        break;
    case OPT_ERRORS:
        r->errors = a->value;
        break;
    case OPT_PROVIDER:
        r->provider = true;
        break;
    case 'w':
        r->wait = true;
        break;
    case OPT_DETACH:
        r->detach = true;
        break;
    default:
        r->resume = a->value;
    }
}

static void check_request(struct args *a, struct request *r)
{
    r->path = a->operand_count ? a->operands[0] : NULL;
    if (r->resume && !job_id_is_sane(r->resume))
        args_error(a, "\"%.60s\" is no id of a batch", r->resume);
    else if (r->resume && (r->path || r->detach || r->provider || r->endpoint))
        args_error(a, "--resume takes no FILE and no way to start it");
    else if (!r->resume && !r->path)
        args_error(a, "FILE.jsonl is missing");
    else if (r->wait && r->detach)
        args_error(a, "--wait and --detach exclude each other");
}

int cmd_batch(int argc, char **argv)
{
    struct request r = {.path = NULL};
    struct work w = {.r = &r};
    struct args a;
    struct error e;
    args_init(&a, &cmd_batch_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;) {
        if (!client_option(&r.service, id, a.value))
            read_option(&a, id, &r);
    }
    if (a.exit_code < 0)
        check_request(&a, &r);
    if (a.exit_code >= 0)
        return a.exit_code;
    terminal_init(&w.term, stderr);
    w.progress.term = &w.term;
    int code = client_init(&w.client, &r.service, &e) < 0 ? fail(&w, &e) : run(&w);
    json_decref(w.batch);
    client_release(&w.client);
    return code;
}
