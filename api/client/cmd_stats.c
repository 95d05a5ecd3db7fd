#include "api/client/cmd_stats.h"

#include "api/client/client.h"
#include "api/client/stats_text.h"
#include "api/client/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_WATCH_S 86400
#define CLEAR       "\033[H\033[2J\033[3J"

static const struct args_option options[] = {
    CLIENT_OPTIONS,
    {'w', "watch", "SECONDS", "again every so often, until interrupted"},
    {0},
};

const struct args_command cmd_stats_usage = {
    .name = "stats",
    .about = "Shows what waits in a running service, why and for how long.",
    .operands = "",
    .options = options,
    .example = "  sluice stats --watch 2",
};

static int ask(struct client *c, json_t **ret_stats)
{
    struct error e;
    int rc =
        client_call(c, &(struct client_call){.method = "GET", .path = "/v1/stats"}, ret_stats, &e);
    if (rc < 0)
        (void)fprintf(stderr, "sluice stats: %s\n", e.text);
    return rc;
}

static int show(const json_t *stats, const struct terminal *out, bool json, bool clear)
{
    if (clear && out->rich && !json)
        (void)fputs(CLEAR, out->out);
    if (json && json_dumpf(stats, out->out, JSON_COMPACT) == 0)
        (void)fputc('\n', out->out);
    else if (!json)
        stats_print(stats, out);
    return fflush(out->out) == 0 && !ferror(out->out) ? 0 : -EIO;
}

/* A service that is away for a moment does not end a watch; one never reached does. */
static int run(struct client *c, bool json, int64_t watch_s)
{
    const struct timespec pause = {.tv_sec = (time_t)watch_s};
    struct terminal out;
    bool seen = false;
    terminal_init(&out, stdout);
    for (;;) {
        json_t *stats = NULL;
        int rc = ask(c, &stats);
        if (rc == 0) {
            rc = show(stats, &out, json, watch_s > 0);
            json_decref(stats);
            if (rc < 0) {
                (void)fputs("sluice stats: the output could not be written\n", stderr);
                return EXIT_FAILURE;
            }
            seen = true;
        } else if (!seen || rc != -EAGAIN) {
            return EXIT_FAILURE;
        }
        if (watch_s == 0)
            return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        (void)nanosleep(&pause, NULL);
        if (!out.rich && !json)
            (void)fputc('\n', out.out);
    }
}

int cmd_stats(int argc, char **argv)
{
    struct client_options service = {.url = NULL};
    int64_t watch_s = 0;
    struct client c;
    struct error e;
    struct args a;
    args_init(&a, &cmd_stats_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;) {
        if (!client_option(&service, id, a.value))
            (void)args_number(&a, 1, MAX_WATCH_S, &watch_s);
    }
    if (a.exit_code >= 0)
        return a.exit_code;
    int code = EXIT_FAILURE;
    if (client_init(&c, &service, &e) < 0)
        (void)fprintf(stderr, "sluice stats: %s\n", e.text);
    else
        code = run(&c, service.json, watch_s);
    client_release(&c);
    return code;
}
