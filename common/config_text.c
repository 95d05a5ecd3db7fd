#include "common/config_text.h"

#include "common/base64.h"
#include "common/limits.h"
#include "common/money.h"
#include "common/period.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

const char *config_text_name(const char *text)
{
    if (!*text)
        return "must not be empty";
    if (text[strspn(text, ALNUM "._:@/-")])
        return "may hold only letters, digits and . _ : @ / -";
    return NULL;
}

const char *config_text_provider(const char *text)
{
    if (!*text)
        return "must not be empty";
    /* '/' parts a provider from its model, ':' from its pool: in a name, either could make
     * two different things one. */
    if (text[strspn(text, ALNUM "._@-")])
        return "may hold only letters, digits and . _ @ -";
    return NULL;
}

const char *config_text_pattern(const char *text)
{
    size_t letters = strspn(text, ALNUM "._:@/-");
    if (!*text)
        return "must not be empty";
    if (text[letters] == '*' && text[letters + 1])
        return "may have one * only, and only at its end";
    if (text[letters] && text[letters] != '*')
        return "may hold only letters, digits and . _ : @ / -, and one * at its end";
    return NULL;
}

const char *config_text_scopes(const char *text)
{
    static const char *const names[] = {"proxy", "jobs", "permits", "stats", "admin"};
    size_t count = 0;
    for (text += strspn(text, ", "); *text; text += strspn(text, ", "), count++) {
        size_t len = strcspn(text, ", "), i = 0;
        while (i < 5 && !(strlen(names[i]) == len && memcmp(names[i], text, len) == 0))
            i++;
        if (i == 5)
            return "may name only proxy, jobs, permits, stats and admin, parted by commas";
        text += len;
    }
    return count > 0 ? NULL : "must name at least one of proxy, jobs, permits, stats, admin";
}

const char *config_text_money(const char *text)
{
    int64_t nano;
    int rc = money_parse(text, &nano);
    if (rc == -ERANGE)
        return "must be at most 1000000000 US dollars";
    return rc < 0 ? "must be US dollars such as 10 or 2.50, with at most nine decimals" : NULL;
}

const char *config_text_price(const char *text)
{
    int64_t nano;
    if (money_parse(text, &nano) < 0 || nano % 1000 != 0 || nano > 1000000 * MONEY_DOLLAR)
        return "must be US dollars for a million tokens such as 2.50, with at most six decimals";
    return NULL;
}

const char *config_text_period(const char *text)
{
    struct period p;
    if (!*text || period_parse(text, &p) < 0)
        return "must be a number and one of s, m, h, d or mo, such as 30d or 1mo, of at most ten "
               "years";
    return NULL;
}

const char *config_text_line(const char *text)
{
    if (!*text)
        return "must not be empty";
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return "must not hold control characters";
    return NULL;
}

const char *config_text_url(const char *text)
{
    const char *host = starts_with(text, "https://")  ? text + 8
                       : starts_with(text, "http://") ? text + 7
                                                      : NULL;
    if (!host)
        return "must begin with https:// or http://";
    if (!*host || *host == '/' || *host == ':')
        return "names no host";
    for (const char *c = host; *c; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || strchr("\"<>\\^`{|}", *c))
            return "holds a character that a URL cannot have";
    if (strpbrk(host, "?#"))
        return "must not have a query or a fragment";
    if (memchr(host, '@', strcspn(host, "/")))
        return "must not hold a user or a password";
    return NULL;
}

const char *config_text_webhook(const char *text)
{
    char bare[WEBHOOK_MAX_URL_BYTES + 1];
    size_t len = strcspn(text, "?");
    if (len >= sizeof(bare))
        return "is too long";
    memcpy(bare, text, len);
    bare[len] = '\0';
    const char *why = config_text_url(bare);
    if (why)
        return why;
    for (const char *c = text + len; *c; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || *c == '#')
            return "holds a character that its query cannot have";
    return NULL;
}

