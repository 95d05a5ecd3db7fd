#include "scheduler/prompt/anchor.h"

#include "common/limits.h"

#include <errno.h>
#include <stdlib.h>

#define WAYS 4

_Static_assert((ANCHOR_SETS & (ANCHOR_SETS - 1)) == 0, "a power of two");

struct place {
    struct content_hash key;
    struct calibration_anchor anchor;
    int64_t put_ms;
    uint64_t used; /* 0: free */
};

struct anchors {
    uint64_t now;
    struct place places[ANCHOR_SETS][WAYS];
};

int anchors_new(struct anchors **ret)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

void anchors_free(struct anchors *a)
{
    free(a);
}

bool anchors_find(struct anchors *a, struct content_hash key, int64_t now_ms,
                  struct calibration_anchor *ret)
{
    struct place *set = a->places[key.low & (ANCHOR_SETS - 1)];
    for (int i = 0; i < WAYS; i++) {
        if (set[i].used == 0 || !content_hash_same(set[i].key, key))
            continue;
        if (now_ms - set[i].put_ms > ANCHOR_TTL_MS)
            return false;
        set[i].used = ++a->now;
        *ret = set[i].anchor;
        return true;
    }
    return false;
}

void anchors_put(struct anchors *a, struct content_hash key, int64_t now_ms,
                 const struct calibration_anchor *anchor)
{
    struct place *set = a->places[key.low & (ANCHOR_SETS - 1)], *oldest = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].used != 0 && content_hash_same(set[i].key, key)) {
            oldest = &set[i];
            break;
        }
        if (set[i].used < oldest->used)
            oldest = &set[i];
    }
    *oldest = (struct place){key, *anchor, now_ms, ++a->now};
}

/* ---- hashes */

static struct content_hash chain(struct content_hash before, struct json_span span, uint64_t what)
{
    struct content_hash h = content_hash(span.at ? span.at : "", span.len, before.low + what);
    h.high ^= before.high * 3;
    return h;
}

struct content_hash anchor_begin(const struct transcript *t, uint64_t seed)
{
    struct content_hash h = {seed, ~seed};
    h = chain(h, t->model, 1);
    h = chain(h, t->system, 2);
    return chain(h, t->tools, 3);
}

struct content_hash anchor_step(struct content_hash before, const struct transcript *t,
                                uint32_t message)
{
    const struct transcript_message *m = &t->messages[message];
    struct content_hash h = chain(before, (struct json_span){0}, 16U + (uint64_t)m->role);
    for (uint32_t i = m->block; i < m->block + m->block_count; i++) {
        const struct transcript_block *b = &t->blocks[i];
        h = chain(h, b->value.at ? b->value : b->span, 32U + (uint64_t)b->kind);
    }
    return h;
}
