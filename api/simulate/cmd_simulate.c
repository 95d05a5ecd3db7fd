#include "api/simulate/sim_core.h"
#include "api/simulate/simulate.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)event_base_loopbreak(arg);
}

/* One connection is one descriptor, and the usual soft limit is 1,024. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int write_ledger(struct sim *sim)
{
    const char *path = sim->options.ledger_path;
    if (!*path)
        return 0;
    json_t *ledger = sim_ledger_json(&sim->ledger, sim->scopes, sim->scope_count, sim_now_us());
    int rc = strcmp(path, "-") == 0 ? json_dumpf(ledger, stdout, JSON_INDENT(1))
                                    : json_dump_file(ledger, path, JSON_INDENT(1));
    json_decref(ledger);
    if (rc < 0)
        (void)fprintf(stderr, "sluice simulate: cannot write the ledger to %s\n", path);
    return rc < 0 ? 1 : 0;
}

static int run(const struct sim_options *options)
{
    struct error e = {.text = "cannot start an event loop"};
    struct event_base *base = event_base_new();
    struct sim *sim = base ? sim_new(base, options, &e) : NULL;
    if (!sim) {
        (void)fprintf(stderr, "sluice simulate: %s\n", e.text);
        if (base)
            event_base_free(base);
        return 1;
    }
    struct event *interrupt = evsignal_new(base, SIGINT, on_signal, base);
    struct event *terminate = evsignal_new(base, SIGTERM, on_signal, base);
    int code = 1;
    if (interrupt && terminate && evsignal_add(interrupt, NULL) == 0 &&
        evsignal_add(terminate, NULL) == 0) {
        (void)printf("listening on %s\n", sim_url(sim));
        (void)fflush(stdout);
        code = event_base_dispatch(base) < 0 ? 1 : write_ledger(sim);
    }
    if (interrupt)
        event_free(interrupt);
    if (terminate)
        event_free(terminate);
    sim_free(sim);
    event_base_free(base);
    return code;
}

int cmd_simulate(int argc, char **argv)
{
    struct error e;
    struct sim_options *options = malloc(sizeof(*options));
    if (!options)
        return 1;
    int code = 2;
    sim_options_init(options);
    if (sim_options_parse(options, argc, argv, &e) < 0) {
        (void)fprintf(stderr, "sluice simulate: %s (see sluice simulate --help)\n", e.text);
    } else if (options->help) {
        (void)fputs(sim_options_help(), stdout);
        code = 0;
    } else {
        (void)signal(SIGPIPE, SIG_IGN);
        raise_descriptors();
        code = run(options);
    }
    free(options);
    return code;
}
