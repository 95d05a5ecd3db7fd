#include "common/yaml_tree.h"

#include "common/limits.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

/* Event by event, not yaml_parser_load(): an alias is seen as what it is, and depth is
 * bounded before anything was built. */
struct builder {
    yaml_parser_t parser;
    const char *name;
    struct error *e;
    struct yaml_tree *root;
    struct yaml_tree *open[CONFIG_MAX_DEPTH];
    size_t depth;
    size_t documents;
    char *key; /* read in the innermost map and still without its value */
    yaml_mark_t key_mark;
};

static int fail(const struct builder *b, yaml_mark_t mark, int code, const char *reason)
{
    struct yaml_tree at = {.line = (int)mark.line + 1, .column = (int)mark.column + 1};
    return yaml_tree_error(b->name, &at, code, b->e, "%s", reason);
}

static struct yaml_tree *innermost(const struct builder *b)
{
    return b->depth ? b->open[b->depth - 1] : NULL;
}

static bool in_map(const struct builder *b)
{
    return b->depth && innermost(b)->kind == YAML_TREE_MAP;
}

static char *copy_text(const yaml_event_t *event)
{
    return strndup((const char *)event->data.scalar.value, event->data.scalar.length);
}

static int take_key(struct builder *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (yaml_tree_get(innermost(b), text)) {
        char reason[128];
        (void)snprintf(reason, sizeof(reason), "the key \"%.60s\" stands here a second time", text);
        return fail(b, event->start_mark, -EINVAL, reason);
    }
    if (innermost(b)->count == CONFIG_MAX_KEYS)
        return fail(b, event->start_mark, -E2BIG, "too many keys in one map");

    b->key = copy_text(event);
    b->key_mark = event->start_mark;
    return b->key ? 0 : fail(b, event->start_mark, -ENOMEM, "out of memory");
}

/* Hangs a new node below the innermost open one, or makes it the root. */
static struct yaml_tree *attach(struct builder *b, enum yaml_tree_kind kind, yaml_mark_t mark)
{
    struct yaml_tree *node = calloc(1, sizeof(*node));
    if (!node)
        return NULL;
    if (b->key)
        mark = b->key_mark;
    node->kind = kind;
    node->line = (int)mark.line + 1;
    node->column = (int)mark.column + 1;
    node->key = b->key;
    b->key = NULL;

    struct yaml_tree *parent = innermost(b);
    if (!parent) {
        b->root = node;
        return node;
    }
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->count++;
    return node;
}

static int check_place(const struct builder *b, yaml_mark_t mark)
{
    const struct yaml_tree *parent = innermost(b);
    if (parent && parent->kind == YAML_TREE_LIST && parent->count == CONFIG_MAX_ROWS)
        return fail(b, mark, -E2BIG, "too many entries in one list");
    return 0;
}

static int take_scalar(struct builder *b, const yaml_event_t *event)
{
    yaml_mark_t mark = event->start_mark;
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
        return fail(b, mark, -EINVAL, "text must not hold a NUL byte");
    if (in_map(b) && !b->key)
        return take_key(b, event);

    int err = check_place(b, mark);
    if (err)
        return err;
    struct yaml_tree *node = attach(b, YAML_TREE_TEXT, mark);
    if (node)
        node->text = copy_text(event);
    if (!node || !node->text)
        return fail(b, mark, -ENOMEM, "out of memory");
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return 0;
}

static int open_node(struct builder *b, enum yaml_tree_kind kind, yaml_mark_t mark)
{
    if (in_map(b) && !b->key)
        return fail(b, mark, -EINVAL, "a key must be text, not a list or a map");
    if (b->depth == CONFIG_MAX_DEPTH)
        return fail(b, mark, -E2BIG, "lists and maps are nested too deep");
    int err = check_place(b, mark);
    if (err)
        return err;

    struct yaml_tree *node = attach(b, kind, mark);
    if (!node)
        return fail(b, mark, -ENOMEM, "out of memory");
    b->open[b->depth++] = node;
    return 0;
}

