#include "scheduler/answer_cache.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct answer *answer_new(const struct answer_head *head, const char *bytes, size_t len)
{
    struct answer *a = malloc(sizeof(*a) + len);
    if (!a)
        return NULL;
    a->head = *head;
    a->refs = 1;
    a->len = len;
    list_init(&a->link);
    if (len > 0)
        memcpy(a->bytes, bytes, len);
    return a;
}

struct answer *answer_use(struct answer *a)
{
    a->refs++;
    return a;
}

void answer_drop(struct answer *a)
{
    if (a && --a->refs == 0)
        free(a);
}

size_t answer_size(const struct answer *a)
{
    return sizeof(*a) + a->len;
}

bool answer_is_stream(const struct answer_head *head)
{
    return strncasecmp(head->type, "text/event-stream", 17) == 0;
}

void answer_cache_init(struct answer_cache *c, uint64_t seed)
{
    map_init(&c->answers, seed);
    list_init(&c->used);
    c->bytes = 0;
}

static void take_out(struct answer_cache *c, struct answer *a)
{
    (void)map_remove(&c->answers, a->head.key);
    list_remove(&a->link);
    c->bytes -= answer_size(a);
    answer_drop(a);
}

static struct answer *first(const struct answer_cache *c)
{
    return LIST_ITEM(c->used.next, struct answer, link);
}

void answer_cache_release(struct answer_cache *c)
{
    while (!list_is_empty(&c->used))
        take_out(c, first(c));
    map_release(&c->answers);
}

void answer_cache_put(struct answer_cache *c, struct answer *a, size_t max_bytes)
{
    struct answer *old = map_get(&c->answers, a->head.key);
    size_t size = answer_size(a), room = size <= max_bytes ? max_bytes - size : max_bytes;
    if (old)
        take_out(c, old);
    while (c->bytes > room)
        take_out(c, first(c));
    if (size > max_bytes || map_put(&c->answers, a->head.key, a) < 0)
        return;
    list_add_last(&c->used, &a->link);
    c->bytes += size;
    (void)answer_use(a);
}

struct answer *answer_cache_get(struct answer_cache *c, const char *key, int64_t now_ms)
{
    struct answer *a = map_get(&c->answers, key);
    if (a && now_ms >= a->head.until_ms) {
        take_out(c, a);
        a = NULL;
    }
    if (a) {
        list_remove(&a->link);
        list_add_last(&c->used, &a->link);
    }
    return a;
}

static bool fits(const char *wanted, const char *name)
{
    return !*wanted || strcmp(wanted, name) == 0;
}

size_t answer_cache_purge(struct answer_cache *c, const char *tenant, const char *model)
{
    size_t gone = 0;
    for (struct list *at = c->used.next, *next; at != &c->used; at = next) {
        struct answer *a = LIST_ITEM(at, struct answer, link);
        next = at->next;
        if (!fits(tenant, a->head.tenant) || !fits(model, a->head.model))
            continue;
        take_out(c, a);
        gone++;
    }
    return gone;
}
