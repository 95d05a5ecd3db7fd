/*
 * redis_reply: checked reading of an answer of Redis.
 *
 * The struct is hiredis' own; nothing outside storage/ sees its fields. Every reader
 * accepts NULL and a reply of another type, and then gives the fallback.
 *
 *   ownership  borrowed: valid inside the callback that got it.
 *   threads    none; pure.
 */
#ifndef STORAGE_REDIS_REPLY_H
#define STORAGE_REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redisReply;

int64_t reply_int(const struct redisReply *r, int64_t fallback); /* integer, or text that is one */
/* Text of a string or status; NULL for anything else. NUL-terminated by hiredis, but a
 * string may hold NULs of its own. ret_len may be NULL. */
const char *reply_text(const struct redisReply *r, size_t *ret_len);
const char *reply_error(const struct redisReply *r); /* text of an error reply, else NULL */
size_t reply_count(const struct redisReply *r);      /* items of an array, else 0 */
const struct redisReply *reply_at(const struct redisReply *r, size_t index); /* NULL past the end */
/* Whether it is a published message that a subscriber gets. */
bool reply_message(const struct redisReply *r, const char **ret_channel, const char **ret_payload,
                   size_t *ret_len);
bool reply_is_nil(const struct redisReply *r);
/* Value of a field in a flat [field, value, …] array (HGETALL); NULL when absent. */
const struct redisReply *reply_field(const struct redisReply *r, const char *name);

#endif
