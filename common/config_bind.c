#include "common/config_bind.h"

#include "common/config_env.h"
#include "common/digest.h"
#include "common/limits.h"
#include "common/nearest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One key that is being bound: where it stands and what it is. */
struct place {
    const char *name; /* of the file */
    const struct yaml_tree *at;
    const struct config_section *section;
    const struct config_row *row;
    struct error *e;
};

static void *field(const struct config_row *row, void *base)
{
    return (char *)base + row->offset;
}

static const char *dot(const struct config_section *section)
{
    return *section->path ? "." : "";
}

static int out_of_memory(const char *name, struct error *e)
{
    return error_set(e, -ENOMEM, "%s: out of memory", name);
}

/* "NAME:LINE:COLUMN: SECTION.KEY reason" */
static int refuse(const struct place *p, int code, const char *reason)
{
    return yaml_tree_error(p->name, p->at, code, p->e, "%s%s%s %s", p->section->path,
                           dot(p->section), p->row->key, reason);
}

static int refuse_type(const struct place *p, const char *wanted)
{
    static const char *const kinds[] = {
        [YAML_TREE_TEXT] = "text", [YAML_TREE_LIST] = "a list", [YAML_TREE_MAP] = "a map"};
    char reason[128];
    const struct yaml_tree *at = p->at;
    if (at->kind != YAML_TREE_TEXT || p->row->secret)
        (void)snprintf(reason, sizeof(reason), "must be %s, not %s", wanted, kinds[at->kind]);
    else
        (void)snprintf(reason, sizeof(reason), "must be %s, not %s\"%.40s\"", wanted,
                       at->plain ? "" : "the quoted text ", at->text);
    return refuse(p, -EINVAL, reason);
}

static bool is_null(const struct yaml_tree *t)
{
    return t->kind == YAML_TREE_TEXT && t->plain &&
           (!*t->text || strcmp(t->text, "~") == 0 || strcmp(t->text, "null") == 0);
}

/* ---- defaults */

static int set_default(const struct config_row *row, void *base)
{
    switch (row->type) {
    case CONFIG_TEXT:
    case CONFIG_WORD:
        if (row->text)
            *(char **)field(row, base) = strdup(row->text);
        return row->text && !*(char **)field(row, base) ? -ENOMEM : 0;
    case CONFIG_CHOICE:
        *(int *)field(row, base) = (int)row->value;
        return 0;
    case CONFIG_INTEGER:
        *(int64_t *)field(row, base) = row->value;
        return 0;
    case CONFIG_BOOL:
        *(bool *)field(row, base) = row->value != 0;
        return 0;
    case CONFIG_NUMBER: /* 0, as the struct is zeroed */
    case CONFIG_SECRET:
    case CONFIG_LIST:
    case CONFIG_NAMES:
    case CONFIG_SECTION: /* its rows are set when it is bound */
        return 0;
    }
    return 0;
}

/* ---- values */

static int bind_integer(const struct place *p, int64_t *ret)
{
    const struct config_row *row = p->row;
    const char *text = p->at->text;
    char *end = NULL;
    size_t sign = text && *text == '-';
    if (!text || !p->at->plain || !text[sign] ||
        text[sign + strspn(text + sign, "0123456789")] != '\0')
        return refuse_type(p, "a whole number");
    if (text[sign] == '0' && text[sign + 1])
        return refuse_type(p, "a whole number without a leading zero");

    errno = 0;
    int64_t value = strtoll(text, &end, 10);
    if (errno || value < row->least || value > row->most) {
        char reason[160];
        (void)snprintf(reason, sizeof(reason),
                       "is %.24s and must be %" PRId64 " to %" PRId64 "%s%s", text, row->least,
                       row->most, row->unit && *row->unit ? " " : "", row->unit ? row->unit : "");
        return refuse(p, -EINVAL, reason);
    }
    *ret = value;
    return 0;
}

static int bind_number(const struct place *p, double *ret)
{
    const char *text = p->at->text;
    if (!text || !p->at->plain || !*text || text[strspn(text, "0123456789.")] ||
        strcspn(text, "0123456789") == strlen(text))
        return refuse_type(p, "a number");

    char *end = NULL;
    double value = strtod(text, &end);
    if (*end)
        return refuse_type(p, "a number");
    if (!(value >= p->row->least_number && value <= p->row->most_number)) {
        char reason[96];
        (void)snprintf(reason, sizeof(reason), "is %.24s and must be %g to %g", text,
                       p->row->least_number, p->row->most_number);
        return refuse(p, -EINVAL, reason);
    }
    *ret = value;
    return 0;
}

static int bind_bool(const struct place *p, bool *ret)
{
    const char *text = p->at->text;
    if (!text || !p->at->plain || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0))
        return refuse_type(p, "true or false");
    *ret = *text == 't';
    return 0;
}

