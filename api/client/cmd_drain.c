#include "api/client/cmd_drain.h"

#include "api/client/client.h"
#include "api/client/terminal.h"

#include "common/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_WAIT_S 86400
#define LOOK_MS    200
#define ID_BYTES   64

enum { OPT_INSTANCE = ARGS_NO_CHAR, OPT_TIMEOUT };

static const struct args_option options[] = {
    CLIENT_OPTIONS,
    {OPT_INSTANCE, "instance", "ID", "this one (sluice stats --json lists them), else who answers"},
    {'w', "wait", NULL, "until it has ended"},
    {OPT_TIMEOUT, "timeout", "S", "with --wait: for so many seconds at most"},
    {0},
};

const struct args_command cmd_drain_usage = {
    .name = "drain",
    .about = "Lets an instance finish what it runs, take nothing new, and exit.",
    .operands = "",
    .options = options,
    .example = "  sluice drain --wait --timeout 120\n"
               "  sluice drain --instance 52bff2d43c9c1a7f\n",
};

struct request {
    struct client_options service;
    const char *instance;
    bool wait;
    int64_t timeout_s; /* 0: none */
};

static int fail(const struct error *e)
{
    (void)fprintf(stderr, "sluice drain: %s\n", e->text);
    return EXIT_FAILURE;
}

static int ask(struct client *c, const char *instance, json_t **ret, struct error *e)
{
    json_t *wish = instance ? json_pack("{s:s}", "instance", instance) : json_object();
    char *body = json_dumps(wish, JSON_COMPACT);
    struct client_call call = {.method = "POST",
                               .path = "/v1/admin/drain",
                               .body = body,
                               .body_len = body ? strlen(body) : 0};
    int rc = body ? client_call(c, &call, ret, e) : error_set(e, -EINVAL, "bad instance");
    free(body);
    json_decref(wish);
    return rc;
}

static int64_t number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static void left_text(const json_t *state, char *out, size_t size)
{
    if (number(state, "calls") < 0) /* another instance does not tell */
        (void)snprintf(out, size, "it finishes what it runs");
    else
        (void)snprintf(out, size, "%" PRId64 " requests are open and %" PRId64 " calls wait or run",
                       number(state, "open_requests"), number(state, "calls"));
}

/* most: of what was left at any time. */
static void show_left(struct progress *p, const json_t *state, int64_t *most)
{
    char text[128];
    int64_t left = number(state, "open_requests") + number(state, "calls");
    if (left < 0)
        return;
    *most = left > *most ? left : *most;
    left_text(state, text, sizeof(text));
    progress_show(p, (size_t)(*most - left), (size_t)*most, text);
}

/* Nobody listens there any more, or whoever does knows of no such instance. */
static bool is_gone(int rc, const struct error *e)
{
    return rc == -ENOENT || (rc == -EAGAIN && strncmp(e->text, "no answer from", 14) == 0);
}

static int wait_for_end(struct client *c, const struct request *r, const char *instance)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    int64_t until_ms = clock_mono_ms() + r->timeout_s * 1000, most = 0;
    struct terminal term;
    struct progress progress = {.term = &term};
    terminal_init(&term, stderr);
    for (;;) {
        json_t *state = NULL;
        struct error e = {.text = ""};
        int rc = ask(c, instance, &state, &e);
        if (rc == 0)
            show_left(&progress, state, &most);
        json_decref(state);
        if (rc < 0 && rc != -EAGAIN && rc != -ENOENT) {
            progress_clear(&progress);
            return fail(&e);
        }
        if (rc < 0 && is_gone(rc, &e))
            break;
        if (r->timeout_s > 0 && clock_mono_ms() >= until_ms) {
            progress_clear(&progress);
            (void)fprintf(stderr,
                          "sluice drain: %s has not ended within %" PRId64 " s; it goes on "
                          "to drain\n",
                          instance, r->timeout_s);
            return EXIT_FAILURE;
        }
        (void)nanosleep(&pause, NULL);
    }
    progress_clear(&progress);
    (void)fprintf(stderr, "%s has ended\n", instance);
    return EXIT_SUCCESS;
}

static int print(const json_t *state, bool json, const char *instance)
{
    char left[128];
    if (json)
        return json_dumpf(state, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF ? EXIT_FAILURE
                                                                                   : EXIT_SUCCESS;
    left_text(state, left, sizeof(left));
    if (number(state, "timeout_ms") >= 0)
        (void)printf("%s drains: %s; it ends in %" PRId64 " s at most\n", instance, left,
                     number(state, "timeout_ms") / 1000);
    else
        (void)printf("%s drains: %s\n", instance, left);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(struct client *c, const struct request *r)
{
    json_t *state = NULL;
    struct error e;
    char instance[ID_BYTES];
    if (ask(c, r->instance, &state, &e) < 0)
        return fail(&e);
    const char *told = json_string_value(json_object_get(state, "instance"));
    (void)snprintf(instance, sizeof(instance), "%s", told ? told : "");
    int code = print(state, r->service.json, instance);
    json_decref(state);
    return code == EXIT_SUCCESS && r->wait ? wait_for_end(c, r, instance) : code;
}

int cmd_drain(int argc, char **argv)
{
    struct request r = {.wait = false};
    struct client c;
    struct error e;
    struct args a;
    args_init(&a, &cmd_drain_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;) {
        if (client_option(&r.service, id, a.value))
            continue;
        if (id == OPT_INSTANCE)
            r.instance = a.value;
        else if (id == 'w')
            r.wait = true;
        else if (id == OPT_TIMEOUT)
            (void)args_number(&a, 1, MAX_WAIT_S, &r.timeout_s);
    }
    if (a.exit_code < 0 && r.timeout_s > 0 && !r.wait)
        args_error(&a, "--timeout is for --wait");
    if (a.exit_code >= 0)
        return a.exit_code;
    int code = client_init(&c, &r.service, &e) < 0 ? fail(&e) : run(&c, &r);
    client_release(&c);
    return code;
}
