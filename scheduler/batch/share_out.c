#include "scheduler/batch/share_out.h"

#include <errno.h>
#include <stdlib.h>

struct cut {
    int64_t rest;
    size_t at;
};

static int64_t between(int64_t low, int64_t n)
{
    if (n < low)
        return low;
    return n > SHARE_OUT_MAX ? SHARE_OUT_MAX : n;
}

static int by_rest(const void *a, const void *b)
{
    const struct cut *x = a, *y = b;
    if (x->rest != y->rest)
        return x->rest > y->rest ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

int share_out(int64_t total, const int64_t *weights, size_t count, int64_t *ret)
{
    int64_t sum = 0, left = total = between(0, total);
    struct cut *cuts = malloc((count ? count : 1) * sizeof(*cuts));
    if (!cuts)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        sum += between(1, weights[i]);
    for (size_t i = 0; i < count; i++) {
        int64_t product = total * between(1, weights[i]);
        ret[i] = product / sum;
        left -= ret[i];
        cuts[i] = (struct cut){.rest = product % sum, .at = i};
    }
    qsort(cuts, count, sizeof(*cuts), by_rest);
    for (size_t i = 0; i < count && left > 0; i++, left--)
        ret[cuts[i].at]++;
    free(cuts);
    return 0;
}
