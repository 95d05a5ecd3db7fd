/*
 * json_edit: a few places of a JSON text replaced, all other bytes as they were.
 *
 * Edits name places in the original, in any order; json_edits_apply() writes the new text. They
 * may touch but not overlap. Errors are kept and told by apply, so a chain is checked once.
 *
 *   ownership  the original is borrowed, new texts are copied; json_edits_release().
 *   threads    none.
 *   needs      a text that json_scan_check() accepted.
 */
#ifndef COMMON_JSON_EDIT_H
#define COMMON_JSON_EDIT_H

#include "common/buf.h"
#include "common/json_scan.h"

struct json_edit;

struct json_edits {
    const char *at; /* the original */
    size_t len;
    struct json_edit *list;
    size_t count, room;
    struct buf texts;
    int failed;
};

void json_edits_init(struct json_edits *e, const char *text, size_t len);
void json_edits_release(struct json_edits *e); /* twice is harmless */

/* The bytes from..to become text (raw JSON, or nothing). */
void json_edit_replace(struct json_edits *e, const char *from, const char *to, const char *text,
                       size_t len);
void json_edit_value(struct json_edits *e, struct json_span value, const char *text);
/* Sets a member of an object to a raw JSON value: the last of its name, or a new one in front.
 * Not together with a cut that could empty the object. */
void json_edit_set(struct json_edits *e, struct json_span object, const char *key,
                   const char *text);
/* Puts raw JSON behind the last item of an array. Not together with a cut of its items. */
void json_edit_push(struct json_edits *e, struct json_span array, const char *text);
/* Takes out the items or members for which cut() says so, each with one comma. */
typedef bool (*json_cut_fn)(void *arg, size_t index, const struct json_iter *item);
void json_edit_cut(struct json_edits *e, struct json_span container, json_cut_fn cut, void *arg);
/* Takes out every member of that name. */
void json_edit_remove(struct json_edits *e, struct json_span object, const char *key);

/* Appends the new text. 0, or the first error of an edit or of out. */
int json_edits_apply(struct json_edits *e, struct buf *out) MUST_CHECK;

#endif
