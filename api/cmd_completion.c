#include "api/cmd_completion.h"

#include "api/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERBS_BYTES 256

static const struct args_option options[] = {{0}};

const struct args_command cmd_completion_usage = {
    .name = "completion",
    .about = "Prints what makes a shell complete the words of sluice.",
    .operands = "bash|zsh|fish",
    .verbs = "bash|zsh|fish",
    .least = 1,
    .most = 1,
    .options = options,
    .example = "  source <(sluice completion bash)\n"
               "  sluice completion fish > ~/.config/fish/completions/sluice.fish\n"
               "  sluice completion zsh > ~/.zsh/functions/_sluice\n"
               "(cmake --install puts all three where the shells look.)",
};

static bool is_path(const char *value)
{
    return value && (strcmp(value, "FILE") == 0 || strcmp(value, "DIR") == 0);
}

static bool takes_files(const struct args_command *u)
{
    return strstr(u->operands, "FILE") != NULL;
}

/* "ls get set": the words that may follow the command's name. */
static void verbs_of(const struct commands_row *c, char out[VERBS_BYTES])
{
    const struct args_command *u;
    out[0] = '\0';
    if (c->usage && c->usage->verbs)
        (void)snprintf(out, VERBS_BYTES, "%s", c->usage->verbs);
    for (size_t i = 0; c->verb && (u = c->verb(i)); i++) {
        size_t len = strlen(out);
        (void)snprintf(out + len, VERBS_BYTES - len, "%s%s", len ? "|" : "",
                       strchr(u->name, ' ') + 1);
    }
    for (char *at = out; (at = strchr(at, '|'));)
        *at = ' ';
}

/* Text inside single quotes of a shell. */
static void put_quoted(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            (void)fputs("'\\''", stdout);
        else
            (void)putchar(*text == '\n' ? ' ' : *text);
    }
}

/* ---- bash */

enum which { ALL, OF_VALUES, OF_PATHS };

static void bash_options(const struct args_option *o, enum which which)
{
    for (; o->id; o++) {
        if ((which == OF_VALUES && !o->value) || (which == OF_PATHS && !is_path(o->value)))
            continue;
        printf(" --%s", o->name);
        if (o->id < ARGS_NO_CHAR)
            printf(" -%c", (char)o->id);
    }
}

static void bash_case(void *arg, const struct args_command *u)
{
    (void)arg;
    printf("    '%s')\n        options='", u->name);
    bash_options(u->options, ALL);
    bash_options(args_common, ALL);
    printf(" ' valued='");
    bash_options(u->options, OF_VALUES);
    printf(" ' paths='");
    bash_options(u->options, OF_PATHS);
    printf(" '%s\n        ;;\n", takes_files(u) ? " files=1" : "");
}

static void print_bash(void)
{
    static const char head[] =
        "# bash completion of sluice, by `sluice completion bash`\n"
        "_sluice() {\n"
        "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
        "    local command=${COMP_WORDS[1]} verb='' options='' valued='' paths='' files='' i\n"
        "    local verbs=''\n"
        "    COMPREPLY=()\n"
        "    [[ $current == '=' ]] && current=''\n"
        "    [[ $previous == '=' ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
        "    if ((COMP_CWORD == 1)); then\n"
        "        mapfile -t COMPREPLY < <(compgen -W '--help --version";
    static const char middle[] =
        "    esac\n"
        "    if [[ $verbs ]]; then\n"
        "        for ((i = 2; i < COMP_CWORD; i++)); do\n"
        "            if [[ \" $verbs \" == *\" ${COMP_WORDS[i]} \"* ]]; then\n"
        "                verb=${COMP_WORDS[i]}\n"
        "                break\n"
        "            fi\n"
        "        done\n"
        "    fi\n"
        "    case $command in jobs) command=\"$command $verb\" ;; esac\n"
        "    case $command in\n";
    static const char tail[] =
        "    esac\n"
        "    if [[ $paths == *\" $previous \"* ]]; then\n"
        "        compopt -o filenames 2>/dev/null\n"
        "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
        "    elif [[ $valued == *\" $previous \"* ]]; then\n"
        "        return\n"
        "    elif [[ $current == -* ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"${options:---help}\" -- \"$current\")\n"
        "    elif [[ $verbs && ! $verb ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$current\")\n"
        "    elif [[ $files ]]; then\n"
        "        compopt -o filenames 2>/dev/null\n"
        "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
        "    fi\n"
        "}\n"
        "complete -F _sluice sluice\n";
    char verbs[VERBS_BYTES];
    (void)fputs(head, stdout);
    for (const struct commands_row *c = commands; c->name; c++)
        printf(" %s", c->name);
    (void)fputs("' -- \"$current\")\n        return\n    fi\n    case $command in\n", stdout);
    for (const struct commands_row *c = commands; c->name; c++) {
        verbs_of(c, verbs);
        if (*verbs)
            printf("    %s) verbs='%s' ;;\n", c->name, verbs);
    }
    (void)fputs(middle, stdout);
    commands_each(bash_case, NULL);
    (void)fputs(tail, stdout);
}

/* ---- zsh */

