#include "limiter/window.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RING (WINDOW_MAX_ENTRIES + 1) /* one more stands before it is merged */

static struct window_entry *entry(const struct window *w, size_t i)
{
    return &w->entries[(w->first + i) % RING];
}

int window_init(struct window *w)
{
    *w = (struct window){.entries = calloc(RING, sizeof(*w->entries))};
    return w->entries ? 0 : -ENOMEM;
}

void window_release(struct window *w)
{
    free(w->entries);
    *w = (struct window){.entries = NULL};
}

int window_copy(struct window *ret, const struct window *from)
{
    int rc = window_init(ret);
    if (rc < 0)
        return rc;
    memcpy(ret->entries, from->entries, RING * sizeof(*ret->entries));
    ret->first = from->first;
    ret->count = from->count;
    ret->gone_ms = from->gone_ms;
    return 0;
}

void window_restart(struct window *w, int64_t now_ms)
{
    w->first = w->count = 0;
    w->gone_ms = now_ms;
}

int64_t window_drop(struct window *w, int64_t until_ms)
{
    int64_t tokens = 0;
    while (w->count > 0 && entry(w, 0)->at_ms <= until_ms) {
        tokens += entry(w, 0)->tokens;
        if (w->gone_ms < entry(w, 0)->at_ms)
            w->gone_ms = entry(w, 0)->at_ms;
        w->first = (w->first + 1) % RING;
        w->count--;
    }
    return tokens;
}

/* Each quantum's entries become one at its end; those that came back whole go. */
static void merge(struct window *w, int64_t length_ms)
{
    int64_t quantum_ms = (length_ms + WINDOW_QUANTA - 1) / WINDOW_QUANTA;
    size_t kept = 0;
    for (size_t i = 0; i < w->count; i++) {
        struct window_entry e = *entry(w, i);
        e.at_ms = (e.at_ms + quantum_ms - 1) / quantum_ms * quantum_ms;
        if (e.tokens == 0)
            continue;
        if (kept > 0 && entry(w, kept - 1)->at_ms == e.at_ms)
            entry(w, kept - 1)->tokens += e.tokens;
        else
            *entry(w, kept++) = e;
    }
    w->count = kept;
}

void window_add(struct window *w, int64_t at_ms, int64_t tokens, int64_t length_ms)
{
    if (w->count > 0 && entry(w, w->count - 1)->at_ms >= at_ms) {
        entry(w, w->count - 1)->tokens += tokens;
        return;
    }
    *entry(w, w->count) = (struct window_entry){.at_ms = at_ms, .tokens = tokens};
    if (++w->count > WINDOW_MAX_ENTRIES)
        merge(w, length_ms);
    assert(w->count <= WINDOW_MAX_ENTRIES);
}

int64_t window_take_back(struct window *w, int64_t charged_ms, int64_t tokens)
{
    size_t low = 0, high = w->count;
    if (charged_ms <= w->gone_ms)
        return 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry(w, middle)->at_ms < charged_ms)
            low = middle + 1;
        else
            high = middle;
    }
    int64_t left = tokens;
    for (; left > 0 && low < w->count; low++) {
        struct window_entry *e = entry(w, low);
        int64_t part = e->tokens < left ? e->tokens : left;
        e->tokens -= part;
        left -= part;
    }
    return tokens - left;
}

int64_t window_reach(const struct window *w, int64_t tokens)
{
    for (size_t i = 0; i < w->count; i++) {
        tokens -= entry(w, i)->tokens;
        if (tokens <= 0)
            return entry(w, i)->at_ms;
    }
    return WINDOW_NEVER;
}

int64_t window_sum(const struct window *w)
{
    int64_t sum = 0;
    for (size_t i = 0; i < w->count; i++)
        sum += entry(w, i)->tokens;
    return sum;
}

const struct window_entry *window_at(const struct window *w, size_t i)
{
    assert(i < w->count);
    return entry(w, i);
}

const char *window_check(const struct window *w)
{
    if (w->count > WINDOW_MAX_ENTRIES)
        return "a log holds no more than its most entries";
    for (size_t i = 0; i < w->count; i++) {
        if (entry(w, i)->tokens < 0)
            return "no entry of a log is below 0";
        if (i > 0 && entry(w, i)->at_ms <= entry(w, i - 1)->at_ms)
            return "the entries of a log stand in the order of their times";
    }
    return NULL;
}
