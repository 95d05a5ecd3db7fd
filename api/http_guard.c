#include "api/http_guard.h"

#include "common/limits.h"

#include <string.h>
#include <strings.h>

enum state {
    METHOD,
    TARGET,
    VERSION,
    REQUEST_LF,
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    BODY,
    SIZE,
    SIZE_LF,
    CHUNK,
    CHUNK_CR,
    CHUNK_LF,
    DONE,
};

enum field { FIELD_OTHER, FIELD_LENGTH, FIELD_ENCODING, FIELD_EXPECT, FIELD_BEARER, FIELD_API_KEY };

/* One bit for each of the ASCII codes 0-63 and 64-127. */
static const uint64_t token_bytes[2] = {0x03ff6cfa00000000, 0x57ffffffc7fffffe};
static const uint64_t uri_bytes[2] = {0xaffffff200000000, 0x47fffffeafffffff};

static bool in_set(const uint64_t set[2], unsigned char c)
{
    return c < 128 && (set[c >> 6] >> (c & 63) & 1);
}

static bool is_text(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        c = (char)(c | 0x20);
    return c;
}

static void refuse(struct http_guard *g, uint16_t status, const char *why)
{
    g->status = status;
    g->why = why;
}

static void enter(struct http_guard *g, enum state state)
{
    g->state = (uint8_t)state;
    g->word_len = 0;
}

/* False when the word is full, which is longer than any that matters. */
static bool word_add(struct http_guard *g, char c)
{
    if (g->word_len == sizeof(g->word))
        return false;
    g->word[g->word_len++] = c;
    return true;
}

static bool word_is(const struct http_guard *g, const char *text)
{
    return strlen(text) == g->word_len && strncasecmp(g->word, text, g->word_len) == 0;
}

static void method_end(struct http_guard *g)
{
    static const char *const known[] = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i]) == g->word_len && memcmp(g->word, known[i], g->word_len) == 0) {
            g->is_head = i == 2;
            enter(g, TARGET);
            return;
        }
    }
    refuse(g, 501, "The request method is not supported.");
}

static size_t read_method(struct http_guard *g, const char *bytes, size_t len)
{
    (void)len;
    if (bytes[0] == ' ' && g->word_len)
        method_end(g);
    else if (!in_set(token_bytes, (unsigned char)bytes[0]))
        refuse(g, 400, "The request does not start with an HTTP method.");
    else if (!word_add(g, bytes[0]))
        refuse(g, 501, "The request method is not supported.");
    return 1;
}

static bool target_starts_well(const struct http_guard *g, char c)
{
    return g->uri_bytes == 0 ? c == '/' : g->uri_bytes != 1 || c != '/';
}

static size_t read_target(struct http_guard *g, const char *bytes, size_t len)
{
    size_t at = 0;
    for (; at < len && in_set(uri_bytes, (unsigned char)bytes[at]); at++, g->uri_bytes++) {
        if (!target_starts_well(g, bytes[at])) {
            refuse(g, 400, "The request target must be a path, such as /v1/models.");
            return at + 1;
        }
        if (g->uri_bytes == HTTP_MAX_URI_BYTES) {
            refuse(g, 414, "The request target is too long.");
            return at + 1;
        }
        if (g->uri_bytes < sizeof(g->target) - 1) {
            g->target[g->uri_bytes] = bytes[at];
            g->target[g->uri_bytes + 1] = '\0';
        }
    }
    if (at == len)
        return at;
    if (bytes[at] != ' ' || g->uri_bytes == 0)
        refuse(g, 400, "The request target has a byte that a URI cannot have.");
    else
        enter(g, VERSION);
    return at + 1;
}