static int bind_choice(const struct place *p, int *ret)
{
    const char *const *choices = p->row->choices;
    if (!p->at->text)
        return refuse_type(p, "text");

    struct nearest nearest;
    char reason[200], known[120] = "";
    nearest_init(&nearest, p->at->text);
    for (int i = 0; choices[i]; i++) {
        if (strcmp(choices[i], p->at->text) == 0) {
            *ret = i;
            return 0;
        }
        nearest_offer(&nearest, choices[i]);
        size_t len = strlen(known);
        (void)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "", choices[i]);
    }
    (void)snprintf(reason, sizeof(reason), "must be one of %s, not \"%.30s\"%s%s%s", known,
                   p->at->text, nearest.best ? " (did you mean \"" : "",
                   nearest.best ? nearest.best : "", nearest.best ? "\"?)" : "");
    return refuse(p, -EINVAL, reason);
}

static int bind_word(const struct place *p, char **ret)
{
    int choice;
    int err = bind_choice(p, &choice);
    if (err)
        return err;
    char *word = strdup(p->row->choices[choice]);
    if (!word)
        return out_of_memory(p->name, p->e);
    free(*ret);
    *ret = word;
    return 0;
}

static int check_text(const struct place *p, const char *value)
{
    char reason[96];
    size_t len = strlen(value);
    if (len < (size_t)p->row->least) {
        (void)snprintf(reason, sizeof(reason), "must have at least %" PRId64 " bytes",
                       p->row->least);
        return refuse(p, -EINVAL, reason);
    }
    if (len > (size_t)p->row->most) {
        (void)snprintf(reason, sizeof(reason), "must have at most %" PRId64 " bytes", p->row->most);
        return refuse(p, -E2BIG, reason);
    }
    const char *why = p->row->accept ? p->row->accept(value) : NULL;
    return why ? refuse(p, -EINVAL, why) : 0;
}

/* What takes the place of a checked value: the value, or its digest. */
static int keep_text(const struct place *p, const char *value, char **ret)
{
    char hex[DIGEST_HEX_BYTES];
    if (p->row->type == CONFIG_SECRET) {
        digest_hex(value, strlen(value), hex, DIGEST_HEX_BYTES - 1);
        value = hex;
    }
    char *copy = strdup(value);
    if (!copy)
        return out_of_memory(p->name, p->e);
    free(*ret);
    *ret = copy;
    return 0;
}

static int bind_text(const struct place *p, char **ret)
{
    if (!p->at->text)
        return refuse_type(p, "text");

    char value[CONFIG_MAX_VALUE_BYTES + 1];
    struct error why = {.text = ""};
    int err = config_env_fill(p->at->text, value, sizeof(value), &why);
    bool may_lack = p->row->optional && p->row->secret && p->row->type == CONFIG_TEXT;
    if (err == -ENODATA && may_lack)
        return 0;
    if (err) {
        char reason[ERROR_TEXT_BYTES];
        (void)snprintf(reason, sizeof(reason), "cannot be read: %.200s", why.text);
        return refuse(p, err, reason);
    }
    /* Compose files and CI pass a secret that was never given as an empty variable. */
    if (*value || !may_lack) {
        err = check_text(p, value);
        if (!err)
            err = keep_text(p, value, ret);
    }
    explicit_bzero(value, sizeof(value));
    return err;
}

static int bind_list(const struct place *p, void *base)
{
    const struct config_section *of = p->row->of;
    if (p->at->kind != YAML_TREE_LIST)
        return refuse_type(p, "a list");
    if (!p->at->count)
        return 0;

    char *entries = calloc(p->at->count, of->size);
    if (!entries)
        return out_of_memory(p->name, p->e);
    *(char **)field(p->row, base) = entries;
    size_t *count = (size_t *)((char *)base + p->row->count_offset);
    for (const struct yaml_tree *child = p->at->first; child; child = child->next) {
        /* Counted first: what a failed bind leaves behind is freed with the rest. */
        void *entry = entries + of->size * (*count)++;
        int err = config_bind(p->name, child, of, entry, p->e);
        if (err)
            return err;
    }
    return 0;
}

static int bind_names(const struct place *p, void *base)
{
    if (p->at->kind != YAML_TREE_LIST)
        return refuse_type(p, "a list of names");
    if (!p->at->count)
        return 0;

    char **names = calloc(p->at->count, sizeof(*names));
    if (!names)
        return out_of_memory(p->name, p->e);
    *(char ***)field(p->row, base) = names;
    size_t *count = (size_t *)((char *)base + p->row->count_offset);
    for (const struct yaml_tree *child = p->at->first; child; child = child->next) {
        struct place one = *p;
        one.at = child;
        int err = bind_text(&one, &names[(*count)++]);
        if (err)
            return err;
    }
    return 0;
}

