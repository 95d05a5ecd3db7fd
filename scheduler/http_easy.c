#include "scheduler/http_easy.h"

#include "scheduler/http_header.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define CONNECT_MS        5000
#define CONNECTION_LIFE_S 300L               /* certificates and DNS answers are looked at again */
#define CONNECTION_IDLE_S 60L                /* at most the keep-alive of common servers */
#define SHORT_BODY_BYTES  (64 * (size_t)KIB) /* libcurl's own limit for head and body in one */
#define KEPT_BYTES        (8 * (size_t)KIB)

static bool set_numbers(CURL *curl)
{
    static const struct {
        CURLoption option;
        long value;
    } fixed[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_NETRC, CURL_NETRC_IGNORED},
        {CURLOPT_DISALLOW_USERNAME_IN_URL, 1},
        {CURLOPT_SSL_VERIFYPEER, 1},
        {CURLOPT_SSL_VERIFYHOST, 2},
        {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
        {CURLOPT_TCP_NODELAY, 1},
        {CURLOPT_TCP_KEEPALIVE, 1},
        {CURLOPT_TCP_KEEPIDLE, 60},
        {CURLOPT_TCP_KEEPINTVL, 15},
        {CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFE_S},
        {CURLOPT_MAXAGE_CONN, CONNECTION_IDLE_S},
        {CURLOPT_NOPROGRESS, 0},
        {CURLOPT_QUICK_EXIT, 1}, /* else a cancelled transfer waits here for its DNS thread */
    };
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (curl_easy_setopt(curl, fixed[i].option, fixed[i].value) != CURLE_OK)
            return false;
    return true;
}

static size_t on_read(char *to, size_t size, size_t count, void *arg)
{
    struct http_easy *h = arg;
    if (h->stopped)
        return CURL_READFUNC_ABORT;
    size_t left = h->body_len - h->body_at;
    size_t n = size * count < left ? size * count : left;
    memcpy(to, h->body + h->body_at, n);
    h->body_at += n;
    return n;
}

/* libcurl begins again when a connection died before it took a byte of the request. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct http_easy *h = arg;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > h->body_len)
        return CURL_SEEKFUNC_FAIL;
    h->body_at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

void http_easy_stop(struct http_easy *h)
{
    h->stopped = true;
}

static bool set_reader(struct http_easy *h)
{
    return curl_easy_setopt(h->curl, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
           curl_easy_setopt(h->curl, CURLOPT_READDATA, (void *)h) == CURLE_OK &&
           curl_easy_setopt(h->curl, CURLOPT_SEEKFUNCTION, on_seek) == CURLE_OK &&
           curl_easy_setopt(h->curl, CURLOPT_SEEKDATA, (void *)h) == CURLE_OK;
}

bool http_easy_init(struct http_easy *h, const char *ca_file)
{
    buf_init(&h->url, UPSTREAM_MAX_URL_BYTES);
    buf_init(&h->lines, UPSTREAM_MAX_REQUEST_HEADER_BYTES);
    h->curl = curl_easy_init();
    return h->curl && set_numbers(h->curl) && set_reader(h) &&
           curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(h->curl, CURLOPT_REDIR_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(h->curl, CURLOPT_PROXY, "") == CURLE_OK &&
           (!ca_file || curl_easy_setopt(h->curl, CURLOPT_CAINFO, ca_file) == CURLE_OK);
}

/* Libcurl connects to the address that is given here and to no other, so there is no moment between
 * the look and the connection at which a name could come to mean something else. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_easy *h = arg;
    (void)purpose;
    if (!h->is_allowed(h->allowed_arg, &address->addr)) {
        h->barred = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

bool http_easy_guard(struct http_easy *h, http_address_fn fn, void *arg)
{
    h->is_allowed = fn;
    h->allowed_arg = arg;
    return !fn || (curl_easy_setopt(h->curl, CURLOPT_OPENSOCKETFUNCTION, on_socket) == CURLE_OK &&
                   curl_easy_setopt(h->curl, CURLOPT_OPENSOCKETDATA, (void *)h) == CURLE_OK);
}

void http_easy_release(struct http_easy *h)
{
    curl_easy_cleanup(h->curl);
    h->curl = NULL;
    buf_release(&h->url);
    buf_release(&h->lines);
}

void http_easy_shrink(struct http_easy *h)
{
    if (h->lines.room > KEPT_BYTES)
        buf_release(&h->lines);
}

static int no_memory(struct error *e)
{
    return error_set(e, -ENOMEM, "out of memory");
}

/* Parsed by libcurl's own parser, so that there is only one opinion about the host. The
 * text is not repeated in e: a query may hold a key. */
static int check_url(const char *url, struct error *e)
{
    CURLU *parsed = curl_url();
    char *scheme = NULL;
    if (!parsed)
        return no_memory(e);
    int rc = 0;
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    if (code == CURLUE_OK)
        code = curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0);
    if (code == CURLUE_OUT_OF_MEMORY)
        rc = no_memory(e);
    else if (code != CURLUE_OK)
        rc = error_set(e, -EINVAL, "the URL cannot be used: %s", curl_url_strerror(code));
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        rc = error_set(e, -EINVAL, "the URL cannot be used: only http and https can");
    curl_free(scheme);
    curl_url_cleanup(parsed);
    return rc;
}

