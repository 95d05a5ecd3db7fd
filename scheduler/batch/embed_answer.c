#include "scheduler/batch/embed_answer.h"

#include "scheduler/batch/share_out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_usage(struct json_span usage, struct embed_usage *ret)
{
    struct json_iter it = json_iter(usage);
    *ret = (struct embed_usage){.count = 0};
    if (json_kind(usage) != JSON_OBJ)
        return;
    while (ret->count < EMBED_USAGE_MAX && json_next(&it)) {
        int64_t value;
        struct json_span name = json_inside(it.key);
        if (name.len >= EMBED_USAGE_BYTES || !json_int(it.value, &value) || value < 0 ||
            value > SHARE_OUT_MAX)
            continue;
        memcpy(ret->of[ret->count].name, name.at, name.len);
        ret->of[ret->count].name[name.len] = '\0';
        ret->of[ret->count++].value = value;
    }
}

/* Where the item goes that is the i-th in the answer; count: nowhere. */
static size_t place_of(struct json_span item, size_t i, size_t count, bool numbered)
{
    int64_t index;
    if (!numbered)
        return i < count ? i : count;
    if (!json_int(json_get(item, "index"), &index) || index < 0 || (uint64_t)index >= count)
        return count;
    return (size_t)index;
}

static int read_items(struct json_span data, size_t count, struct json_span *items)
{
    size_t found = 0;
    bool numbered = false;
    struct json_iter first = json_iter(data), it = json_iter(data);
    if (json_kind(data) != JSON_ARR)
        return -EINVAL;
    if (json_next(&first))
        numbered = json_get(first.value, "index").at != NULL;
    for (size_t i = 0; i < count; i++)
        items[i] = (struct json_span){0};
    for (; json_next(&it); found++) {
        size_t at = place_of(it.value, found, count, numbered);
        if (json_kind(it.value) != JSON_OBJ || at == count || items[at].at)
            return -EINVAL;
        items[at] = it.value;
    }
    return found == count ? 0 : -EINVAL;
}

int embed_answer_read(const char *body, size_t len, size_t count, struct json_span *items,
                      struct embed_answer *ret)
{
    if (json_scan_check(body, len, NULL) < 0)
        return -EINVAL;
    *ret = (struct embed_answer){.body = json_span_of(body, len)};
    if (json_kind(ret->body) != JSON_OBJ)
        return -EINVAL;
    read_usage(json_get(ret->body, "usage"), &ret->usage);
    return read_items(json_get(ret->body, "data"), count, items);
}

int embed_answer_item(struct json_span item, size_t index, struct buf *out)
{
    struct json_span old = json_get(item, "index");
    const char *end = item.at + item.len;
    if (!old.at)
        return buf_add(out, item.at, item.len);
    (void)buf_add(out, item.at, (size_t)(old.at - item.at));
    (void)buf_addf(out, "%zu", index);
    const char *rest = old.at + old.len;
    return buf_add(out, rest, (size_t)(end - rest));
}

static void write_usage(const struct embed_usage *usage, struct buf *out)
{
    (void)buf_adds(out, "{");
    for (size_t i = 0; i < usage->count; i++)
        (void)buf_addf(out, "%s\"%s\":%" PRId64, i > 0 ? "," : "", usage->of[i].name,
                       usage->of[i].value);
    (void)buf_adds(out, "}");
}

int embed_answer_write(const struct embed_answer *from, const struct buf *items,
                       const struct embed_usage *usage, struct buf *out)
{
    bool first = true;
    struct json_iter it = json_iter(from->body);
    (void)buf_adds(out, "{");
    while (json_next(&it)) {
        bool is_usage = json_equals(it.key, "usage");
        if (is_usage && usage->count == 0)
            continue;
        (void)buf_adds(out, first ? "" : ",");
        first = false;
        (void)buf_add(out, it.key.at, it.key.len);
        (void)buf_adds(out, ":");
        if (is_usage) {
            write_usage(usage, out);
        } else if (json_equals(it.key, "data")) {
            (void)buf_adds(out, "[");
            (void)buf_add(out, items->data, items->len);
            (void)buf_adds(out, "]");
        } else {
            (void)buf_add(out, it.value.at, it.value.len);
        }
    }
    (void)buf_adds(out, "}");
    return out->failed;
}

int embed_usage_share(const struct embed_usage *all, const int64_t *weights, size_t count,
                      struct embed_usage *ret)
{
    int64_t *shares = malloc((count ? count : 1) * sizeof(*shares));
    int rc = shares ? 0 : -ENOMEM;
    for (size_t i = 0; i < count; i++)
        ret[i] = *all;
    for (size_t k = 0; k < all->count && rc == 0; k++) {
        rc = share_out(all->of[k].value, weights, count, shares);
        for (size_t i = 0; i < count && rc == 0; i++)
            ret[i].of[k].value = shares[i];
    }
    free(shares);
    return rc;
}

void embed_usage_add(struct embed_usage *to, const struct embed_usage *more)
{
    for (size_t i = 0; i < more->count; i++) {
        size_t k = 0;
        while (k < to->count && strcmp(to->of[k].name, more->of[i].name) != 0)
            k++;
        if (k == EMBED_USAGE_MAX)
            continue;
        if (k == to->count)
            to->of[to->count++] = more->of[i];
        else
            to->of[k].value += more->of[i].value;
    }
}

int64_t embed_usage_of(const struct embed_usage *u, const char *name)
{
    for (size_t i = 0; i < u->count; i++) {
        if (strcmp(u->of[i].name, name) == 0)
            return u->of[i].value;
    }
    return -1;
}
