#include "storage/redis_slots.h"

#include "storage/redis_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CRC_POLYNOMIAL 0x1021U

static unsigned crc16(const char *bytes, size_t len)
{
    unsigned crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned)(unsigned char)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000U ? (crc << 1) ^ CRC_POLYNOMIAL : crc << 1) & 0xffffU;
    }
    return crc;
}

int redis_slot_of(const char *key, size_t len)
{
    const char *open = memchr(key, '{', len);
    if (open) {
        size_t left = len - (size_t)(open - key) - 1;
        const char *close = memchr(open + 1, '}', left);
        if (close && close > open + 1) {
            key = open + 1;
            len = (size_t)(close - key);
        }
    }
    return (int)(crc16(key, len) % REDIS_SLOTS);
}

int redis_slot_of_command(const struct redis_args *args)
{
    static const char *const keyless[] = {"PING",   "INFO",    "ROLE",    "TIME",
                                          "WAIT",   "CONFIG",  "ECHO",    "SCRIPT",
                                          "CLIENT", "CLUSTER", "WAITAOF", "PUBLISH"};
    const char *name = args->argv[0];
    int at = 1;
    for (size_t i = 0; i < sizeof(keyless) / sizeof(keyless[0]); i++)
        if (strcasecmp(name, keyless[i]) == 0)
            return -1;
    if (strcasecmp(name, "EVALSHA") == 0 || strcasecmp(name, "EVAL") == 0)
        at = 3;
    return at < args->argc ? redis_slot_of(args->argv[at], redis_args_len(args, at)) : -1;
}

static bool read_place(const char *text, struct redis_place *ret)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    if (!colon || len >= sizeof(ret->host) || port < 1 || port > 65535)
        return false;
    (void)snprintf(ret->host, sizeof(ret->host), "%.*s", (int)len, text);
    ret->port = (int)port;
    return true;
}

bool redis_redirect_parse(const char *text, struct redis_redirect *ret)
{
    char place[sizeof(ret->to.host) + 8];
    ret->ask = strncmp(text, "ASK ", 4) == 0;
    if (!ret->ask && strncmp(text, "MOVED ", 6) != 0)
        return false;
    if (sscanf(text + (ret->ask ? 4 : 6), "%d %263s", &ret->slot, place) != 2)
        return false;
    return ret->slot >= 0 && ret->slot < REDIS_SLOTS && read_place(place, &ret->to);
}

void redis_slots_read(const struct redisReply *reply, redis_range_fn fn, void *arg)
{
    for (size_t i = 0; i < reply_count(reply); i++) {
        const struct redisReply *range = reply_at(reply, i), *master = reply_at(range, 2);
        int64_t first = reply_int(reply_at(range, 0), -1), last = reply_int(reply_at(range, 1), -1);
        int64_t port = reply_int(reply_at(master, 1), 0);
        const char *host = reply_text(reply_at(master, 0), NULL);
        struct redis_place place = {.port = (int)port};
        if (first < 0 || last < first || last >= REDIS_SLOTS || port < 1 || port > 65535)
            continue;
        /* "?" stands for a host name that is asked for and not set. */
        if (host && strcmp(host, "?") != 0)
            (void)snprintf(place.host, sizeof(place.host), "%.255s", host);
        fn(arg, (int)first, (int)last, &place);
    }
}
