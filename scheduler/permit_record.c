#include "scheduler/permit_internal.h"

#include "storage/redis_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What is read of a record, in this order behind the three words of the script, and behind them
 * the cost of each dimension. */
static const char *const fields[] = {"ten", "mdl", "pe", "est", "tl", "cr", "t0", "t1", "fp", "ky"};
enum {
    F_TENANT,
    F_MODEL,
    F_ENDPOINT,
    F_ESTIMATE,
    F_TTL,
    F_ASKED,
    F_T0,
    F_T1,
    F_RESULT,
    F_KEY,
    F_COUNT
};
_Static_assert(sizeof(fields) / sizeof(fields[0]) == F_COUNT, "one place for each field");
#define LOOK_WORDS 3

const char *permit_status_name(enum permit_status s)
{
    static const char *const names[] = {
        [PERMIT_WAITING] = "waiting", [PERMIT_GRANTED] = "granted",   [PERMIT_SETTLED] = "settled",
        [PERMIT_EXPIRED] = "expired", [PERMIT_RELEASED] = "released",
    };
    return (unsigned)s < sizeof(names) / sizeof(names[0]) ? names[s] : "?";
}

void permit_storage_failed(struct call_failure *f, enum redis_status status)
{
    call_failure_set(f, 503, "storage_unavailable",
                     "Sluice cannot reach its shared budget store now (redis: %s). Try again in a "
                     "moment: nothing is done twice.",
                     redis_status_name(status));
    f->retry_after_ms = 1000;
}

void permit_look(struct permits *all, struct pool_view *pool, const char *id, int64_t extend_ms,
                 pool_store_fn fn, void *arg)
{
    const char *wanted[F_COUNT + POOL_MAX_DIMS];
    char costs[POOL_MAX_DIMS][DIM_NAME_BYTES + 2];
    struct store_pool *store = pool_agent_pool(pool->agent);
    struct store_look look = {
        .id = id, .fields = wanted, .field_count = F_COUNT + store->limits.dim_count};
    memcpy(wanted, fields, sizeof(fields));
    for (size_t i = 0; i < store->limits.dim_count; i++) {
        (void)snprintf(costs[i], sizeof(costs[i]), "c:%s", store->limits.dims[i].name);
        wanted[F_COUNT + i] = costs[i];
    }
    pool_store_permit(scheduler_options(all->scheduler)->store, store, &look, extend_ms, fn, arg);
}

static const char *text_at(const struct store_turn *turn, size_t field)
{
    const char *text = reply_text(reply_at(turn->items, LOOK_WORDS + field), NULL);
    return text ? text : "";
}

static int64_t int_at(const struct store_turn *turn, size_t field)
{
    return reply_int(reply_at(turn->items, LOOK_WORDS + field), 0);
}

/* A lease that has ended counts as such before the reaper has come by. */
static enum permit_status status_of(const char *state, int64_t left_ms)
{
    static const struct {
        const char *state;
        enum permit_status status;
    } words[] = {
        {"done", PERMIT_SETTLED},
        {"failed", PERMIT_SETTLED},
        {"cancelled", PERMIT_RELEASED},
        {"queued", PERMIT_WAITING},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].state, state) == 0)
            return words[i].status;
    }
    return strcmp(state, "running") == 0 && left_ms > 0 ? PERMIT_GRANTED : PERMIT_EXPIRED;
}

bool permit_read(const struct store_turn *turn, struct pool_view *pool, const char *id,
                 const char *tenant, struct permit_read *ret)
{
    struct permit_record *r = &ret->record;
    const struct store_pool *store = pool_agent_pool(pool->agent);
    int64_t left_ms = reply_int(reply_at(turn->items, 2), 0);
    if (strcmp(turn->result, "none") == 0 ||
        (tenant && strcmp(text_at(turn, F_TENANT), tenant) != 0))
        return false;
    (void)snprintf(ret->pool, sizeof(ret->pool), "%s", store->id);
    ret->fingerprint = text_at(turn, F_RESULT);
    *r = (struct permit_record){
        .id = id,
        .status = status_of(turn->result, left_ms),
        .tenant = text_at(turn, F_TENANT),
        .model = text_at(turn, F_MODEL),
        .endpoint = text_at(turn, F_ENDPOINT),
        .key = text_at(turn, F_KEY),
        .pool = ret->pool,
        .left_ms = left_ms > 0 ? left_ms : 0,
        .ttl_ms = int_at(turn, F_TTL),
        .asked_ms = int_at(turn, F_ASKED),
        .wait_ms = int_at(turn, F_T1) - int_at(turn, F_T0),
        .limits = &store->limits,
        .settlement = ret->fingerprint,
    };
    for (size_t i = 0; i < store->limits.dim_count; i++)
        r->reserved[i] = int_at(turn, F_COUNT + i);
    /* Numbers of our own: what cannot be read is 0, and then settles as nothing reserved. */
    (void)sscanf(text_at(turn, F_ESTIMATE), "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64,
                 &r->estimate.input, &r->estimate.output, &r->estimate.max_output, &r->input_bytes);
    if (r->status == PERMIT_WAITING)
        r->wait_ms = 0;
    return true;
}
