#include "common/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 256

void buf_init(struct buf *b, size_t max_bytes)
{
    assert(max_bytes < SIZE_MAX / 2);
    *b = (struct buf){.max = max_bytes};
}

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = 0;
    if (b->data)
        b->data[0] = '\0';
}

static int fail(struct buf *b, int code)
{
    if (!b->failed)
        b->failed = code;
    return code;
}

static int make_room(struct buf *b, size_t more)
{
    if (more > b->max - b->len)
        return fail(b, -ENOSPC);
    if (b->data && b->len + more <= b->room)
        return 0;

    size_t room = b->room ? b->room : FIRST_BYTES;
    while (room < b->len + more)
        room *= 2;
    if (room > b->max)
        room = b->max;
    char *data = realloc(b->data, room + 1);
    if (!data)
        return fail(b, -ENOMEM);
    b->data = data;
    b->room = room;
    return 0;
}

int buf_add(struct buf *b, const void *bytes, size_t len)
{
    int rc = make_room(b, len);
    if (rc < 0)
        return rc;
    if (len)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int buf_adds(struct buf *b, const char *text)
{
    return buf_add(b, text, strlen(text));
}

int buf_addf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    int rc = need < 0 ? fail(b, -EINVAL) : make_room(b, (size_t)need);
    if (rc == 0) {
        (void)vsnprintf(b->data + b->len, (size_t)need + 1, format, again);
        b->len += (size_t)need;
    }
    va_end(again);
    return rc;
}

static const char *escape_of(unsigned char c, char *scratch)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        (void)snprintf(scratch, 8, "\\u%04x", c);
        return scratch;
    }
}

int buf_add_json(struct buf *b, const char *text, size_t len)
{
    size_t from = 0;
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        char scratch[8];
        rc = buf_add(b, text + from, i - from);
        if (rc == 0)
            rc = buf_adds(b, escape_of(c, scratch));
        from = i + 1;
    }
    return rc < 0 ? rc : buf_add(b, text + from, len - from);
}

void buf_consume(struct buf *b, size_t len)
{
    assert(len <= b->len);
    if (len == 0)
        return;
    memmove(b->data, b->data + len, b->len - len);
    b->len -= len;
    b->data[b->len] = '\0';
}

char *buf_take(struct buf *b)
{
    char *data = b->data;
    *b = (struct buf){.max = b->max};
    return data;
}
