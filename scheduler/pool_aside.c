#include "scheduler/pool_aside.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/scheduler.h"

#include <stdio.h>

#define FORBIDDEN_MOST 3
#define ASIDE_FIRST_MS INT64_C(60000)
#define ASIDE_MOST_MS  INT64_C(900000)
/* A spend limit may end with the month; the key is tried now and then all the same. */
#define ASIDE_ASKED_MOST_MS INT64_C(3600000)

bool pool_aside_by(enum wire_failure failure)
{
    return failure == WIRE_AUTH || failure == WIRE_QUOTA;
}

static int64_t time_for(int64_t times, int64_t asked_ms)
{
    int64_t ms = ASIDE_FIRST_MS;
    for (int64_t i = 1; i < times && ms < ASIDE_MOST_MS; i++)
        ms *= 2;
    ms = ms < ASIDE_MOST_MS ? ms : ASIDE_MOST_MS;
    if (asked_ms <= ms)
        return ms;
    return asked_ms < ASIDE_ASKED_MOST_MS ? asked_ms : ASIDE_ASKED_MOST_MS;
}

void pool_set_aside(struct pool_store *store, struct pool_view *v, const struct wire_answer *why,
                    int status)
{
    const struct store_pool *pool = pool_agent_pool(v->agent);
    char text[LOG_NUMBER_BYTES];
    int64_t now_ms = clock_mono_ms();
    if (v->transient || pool_is_set_aside(v, now_ms))
        return;
    if (status == 403 && ++v->aside.forbidden < FORBIDDEN_MOST)
        return;
    int64_t ms = time_for(++v->aside.times, why->retry_after_ms);
    v->aside.until_ms = now_ms + ms;
    (void)snprintf(v->aside.reason, sizeof(v->aside.reason), "%s", wire_failure_name(why->failure));
    aside_store_set(store, pool, v->aside.reason, ms);
    log_write(LOG_WARN, "a key is set aside: the provider refuses it", "pool", pool->id, "reason",
              v->aside.reason, "ms", log_number(text, ms), NULL);
}

bool pool_is_set_aside(const struct pool_view *v, int64_t now_ms)
{
    return v->aside.until_ms > now_ms;
}

void pool_aside_end(struct pool_store *store, struct pool_view *v)
{
    const struct store_pool *pool = pool_agent_pool(v->agent);
    v->aside.forbidden = 0;
    if (v->aside.times == 0 && v->aside.until_ms == 0)
        return;
    v->aside = (struct pool_aside){.times = 0};
    aside_store_clear(store, pool);
    log_write(LOG_INFO, "a key that was set aside works again", "pool", pool->id, NULL);
}

void pool_aside_hear(struct pool_view *v, const char *reason, int64_t left_ms)
{
    int64_t now_ms = clock_mono_ms();
    if (left_ms < 0)
        return;
    bool was = pool_is_set_aside(v, now_ms);
    v->aside.until_ms = left_ms > 0 ? now_ms + left_ms : 0;
    if (left_ms > 0)
        (void)snprintf(v->aside.reason, sizeof(v->aside.reason), "%s", reason);
    if (left_ms > 0 && !was)
        log_write(LOG_WARN, "a key is set aside: another instance says so", "pool",
                  pool_agent_pool(v->agent)->id, "reason", v->aside.reason, NULL);
}
