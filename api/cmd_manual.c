/* In man(7), which every man program reads; the words of other parts come from their tables. */
#include "api/cmd_manual.h"

#include "api/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct args_option options[] = {{0}};

const struct args_command cmd_manual_usage = {
    .name = "manual",
    .about = "Prints the manual page sluice(1).",
    .operands = "",
    .options = options,
    .example = "  sluice manual | man -l -\n",
};

static const struct {
    const char *name, *text;
} variables[] = {
    {"SLUICE_URL", "The service that the commands ask, when --url is not given."},
    {"SLUICE_KEY", "The access key that they send, when --key-file is not given."},
    {"SLUICE_CA_FILE", "Certificates to trust for an https URL, when --ca-file is not given."},
    {"OPENAI_API_KEY, ANTHROPIC_API_KEY, ...",
     ("Keys of providers. serve without a configuration uses the providers whose keys are set; a "
      "configuration names a variable as ${NAME}.")},
    {"NO_COLOR", "When it is set and not empty, nothing is coloured."},
    {"TERM", "\"dumb\" means neither colours nor a screen."},
    {"LC_ALL, LC_CTYPE, LANG", "Without UTF-8, sluice top draws with ASCII only."},
    {"TMPDIR", "Where temporary files go (/tmp)."},
};
static const struct {
    const char *name, *text;
} files[] = {
    {"sluice.yaml", "The configuration that serve --config and check read; no place is implied."},
    {"/usr/local/share/sluice/sluice.example.yaml",
     "Every key of a configuration, with its default and a comment (below the prefix of the "
     "installation)."},
    {"DATA_DIR", "Files, batches and the embedded Redis (serve --data-dir, or data_dir)."},
};
static const struct {
    const char *name, *text;
} codes[] = {
    {"0", "What was asked for was done."},
    {"1", "It failed, or a job that was waited for did not succeed; standard error says why."},
    {"2", "The command line is wrong; nothing was done."},
};

/* A backslash, a hyphen that is to be copied, and a line that would be a request. */
static void put(const char *text)
{
    bool begins = true;
    for (; *text; text++) {
        if (begins && (*text == '.' || *text == '\''))
            (void)fputs("\\&", stdout);
        begins = *text == '\n';
        if (*text == '\\')
            (void)fputs("\\e", stdout);
        else if (*text == '-')
            (void)fputs("\\-", stdout);
        else if (*text == '\'')
            (void)fputs("\\(aq", stdout);
        else
            (void)putchar(*text);
    }
}

static void put_entry(const char *name, const char *text)
{
    printf(".TP\n\\fB");
    put(name);
    printf("\\fR\n");
    put(text);
    printf("\n");
}

static void put_option(const struct args_option *o)
{
    printf(".TP\n");
    if (o->id < ARGS_NO_CHAR)
        printf("\\fB\\-%c\\fR, ", (char)o->id);
    printf("\\fB\\-\\-");
    put(o->name);
    printf("\\fR");
    if (o->value) {
        printf(" \\fI");
        put(o->value);
        printf("\\fR");
    }
    printf("\n");
    put(o->help);
    printf("\n");
}

static void put_command(void *arg, const struct args_command *u)
{
    (void)arg;
    printf(".SS sluice %s\n.B sluice %s\n[options]", u->name, u->name);
    if (*u->operands)
        printf("\n.I \"");
    put(u->operands);
    printf("%s\n.PP\n", *u->operands ? "\"" : "");
    put(u->about);
    printf("\n");
    for (const struct args_option *o = u->options; o->id; o++)
        put_option(o);
    printf(".PP\nFor example:\n.PP\n.nf\n");
    put(u->example);
    printf("\n.fi\n");
}

static void put_manual(void)
{
    printf(".TH SLUICE 1 \"\" \"sluice %s\" \"User Commands\"\n.ad l\n"
           ".SH NAME\nsluice \\- keeps LLM requests inside their providers\\(aq rate limits\n"
           ".SH SYNOPSIS\n.B sluice\n.I COMMAND\n[options]\n"
           ".SH DESCRIPTION\n"
           "A proxy for the APIs of language models: requests in the formats of OpenAI and\n"
           "Anthropic wait in a fair queue until their provider\\(aqs budget of requests and\n"
           "tokens allows them. Any number of instances share the budgets by Redis.\n.PP\n"
           "Data go to standard output, messages to standard error. Tables become columns\n"
           "parted by tabs where standard output is no terminal.\n.SH COMMANDS\n",
           SLUICE_VERSION);
    for (const struct commands_row *c = commands; c->name; c++)
        put_entry(c->name, c->about);
    printf(".SH OPTIONS\nAll commands take:\n");
    for (const struct args_option *o = args_common; o->id; o++)
        put_option(o);
    printf(".PP\nThose of each command:\n");
    commands_each(put_command, NULL);
    printf(".SH ENVIRONMENT\n");
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        put_entry(variables[i].name, variables[i].text);
    printf(".SH FILES\n");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        put_entry(files[i].name, files[i].text);
    printf(".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        put_entry(codes[i].name, codes[i].text);
    printf(".SH EXAMPLES\n.nf\nOPENAI_API_KEY=sk\\-... sluice serve\n"
           "sluice submit \\-\\-wait job.json\nsluice top\n.fi\n"
           ".SH SEE ALSO\n.BR redis\\-server (1),\n.BR curl (1)\n");
}

int cmd_manual(int argc, char **argv)
{
    struct args a;
    args_init(&a, &cmd_manual_usage, argc, argv);
    while (args_next(&a) != ARGS_END) {
    }
    if (a.exit_code >= 0)
        return a.exit_code;
    put_manual();
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_SUCCESS;
    (void)fputs("sluice manual: the output could not be written\n", stderr);
    return EXIT_FAILURE;
}
