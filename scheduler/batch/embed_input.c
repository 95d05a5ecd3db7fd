#include "scheduler/batch/embed_input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST_MEMBERS     32
#define BYTES_PER_TOKEN  4
#define NUMBER_BYTES     24   /* OpenAI indents each number of a vector by eight blanks */
#define ITEM_BYTES       128  /* of an item of an answer, beside its vector */
#define MOST_DIMENSIONS  3072 /* of the widest model that is known, text-embedding-3-large */
#define FLOAT_BYTES      4
#define ASKED_DIMENSIONS 65536

static bool is_numbers(struct json_span array)
{
    size_t count = 0;
    struct json_iter it = json_iter(array);
    for (; json_next(&it); count++) {
        if (json_kind(it.value) != JSON_NUM)
            return false;
    }
    return count > 0;
}

/* One input, by itself. */
static bool is_good(struct json_span value)
{
    switch (json_kind(value)) {
    case JSON_STR:
        return json_inside(value).len > 0;
    case JSON_ARR:
        return is_numbers(value);
    default:
        return false;
    }
}

static int64_t weigh(struct json_span value)
{
    int64_t count = 0;
    struct json_iter it = json_iter(value);
    if (json_kind(value) == JSON_STR)
        return 1 + (int64_t)(json_inside(value).len / BYTES_PER_TOKEN);
    while (json_next(&it))
        count++;
    return count;
}

static int add(struct embed_inputs *in, struct json_span value, size_t *room)
{
    if (!is_good(value))
        return -EINVAL;
    if (in->count == *room) {
        size_t wider = *room ? *room * 2 : 1;
        struct embed_input *list = realloc(in->list, wider * sizeof(*list));
        if (!list)
            return -ENOMEM;
        in->list = list;
        *room = wider;
    }
    in->list[in->count++] = (struct embed_input){.text = value, .tokens = weigh(value)};
    return 0;
}

static int read_list(struct embed_inputs *in, size_t most)
{
    size_t room = 0;
    struct json_iter it = json_iter(in->value);
    in->is_one = json_kind(in->value) != JSON_ARR || is_numbers(in->value);
    if (in->is_one)
        return add(in, in->value, &room);
    while (json_next(&it)) {
        int rc = in->count < most ? add(in, it.value, &room) : -E2BIG;
        if (rc < 0)
            return rc;
    }
    return in->count > 0 ? 0 : -EINVAL;
}

/* The whole is better known than its parts: they are scaled to it, rounded up. */
static void scale(struct embed_inputs *in, int64_t tokens)
{
    int64_t sum = 0;
    for (size_t i = 0; i < in->count; i++)
        sum += in->list[i].tokens;
    for (size_t i = 0; i < in->count && tokens > 0; i++)
        in->list[i].tokens = (in->list[i].tokens * tokens + sum - 1) / sum;
    for (size_t i = 0; i < in->count; i++)
        in->tokens += in->list[i].tokens;
}

int embed_inputs_read(struct json_span body, int64_t tokens, size_t most, struct embed_inputs *ret)
{
    struct embed_inputs in = {.body = body, .value = json_get(body, "input")};
    int rc = read_list(&in, most);
    if (rc < 0) {
        embed_inputs_release(&in);
        return rc;
    }
    scale(&in, tokens);
    *ret = in;
    return 0;
}

void embed_inputs_release(struct embed_inputs *in)
{
    free(in->list);
    in->list = NULL;
    in->count = 0;
}

struct member {
    struct json_span key, value;
};

static int by_key(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    size_t len = x->key.len < y->key.len ? x->key.len : y->key.len;
    int order = memcmp(x->key.at, y->key.at, len);
    if (order != 0 || x->key.len == y->key.len)
        return order;
    return x->key.len < y->key.len ? -1 : 1;
}

int embed_inputs_rest(struct json_span body, struct buf *out)
{
    struct member members[MOST_MEMBERS];
    size_t count = 0;
    struct json_iter it = json_iter(body);
    while (json_next(&it)) {
        if (json_equals(it.key, "input"))
            continue;
        if (count == MOST_MEMBERS)
            return -EINVAL;
        members[count++] = (struct member){.key = it.key, .value = it.value};
    }
    qsort(members, count, sizeof(members[0]), by_key);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && by_key(&members[i - 1], &members[i]) == 0)
            return -EINVAL;
        (void)buf_add(out, members[i].key.at, members[i].key.len);
        (void)buf_adds(out, ":");
        (void)buf_add(out, members[i].value.at, members[i].value.len);
        (void)buf_adds(out, ",");
    }
    return out->failed;
}

static int64_t dimensions_of(struct json_span body)
{
    static const char *const half[] = {"text-embedding-3-small", "text-embedding-ada-002"};
    int64_t asked = 0;
    if (json_int(json_get(body, "dimensions"), &asked) && asked > 0 && asked <= ASKED_DIMENSIONS)
        return asked;
    for (size_t i = 0; i < sizeof(half) / sizeof(half[0]); i++) {
        if (json_equals(json_get(body, "model"), half[i]))
            return MOST_DIMENSIONS / 2;
    }
    return MOST_DIMENSIONS;
}

int64_t embed_vector_bytes(struct json_span body)
{
    int64_t n = dimensions_of(body);
    bool base64 = json_equals(json_get(body, "encoding_format"), "base64");
    return ITEM_BYTES + (base64 ? (n * FLOAT_BYTES + 2) / 3 * 4 : n * NUMBER_BYTES);
}
