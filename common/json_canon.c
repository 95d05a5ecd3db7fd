#include "common/json_canon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"

struct member {
    const char *name; /* decoded; into names */
    size_t at, len;   /* of the name */
    struct json_span value;
};

struct members {
    struct member *list;
    size_t count;
    struct buf names;
};

struct canon {
    const struct json_canon_rules *rules;
    struct buf *out;
};

static int write_value(const struct canon *c, struct json_span value, bool outermost, bool ordered);

/* Decoding makes U+FFFD of a lone surrogate, which would then be equal to a real one. */
static bool is_doubtful(struct json_span raw, const char *text, size_t len)
{
    return memmem(text, len, REPLACEMENT, 3) &&
           (memmem(raw.at, raw.len, "\\ud", 3) || memmem(raw.at, raw.len, "\\uD", 3));
}

static int write_string(const struct canon *c, struct json_span value)
{
    struct buf text;
    if (!memchr(value.at, '\\', value.len))
        return buf_add(c->out, value.at, value.len);
    buf_init(&text, value.len);
    int rc = json_text(value, &text);
    if (rc == 0 && is_doubtful(value, text.data, text.len))
        rc = -EINVAL;
    if (rc == 0) {
        (void)buf_adds(c->out, "\"");
        (void)buf_add_json(c->out, text.data ? text.data : "", text.len);
        rc = buf_adds(c->out, "\"");
    }
    buf_release(&text);
    return rc;
}

static bool is_plain_number(struct json_span value)
{
    const char *p = value.at, *end = value.at + value.len;
    if (value.len > JSON_CANON_DIGITS)
        return false;
    bool minus = *p == '-', zero = true;
    for (p += minus; p < end; p++) {
        if (*p == 'e' || *p == 'E')
            return false;
        zero = zero && (*p == '0' || *p == '.');
    }
    return !(minus && zero);
}

static int by_name(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int order = n > 0 ? memcmp(x->name, y->name, n) : 0;
    if (order == 0)
        order = (x->len > y->len) - (x->len < y->len);
    /* Of equal ones the first first, so that in_order can be restored by `at`. */
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static int by_place(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

static void members_free(struct members *m)
{
    buf_release(&m->names);
    free(m->list);
}

static int add_member(struct members *m, const struct json_iter *it, size_t most)
{
    struct member *one = &m->list[m->count];
    size_t at = m->names.len;
    if (m->count == most)
        return -E2BIG;
    int rc = json_text(it->key, &m->names);
    if (rc < 0)
        return rc;
    *one = (struct member){.at = at, .len = m->names.len - at, .value = it->value};
    if (one->len > 0 && is_doubtful(it->key, m->names.data + at, one->len))
        return -EINVAL;
    m->count++;
    /* So that no two names have the same place, empty ones included. */
    return buf_add(&m->names, "", 1);
}

static size_t count_of(struct json_span object, size_t most)
{
    size_t n = 0;
    struct json_iter it = json_iter(object);
    while (n <= most && json_next(&it))
        n++;
    return n;
}

/* Sorted by name, and each name once. */
static int read_members(struct json_span object, size_t most, struct members *ret)
{
    size_t n = count_of(object, most);
    *ret = (struct members){.list = NULL};
    buf_init(&ret->names, object.len + n);
    if (n > most)
        return -E2BIG;
    ret->list = calloc(n ? n : 1, sizeof(*ret->list));
    if (!ret->list)
        return -ENOMEM;
    struct json_iter it = json_iter(object);
    int rc = 0;
    while (rc == 0 && json_next(&it))
        rc = add_member(ret, &it, most);
    for (size_t i = 0; i < ret->count; i++)
        ret->list[i].name = ret->names.data + ret->list[i].at;
    qsort(ret->list, ret->count, sizeof(*ret->list), by_name);
    for (size_t i = 1; i < ret->count && rc == 0; i++) {
        const struct member *x = &ret->list[i - 1], *y = &ret->list[i];
        if (x->len == y->len && memcmp(x->name, y->name, x->len) == 0)
            rc = -EINVAL;
    }
    return rc;
}

static bool is_one_of(const struct member *m, const char *const *names)
{
    for (; names && *names; names++) {
        if (m->len == strlen(*names) && memcmp(m->name, *names, m->len) == 0)
            return true;
    }
    return false;
}

static int write_member(const struct canon *c, const struct member *m, const char *between,
                        bool ordered)
{
    (void)buf_adds(c->out, between);
    (void)buf_adds(c->out, "\"");
    (void)buf_add_json(c->out, m->name, m->len);
    int rc = buf_adds(c->out, "\":");
    return rc < 0 ? rc : write_value(c, m->value, false, ordered);
}

static int write_object(const struct canon *c, struct json_span value, bool outermost, bool ordered)
{
    struct members all;
    const char *between = "";
    int rc = read_members(value, c->rules->most_members, &all);
    if (rc == 0 && ordered)
        qsort(all.list, all.count, sizeof(*all.list), by_place);
    if (rc == 0)
        rc = buf_adds(c->out, "{");
    for (size_t i = 0; i < all.count && rc == 0; i++) {
        const struct member *m = &all.list[i];
        if (outermost && is_one_of(m, c->rules->left_out))
            continue;
        rc = write_member(c, m, between, ordered || is_one_of(m, c->rules->in_order));
        between = ",";
    }
    members_free(&all);
    return rc < 0 ? rc : buf_adds(c->out, "}");
}

static int write_array(const struct canon *c, struct json_span value, bool ordered)
{
    struct json_iter it = json_iter(value);
    const char *between = "";
    int rc = buf_adds(c->out, "[");
    while (rc == 0 && json_next(&it)) {
        rc = buf_adds(c->out, between);
        if (rc == 0)
            rc = write_value(c, it.value, false, ordered);
        between = ",";
    }
    return rc < 0 ? rc : buf_adds(c->out, "]");
}

static int write_value(const struct canon *c, struct json_span value, bool outermost, bool ordered)
{
    switch (json_kind(value)) {
    case JSON_OBJ:
        return write_object(c, value, outermost, ordered);
    case JSON_ARR:
        return write_array(c, value, ordered);
    case JSON_STR:
        return write_string(c, value);
    case JSON_NUM:
        return is_plain_number(value) ? buf_add(c->out, value.at, value.len) : -EINVAL;
    case JSON_NONE:
        return -EINVAL;
    default:
        return buf_add(c->out, value.at, value.len);
    }
}

int json_canon(struct json_span value, const struct json_canon_rules *rules, struct buf *out)
{
    struct canon c = {.rules = rules, .out = out};
    return write_value(&c, value, true, false);
}
