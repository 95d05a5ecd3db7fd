#include "storage/redis_reply.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

static bool is_text(const struct redisReply *r)
{
    return r && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS);
}

/* Only the form that Redis itself writes: no space, no plus sign, nothing behind. */
static int64_t int_of_text(const struct redisReply *r, int64_t fallback)
{
    char first = r->str[r->str[0] == '-'];
    char *end;
    if (first < '0' || first > '9')
        return fallback;
    errno = 0;
    long long value = strtoll(r->str, &end, 10);
    return errno || end != r->str + r->len ? fallback : value;
}

int64_t reply_int(const struct redisReply *r, int64_t fallback)
{
    if (r && r->type == REDIS_REPLY_INTEGER)
        return r->integer;
    return is_text(r) ? int_of_text(r, fallback) : fallback;
}

const char *reply_text(const struct redisReply *r, size_t *ret_len)
{
    if (!is_text(r))
        return NULL;
    if (ret_len)
        *ret_len = r->len;
    return r->str;
}

const char *reply_error(const struct redisReply *r)
{
    return r && r->type == REDIS_REPLY_ERROR ? r->str : NULL;
}

size_t reply_count(const struct redisReply *r)
{
    return r && r->type == REDIS_REPLY_ARRAY ? r->elements : 0;
}

const struct redisReply *reply_at(const struct redisReply *r, size_t index)
{
    return index < reply_count(r) ? r->element[index] : NULL;
}

bool reply_is_nil(const struct redisReply *r)
{
    return r && r->type == REDIS_REPLY_NIL;
}

const struct redisReply *reply_field(const struct redisReply *r, const char *name)
{
    size_t count = reply_count(r), len = strlen(name);
    for (size_t i = 0; i + 1 < count; i += 2) {
        size_t field_len = 0;
        const char *field = reply_text(reply_at(r, i), &field_len);
        if (field && field_len == len && memcmp(field, name, len) == 0)
            return reply_at(r, i + 1);
    }
    return NULL;
}

bool reply_message(const struct redisReply *r, const char **ret_channel, const char **ret_payload,
                   size_t *ret_len)
{
    const char *kind = reply_text(reply_at(r, 0), NULL);
    if (reply_count(r) != 3 || !kind || strcmp(kind, "message") != 0)
        return false;
    *ret_channel = reply_text(reply_at(r, 1), NULL);
    *ret_payload = reply_text(reply_at(r, 2), ret_len);
    return *ret_channel && *ret_payload;
}
