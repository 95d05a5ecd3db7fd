#include "api/http_reply.h"

#include "common/buf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <event2/buffer.h>

const char *http_date_text(struct http_date *date, int64_t wall_ms)
{
    int64_t second = wall_ms / 1000;
    if (second != date->second || date->text[0] == '\0') {
        /* By hand, since strftime() would take the names from the locale. */
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t now = (time_t)second;
        struct tm at;
        if (!gmtime_r(&now, &at))
            return "Thu, 01 Jan 1970 00:00:00 GMT";
        date->second = second;
        (void)snprintf(date->text, sizeof(date->text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                       days + (ptrdiff_t)3 * at.tm_wday, at.tm_mday,
                       months + (ptrdiff_t)3 * at.tm_mon, (at.tm_year + 1900) % 10000, at.tm_hour,
                       at.tm_min, at.tm_sec);
    }
    return date->text;
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } known[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {424, "Failed Dependency"},
        {425, "Too Early"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {529, "Overloaded"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].status == status)
            return known[i].reason;
    return "";
}

bool http_status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

size_t http_reply_start(char *out, int status, const char *date, enum http_framing framing,
                        size_t body_bytes)
{
    char frame[48] = "";
    if (framing == HTTP_LENGTH)
        (void)snprintf(frame, sizeof(frame), "Content-Length: %zu\r\n", body_bytes);
    else if (framing == HTTP_CHUNKED)
        (void)snprintf(frame, sizeof(frame), "Transfer-Encoding: chunked\r\n");
    int n = snprintf(out, HTTP_REPLY_START_BYTES, "HTTP/1.1 %03d %s\r\nDate: %s\r\n%s",
                     status % 1000, http_reason(status), date, frame);
    return n < 0 ? 0 : (size_t)n;
}

static bool is_ours(const char *name)
{
    static const char *const names[] = {"connection", "content-length", "date", "keep-alive",
                                        "transfer-encoding"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

int http_reply_add_header(struct buf *lines, const char *name, const char *value)
{
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("!#$%&'*+-.^_`|~", *c))
            return -EINVAL;
    for (const char *c = value; *c; c++)
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
            return -EINVAL;
    if (*name == '\0' || is_ours(name))
        return -EINVAL;
    size_t before = lines->len;
    int rc = buf_adds(lines, name);
    if (rc == 0)
        rc = buf_add(lines, ": ", 2);
    if (rc == 0)
        rc = buf_adds(lines, value);
    if (rc == 0)
        rc = buf_add(lines, "\r\n", 2);
    if (rc) {
        lines->len = before; /* no half line, and later headers may still fit */
        lines->failed = 0;
    }
    return rc;
}

void http_default_error(const char *path, int status, const char *message, struct evbuffer *out)
{
    (void)path;
    (void)evbuffer_add_printf(
        out, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":null}}",
        message, status < 500 ? "invalid_request_error" : "server_error");
}
