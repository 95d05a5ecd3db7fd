#include "api/http_filter.h"

#include "common/limits.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

enum once { HOST, LENGTH, ENCODING, AUTHORIZATION, API_KEY, IDEMPOTENCY_KEY, CONTENT_TYPE };

static const struct {
    const char *name;
    const char *why; /* when it comes twice */
} once[] = {
    [HOST] = {"host", "The Host header is given twice."},
    [LENGTH] = {"content-length", "The Content-Length header is given twice."},
    [ENCODING] = {"transfer-encoding", "The Transfer-Encoding header is given twice."},
    [AUTHORIZATION] = {"authorization", "The Authorization header is given twice."},
    [API_KEY] = {"x-api-key", "The x-api-key header is given twice."},
    [IDEMPOTENCY_KEY] = {"idempotency-key", "The Idempotency-Key header is given twice."},
    [CONTENT_TYPE] = {"content-type", "The Content-Type header is given twice."},
};

static void refuse(struct http_filter *f, int status, const char *why)
{
    if (f->status)
        return;
    f->status = status;
    f->why = why;
}

static bool is_name(const char *name)
{
    if (*name == '\0')
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("!#$%&'*+-.^_`|~", *name))
            return false;
    return true;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return true;
    return false;
}

static bool is_digits(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

static void check_once(struct http_filter *f, const char *name, const char *value)
{
    size_t len = strlen(name);
    for (unsigned i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        if (strlen(once[i].name) != len || strcasecmp(name, once[i].name) != 0)
            continue;
        if (f->seen & 1u << i)
            refuse(f, 400, once[i].why);
        f->seen |= 1u << i;
        if (i == ENCODING || (i == LENGTH && strspn(value, "0") != strlen(value)))
            f->has_body = true;
        if (i == LENGTH && !is_digits(value))
            refuse(f, 400, "Content-Length must be given in digits only.");
        if (i == ENCODING && strcasecmp(value, "chunked") != 0)
            refuse(f, 400, "Transfer-Encoding must be chunked.");
        return;
    }
}

/* Connection is a list of tokens (RFC 9110 7.6.1), possibly over several headers. */
static void read_connection(struct http_filter *f, const char *value)
{
    while (*value) {
        value += strspn(value, ", \t");
        size_t len = strcspn(value, ", \t");
        if (len == 5 && strncasecmp(value, "close", len) == 0)
            f->close = true;
        if (len == 10 && strncasecmp(value, "keep-alive", len) == 0)
            f->keep_alive = true;
        value += len;
    }
}

void http_filter_init(struct http_filter *f)
{
    *f = (struct http_filter){0};
}

void http_filter_header(struct http_filter *f, const char *name, const char *value)
{
    if (++f->headers > HTTP_MAX_HEADERS)
        refuse(f, 431, "The request has too many headers.");
    if (!is_name(name))
        refuse(f, 400, "A header name has a byte that a name cannot have.");
    if (has_control(value))
        refuse(f, 400, "A header value has a control byte.");
    check_once(f, name, value);
    if (strcasecmp(name, "connection") == 0)
        read_connection(f, value);
}

static void check_target(struct http_filter *f, const char *uri)
{
    if (uri[0] != '/')
        refuse(f, 400, "The request target must be a path, such as /v1/models.");
    if (strlen(uri) > HTTP_MAX_URI_BYTES)
        refuse(f, 414, "The request target is too long.");
    for (const char *c = uri; *c; c++) {
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
            refuse(f, 400, "The request target has a byte that a URI cannot have.");
        if (*c != '%')
            continue;
        if (!isxdigit((unsigned char)c[1]) || !isxdigit((unsigned char)c[2]))
            refuse(f, 400, "The request target has a broken % escape.");
        else if (c[1] == '0' && c[2] == '0')
            refuse(f, 400, "The request target holds a NUL.");
    }
}

int http_filter_end(struct http_filter *f, const struct http_request_line *line)
{
    unsigned framing = 1u << LENGTH | 1u << ENCODING;
    if (line->major != 1 || (line->minor != 0 && line->minor != 1))
        refuse(f, 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
    if (line->minor == 1 && !(f->seen & 1u << HOST))
        refuse(f, 400, "An HTTP/1.1 request needs a Host header.");
    if ((f->seen & framing) == framing)
        refuse(f, 400, "Content-Length and Transfer-Encoding exclude each other.");
    if (line->minor == 0 && f->seen & 1u << ENCODING)
        refuse(f, 400, "HTTP/1.0 has no Transfer-Encoding.");
    if (strcmp(line->method, "HEAD") == 0 && f->has_body)
        refuse(f, 400, "A HEAD request cannot have a body.");
    check_target(f, line->uri);
    return f->status;
}

static int hex_value(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

int http_unescape(const char *text, size_t len, bool plus, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '+' && plus)
            c = ' ';
        if (c == '%') {
            if (len - i < 3 || !isxdigit((unsigned char)text[i + 1]) ||
                !isxdigit((unsigned char)text[i + 2]))
                return -EINVAL;
            c = (char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
            i += 2;
        }
        if (c == '\0')
            return -EINVAL;
        out[used++] = c;
    }
    out[used] = '\0';
    return 0;
}