/* A provider has few URLs, and handles are reused last in first out: most requests have
 * the URL that the handle had before, which was checked then. */
static int set_url(struct http_easy *h, const char *url, struct error *e)
{
    if (h->url.len && strcmp(h->url.data, url) == 0)
        return 0;
    buf_clear(&h->url);
    if (strlen(url) > h->url.max)
        return error_set(e, -ENOSPC, "the URL is longer than %zu bytes", h->url.max);
    int rc = check_url(url, e);
    if (rc < 0)
        return rc;
    if (curl_easy_setopt(h->curl, CURLOPT_URL, url) != CURLE_OK || buf_adds(&h->url, url) < 0) {
        buf_clear(&h->url);
        return no_memory(e);
    }
    return 0;
}

static bool has(const struct http_request *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (strcasecmp(r->headers[i].name, name) == 0)
            return true;
    return false;
}

/* A name and a colon alone tell libcurl to leave its own header out. Expect would cost a
 * round trip for large bodies; the others would be invented for the caller. */
static int add_own_lines(struct http_easy *h, const struct http_request *r)
{
    static const char *const own[HTTP_EASY_OWN_LINES] = {"Expect", "Accept", "Content-Type"};
    int added = 0;
    for (size_t i = 0; i < HTTP_EASY_OWN_LINES; i++) {
        if (i > 0 && has(r, own[i]))
            continue;
        if (buf_adds(&h->lines, own[i]) < 0 || buf_add(&h->lines, ":", sizeof(":")) < 0)
            return h->lines.failed;
        added++;
    }
    return added;
}

static int set_headers(struct http_easy *h, const struct http_request *r, struct error *e)
{
    if (r->header_count > UPSTREAM_MAX_REQUEST_HEADERS)
        return error_set(e, -ENOSPC, "more than %d headers", UPSTREAM_MAX_REQUEST_HEADERS);
    buf_clear(&h->lines);
    int count = http_header_lines(r->headers, r->header_count, &h->lines, e);
    if (count < 0)
        return count;
    int own = add_own_lines(h, r);
    if (own < 0)
        return error_set(e, own, "the headers are too large");

    /* Only now: the buffer has moved while it grew. */
    char *line = h->lines.data;
    for (int i = 0; i < count + own; i++) {
        bool last = i + 1 == count + own;
        h->nodes[i] = (struct curl_slist){.data = line, .next = last ? NULL : &h->nodes[i + 1]};
        line += strlen(line) + 1;
    }
    return curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, h->nodes) == CURLE_OK ? 0 : no_memory(e);
}

/* A short body is copied, and libcurl sends it in one write with the head. A long one is
 * read piece by piece, since libcurl would go on reading POSTFIELDS of a transfer that a
 * handler has cancelled, until it is off the stack and the handle can be removed. */
static bool set_body(struct http_easy *h, const struct http_request *r)
{
    bool is_short = r->body_len < SHORT_BODY_BYTES;
    h->body = r->body;
    h->body_len = r->body_len;
    h->body_at = 0;
    h->stopped = false;
    return curl_easy_setopt(h->curl, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len) ==
               CURLE_OK &&
           (is_short ? curl_easy_setopt(h->curl, CURLOPT_COPYPOSTFIELDS,
                                        r->body_len ? r->body : "") == CURLE_OK
                     : curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, NULL) == CURLE_OK);
}

static int set_method(struct http_easy *h, const struct http_request *r, struct error *e)
{
    if (!http_is_token(r->method))
        return error_set(e, -EINVAL, "the method cannot be sent");
    bool post = strcmp(r->method, "POST") == 0;
    bool head = strcmp(r->method, "HEAD") == 0;
    bool plain = post || head || strcmp(r->method, "GET") == 0;
    /* HTTPGET also undoes what an earlier request said of its body. */
    if (curl_easy_setopt(h->curl, CURLOPT_HTTPGET, 1L) != CURLE_OK ||
        ((post || r->body_len) && !set_body(h, r)) ||
        (head && curl_easy_setopt(h->curl, CURLOPT_NOBODY, 1L) != CURLE_OK) ||
        curl_easy_setopt(h->curl, CURLOPT_CUSTOMREQUEST,
                         plain && !(r->body_len && !post) ? NULL : r->method) != CURLE_OK)
        return no_memory(e);
    return 0;
}

int http_easy_set(struct http_easy *h, const struct http_request *r, struct error *e)
{
    h->barred = false;
    int rc = set_url(h, r->url, e);
    if (rc == 0)
        rc = set_headers(h, r, e);
    if (rc == 0)
        rc = set_method(h, r, e);
    long connect_ms = r->connect_ms > 0 ? r->connect_ms : CONNECT_MS;
    if (rc == 0 && curl_easy_setopt(h->curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) != CURLE_OK)
        rc = no_memory(e);
    return rc;
}