static int refuse_extras(const struct builder *b, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor || event->type == YAML_ALIAS_EVENT)
        return fail(b, event->start_mark, -EINVAL,
                    "anchors (&) and aliases (*) are not supported; quote text that begins so");
    if (tag)
        return fail(b, event->start_mark, -EINVAL, "tags (!) are not supported");
    return 0;
}

static int take(struct builder *b, const yaml_event_t *event)
{
    int err = refuse_extras(b, event);
    if (err)
        return err;

    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->documents++)
            return fail(b, event->start_mark, -EINVAL, "a second document (---) begins here");
        return 0;
    case YAML_SCALAR_EVENT:
        return take_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(b, YAML_TREE_LIST, event->start_mark);
    case YAML_MAPPING_START_EVENT:
        return open_node(b, YAML_TREE_MAP, event->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return 0;
    default:
        return 0;
    }
}

static int fail_syntax(const struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return fail(b, p->mark, -ENOMEM, "out of memory");

    char reason[200];
    (void)snprintf(reason, sizeof(reason), "not valid YAML: %s%s%s",
                   p->problem ? p->problem : "unreadable", p->context ? ", " : "",
                   p->context ? p->context : "");
    /* A reader error (a byte that is no UTF-8) has no mark of its own. */
    yaml_mark_t mark = p->error == YAML_READER_ERROR ? p->mark : p->problem_mark;
    return fail(b, mark, -EINVAL, reason);
}

static int build(struct builder *b)
{
    for (bool more = true; more;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event))
            return fail_syntax(b);
        int err = take(b, &event);
        more = event.type != YAML_STREAM_END_EVENT;
        if (event.type == YAML_SCALAR_EVENT)
            explicit_bzero(event.data.scalar.value, event.data.scalar.length);
        yaml_event_delete(&event);
        if (err)
            return err;
    }
    return 0;
}

int yaml_tree_parse(const char *name, const char *text, size_t len, struct yaml_tree **ret_tree,
                    struct error *e)
{
    if (len > CONFIG_MAX_FILE_BYTES)
        return error_set(e, -E2BIG, "%s: larger than %ld bytes", name, CONFIG_MAX_FILE_BYTES);

    struct builder b = {.name = name, .e = e};
    if (!yaml_parser_initialize(&b.parser))
        return error_set(e, -ENOMEM, "%s: out of memory", name);
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
    int err = build(&b);
    yaml_parser_delete(&b.parser);
    free(b.key);
    if (err) {
        yaml_tree_free(b.root);
        return err;
    }
    *ret_tree = b.root;
    return 0;
}

/* Recursion is bounded by CONFIG_MAX_DEPTH; siblings are a loop. */
void yaml_tree_free(struct yaml_tree *t)
{
    while (t) {
        struct yaml_tree *next = t->next;
        yaml_tree_free(t->first);
        if (t->text)
            explicit_bzero(t->text, strlen(t->text));
        free(t->text);
        free(t->key);
        free(t);
        t = next;
    }
}

const struct yaml_tree *yaml_tree_get(const struct yaml_tree *t, const char *key)
{
    if (!t || t->kind != YAML_TREE_MAP)
        return NULL;
    for (const struct yaml_tree *child = t->first; child; child = child->next)
        if (strcmp(child->key, key) == 0)
            return child;
    return NULL;
}

const struct yaml_tree *yaml_tree_at(const struct yaml_tree *t, size_t index)
{
    const struct yaml_tree *child = t ? t->first : NULL;
    while (child && index--)
        child = child->next;
    return child;
}

/* Text of the file may stand in the reason, cut anywhere; a message is one printable line,
 * and ASCII so that no half of a character makes it invalid UTF-8. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            *text = '?';
}

int yaml_tree_error(const char *name, const struct yaml_tree *at, int code, struct error *e,
                    const char *format, ...)
{
    char reason[ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    make_printable(reason);
    if (!at)
        return error_set(e, code, "%s: %s", name, reason);
    return error_set(e, code, "%s:%d:%d: %s", name, at->line, at->column, reason);
}
