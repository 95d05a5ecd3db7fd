#include "scheduler/prompt/count_memo.h"

#include "common/limits.h"

#include <errno.h>
#include <stdlib.h>

#define WAYS 4

_Static_assert((COUNT_MEMO_SETS & (COUNT_MEMO_SETS - 1)) == 0, "a power of two");

struct place {
    struct content_hash key;
    struct count_size size;
    uint64_t used; /* 0: free */
};

struct count_memo {
    uint64_t now; /* counts look-ups: the age of a place without a clock */
    struct place places[COUNT_MEMO_SETS][WAYS];
};

int count_memo_new(struct count_memo **ret)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

void count_memo_free(struct count_memo *m)
{
    free(m);
}

static struct place *set_of(struct count_memo *m, struct content_hash key)
{
    return m->places[key.low & (COUNT_MEMO_SETS - 1)];
}

bool count_memo_find(struct count_memo *m, struct content_hash key, struct count_size *ret)
{
    struct place *set = set_of(m, key);
    for (int i = 0; i < WAYS; i++) {
        if (set[i].used == 0 || !content_hash_same(set[i].key, key))
            continue;
        set[i].used = ++m->now;
        *ret = set[i].size;
        return true;
    }
    return false;
}

void count_memo_put(struct count_memo *m, struct content_hash key, struct count_size size)
{
    struct place *set = set_of(m, key), *oldest = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].used != 0 && content_hash_same(set[i].key, key)) {
            oldest = &set[i];
            break;
        }
        if (set[i].used < oldest->used)
            oldest = &set[i];
    }
    *oldest = (struct place){key, size, ++m->now};
}
