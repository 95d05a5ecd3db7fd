#include "scheduler/http_header.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool is_token_byte(unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c && strchr("!#$%&'*+-.^_`|~", c);
}

bool http_is_token(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (!is_token_byte((unsigned char)*text))
            return false;
    return true;
}

bool http_header_is_ours(const char *name)
{
    static const char *const ours[] = {
        "connection", "content-length",      "expect",
        "host",       "keep-alive",          "proxy-connection",
        "te",         "proxy-authorization", "trailer",
        "upgrade",    "http2-settings",      "transfer-encoding",
    };
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strcasecmp(name, ours[i]) == 0)
            return true;
    return false;
}

/* CR and LF would start a header of their own: libcurl sends them as they are. */
static bool is_value(const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static int add_line(struct buf *lines, const struct http_header *h)
{
    const char *value = h->value + strspn(h->value, " \t");
    int rc = buf_adds(lines, h->name);
    if (rc == 0)
        rc = buf_adds(lines, *value ? ": " : ";");
    return rc < 0 ? rc : buf_add(lines, value, strlen(value) + 1);
}

int http_header_lines(const struct http_header *headers, size_t count, struct buf *lines,
                      struct error *e)
{
    int added = 0;
    for (size_t i = 0; i < count; i++) {
        const struct http_header *h = &headers[i];
        if (!http_is_token(h->name))
            return error_set(e, -EINVAL, "header %zu has a name that cannot be sent", i + 1);
        if (!is_value(h->value))
            return error_set(e, -EINVAL, "header %s has a control character in its value", h->name);
        if (http_header_is_ours(h->name))
            continue;
        int rc = add_line(lines, h);
        if (rc == -ENOSPC)
            return error_set(e, rc, "the headers are larger than %zu bytes", lines->max);
        if (rc < 0)
            return error_set(e, rc, "out of memory");
        added++;
    }
    return added;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* line without spaces around it and without its line end. */
static void trim(const char **line, size_t *len)
{
    while (*len > 0 &&
           (is_space((*line)[*len - 1]) || (*line)[*len - 1] == '\r' || (*line)[*len - 1] == '\n'))
        --*len;
    while (*len > 0 && is_space(**line)) {
        ++*line;
        --*len;
    }
}

/* A NUL inside would shift all names and values after it; it ends the text instead. */
static int add_text(struct buf *reply, const char *text, size_t len)
{
    int rc = buf_add(reply, text, strnlen(text, len));
    return rc < 0 ? rc : buf_add(reply, "", 1);
}

static int fold(struct buf *reply, const char *line, size_t len)
{
    if (reply->len == 0)
        return 0;
    reply->data[reply->len - 1] = ' '; /* the value's NUL */
    return add_text(reply, line, len);
}

int http_header_store(struct buf *reply, const char *line, size_t len)
{
    bool folded = len > 0 && is_space(*line);
    trim(&line, &len);
    if (folded)
        return fold(reply, line, len);
    const char *colon = memchr(line, ':', len);
    if (!colon)
        return 0;

    const char *name = line;
    size_t name_len = (size_t)(colon - line);
    const char *value = colon + 1;
    size_t value_len = len - name_len - 1;
    trim(&name, &name_len);
    trim(&value, &value_len);
    size_t before = reply->len;
    int rc = add_text(reply, name, name_len);
    if (rc == 0)
        rc = add_text(reply, value, value_len);
    if (rc < 0)
        reply->len = before; /* never a name without a value */
    return rc;
}

/* The entry at *at, which moves to the next one; false at the end. */
static bool next(const struct buf *reply, size_t *at, struct http_header *ret)
{
    if (*at >= reply->len)
        return false;
    ret->name = reply->data + *at;
    ret->value = ret->name + strlen(ret->name) + 1;
    *at += (size_t)(ret->value - ret->name) + strlen(ret->value) + 1;
    return true;
}

const char *http_header_find(const struct buf *reply, const char *name)
{
    const char *found = NULL;
    struct http_header h;
    for (size_t at = 0; next(reply, &at, &h);)
        if (strcasecmp(h.name, name) == 0)
            found = h.value;
    return found;
}

void http_header_each(const struct buf *reply,
                      void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    struct http_header h;
    for (size_t at = 0; next(reply, &at, &h);)
        fn(arg, h.name, h.value);
}
