#include "storage/redis_check.h"

#include "storage/redis_reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_BYTES 64

/* The value of a "name:value" line; "" when there is none. */
static const char *value_of(const char *info, size_t len, const char *name, char *ret)
{
    size_t name_len = strlen(name);
    const char *end = info + len;
    ret[0] = '\0';
    while (info < end) {
        const char *line_end = memchr(info, '\n', (size_t)(end - info));
        size_t line_len = (size_t)((line_end ? line_end : end) - info);
        if (line_len > name_len && info[name_len] == ':' && memcmp(info, name, name_len) == 0) {
            const char *value = info + name_len + 1;
            size_t value_len = line_len - name_len - 1;
            if (value_len > 0 && value[value_len - 1] == '\r')
                value_len--;
            (void)snprintf(ret, VALUE_BYTES, "%.*s", (int)value_len, value);
            return ret;
        }
        info += line_len + 1;
    }
    return ret;
}

static int version_number(const char *text)
{
    int part[3] = {0, 0, 0};
    if (sscanf(text, "%3d.%2d.%2d", &part[0], &part[1], &part[2]) < 2)
        return 0;
    return part[0] * 10000 + part[1] * 100 + part[2];
}

void redis_facts_parse(const char *info, size_t len, struct redis_facts *ret)
{
    char value[VALUE_BYTES];
    struct redis_facts f = {.version = 0};
    (void)snprintf(f.version_text, sizeof(f.version_text), "%.15s",
                   value_of(info, len, "redis_version", value));
    f.version = version_number(f.version_text);
    (void)snprintf(f.policy, sizeof(f.policy), "%.31s",
                   value_of(info, len, "maxmemory_policy", value));
    f.used_bytes = strtoll(value_of(info, len, "used_memory", value), NULL, 10);
    f.max_bytes = strtoll(value_of(info, len, "maxmemory", value), NULL, 10);
    f.uptime_s = strtoll(value_of(info, len, "uptime_in_seconds", value), NULL, 10);
    f.replicas = strtoll(value_of(info, len, "connected_slaves", value), NULL, 10);
    f.aof_enabled = strcmp(value_of(info, len, "aof_enabled", value), "1") == 0;
    f.aof_write_ok = strcmp(value_of(info, len, "aof_last_write_status", value), "ok") == 0;
    f.loading = strcmp(value_of(info, len, "loading", value), "1") == 0;
    f.replica = strcmp(value_of(info, len, "role", value), "slave") == 0;
    f.cluster = strcmp(value_of(info, len, "cluster_enabled", value), "1") == 0;
    *ret = f;
}

enum redis_verdict redis_facts_judge(const struct redis_facts *facts, struct error *e)
{
    const struct redis_facts *f = facts;
    if (f->version < REDIS_LEAST_VERSION) {
        (void)error_set(e, 0, "redis %s is too old: 6.2 or newer is needed",
                        f->version_text[0] ? f->version_text : "(unknown version)");
        return REDIS_UNFIT;
    }
    if (f->replica) {
        (void)error_set(e, 0, "redis is a replica: redis.url must name the primary");
        return REDIS_UNFIT;
    }
    if (!f->aof_enabled) {
        (void)error_set(e, 0,
                        "redis keeps no append-only file, so a crash loses jobs: "
                        "set appendonly yes");
        return REDIS_VOLATILE;
    }
    if (strcmp(f->policy, "noeviction") != 0) {
        (void)error_set(e, 0, "redis may evict jobs (maxmemory-policy %s): set noeviction",
                        f->policy);
        return REDIS_VOLATILE;
    }
    if (!f->aof_write_ok) {
        (void)error_set(e, 0, "redis failed to write its append-only file: see its disk");
        return REDIS_VOLATILE;
    }
    return REDIS_SAFE;
}

void redis_facts_add(struct redis_facts *f, const struct redis_facts *other)
{
    if (other->version < f->version) {
        f->version = other->version;
        memcpy(f->version_text, other->version_text, sizeof(f->version_text));
    }
    if (strcmp(f->policy, "noeviction") == 0)
        memcpy(f->policy, other->policy, sizeof(f->policy));
    f->used_bytes += other->used_bytes;
    f->max_bytes += other->max_bytes;
    f->replicas = other->replicas > f->replicas ? other->replicas : f->replicas;
    f->aof_enabled = f->aof_enabled && other->aof_enabled;
    f->aof_write_ok = f->aof_write_ok && other->aof_write_ok;
    f->loading = f->loading || other->loading;
    f->replica = f->replica || other->replica;
    f->cluster = f->cluster || other->cluster;
}

struct check {
    redis_facts_fn fn;
    void *arg;
    size_t left; /* answers to come */
    enum redis_status status;
    bool any;
    struct redis_facts facts;
};

static void take(struct check *check, const char *info, size_t len)
{
    struct redis_facts facts;
    redis_facts_parse(info, len, &facts);
    if (check->any)
        redis_facts_add(&check->facts, &facts);
    else
        check->facts = facts;
    check->any = true;
}

static void on_info(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct check *check = arg;
    size_t len = 0;
    const char *info = reply_text(reply, &len);
    if (status == REDIS_OK && info)
        take(check, info, len);
    else if (check->status == REDIS_OK)
        check->status = status == REDIS_OK ? REDIS_ERROR : status;
    if (--check->left > 0)
        return;
    check->fn(check->arg, check->status, check->status == REDIS_OK ? &check->facts : NULL);
    free(check);
}

int redis_check(struct redis_link *l, int deadline_ms, redis_facts_fn fn, void *arg)
{
    struct check *check = malloc(sizeof(*check));
    if (!check)
        return -ENOMEM;
    *check = (struct check){.fn = fn, .arg = arg};
    while (redis_link_master(l, check->left))
        check->left++;
    /* Without a section: several at once need Redis 7. */
    for (size_t i = 0, n = check->left; i < n; i++)
        redis_command(redis_link_master(l, i), REDIS_ARGS("INFO"), deadline_ms, on_info, check);
    return 0;
}

struct fsync_check {
    redis_fsync_fn fn;
    void *arg;
    size_t left;
    enum redis_status status;
    bool always;
};

static void on_fsync(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct fsync_check *check = arg;
    const char *value = reply_text(reply_field(reply, "appendfsync"), NULL);
    if (status != REDIS_OK)
        check->status = status;
    check->always = check->always && value && strcmp(value, "always") == 0;
    if (--check->left > 0)
        return;
    check->fn(check->arg, check->status, check->always);
    free(check);
}

int redis_check_fsync(struct redis_link *l, int deadline_ms, redis_fsync_fn fn, void *arg)
{
    struct fsync_check *check = malloc(sizeof(*check));
    if (!check)
        return -ENOMEM;
    *check = (struct fsync_check){.fn = fn, .arg = arg, .always = true};
    while (redis_link_master(l, check->left))
        check->left++;
    for (size_t i = 0, n = check->left; i < n; i++)
        redis_command(redis_link_master(l, i), REDIS_ARGS("CONFIG", "GET", "appendfsync"),
                      deadline_ms, on_fsync, check);
    return 0;
}
