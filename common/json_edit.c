#include "common/json_edit.h"

#include "common/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct json_edit {
    const char *from, *to;
    size_t text, len; /* in texts */
    size_t order;
};

void json_edits_init(struct json_edits *e, const char *text, size_t len)
{
    *e = (struct json_edits){.at = text, .len = len};
    buf_init(&e->texts, HTTP_MAX_BODY_BYTES);
}

void json_edits_release(struct json_edits *e)
{
    free(e->list);
    e->list = NULL;
    e->count = e->room = 0;
    buf_release(&e->texts);
}

static struct json_edit *add(struct json_edits *e, const char *from, const char *to)
{
    if (e->count == e->room) {
        size_t room = e->room ? e->room * 2 : 8;
        struct json_edit *grown = realloc(e->list, room * sizeof(*grown));
        if (!grown) {
            e->failed = -ENOMEM;
            return NULL;
        }
        e->list = grown;
        e->room = room;
    }
    struct json_edit *edit = &e->list[e->count];
    *edit = (struct json_edit){.from = from, .to = to, .text = e->texts.len, .order = e->count};
    e->count++;
    return edit;
}

static void put(struct json_edits *e, struct json_edit *edit, const char *text, size_t len)
{
    if (!edit)
        return;
    int rc = buf_add(&e->texts, text, len);
    if (rc < 0)
        e->failed = rc;
    else
        edit->len += len;
}

void json_edit_replace(struct json_edits *e, const char *from, const char *to, const char *text,
                       size_t len)
{
    put(e, add(e, from, to), text, len);
}

void json_edit_value(struct json_edits *e, struct json_span value, const char *text)
{
    json_edit_replace(e, value.at, value.at + value.len, text, strlen(text));
}

static bool is_empty(struct json_span container)
{
    struct json_iter it = json_iter(container);
    return !json_next(&it);
}

void json_edit_set(struct json_edits *e, struct json_span object, const char *key, const char *text)
{
    struct json_span value = json_get(object, key);
    if (value.at) {
        json_edit_value(e, value, text);
        return;
    }
    struct json_edit *edit = add(e, object.at + 1, object.at + 1);
    put(e, edit, "\"", 1);
    put(e, edit, key, strlen(key));
    put(e, edit, "\":", 2);
    put(e, edit, text, strlen(text));
    if (!is_empty(object))
        put(e, edit, ",", 1);
}

void json_edit_push(struct json_edits *e, struct json_span array, const char *text)
{
    const char *end = array.at + array.len - 1;
    struct json_edit *edit = add(e, end, end);
    if (!is_empty(array))
        put(e, edit, ",", 1);
    put(e, edit, text, strlen(text));
}

static const char *start_of(const struct json_iter *item)
{
    return item->key.at ? item->key.at : item->value.at;
}

/* Behind a kept item the comma before goes with the cut one, else the comma behind it. */
void json_edit_cut(struct json_edits *e, struct json_span container, json_cut_fn cut, void *arg)
{
    struct json_iter it = json_iter(container);
    const char *last_end = NULL, *pending = NULL, *pending_end = NULL;
    bool kept = false;
    for (size_t i = 0; json_next(&it); i++) {
        const char *start = start_of(&it), *end = it.value.at + it.value.len;
        if (pending)
            json_edit_replace(e, pending, start, "", 0);
        pending = NULL;
        if (!cut(arg, i, &it)) {
            kept = true;
        } else if (kept) {
            json_edit_replace(e, last_end, end, "", 0);
        } else {
            pending = start;
            pending_end = end;
        }
        last_end = end;
    }
    if (pending)
        json_edit_replace(e, pending, pending_end, "", 0);
}

static bool has_name(void *arg, size_t index, const struct json_iter *item)
{
    (void)index;
    return json_equals(item->key, arg);
}

void json_edit_remove(struct json_edits *e, struct json_span object, const char *key)
{
    char name[64];
    size_t len = strlen(key);
    if (len >= sizeof(name)) {
        e->failed = -EINVAL;
        return;
    }
    memcpy(name, key, len + 1);
    json_edit_cut(e, object, has_name, name);
}

static int by_place(const void *a, const void *b)
{
    const struct json_edit *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    if (x->to != y->to)
        return x->to < y->to ? -1 : 1; /* what is put in stands before what is cut there */
    return x->order < y->order ? -1 : 1;
}

int json_edits_apply(struct json_edits *e, struct buf *out)
{
    const char *at = e->at;
    int rc = e->failed;
    if (e->count > 0)
        qsort(e->list, e->count, sizeof(*e->list), by_place);
    for (size_t i = 0; i < e->count && rc == 0; i++) {
        const struct json_edit *edit = &e->list[i];
        if (edit->from < at)
            return -EINVAL;
        rc = buf_add(out, at, (size_t)(edit->from - at));
        if (rc == 0 && edit->len > 0)
            rc = buf_add(out, e->texts.data + edit->text, edit->len);
        at = edit->to;
    }
    return rc < 0 ? rc : buf_add(out, at, (size_t)(e->at + e->len - at));
}
