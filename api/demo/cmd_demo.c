#include "api/demo/demo.h"
#include "api/demo/demo_phase.h"
#include "common/args.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>
#include <event2/event.h>

#define MAX_AGENTS  1000
#define MAX_SECONDS 3600
#define MAX_LIMIT   1000000000

static const struct args_option table[] = {
    {'n', "agents", "N", "agents (20)"},
    {'s', "seconds", "S", "about how long each of the two runs takes (30)"},
    {'t', "tpm", "N", "the provider's tokens a minute (60000)"},
    {'r', "rpm", "N", "and requests a minute (600)"},
    {'j', "json", NULL, "print JSON"},
    {0, NULL, NULL, NULL},
};

const struct args_command cmd_demo_usage = {
    .name = "demo",
    .about = "Agents against a simulated provider, first directly, then through Sluice.\n"
             "Nothing leaves this machine.",
    .operands = "",
    .options = table,
    .example = "  sluice demo --agents 40 --tpm 90000",
};

static void print_row(const char *name, int64_t direct, int64_t through)
{
    (void)printf("  %-22s %12" PRId64 " %16" PRId64 "\n", name, direct, through);
}

static void print_seconds(const char *name, int64_t direct_ms, int64_t through_ms)
{
    (void)printf("  %-22s %10.1f s %14.1f s\n", name, (double)direct_ms / 1000,
                 (double)through_ms / 1000);
}

static int64_t per_minute(int64_t amount, int64_t elapsed_ms)
{
    return elapsed_ms > 0 ? amount * 60000 / elapsed_ms : 0;
}

static void print_table(const struct demo_work *w, const struct demo_result *direct,
                        const struct demo_result *through)
{
    (void)printf("\n%" PRId64 " agents with %" PRId64 " turns each; the provider allows %" PRId64
                 " requests and %" PRId64 " tokens a minute.\n\n",
                 w->agents, w->turns, w->rpm, w->tpm);
    (void)printf("  %-22s %12s %16s\n", "", "directly", "through Sluice");
    print_row("agents finished", direct->finished, through->finished);
    print_row("agents failed", direct->failed, through->failed);
    if (direct->unfinished || through->unfinished)
        print_row("agents unfinished", direct->unfinished, through->unfinished);
    print_row("429s the agents saw", direct->refusals, through->refusals);
    print_row("429s of the provider", direct->provider_refusals, through->provider_refusals);
    print_row("turns answered", direct->turns, through->turns);
    print_row("tokens", direct->tokens, through->tokens);
    print_row("tokens a minute", per_minute(direct->tokens, direct->elapsed_ms),
              per_minute(through->tokens, through->elapsed_ms));
    print_seconds("wait of a turn, p50", direct->wait_p50_ms, through->wait_p50_ms);
    print_seconds("wait of a turn, most", direct->wait_max_ms, through->wait_max_ms);
    print_seconds("took", direct->elapsed_ms, through->elapsed_ms);
}

static void print_result(const char *name, const struct demo_result *r)
{
    (void)printf("\"%s\":{\"finished\":%" PRId64 ",\"failed\":%" PRId64 ",\"unfinished\":%" PRId64
                 ",\"agents_429\":%" PRId64 ",\"provider_429\":%" PRId64 ",\"turns\":%" PRId64
                 ",\"tokens\":%" PRId64 ",\"tokens_per_minute\":%" PRId64
                 ",\"wait_p50_ms\":%" PRId64 ",\"wait_max_ms\":%" PRId64 ",\"elapsed_ms\":%" PRId64
                 "}",
                 name, r->finished, r->failed, r->unfinished, r->refusals, r->provider_refusals,
                 r->turns, r->tokens, per_minute(r->tokens, r->elapsed_ms), r->wait_p50_ms,
                 r->wait_max_ms, r->elapsed_ms);
}

static void print_json(const struct demo_work *w, const struct demo_result *direct,
                       const struct demo_result *through)
{
    (void)printf("{\"agents\":%" PRId64 ",\"turns\":%" PRId64 ",\"rpm\":%" PRId64
                 ",\"tpm\":%" PRId64 ",",
                 w->agents, w->turns, w->rpm, w->tpm);
    print_result("direct", direct);
    (void)printf(",");
    print_result("through_sluice", through);
    (void)printf("}\n");
}

static int fail(const struct error *e)
{
    (void)fprintf(stderr, "sluice demo: %s\n", e->text);
    return EXIT_FAILURE;
}

static int run(const struct demo_work *w, bool json)
{
    struct demo_result direct, through;
    struct error e = {.text = "cannot start an event loop"};
    struct event_base *base = event_base_new();
    if (!base)
        return fail(&e);
    int rc = demo_phase_run(base, w, false, &direct, &e);
    bool interrupted = rc == 0 && direct.interrupted;
    if (rc == 0 && !interrupted) {
        rc = demo_phase_run(base, w, true, &through, &e);
        interrupted = rc == 0 && through.interrupted;
    }
    event_base_free(base);
    if (rc < 0)
        return fail(&e);
    if (interrupted)
        return EXIT_FAILURE;
    if (json)
        print_json(w, &direct, &through);
    else
        print_table(w, &direct, &through);
    return EXIT_SUCCESS;
}

int cmd_demo(int argc, char **argv)
{
    struct demo_work w = {.agents = 20, .seconds = 30, .rpm = 600, .tpm = 60000};
    struct args a;
    struct error e;
    bool json = false;
    args_init(&a, &cmd_demo_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;) {
        if (id == 'j')
            json = true;
        else if (id == 'n')
            (void)args_number(&a, 1, MAX_AGENTS, &w.agents);
        else if (id == 's')
            (void)args_number(&a, 1, MAX_SECONDS, &w.seconds);
        else if (id == 't')
            (void)args_number(&a, 1, MAX_LIMIT, &w.tpm);
        else if (id == 'r')
            (void)args_number(&a, 1, MAX_LIMIT, &w.rpm);
    }
    if (a.exit_code >= 0)
        return a.exit_code;
    if (demo_work_plan(&w, &e) < 0)
        return fail(&e);
    (void)signal(SIGPIPE, SIG_IGN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return EXIT_FAILURE;
    int code = run(&w, json);
    curl_global_cleanup();
    return code;
}
