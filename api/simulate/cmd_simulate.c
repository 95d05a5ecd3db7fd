#include "api/simulate/sim_core.h"
#include "api/simulate/simulate.h"
#include "common/args.h"

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

enum flag { FLAG_NO_HEADERS = ARGS_NO_CHAR, FLAG_STRICT_ROLES, WITH_VALUE };

/* All with WITH_VALUE go to sim_options_set() under their name. */
static const struct args_option table[] = {
    {WITH_VALUE, "listen", "HOST:PORT", "where (127.0.0.1:8090; port 0 picks one)"},
    {WITH_VALUE + 1, "rpm", "N", "requests a minute, of each model (0: no limit)"},
    {WITH_VALUE + 2, "tpm", "N", "tokens a minute"},
    {WITH_VALUE + 3, "itpm", "N", "input tokens a minute"},
    {WITH_VALUE + 4, "otpm", "N", "output tokens a minute, as they are produced"},
    {WITH_VALUE + 5, "rpd", "N", "requests a day"},
    {WITH_VALUE + 6, "tpd", "N", "tokens a day"},
    {WITH_VALUE + 7, "concurrency", "N", "requests at a time"},
    {WITH_VALUE + 8, "limit", "SPEC", "model=NAME,rpm=N,... (gpt-* is shared) or key=*,rpm=N"},
    {WITH_VALUE + 9, "algorithm", "NAME", "bucket, sliding_window or fixed_window"},
    {WITH_VALUE + 10, "request-slice-ms", "N", "the bucket of requests holds N ms of its rate"},
    {WITH_VALUE + 11, "openai-cost", "RULE", "sum, max or input: how max_tokens is charged"},
    {WITH_VALUE + 12, "settle", "RULE", "keep or refund: whether unused max_tokens come back"},
    {WITH_VALUE + 13, "default-max-tokens", "N", "charged when a request names none (16)"},
    {WITH_VALUE + 14, "bytes-per-token", "N", "input: ceil(bytes / N) + 4 per message (4)"},
    {WITH_VALUE + 15, "context-window", "N", "larger prompts are refused"},
    {WITH_VALUE + 16, "latency-ms", "N", "until the first byte"},
    {WITH_VALUE + 17, "ms-per-token", "X", "after it"},
    {WITH_VALUE + 18, "output-tokens", "N|A-B", "fixed, or by the request's hash (20)"},
    {WITH_VALUE + 19, "embedding-dims", "N", "when the request does not say (256)"},
    {WITH_VALUE + 20, "error", "RATE:KIND", "KIND: a status, disconnect, cut or stall; repeatable"},
    {WITH_VALUE + 21, "profile", "NAME",
     "openai, azure, groq, anthropic, mistral, generic: headers, errors"},
    {FLAG_NO_HEADERS, "no-headers", NULL, "no rate limit headers"},
    {FLAG_STRICT_ROLES, "strict-roles", NULL, "Anthropic: refuse two turns of one role in a row"},
    {WITH_VALUE + 22, "model", "NAME", "a model that is known; repeatable; none: all are"},
    {WITH_VALUE + 23, "require-key", "KEY", "other keys get 401"},
    {WITH_VALUE + 24, "seed", "N", "of lengths and errors (1)"},
    {WITH_VALUE + 25, "ledger", "FILE", "written at the end (-: standard output)"},
    {WITH_VALUE + 29, "batch-delay-ms", "N", "until a batch of the batch API has ended (0)"},
    {WITH_VALUE + 30, "batch-queue", "N", "lines that may wait in OpenAI's batches (0: any)"},
    {WITH_VALUE + 26, "refuse-input", "TEXT", "embeddings: an input that holds it gets 400"},
    {WITH_VALUE + 27, "joint-drop", "RATE", "of the items of joint requests, left out of answers"},
    {WITH_VALUE + 28, "joint-garble", "RATE", "of them, answered under another one's name"},
    {0, NULL, NULL, NULL},
};

const struct args_command cmd_simulate_usage = {
    .name = "simulate",
    .about = "A metered stand-in for a provider, in the formats of OpenAI and Anthropic.",
    .operands = "",
    .options = table,
    .example =
        "  sluice simulate --listen 127.0.0.1:9000 --rpm 60 --tpm 10000 --latency-ms 200\n"
        "  curl 127.0.0.1:9000/v1/chat/completions -d \\\n"
        "    '{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\n"
        "  curl 127.0.0.1:9000/sim/ledger",
};

static const char *name_of(int id)
{
    const struct args_option *option = table;
    while (option->id != id)
        option++;
    return option->name;
}

static int read_options(struct sim_options *options, int argc, char **argv)
{
    struct args a;
    struct error e;
    args_init(&a, &cmd_simulate_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;) {
        if (id == FLAG_NO_HEADERS)
            options->no_headers = true;
        else if (id == FLAG_STRICT_ROLES)
            options->strict_roles = true;
        else if (sim_options_set(options, name_of(id), a.value, &e) < 0)
            args_error(&a, "%s", e.text);
    }
    return a.exit_code;
}

int cmd_simulate(int argc, char **argv)
{
    struct sim_options *options = malloc(sizeof(*options));
    if (!options)
        return EXIT_FAILURE;
    sim_options_init(options);
    int code = read_options(options, argc, argv);
    if (code < 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        raise_descriptors();
        code = run(options);
    }
    free(options);
    return code;
}
