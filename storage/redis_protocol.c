#include "storage/redis_protocol.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Idle parser memory that is kept from one reply to the next. */
#define KEPT_BYTES (64 * 1024)

struct redis_reader {
    redisReader *parser;
    size_t max_reply_bytes;
    size_t unread_bytes; /* fed, and not yet part of a reply given out */
};

struct redis_reader *redis_reader_new(size_t max_reply_bytes)
{
    struct redis_reader *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->max_reply_bytes = max_reply_bytes;
    r->parser = redisReaderCreate();
    if (!r->parser) {
        free(r);
        return NULL;
    }
    r->parser->maxbuf = KEPT_BYTES;
    return r;
}

void redis_reader_free(struct redis_reader *r)
{
    if (!r)
        return;
    redisReaderFree(r->parser);
    free(r);
}

static int parser_error(const redisReader *parser)
{
    return parser->err == REDIS_ERR_OOM ? -ENOMEM : -EPROTO;
}

int redis_reader_feed(struct redis_reader *r, const void *bytes, size_t len)
{
    if (redisReaderFeed(r->parser, bytes, len) != 0)
        return parser_error(r->parser);
    r->unread_bytes += len;
    return 0;
}

int redis_reader_next(struct redis_reader *r, struct redisReply **ret)
{
    void *reply = NULL;
    if (redisReaderGetReply(r->parser, &reply) != 0)
        return parser_error(r->parser);

    size_t left = reply ? r->parser->len - r->parser->pos : 0;
    if (r->unread_bytes - left > r->max_reply_bytes) {
        redis_reply_free(reply);
        return -EMSGSIZE;
    }
    if (!reply)
        return 0;
    r->unread_bytes = left;
    *ret = reply;
    return 1;
}

void redis_reply_free(struct redisReply *reply)
{
    freeReplyObject(reply);
}

static size_t digits(size_t n)
{
    size_t count = 1;
    for (; n >= 10; n /= 10)
        count++;
    return count;
}

size_t redis_encoded_bytes(const struct redis_args *args)
{
    size_t total = 1 + digits((size_t)args->argc) + 2;
    for (int i = 0; i < args->argc; i++) {
        size_t len = redis_args_len(args, i);
        total += 1 + digits(len) + 2 + len + 2;
    }
    return total;
}

int redis_encode(struct evbuffer *out, size_t total, const struct redis_args *args)
{
    struct evbuffer_iovec room;
    /* One more byte: sprintf ends the last header with a NUL. */
    if (evbuffer_reserve_space(out, (ev_ssize_t)total + 1, &room, 1) != 1)
        return -ENOMEM;

    char *at = room.iov_base;
    at += sprintf(at, "*%d\r\n", args->argc);
    for (int i = 0; i < args->argc; i++) {
        size_t len = redis_args_len(args, i);
        at += sprintf(at, "$%zu\r\n", len);
        if (len > 0)
            memcpy(at, args->argv[i], len);
        at += len;
        memcpy(at, "\r\n", 2);
        at += 2;
    }
    assert((size_t)(at - (char *)room.iov_base) == total);
    room.iov_len = total;
    return evbuffer_commit_space(out, &room, 1) == 0 ? 0 : -ENOMEM;
}

const char *redis_reader_reason(int rc)
{
    if (rc == -ENOMEM)
        return "out of memory for a reply of redis";
    if (rc == -EMSGSIZE)
        return "a reply of redis is larger than REDIS_MAX_REPLY_BYTES";
    return "redis sent bytes that are no reply";
}
