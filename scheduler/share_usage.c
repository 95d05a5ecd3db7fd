#include "scheduler/share_usage.h"

static int64_t weight(const int64_t *weights, size_t i)
{
    int64_t w = weights[i];
    if (w < 1)
        return 1;
    return w < SHARE_MAX_WEIGHT ? w : SHARE_MAX_WEIGHT;
}

/* total * w passes 2^63 only with a total above 4e9, which no bill is: WIRE_MAX_TOKENS. */
static int64_t remainder_of(int64_t total, int64_t w, int64_t sum)
{
    return total * w % sum;
}

struct split {
    int64_t total, sum;
    const int64_t *weights;
    size_t count;
};

static int64_t above(const struct split *s, int64_t limit)
{
    int64_t n = 0;
    for (size_t i = 0; i < s->count; i++)
        n += remainder_of(s->total, weight(s->weights, i), s->sum) > limit;
    return n;
}

/* The least remainder that no more than `left` are above: found by halving, as sorting would need
 * memory. */
static int64_t threshold(const struct split *s, int64_t left)
{
    int64_t low = 0, high = s->sum;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (above(s, middle) <= left)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Part i of one number after the other; stateless but for the ties that are left. */
struct dealer {
    struct split split;
    int64_t limit, ties;
};

static void deal_begin(struct dealer *d, int64_t total, const int64_t *weights, size_t count)
{
    int64_t left = total;
    d->split = (struct split){.total = total, .weights = weights, .count = count};
    for (size_t i = 0; i < count; i++)
        d->split.sum += weight(weights, i);
    for (size_t i = 0; i < count; i++)
        left -= total * weight(weights, i) / d->split.sum;
    d->limit = threshold(&d->split, left);
    d->ties = left - above(&d->split, d->limit);
}

/* To be asked in the order of the parts. */
static int64_t deal(struct dealer *d, size_t i)
{
    const struct split *s = &d->split;
    int64_t w = weight(s->weights, i), rest = remainder_of(s->total, w, s->sum);
    int64_t more = rest > d->limit;
    if (rest == d->limit && d->ties > 0) {
        more = 1;
        d->ties--;
    }
    return s->total * w / s->sum + more;
}

void share_tokens(int64_t total, const int64_t *weights, size_t count, int64_t *ret)
{
    struct dealer d;
    deal_begin(&d, total, weights, count);
    for (size_t i = 0; i < count; i++)
        ret[i] = deal(&d, i);
}

/* What was fresh and what was cached are dealt apart, so that no part has more cached than input. */
void share_usage(const struct wire_usage *total, const int64_t *input_weights,
                 const int64_t *output_weights, size_t count, struct wire_usage *ret)
{
    const int64_t fresh = total->input - total->cache_read - total->cache_write;
    struct dealer input, read, write, output;
    deal_begin(&input, fresh > 0 ? fresh : 0, input_weights, count);
    deal_begin(&read, total->cache_read, input_weights, count);
    deal_begin(&write, total->cache_write, input_weights, count);
    deal_begin(&output, total->output, output_weights, count);
    for (size_t i = 0; i < count; i++) {
        ret[i] = (struct wire_usage){.known = total->known,
                                     .cache_read = deal(&read, i),
                                     .cache_write = deal(&write, i),
                                     .output = deal(&output, i)};
        ret[i].input = deal(&input, i) + ret[i].cache_read + ret[i].cache_write;
    }
}