static int bind_value(const struct place *p, void *base)
{
    void *at = field(p->row, base);
    if (is_null(p->at))
        return refuse(p, -EINVAL, "has no value: give it one, or remove the key");
    switch (p->row->type) {
    case CONFIG_TEXT:
    case CONFIG_SECRET:
        return bind_text(p, at);
    case CONFIG_WORD:
        return bind_word(p, at);
    case CONFIG_CHOICE:
        return bind_choice(p, at);
    case CONFIG_INTEGER:
        return bind_integer(p, at);
    case CONFIG_NUMBER:
        return bind_number(p, at);
    case CONFIG_BOOL:
        return bind_bool(p, at);
    case CONFIG_LIST:
        return bind_list(p, base);
    case CONFIG_NAMES:
        return bind_names(p, base);
    case CONFIG_SECTION:
        return config_bind(p->name, p->at, p->row->of, base, p->e);
    }
    return 0;
}

/* ---- sections */

static const struct config_row *find_row(const struct config_section *s, const char *key)
{
    for (size_t i = 0; i < s->row_count; i++)
        if (strcmp(s->rows[i].key, key) == 0)
            return &s->rows[i];
    return NULL;
}

static int unknown_key(const char *name, const struct yaml_tree *at, const struct config_section *s,
                       struct error *e)
{
    struct nearest nearest;
    nearest_init(&nearest, at->key);
    for (size_t i = 0; i < s->row_count; i++)
        nearest_offer(&nearest, s->rows[i].key);
    return yaml_tree_error(name, at, -EINVAL, e, "unknown key \"%.60s\"%s%s%s%s%s", at->key,
                           *s->path ? " in " : "", s->path, nearest.best ? " (did you mean \"" : "",
                           nearest.best ? nearest.best : "", nearest.best ? "\"?)" : "");
}

static int bind_defaults(const char *name, const struct config_section *section, void *base,
                         struct error *e)
{
    for (size_t i = 0; i < section->row_count; i++) {
        const struct config_row *row = &section->rows[i];
        int err = row->type == CONFIG_SECTION ? bind_defaults(name, row->of, base, e)
                                              : set_default(row, base);
        if (err)
            return out_of_memory(name, e);
    }
    return 0;
}

static int bind_keys(const char *name, const struct yaml_tree *map,
                     const struct config_section *section, void *base, struct error *e)
{
    for (const struct yaml_tree *at = map->first; at; at = at->next) {
        struct place p = {name, at, section, find_row(section, at->key), e};
        int err = p.row ? bind_value(&p, base) : unknown_key(name, at, section, e);
        if (err)
            return err;
    }
    for (size_t i = 0; i < section->row_count; i++)
        if (section->rows[i].required && !yaml_tree_get(map, section->rows[i].key))
            return yaml_tree_error(name, map, -EINVAL, e, "%s%s%s is missing", section->path,
                                   dot(section), section->rows[i].key);
    return 0;
}

int config_bind(const char *name, const struct yaml_tree *map, const struct config_section *section,
                void *base, struct error *e)
{
    int err = section->size ? bind_defaults(name, section, base, e) : 0;
    if (err || !map)
        return err;
    if (map->kind != YAML_TREE_MAP)
        return yaml_tree_error(name, map, -EINVAL, e, "%s must be keys and values (key: value)",
                               *section->path ? section->path : "the file");
    return bind_keys(name, map, section, base, e);
}

static void unbind_list(const struct config_row *row, void *base)
{
    char **entries = field(row, base);
    size_t *count = (size_t *)((char *)base + row->count_offset);
    for (size_t i = 0; i < *count; i++)
        config_unbind(row->of, *entries + i * row->of->size);
    free(*entries);
    *entries = NULL;
    *count = 0;
}

static void unbind_names(const struct config_row *row, void *base)
{
    char ***names = field(row, base);
    size_t *count = (size_t *)((char *)base + row->count_offset);
    for (size_t i = 0; i < *count; i++)
        free((*names)[i]);
    free(*names);
    *names = NULL;
    *count = 0;
}

void config_unbind(const struct config_section *section, void *base)
{
    for (size_t i = 0; i < section->row_count; i++) {
        const struct config_row *row = &section->rows[i];
        char **text = field(row, base);
        if (row->type == CONFIG_SECTION)
            config_unbind(row->of, base);
        else if (row->type == CONFIG_LIST)
            unbind_list(row, base);
        else if (row->type == CONFIG_NAMES)
            unbind_names(row, base);
        if (row->type != CONFIG_TEXT && row->type != CONFIG_WORD && row->type != CONFIG_SECRET)
            continue;
        if (row->secret && *text)
            explicit_bzero(*text, strlen(*text));
        free(*text); /* two keys may fill one field: NULL for the second */
        *text = NULL;
    }
}
