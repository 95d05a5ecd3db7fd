/*
 * yaml_tree: a YAML text as a small tree that remembers where everything stood.
 *
 * One document of maps, lists and text. What a configuration does not need and an attacker
 * or an accident could use is refused: anchors and aliases (they can grow without bound),
 * tags, several documents, a key twice in one map, keys that are no text, NUL in text.
 *
 *   units      line and column count from 1
 *   ownership  the tree is one allocation tree; yaml_tree_free() wipes and frees all text,
 *              which may hold secrets. libyaml's own buffers cannot be wiped.
 *   limits     CONFIG_MAX_FILE_BYTES, _DEPTH, _KEYS, _ROWS
 *   sources    YAML 1.1, as libyaml 0.2.5 reads it
 */
#ifndef COMMON_YAML_TREE_H
#define COMMON_YAML_TREE_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

enum yaml_tree_kind { YAML_TREE_TEXT, YAML_TREE_LIST, YAML_TREE_MAP };

struct yaml_tree {
    enum yaml_tree_kind kind;
    int line, column; /* of the value; of the key when it has one */
    char *key;        /* of a member of a map, else NULL */
    char *text;       /* of YAML_TREE_TEXT, else NULL */
    bool plain;       /* text that stood there without quotes */
    struct yaml_tree *first, *last, *next;
    size_t count; /* of children */
};

/* 0 and *ret_tree, which is NULL for a text that holds no value at all; -EINVAL, -E2BIG or
 * -ENOMEM with e = "NAME:LINE:COLUMN: reason". */
int yaml_tree_parse(const char *name, const char *text, size_t len, struct yaml_tree **ret_tree,
                    struct error *e) MUST_CHECK;
void yaml_tree_free(struct yaml_tree *t); /* accepts NULL */

/* NULL when t is NULL, no map, or has no such key. */
const struct yaml_tree *yaml_tree_get(const struct yaml_tree *t, const char *key);
/* NULL when t is NULL or has fewer children. */
const struct yaml_tree *yaml_tree_at(const struct yaml_tree *t, size_t index);

/* Writes "NAME:LINE:COLUMN: reason" ("NAME: reason" when at is NULL) and returns code. */
int yaml_tree_error(const char *name, const struct yaml_tree *at, int code, struct error *e,
                    const char *format, ...) PRINTF_AT(5, 6);

#endif
