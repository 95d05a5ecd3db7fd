/*
 * redis_protocol: commands to bytes and bytes to replies (RESP2), without a socket.
 *
 * Only the parser of hiredis is used. Its asynchronous layer is not: in 0.14 that layer has
 * no deadlines, resolves names in connect, and aborts when memory is short; with the
 * socket in our own hands one function can end a connection, and each maximum is exact.
 *
 *   limits     a reply has at most the bytes given to redis_reader_new(), and 7 levels of
 *              arrays (hiredis).
 *   ownership  a reply is given: free it with redis_reply_free().
 *   errors     after a negative result of a reader, nothing but freeing it makes sense.
 *   threads    none.
 */
#ifndef STORAGE_REDIS_PROTOCOL_H
#define STORAGE_REDIS_PROTOCOL_H

#include "common/error.h"
#include "storage/redis_args.h"

#include <stddef.h>

struct evbuffer;
struct redisReply;
struct redis_reader;

struct redis_reader *redis_reader_new(size_t max_reply_bytes); /* NULL: no memory */
void redis_reader_free(struct redis_reader *r);                /* accepts NULL */
/* 0, -ENOMEM or -EPROTO. */
int redis_reader_feed(struct redis_reader *r, const void *bytes, size_t len) MUST_CHECK;
/* 1 and a reply; 0 when more bytes are needed; -EPROTO, -EMSGSIZE or -ENOMEM. */
int redis_reader_next(struct redis_reader *r, struct redisReply **ret) MUST_CHECK;
const char *redis_reader_reason(int rc);         /* a negative result as a sentence */
void redis_reply_free(struct redisReply *reply); /* accepts NULL */

size_t redis_encoded_bytes(const struct redis_args *args); /* of the command on the wire */
/* Appends a command of `total` = redis_encoded_bytes(). All of it or, with -ENOMEM, none:
 * half a command would make the rest of the connection senseless. */
int redis_encode(struct evbuffer *out, size_t total, const struct redis_args *args) MUST_CHECK;

#endif
