#include "storage/redis_address.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_PORT  6379
#define SENTINEL_PORT 26379
#define MAX_DB        1000000 /* what `databases` of redis.conf may sensibly be */

struct text {
    const char *at;
    size_t len;
};

static int wrong(struct error *e, const char *part, const char *why)
{
    return error_set(e, -EINVAL, "redis.url: %s %s", part, why);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One byte, percent-decoded; advances *i. Negative when it is no legal byte of a URL. */
static int decode_byte(struct text t, size_t *i)
{
    unsigned char c = (unsigned char)t.at[(*i)++];
    if (c != '%')
        return c < 0x21 || c == 0x7f ? -1 : c;
    if (t.len - *i < 2)
        return -1;
    int high = hex_value(t.at[*i]), low = hex_value(t.at[*i + 1]);
    *i += 2;
    if (high < 0 || low < 0 || high + low == 0)
        return -1;
    return high * 16 + low;
}

static int decode(struct text t, char *ret, size_t room, const char *part, struct error *e)
{
    size_t n = 0;
    for (size_t i = 0; i < t.len;) {
        int byte = decode_byte(t, &i);
        if (byte < 0)
            return wrong(e, part, "holds a white space, a control byte or a broken %-escape");
        if (n + 1 >= room)
            return wrong(e, part, "is too long");
        ret[n++] = (char)byte;
    }
    ret[n] = '\0';
    return 0;
}

static bool parse_number(struct text t, int least, int most, int *ret)
{
    int value = 0;
    if (t.len == 0 || t.len > 7)
        return false;
    for (size_t i = 0; i < t.len; i++) {
        if (t.at[i] < '0' || t.at[i] > '9')
            return false;
        value = value * 10 + (t.at[i] - '0');
    }
    if (value < least || value > most)
        return false;
    *ret = value;
    return true;
}

/* [user]:password; what comes before the '@'. */
static int parse_login(struct text t, struct redis_address *a, struct error *e)
{
    const char *colon = memchr(t.at, ':', t.len);
    if (!colon)
        return wrong(e, "the part before '@'", "must be USER:PASSWORD or :PASSWORD");
    struct text user = {t.at, (size_t)(colon - t.at)};
    struct text password = {colon + 1, t.len - user.len - 1};
    int rc = decode(user, a->user, sizeof(a->user), "the user", e);
    if (!rc)
        rc = decode(password, a->password, sizeof(a->password), "the password", e);
    if (!rc && a->user[0] && !a->password[0])
        return wrong(e, "the password", "is missing after the user");
    return rc;
}

static int parse_place(struct text t, struct redis_place *ret, struct error *e)
{
    struct text host = t, port = {NULL, 0};
    const char *end = t.at + t.len, *colon;
    if (t.len > 0 && t.at[0] == '[') {
        const char *close = memchr(t.at, ']', t.len);
        if (!close)
            return wrong(e, "the host", "lacks the ']' of its IPv6 address");
        host = (struct text){t.at + 1, (size_t)(close - t.at) - 1};
        if (close + 1 < end && close[1] != ':')
            return wrong(e, "the port", "must follow the host and a ':'");
        colon = close + 1 < end ? close + 1 : NULL;
    } else {
        colon = memchr(t.at, ':', t.len);
        if (colon)
            host.len = (size_t)(colon - t.at);
    }
    if (colon)
        port = (struct text){colon + 1, (size_t)(end - colon) - 1};
    if (host.len == 0)
        return wrong(e, "the host", "is missing");
    if (colon && !parse_number(port, 1, 65535, &ret->port))
        return wrong(e, "the port",
                     "must be a number of 1 to 65535; or the password needs %-escapes");
    return decode(host, ret->host, sizeof(ret->host), "the host", e);
}

/* host:port[,host:port]...; port is what holds where none is given. */
static int parse_places(struct text t, int port, struct redis_address *a, struct error *e)
{
    const char *end = t.at + t.len;
    for (const char *at = t.at, *comma; at <= end; at = comma + 1) {
        comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
        if (comma && a->kind == REDIS_PLAIN)
            return wrong(e, "the host",
                         "must be one; several need redis+sentinel or redis+cluster");
        if (!comma)
            comma = end;
        if (a->place_count == REDIS_MAX_SEEDS)
            return wrong(e, "the list of hosts", "is too long");
        struct redis_place *place = &a->places[a->place_count++];
        place->port = port;
        int rc = parse_place((struct text){at, (size_t)(comma - at)}, place, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int parse_db(const char *tail, struct redis_address *a, struct error *e)
{
    struct text db = {tail + 1, strlen(tail) - (*tail != '\0')};
    if (*tail == '\0' || (*tail == '/' && db.len == 0))
        return 0;
    if (*tail != '/' || !parse_number(db, 0, MAX_DB, &a->db))
        return wrong(e, "the database", "after the '/' must be a number");
    if (a->kind == REDIS_CLUSTER && a->db != 0)
        return wrong(e, "the database", "must be 0: a cluster has no other");
    return 0;
}

/* /NAME[/DB]; gives where the database begins. */
static int parse_master(const char **tail, struct redis_address *a, struct error *e)
{
    struct text name = {*tail + 1, 0};
    if (**tail == '/')
        name.len = strcspn(name.at, "/?#");
    if (name.len == 0)
        return wrong(e, "the name of the master", "must follow the hosts and a '/'");
    *tail = name.at + name.len;
    return decode(name, a->master, sizeof(a->master), "the name of the master", e);
}

static int parse_tcp(const char *rest, struct redis_address *a, struct error *e)
{
    struct text authority = {rest, strcspn(rest, "/?#")};
    const char *tail = rest + authority.len;
    const char *at = memrchr(authority.at, '@', authority.len);
    int rc = 0;
    if (!at && strchr(tail, '@'))
        return wrong(e, "the password", "holds a '/', '?' or '#' that must be percent-encoded");
    if (at) {
        struct text login = {rest, (size_t)(at - rest)};
        rc = parse_login(login, a, e);
        authority = (struct text){at + 1, (size_t)(tail - at) - 1};
    }
    if (!rc)
        rc =
            parse_places(authority, a->kind == REDIS_SENTINEL ? SENTINEL_PORT : DEFAULT_PORT, a, e);
    if (!rc && a->kind == REDIS_SENTINEL)
        rc = parse_master(&tail, a, e);
    return rc ? rc : parse_db(tail, a, e);
}

static int parse_unix(const char *rest, struct redis_address *a, struct error *e)
{
    struct text path = {rest, strcspn(rest, "?#")};
    const char *tail = rest + path.len;
    const char *login_end = *rest == '/' ? NULL : strstr(rest, "@/");
    if (login_end && login_end < tail) {
        struct text login = {rest, (size_t)(login_end - rest)};
        int rc = parse_login(login, a, e);
        if (rc)
            return rc;
        path = (struct text){login_end + 1, (size_t)(tail - login_end) - 1};
    }
    if (path.len == 0)
        return wrong(e, "the socket path", "is missing");
    int rc = decode(path, a->path, sizeof(a->path), "the socket path", e);
    if (rc || *tail == '\0')
        return rc;
    struct text db = {tail + 4, 0};
    if (strncmp(tail, "?db=", 4) != 0)
        return wrong(e, "the part after the path", "must be ?db=NUMBER");
    db.len = strlen(db.at);
    if (!parse_number(db, 0, MAX_DB, &a->db))
        return wrong(e, "the database", "after ?db= must be a number");
    return 0;
}

int redis_address_parse(const char *url, struct redis_address *ret, struct error *e)
{
    static const struct {
        const char *scheme;
        enum redis_kind kind;
    } schemes[] = {
        {"redis://", REDIS_PLAIN},
        {"redis+sentinel://", REDIS_SENTINEL},
        {"redis+cluster://", REDIS_CLUSTER},
    };
    struct redis_address a = {.kind = REDIS_PLAIN};
    int rc = 1;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]) && rc > 0; i++) {
        size_t len = strlen(schemes[i].scheme);
        if (strncmp(url, schemes[i].scheme, len) != 0)
            continue;
        a.kind = schemes[i].kind;
        a.must_be_master = a.kind == REDIS_SENTINEL;
        rc = parse_tcp(url + len, &a, e);
    }
    if (rc > 0 && strncmp(url, "unix://", 7) == 0)
        rc = parse_unix(url + 7, &a, e);
    else if (rc > 0 && strncmp(url, "rediss://", 9) == 0)
        rc = wrong(e, "the scheme", "rediss (TLS) is not supported; put stunnel in front");
    else if (rc > 0)
        rc = wrong(e, "the scheme",
                   "must be redis://, unix://, redis+sentinel:// or redis+cluster://");
    if (!rc)
        *ret = a;
    explicit_bzero(&a, sizeof(a));
    return rc;
}

void redis_address_at(const struct redis_address *a, const struct redis_place *place,
                      struct redis_address *ret)
{
    *ret = *a;
    ret->kind = REDIS_PLAIN;
    ret->place_count = 0;
    if (place)
        ret->places[ret->place_count++] = *place;
}

bool redis_place_equal(const struct redis_place *a, const struct redis_place *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

const char *redis_address_label(const struct redis_address *a, char *buffer)
{
    const struct redis_place *p = &a->places[0];
    if (a->path[0])
        (void)snprintf(buffer, REDIS_LABEL_BYTES, "%s/%d", a->path, a->db);
    else if (a->kind == REDIS_SENTINEL)
        (void)snprintf(buffer, REDIS_LABEL_BYTES, "%s of sentinel %s:%d/%d", a->master, p->host,
                       p->port, a->db);
    else if (a->kind == REDIS_CLUSTER)
        (void)snprintf(buffer, REDIS_LABEL_BYTES, "cluster of %s:%d", p->host, p->port);
    else
        (void)snprintf(buffer, REDIS_LABEL_BYTES, "%s:%d/%d", p->host, p->port, a->db);
    return buffer;
}