/* _arguments gives a meaning to brackets and colons. */
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (strchr("[]:\\", *text))
            (void)putchar('\\');
        put_quoted((const char[]){*text, '\0'});
    }
}

static void zsh_option(const struct args_option *o)
{
    if (o->id < ARGS_NO_CHAR)
        printf("            '(-%c --%s)'{-%c,--%s}'[", (char)o->id, o->name, (char)o->id, o->name);
    else
        printf("            '--%s[", o->name);
    zsh_text(o->help);
    (void)putchar(']');
    if (o->value) {
        (void)putchar(':');
        zsh_text(o->value);
        printf(":%s", is_path(o->value) ? "_files" : "");
    }
    printf("' \\\n");
}

/* shift: how many words of the line are the command's name. */
static void zsh_usage(const struct args_command *u)
{
    char verbs[VERBS_BYTES];
    printf("        _arguments \\\n");
    for (const struct args_option *o = u->options; o->id; o++)
        zsh_option(o);
    for (const struct args_option *o = args_common; o->id; o++)
        zsh_option(o);
    if (u->verbs) {
        (void)snprintf(verbs, sizeof(verbs), "%s", u->verbs);
        for (char *at = verbs; (at = strchr(at, '|'));)
            *at = ' ';
        printf("            '1:what:(%s)' \\\n", verbs);
    }
    printf("            '*:%s:%s'\n        ;;\n", "operand", takes_files(u) ? "_files" : " ");
}

static void zsh_verbs(const struct commands_row *c)
{
    const struct args_command *u;
    char verbs[VERBS_BYTES];
    verbs_of(c, verbs);
    printf("    %s)\n        if (( CURRENT == 2 )); then\n            _values verb %s\n"
           "            return\n        fi\n        (( CURRENT-- ))\n        shift words\n"
           "        case $words[1] in\n",
           c->name, verbs);
    for (size_t i = 0; (u = c->verb(i)); i++) {
        printf("        %s)\n", strchr(u->name, ' ') + 1);
        zsh_usage(u);
    }
    printf("        esac\n        ;;\n");
}

static void print_zsh(void)
{
    printf("#compdef sluice\n# zsh completion of sluice, by `sluice completion zsh`\n"
           "_sluice() {\n    local -a commands=(\n");
    for (const struct commands_row *c = commands; c->name; c++) {
        printf("        '%s:", c->name);
        zsh_text(c->about);
        printf("'\n");
    }
    printf("    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n"
           "        return\n    fi\n    (( CURRENT-- ))\n    shift words\n"
           "    case $words[1] in\n");
    for (const struct commands_row *c = commands; c->name; c++) {
        if (c->verb) {
            zsh_verbs(c);
            continue;
        }
        printf("    %s)\n", c->name);
        zsh_usage(c->usage);
    }
    printf("    esac\n}\nif [ \"$funcstack[1]\" = _sluice ]; then\n    _sluice \"$@\"\nelse\n"
           "    compdef _sluice sluice\nfi\n");
}

/* ---- fish */

static void fish_option(const char *condition, const struct args_option *o)
{
    printf("complete -c sluice -n '%s' -l %s", condition, o->name);
    if (o->id < ARGS_NO_CHAR)
        printf(" -s %c", (char)o->id);
    printf("%s -d '", !o->value ? "" : is_path(o->value) ? " -r -F" : " -x");
    put_quoted(o->help);
    printf("'\n");
}

static void fish_usage(void *arg, const struct args_command *u)
{
    char condition[256];
    const char *verb = strchr(u->name, ' ');
    (void)arg;
    (void)snprintf(condition, sizeof(condition), "__fish_seen_subcommand_from %.*s%s%s",
                   (int)strcspn(u->name, " "), u->name,
                   verb ? "; and __fish_seen_subcommand_from" : "", verb ? verb : "");
    for (const struct args_option *o = u->options; o->id; o++)
        fish_option(condition, o);
    for (const struct args_option *o = args_common; o->id; o++)
        fish_option(condition, o);
    if (takes_files(u))
        printf("complete -c sluice -n '%s' -F\n", condition);
}

static void print_fish(void)
{
    char verbs[VERBS_BYTES];
    printf("# fish completion of sluice, by `sluice completion fish`\ncomplete -c sluice -f\n");
    for (const struct commands_row *c = commands; c->name; c++) {
        printf("complete -c sluice -n __fish_use_subcommand -a %s -d '", c->name);
        put_quoted(c->about);
        printf("'\n");
        verbs_of(c, verbs);
        if (*verbs)
            printf("complete -c sluice -n '__fish_seen_subcommand_from %s; and not "
                   "__fish_seen_subcommand_from %s' -a '%s'\n",
                   c->name, verbs, verbs);
    }
    commands_each(fish_usage, NULL);
}

int cmd_completion(int argc, char **argv)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    struct args a;
    args_init(&a, &cmd_completion_usage, argc, argv);
    while (args_next(&a) != ARGS_END) {
    }
    for (size_t i = 0; a.exit_code < 0 && i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(shells[i].shell, a.operands[0]) == 0)
            shells[i].print();
    }
    if (a.exit_code >= 0)
        return a.exit_code;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_SUCCESS;
    (void)fputs("sluice completion: the output could not be written\n", stderr);
    return EXIT_FAILURE;
}
