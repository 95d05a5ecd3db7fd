#include "api/commands.h"

#include "api/client/cmd_batch.h"
#include "api/client/cmd_cache.h"
#include "api/client/cmd_costs.h"
#include "api/client/cmd_drain.h"
#include "api/client/cmd_jobs.h"
#include "api/client/cmd_keys.h"
#include "api/client/cmd_limits.h"
#include "api/client/cmd_settings.h"
#include "api/client/cmd_stats.h"
#include "api/client/cmd_submit.h"
#include "api/client/cmd_top.h"
#include "api/cmd_check.h"
#include "api/cmd_completion.h"
#include "api/cmd_manual.h"
#include "api/cmd_serve.h"
#include "api/cmd_tokens.h"
#include "api/cmd_trim.h"
#include "api/cmd_version.h"
#include "api/demo/demo.h"
#include "api/simulate/simulate.h"

const struct commands_row commands[] = {
    {"serve", cmd_serve, "run the service", .usage = &cmd_serve_usage},
    {"check", cmd_check, "say whether a configuration is right", .usage = &cmd_check_usage},
    {"demo", cmd_demo, "agents without and with Sluice, side by side", .usage = &cmd_demo_usage},
    {"submit", cmd_submit, "give jobs to a running service", .usage = &cmd_submit_usage},
    {"batch", cmd_batch, "run a file of requests and fetch the answers", .usage = &cmd_batch_usage},
    {"jobs", cmd_jobs, "list, show, wait for, cancel or retry jobs", .verb = cmd_jobs_usage},
    {"stats", cmd_stats, "show what waits, why and for how long", .usage = &cmd_stats_usage},
    {"top", cmd_top, "the same, live, as a screen of bars", .usage = &cmd_top_usage},
    {"costs", cmd_costs, "show what was spent, saved and is left of budgets",
     .usage = &cmd_costs_usage},
    {"settings", cmd_settings, "show and change what holds for a model",
     .usage = &cmd_settings_usage},
    {"limits", cmd_limits, "show and change the limits of pools", .usage = &cmd_limits_usage},
    {"drain", cmd_drain, "take an instance out of service", .usage = &cmd_drain_usage},
    {"keys", cmd_keys, "list, make, rotate and remove access keys", .usage = &cmd_keys_usage},
    {"cache", cmd_cache, "show or forget kept answers", .usage = &cmd_cache_usage},
    {"simulate", cmd_simulate, "run a metered stand-in for a provider",
     .usage = &cmd_simulate_usage},
    {"tokens", cmd_tokens, "count the tokens of files", .usage = &cmd_tokens_usage},
    {"trim", cmd_trim, "make a request smaller", .usage = &cmd_trim_usage},
    {"completion", cmd_completion, "print what completes words in a shell",
     .usage = &cmd_completion_usage},
    {"manual", cmd_manual, "print the manual page", .usage = &cmd_manual_usage},
    {"version", cmd_version, "print the version", .usage = &cmd_version_usage},
    {0},
};

void commands_each(void (*fn)(void *arg, const struct args_command *usage), void *arg)
{
    for (const struct commands_row *c = commands; c->name; c++) {
        const struct args_command *usage = c->usage;
        for (size_t i = 0; c->verb && (usage = c->verb(i)); i++)
            fn(arg, usage);
        if (c->usage)
            fn(arg, c->usage);
    }
}