static void version_end(struct http_guard *g)
{
    if (g->word_len == 8 && memcmp(g->word, "HTTP/1.", 7) == 0 &&
        (g->word[7] == '0' || g->word[7] == '1')) {
        g->is_1_0 = g->word[7] == '0';
        enter(g, REQUEST_LF);
        return;
    }
    bool is_http = g->word_len >= 5 && memcmp(g->word, "HTTP/", 5) == 0;
    refuse(g, is_http ? 505 : 400, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
}

static size_t read_version(struct http_guard *g, const char *bytes, size_t len)
{
    (void)len;
    if (bytes[0] == '\r')
        version_end(g);
    else if (!is_text((unsigned char)bytes[0]) || !word_add(g, bytes[0]))
        refuse(g, 400, "The request line is malformed.");
    return 1;
}

/* Counts the bytes of header lines up to at, the one there, and the line feed that a
 * carriage return there promises; false when there are too many. */
static bool count_header_bytes(struct http_guard *g, const char *bytes, size_t at, size_t len)
{
    size_t n = at == len ? at : at + 1 + (bytes[at] == '\r');
    g->header_bytes += (uint32_t)n;
    if (g->header_bytes <= HTTP_MAX_HEADER_BYTES)
        return true;
    refuse(g, 431, "The request headers are too large.");
    return false;
}

static bool is_large_target(const struct http_guard *g)
{
    return g->large_target && strcspn(g->target, "?") == strlen(g->large_target) &&
           memcmp(g->target, g->large_target, strlen(g->large_target)) == 0;
}

/* Which of the two lines that hold a key counts, as in api/auth.h. */
static enum field key_field(struct http_guard *g)
{
    bool is_api_key = word_is(g, "x-api-key");
    if (!is_large_target(g) || g->in_trailer || g->has_api_key ||
        (!is_api_key && !word_is(g, "authorization")))
        return FIELD_OTHER;
    g->has_api_key = is_api_key;
    explicit_bzero(g->key, sizeof(g->key));
    g->key_len = 0;
    return is_api_key ? FIELD_API_KEY : FIELD_BEARER;
}

static void name_end(struct http_guard *g)
{
    if (g->word_len == 0) {
        refuse(g, 400, "A header has no name.");
        return;
    }
    if (++g->headers > HTTP_MAX_HEADERS) {
        refuse(g, 431, "The request has too many headers.");
        return;
    }
    enum field field = word_is(g, "content-length")      ? FIELD_LENGTH
                       : word_is(g, "transfer-encoding") ? FIELD_ENCODING
                       : word_is(g, "expect")            ? FIELD_EXPECT
                                                         : key_field(g);
    g->field = (uint8_t)field;
    enter(g, VALUE);
}

static size_t read_name(struct http_guard *g, const char *bytes, size_t len)
{
    size_t at = 0;
    /* A name that fills the word is none of those looked for; its end is dropped. */
    while (at < len && in_set(token_bytes, (unsigned char)bytes[at]))
        (void)word_add(g, bytes[at++]);
    if (!count_header_bytes(g, bytes, at, len))
        return at;
    if (at == len)
        return at;
    if (bytes[at] == ':')
        name_end(g);
    else if (bytes[at] == '\r' && g->word_len == 0)
        enter(g, END_LF);
    else if (g->word_len == 0 && (bytes[at] == ' ' || bytes[at] == '\t'))
        refuse(g, 400, "A header is folded over two lines, which RFC 9112 forbids.");
    else
        refuse(g, 400, "A header name has a byte that a name cannot have.");
    return at + 1;
}

static void length_end(struct http_guard *g)
{
    bool is_good = !g->has_length && !g->in_trailer && g->word_len > 0 && g->word_len <= 18;
    g->has_length = true;
    g->length = 0;
    for (size_t i = 0; is_good && i < g->word_len; i++) {
        is_good = g->word[i] >= '0' && g->word[i] <= '9';
        g->length = g->length * 10 + (uint64_t)(g->word[i] - '0');
    }
    if (!is_good)
        refuse(g, 400, "Content-Length must be given once, in digits only.");
}

static void encoding_end(struct http_guard *g)
{
    if (g->has_encoding || g->in_trailer || !word_is(g, "chunked"))
        refuse(g, 400, "Transfer-Encoding must be given once, as chunked.");
    g->has_encoding = true;
}

/* What is no bearer token, or too long, is no key. */
static void key_end(struct http_guard *g)
{
    static const char scheme[] = "bearer ";
    size_t skip = g->field == FIELD_BEARER ? sizeof(scheme) - 1 : 0;
    size_t len = g->key_len;
    while (len > 0 && (g->key[len - 1] == ' ' || g->key[len - 1] == '\t'))
        len--;
    if (len < skip || len == sizeof(g->key) || strncasecmp(g->key, scheme, skip) != 0)
        len = skip = 0;
    memmove(g->key, g->key + skip, len - skip);
    explicit_bzero(g->key + len - skip, sizeof(g->key) - (len - skip));
}

static void value_end(struct http_guard *g)
{
    if (g->field == FIELD_BEARER || g->field == FIELD_API_KEY) {
        key_end(g);
        enter(g, VALUE_LF);
        return;
    }
    while (g->word_len > 0 && (g->word[g->word_len - 1] == ' ' || g->word[g->word_len - 1] == '\t'))
        g->word_len--;
    if (g->field == FIELD_LENGTH)
        length_end(g);
    else if (g->field == FIELD_ENCODING)
        encoding_end(g);
    else if (g->field == FIELD_EXPECT && !word_is(g, "100-continue"))
        refuse(g, 417, "The only expectation that can be met is 100-continue.");
    g->has_expect = g->has_expect || g->field == FIELD_EXPECT;
    enter(g, VALUE_LF);
}

/* Keeps the value of a field that matters, without the white space before it. */
static void keep_value(struct http_guard *g, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool is_blank = bytes[i] == ' ' || bytes[i] == '\t';
        if (is_blank && g->word_len == 0)
            continue;
        if (!word_add(g, lower(bytes[i]))) {
            refuse(g, 400, "A header that frames the body has an overlong value.");
            return;
        }
    }
}