const char *config_text_webhook_secret(const char *text)
{
    unsigned char key[WEBHOOK_MAX_SECRET_BYTES];
    size_t count = 0;
    for (const char *at = text + strspn(text, " "); *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " "), skip = strlen(WEBHOOK_SECRET_PREFIX);
        if (!starts_with(at, WEBHOOK_SECRET_PREFIX))
            return "must begin with whsec_";
        int n = base64_decode(at + skip, len - skip, key, sizeof(key));
        explicit_bzero(key, sizeof(key));
        if (n < WEBHOOK_LEAST_SECRET)
            return "must be whsec_ and base64 of 24 to 64 random bytes";
        if (++count > WEBHOOK_MAX_SECRETS)
            return "must not hold more than 4 secrets";
        at += len;
    }
    return count > 0 ? NULL : "must not be empty";
}

const char *config_text_redis(const char *text)
{
    if (!*text)
        return NULL;
    if (!starts_with(text, "redis://") && !starts_with(text, "unix://") &&
        !starts_with(text, "redis+sentinel://") && !starts_with(text, "redis+cluster://"))
        return "must be empty (embedded), redis://[USER:PASSWORD@]HOST:PORT/DB, unix://PATH, "
               "redis+sentinel://HOST:PORT,HOST:PORT/MASTER or redis+cluster://HOST:PORT,HOST:PORT";
    return config_text_line(text);
}

const char *config_text_sha256(const char *text)
{
    if (strlen(text) != 64 || text[strspn(text, "0123456789abcdef")])
        return "must be 64 lower-case hex digits";
    return NULL;
}

/* The host part of "HOST:PORT" or "[HOST]:PORT" into host, and where the port stands; NULL
 * when there is no such form. */
static const char *split_host(const char *listen, char *host, size_t size)
{
    bool bracket = *listen == '[';
    const char *start = listen + bracket;
    const char *end = bracket ? strchr(start, ']') : strrchr(start, ':');
    if (!end || (size_t)(end - start) >= size)
        return NULL;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    if (bracket)
        return end[1] == ':' ? end + 2 : NULL;
    return end + 1;
}

const char *config_text_listen(const char *text)
{
    static const char form[] = "must be ADDRESS:PORT such as 127.0.0.1:8080 or [::1]:8080, or "
                               "unix:PATH";
    if (starts_with(text, "unix:")) {
        if (strlen(text + 5) >= sizeof(((struct sockaddr_un *)0)->sun_path))
            return "names a socket path that is too long";
        return text[5] ? NULL : form;
    }

    char host[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    const char *port = split_host(text, host, sizeof(host));
    if (!port || inet_pton(*text == '[' ? AF_INET6 : AF_INET, host, address) != 1)
        return form;
    size_t digits = strspn(port, "0123456789");
    if (!digits || digits > 5 || port[digits] || strtol(port, NULL, 10) > 65535)
        return "has no port of 0 to 65535 at its end";
    return NULL;
}

bool config_text_is_loopback(const char *listen)
{
    return starts_with(listen, "unix:") || starts_with(listen, "127.") ||
           starts_with(listen, "[::1]:");
}

static bool is_one_of(const char *const *names, const char *text)
{
    while (*names && strcmp(*names, text) != 0)
        names++;
    return *names != NULL;
}

const char *config_text_preset(const char *text)
{
    static const char *const names[] = {"aggressive", "balanced", "conservative", NULL};
    return is_one_of(names, text) ? NULL : "must be aggressive, balanced or conservative";
}

const char *config_text_strategy(const char *text)
{
    static const char *const names[] = {"window",    "tool_results", "truncate",
                                        "deletion",  "selective",    "relevant",
                                        "summarize", "reset",        NULL};
    return is_one_of(names, text) ? NULL
                                  : "must be window, tool_results, truncate, deletion, selective, "
                                    "relevant, summarize or reset";
}
