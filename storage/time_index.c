#include "storage/time_index.h"

#include "storage/redis_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 24

struct paging {
    time_index_fn fn;
    void *arg;
    char before_id[TIME_INDEX_ID_BYTES];
    int limit;
    enum redis_status status; /* of the first of two questions */
};

/* Those of the cursor's own moment: what stands behind it in the order of the list. */
static void on_equals(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct paging *p = arg;
    size_t n = status == REDIS_OK ? reply_count(reply) / 2 : 0;
    int told = 0;
    p->status = status;
    for (size_t i = 0; i < n && told < p->limit; i++) {
        const char *id = reply_text(reply_at(reply, 2 * i), NULL);
        if (!id || strcmp(id, p->before_id) >= 0)
            continue;
        p->fn(p->arg, REDIS_OK, id, reply_int(reply_at(reply, 2 * i + 1), 0));
        told++;
    }
}

static void on_page(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct paging *p = arg;
    size_t n = status == REDIS_OK ? reply_count(reply) / 2 : 0;
    for (size_t i = 0; i < n; i++) {
        const char *id = reply_text(reply_at(reply, 2 * i), NULL);
        if (id)
            p->fn(p->arg, REDIS_OK, id, reply_int(reply_at(reply, 2 * i + 1), 0));
    }
    p->fn(p->arg, p->status != REDIS_OK ? p->status : status, NULL, 0);
    free(p);
}

void time_index_page(struct redis_link *link, int timeout_ms, const struct time_page *page,
                     time_index_fn fn, void *arg)
{
    struct paging *p = malloc(sizeof(*p));
    char before[NUMBER_BYTES] = "+inf", since[NUMBER_BYTES], limit[NUMBER_BYTES];
    if (!p) {
        fn(arg, REDIS_BUSY_LOCAL, NULL, 0);
        return;
    }
    *p = (struct paging){.fn = fn, .arg = arg, .limit = page->limit, .status = REDIS_OK};
    if (page->before_us > 0) {
        (void)snprintf(p->before_id, sizeof(p->before_id), "%s", page->before_id);
        (void)snprintf(before, sizeof(before), "(%" PRId64, page->before_us);
        redis_link_command(link,
                           REDIS_ARGS("ZREVRANGEBYSCORE", page->key, before + 1, before + 1,
                                      "WITHSCORES", "LIMIT", "0", TIME_INDEX_MAX_EQUALS),
                           timeout_ms, on_equals, p);
    }
    (void)snprintf(since, sizeof(since), "%" PRId64, page->since_us);
    (void)snprintf(limit, sizeof(limit), "%d", page->limit);
    redis_link_command(
        link,
        REDIS_ARGS("ZREVRANGEBYSCORE", page->key, before, since, "WITHSCORES", "LIMIT", "0", limit),
        timeout_ms, on_page, p);
}

struct placing {
    time_index_place_fn fn;
    void *arg;
};

static void on_place(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct placing *p = arg;
    p->fn(p->arg, status, status == REDIS_OK ? reply_int(reply, 0) : 0);
    free(p);
}

void time_index_place(struct redis_link *link, int timeout_ms, const char *key, const char *id,
                      time_index_place_fn fn, void *arg)
{
    struct placing *p = malloc(sizeof(*p));
    if (!p) {
        fn(arg, REDIS_BUSY_LOCAL, 0);
        return;
    }
    *p = (struct placing){fn, arg};
    redis_link_command(link, REDIS_ARGS("ZSCORE", key, id), timeout_ms, on_place, p);
}
