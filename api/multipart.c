#include "api/multipart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The value of NAME="value" or NAME=value in a header; false when absent or too long. */
static bool parameter(const char *text, size_t len, const char *name, char *out, size_t size)
{
    size_t name_len = strlen(name);
    bool quoted = false;
    for (size_t i = 0; i + name_len < len; i++) {
        if (text[i] == '"')
            quoted = !quoted;
        bool begins = i > 0 && (text[i - 1] == ';' || text[i - 1] == ' ');
        if (quoted || !begins || strncasecmp(text + i, name, name_len) != 0 ||
            text[i + name_len] != '=')
            continue;
        const char *at = text + i + name_len + 1, *end = text + len;
        bool in_quotes = at < end && *at == '"';
        size_t n = 0;
        for (at += in_quotes; at < end; at++) {
            if (in_quotes ? *at == '"' : *at == ';' || *at == ' ')
                break;
            if (in_quotes && *at == '\\' && at + 1 < end)
                at++;
            if (n + 1 >= size)
                return false;
            out[n++] = *at;
        }
        out[n] = '\0';
        return true;
    }
    return false;
}

int multipart_start(struct multipart *m, const char *content_type, const char *body, size_t len)
{
    static const char type[] = "multipart/form-data";
    char boundary[MULTIPART_BOUNDARY_BYTES + 1];
    if (!content_type || strncasecmp(content_type, type, sizeof(type) - 1) != 0 ||
        !parameter(content_type, strlen(content_type), "boundary", boundary, sizeof(boundary)) ||
        !*boundary)
        return -EINVAL;
    m->delimiter_len = (size_t)snprintf(m->delimiter, sizeof(m->delimiter), "\r\n--%s", boundary);
    m->end = body + len;
    m->scan = NULL;
    m->budget = 0;
    if (len >= m->delimiter_len - 2 && memcmp(body, m->delimiter + 2, m->delimiter_len - 2) == 0) {
        m->at = body + m->delimiter_len - 2;
        return 0;
    }
    size_t most = len < MULTIPART_PREAMBLE_BYTES ? len : MULTIPART_PREAMBLE_BYTES;
    m->at = memmem(body, most, m->delimiter, m->delimiter_len);
    if (!m->at)
        return -EINVAL;
    m->at += m->delimiter_len;
    return 0;
}

static void read_disposition(const char *line, size_t len, struct multipart_part *ret)
{
    static const char name[] = "content-disposition:";
    if (len < sizeof(name) || strncasecmp(line, name, sizeof(name) - 1) != 0)
        return;
    if (!parameter(line, len, "name", ret->name, sizeof(ret->name)))
        ret->name[0] = '\0';
    if (!parameter(line, len, "filename", ret->filename, sizeof(ret->filename)))
        ret->filename[0] = '\0';
    /* RFC 7578 4.2: a path in it is not to be believed. */
    const char *slash = strrchr(ret->filename, '/');
    if (slash)
        memmove(ret->filename, slash + 1, strlen(slash + 1) + 1);
}

bool multipart_is_end(const struct multipart *m)
{
    return m->end - m->at >= 2 && memcmp(m->at, "--", 2) == 0;
}

static int read_head(struct multipart *m, struct multipart_part *ret)
{
    while (m->at < m->end && (*m->at == ' ' || *m->at == '\t'))
        m->at++;
    if (m->end - m->at < 2 || memcmp(m->at, "\r\n", 2) != 0)
        return -EINVAL;
    m->at += 2;
    for (;;) {
        size_t left = (size_t)(m->end - m->at);
        size_t most = left < MULTIPART_PREAMBLE_BYTES ? left : MULTIPART_PREAMBLE_BYTES;
        const char *stop = memmem(m->at, most, "\r\n", 2);
        if (!stop)
            return -EINVAL;
        size_t len = (size_t)(stop - m->at);
        read_disposition(m->at, len, ret);
        m->at = stop + 2;
        if (len == 0)
            return 0;
    }
}

int multipart_next(struct multipart *m, struct multipart_part *ret)
{
    if (!m->scan) {
        *ret = (struct multipart_part){.name = ""};
        if (multipart_is_end(m))
            return 0;
        if (read_head(m, ret) < 0)
            return -EINVAL;
        m->scan = m->at - 2; /* an empty part ends with the line feed of its head */
    }
    size_t left = (size_t)(m->end - m->scan), window = left;
    if (m->budget > 0 && m->budget < left - (m->delimiter_len < left ? m->delimiter_len : left))
        window = m->budget + m->delimiter_len - 1; /* a delimiter may begin in its last byte */
    const char *stop = memmem(m->scan, window, m->delimiter, m->delimiter_len);
    if (!stop && window < left) {
        m->scan += m->budget;
        return -EAGAIN;
    }
    if (!stop)
        return -EINVAL;
    ret->data = m->at;
    ret->len = stop > m->at ? (size_t)(stop - m->at) : 0;
    m->at = stop + m->delimiter_len;
    m->scan = NULL;
    return 1;
}
