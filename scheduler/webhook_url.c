#include "scheduler/webhook_url.h"

#include "common/digest.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <curl/curl.h>

/* ---- addresses */

struct range {
    uint8_t bytes[16];
    unsigned bits;
};

static const struct range closed_v4[] = {
    {{0}, 8},
    {{10}, 8},
    {{100, 64}, 10},
    {{127}, 8},
    {{169, 254}, 16},
    {{172, 16}, 12},
    {{192, 0, 0}, 24},
    {{192, 0, 2}, 24},
    {{192, 88, 99}, 24},
    {{192, 168}, 16},
    {{198, 18}, 15},
    {{198, 51, 100}, 24},
    {{203, 0, 113}, 24},
    {{224}, 4},
    {{240}, 4},
};
static const struct range open_v6 = {{0x20}, 3};
static const struct range closed_v6[] = {
    {{0x20, 0x01, 0x00}, 23},
    {{0x20, 0x01, 0x0d, 0xb8}, 32},
    {{0x3f, 0xff}, 20},
};
/* With an IPv4 address inside, and at which byte. */
static const struct {
    struct range range;
    size_t at;
} holders[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12},
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},
    {{{0x20, 0x02}, 16}, 2},
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is_in(const uint8_t *address, const struct range *r)
{
    unsigned whole = r->bits / 8, rest = r->bits % 8;
    if (memcmp(address, r->bytes, whole) != 0)
        return false;
    return rest == 0 || (address[whole] ^ r->bytes[whole]) >> (8 - rest) == 0;
}

static bool is_public_v4(const uint8_t *address)
{
    for (size_t i = 0; i < COUNT(closed_v4); i++)
        if (is_in(address, &closed_v4[i]))
            return false;
    return true;
}

static bool is_public_v6(const uint8_t *address)
{
    for (size_t i = 0; i < COUNT(holders); i++)
        if (is_in(address, &holders[i].range))
            return is_public_v4(address + holders[i].at);
    for (size_t i = 0; i < COUNT(closed_v6); i++)
        if (is_in(address, &closed_v6[i]))
            return false;
    return is_in(address, &open_v6);
}

bool webhook_address_is_public(const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        return is_public_v4((const uint8_t *)&v4.sin_addr);
    }
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(&v6, address, sizeof(v6));
    return is_public_v6(v6.sin6_addr.s6_addr);
}

/* ---- URLs, as libcurl reads them: it is who will connect */

static bool is_localhost(const char *host)
{
    static const char name[] = "localhost";
    size_t len = strlen(host);
    len -= len > 0 && host[len - 1] == '.';
    size_t own = sizeof(name) - 1;
    return len >= own && strncasecmp(host + len - own, name, own) == 0 &&
           (len == own || host[len - own - 1] == '.');
}

static bool is_closed_host(const char *host)
{
    uint8_t bytes[sizeof(struct in6_addr)];
    char bare[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET, host, bytes) == 1)
        return !is_public_v4(bytes);
    if (*host != '[')
        return is_localhost(host);
    (void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(host + 1, "%]"), host + 1);
    return inet_pton(AF_INET6, bare, bytes) != 1 || !is_public_v6(bytes);
}

static int check_parts(CURLU *parsed, bool allow_private, struct error *e)
{
    char *scheme = NULL, *host = NULL, *fragment = NULL;
    int rc = 0;
    if (curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        rc = error_set(e, -EINVAL, "must have a scheme and a host");
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        rc = error_set(e, -EINVAL, "must begin with https:// or http://");
    else if (curl_url_get(parsed, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_OK)
        rc = error_set(e, -EINVAL, "must not have a fragment");
    else if (!allow_private && is_closed_host(host))
        rc = error_set(e, -EINVAL,
                       "leads to a private, local or reserved address, and webhooks.allow_private "
                       "is not set");
    curl_free(scheme);
    curl_free(host);
    curl_free(fragment);
    return rc;
}

int webhook_url_check(const char *url, bool allow_private, struct error *e)
{
    size_t len = strlen(url);
    if (len == 0 || len > WEBHOOK_MAX_URL_BYTES)
        return error_set(e, -EINVAL, "must have 1 to %d bytes", WEBHOOK_MAX_URL_BYTES);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)url[i] <= ' ' || (unsigned char)url[i] > '~')
            return error_set(e, -EINVAL, "holds a byte that a URL cannot have");
    CURLU *parsed = curl_url();
    if (!parsed)
        return error_set(e, -ENOMEM, "cannot be checked: out of memory");
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    int rc = 0;
    if (code == CURLUE_USER_NOT_ALLOWED)
        rc = error_set(e, -EINVAL, "must not hold a user or a password");
    else if (code != CURLUE_OK)
        rc = error_set(e, -EINVAL, "is no URL: %s", curl_url_strerror(code));
    else
        rc = check_parts(parsed, allow_private, e);
    curl_url_cleanup(parsed);
    return rc;
}

/* libcurl takes one to three slashes behind the scheme. */
static size_t server_len(const char *url)
{
    size_t len = strcspn(url, ":");
    len += url[len] == ':';
    len += strspn(url + len, "/");
    return len + strcspn(url + len, "/?");
}

void webhook_url_endpoint(const char *tenant, const char *url, char ret[WEBHOOK_ENDPOINT_BYTES])
{
    char text[TENANT_NAME_BYTES + WEBHOOK_MAX_URL_BYTES + 32];
    size_t scheme = strcspn(url, ":"), len = server_len(url);
    size_t host = scheme + strspn(url + scheme, ":/");
    (void)snprintf(text, sizeof(text), "%zu:%.*s %.*s://%.*s", strlen(tenant), TENANT_NAME_BYTES,
                   tenant, (int)scheme, url, (int)(len - host), url + host);
    for (char *at = text + strcspn(text, " "); *at; at++)
        *at = (char)tolower((unsigned char)*at);
    digest_hex(text, strlen(text), ret, WEBHOOK_ENDPOINT_BYTES - 1);
}

const char *webhook_url_server(const char *url, char ret[WEBHOOK_SHOWN_BYTES])
{
    size_t len = server_len(url);
    (void)snprintf(ret, WEBHOOK_SHOWN_BYTES, "%.*s", (int)(len < 500 ? len : 500), url);
    return ret;
}

const char *webhook_url_shown(const char *url, char ret[WEBHOOK_SHOWN_BYTES])
{
    size_t len = strcspn(url, "?");
    (void)snprintf(ret, WEBHOOK_SHOWN_BYTES, "%.*s%s", (int)(len < 500 ? len : 500), url,
                   url[len] || len > 500 ? "?..." : "");
    return ret;
}
