#include "storage/pool_store_internal.h"

bool pool_store_confirms(const struct pool_store *s)
{
    return s->confirm && !s->trusts_disk;
}

void pool_store_confirm(struct pool_store *s, const struct store_pool *pool, uint64_t stamp,
                        struct redis_asker *a, redis_confirm_fn fn, void *arg)
{
    struct key key = key_pool(pool->id, "w");
    if (pool_store_confirms(s))
        redis_confirm_ask(s->confirm, a, stamp, key.text, fn, arg);
    else
        fn(arg, REDIS_OK, 0);
}

void pool_store_trust_disk(struct pool_store *s)
{
    s->trusts_disk = true;
}