static void keep_key(struct http_guard *g, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len && g->key_len < sizeof(g->key); i++) {
        if (g->key_len > 0 || (bytes[i] != ' ' && bytes[i] != '\t'))
            g->key[g->key_len++] = bytes[i];
    }
}

static size_t read_value(struct http_guard *g, const char *bytes, size_t len)
{
    size_t at = 0;
    while (at < len && is_text((unsigned char)bytes[at]))
        at++;
    if (!count_header_bytes(g, bytes, at, len))
        return at;
    if (g->field == FIELD_BEARER || g->field == FIELD_API_KEY)
        keep_key(g, bytes, at);
    else if (g->field != FIELD_OTHER)
        keep_value(g, bytes, at);
    if (at == len || g->status)
        return at;
    if (bytes[at] == '\r')
        value_end(g);
    else
        refuse(g, 400, "A header value has a control byte, or its line ends without CR.");
    return at + 1;
}

static bool may_be_large(const struct http_guard *g)
{
    return g->has_length && is_large_target(g);
}

static void head_end(struct http_guard *g)
{
    if (g->in_trailer) {
        enter(g, DONE);
        return;
    }
    if (g->has_length && g->has_encoding)
        refuse(g, 400, "Content-Length and Transfer-Encoding exclude each other.");
    else if (g->has_encoding && g->is_1_0)
        refuse(g, 400, "HTTP/1.0 has no Transfer-Encoding.");
    else if (g->is_head && (g->has_encoding || g->length > 0))
        refuse(g, 400, "A HEAD request cannot have a body.");
    else if (g->length > (may_be_large(g) ? g->max_large_bytes : g->max_body_bytes))
        refuse(g, 413, "The request body is too large.");
    g->in_body = true;
    g->left = g->body_bytes = g->length;
    enter(g, g->has_encoding ? SIZE : g->left ? BODY : DONE);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void size_end(struct http_guard *g)
{
    g->left = 0;
    for (size_t i = 0; i < g->word_len; i++)
        g->left = g->left << 4 | (uint64_t)hex_digit(g->word[i]);
    if (g->left > g->max_body_bytes - g->body_bytes) {
        refuse(g, 413, "The request body is too large.");
        return;
    }
    g->body_bytes += g->left;
    g->in_trailer = g->left == 0;
    enter(g, g->left ? CHUNK : NAME);
}

static size_t read_size(struct http_guard *g, const char *bytes, size_t len)
{
    (void)len;
    if (bytes[0] == '\r' && g->word_len)
        g->state = SIZE_LF; /* keeps the word */
    else if (hex_digit(bytes[0]) < 0 || g->word_len == 15)
        refuse(g, 400, "A chunk size must be hexadecimal digits only.");
    else
        (void)word_add(g, bytes[0]);
    return 1;
}

static size_t read_data(struct http_guard *g, const char *bytes, size_t len)
{
    (void)bytes;
    return http_guard_skip(g, len);
}

static size_t read_chunk_cr(struct http_guard *g, const char *bytes, size_t len)
{
    (void)len;
    if (bytes[0] == '\r')
        enter(g, CHUNK_LF);
    else
        refuse(g, 400, "A chunk is longer than its size says.");
    return 1;
}

static size_t read_lf(struct http_guard *g, const char *bytes, size_t len)
{
    (void)len;
    if (bytes[0] != '\n') {
        refuse(g, 400, "A carriage return stands without its line feed.");
        return 1;
    }
    if (g->state == END_LF)
        head_end(g);
    else if (g->state == CHUNK_LF)
        enter(g, SIZE);
    else
        enter(g, NAME);
    return 1;
}

/* The size's digits are still in the word, which enter() would forget. */
static size_t read_size_lf(struct http_guard *g, const char *bytes, size_t len)
{
    (void)len;
    if (bytes[0] == '\n')
        size_end(g);
    else
        refuse(g, 400, "A carriage return stands without its line feed.");
    return 1;
}

static size_t read_nothing(struct http_guard *g, const char *bytes, size_t len)
{
    (void)g;
    (void)bytes;
    (void)len;
    return 0;
}

void http_guard_init(struct http_guard *g, uint64_t max_body_bytes)
{
    *g = (struct http_guard){.max_body_bytes = max_body_bytes};
}

const char *http_guard_key(const struct http_guard *g)
{
    return g->key;
}

void http_guard_next(struct http_guard *g)
{
    const char *target = g->large_target;
    uint64_t most = g->max_large_bytes;
    explicit_bzero(g->key, sizeof(g->key));
    http_guard_init(g, g->max_body_bytes);
    g->large_target = target;
    g->max_large_bytes = most;
}

enum http_guard_phase http_guard_phase(const struct http_guard *g)
{
    if (g->status)
        return HTTP_GUARD_REFUSED;
    if (g->state == DONE)
        return HTTP_GUARD_DONE;
    if (g->in_body)
        return HTTP_GUARD_BODY;
    return g->state == METHOD && g->word_len == 0 ? HTTP_GUARD_START : HTTP_GUARD_HEAD;
}

bool http_guard_is_large(const struct http_guard *g)
{
    return g->in_body && !g->status && may_be_large(g) && g->state == BODY;
}

size_t http_guard_skip(struct http_guard *g, size_t len)
{
    if (g->status || (g->state != BODY && g->state != CHUNK))
        return 0;
    size_t n = len < g->left ? len : (size_t)g->left;
    g->left -= n;
    if (g->left == 0)
        enter(g, g->state == BODY ? DONE : CHUNK_CR);
    return n;
}

size_t http_guard_feed(struct http_guard *g, const char *bytes, size_t len)
{
    static size_t (*const readers[])(struct http_guard *, const char *, size_t) = {
        [METHOD] = read_method,   [TARGET] = read_target, [VERSION] = read_version,
        [REQUEST_LF] = read_lf,   [NAME] = read_name,     [VALUE] = read_value,
        [VALUE_LF] = read_lf,     [END_LF] = read_lf,     [BODY] = read_data,
        [SIZE] = read_size,       [CHUNK] = read_data,    [CHUNK_CR] = read_chunk_cr,
        [SIZE_LF] = read_size_lf, [CHUNK_LF] = read_lf,   [DONE] = read_nothing,
    };
    size_t at = 0;
    while (at < len && !g->status && g->state != DONE)
        at += readers[g->state](g, bytes + at, len - at);
    return at;
}
