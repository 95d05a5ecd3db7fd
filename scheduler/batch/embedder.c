#include "scheduler/batch/embedder.h"

#include "common/rand.h"
#include "scheduler/batch/embedder_internal.h"

#include <stdlib.h>
#include <string.h>

struct embedder *embedder_new(struct event_base *base)
{
    struct embedder *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->base = base;
    map_init(&e->kinds, rand_system_seed());
    list_init(&e->batches);
    return e;
}

void embedder_stop(struct embedder *e)
{
    if (!e)
        return;
    e->stopped = true;
    for (struct list *at = e->batches.next; at != &e->batches; at = at->next) {
        struct embed_batch *b = LIST_ITEM(at, struct embed_batch, link);
        event_del(b->timer);
        b->state = EMBED_ENDED;
        if (b->call)
            call_cancel(b->call);
        b->call = NULL;
    }
}

/* Those of calls that nobody cancelled. */
static void free_members(struct embed_batch *b)
{
    for (struct list *at = b->parts.next; at != &b->parts; at = at->next) {
        struct embed_member *m = LIST_ITEM(at, struct embed_part, link)->member;
        for (size_t i = 0; m && i < m->part_count; i++) {
            if (m->parts[i])
                m->parts[i]->member = NULL;
        }
        embed_member_free(m);
    }
}

void embedder_free(struct embedder *e)
{
    size_t at = 0;
    if (!e)
        return;
    while (!list_is_empty(&e->batches)) {
        struct embed_batch *b = LIST_ITEM(e->batches.next, struct embed_batch, link);
        free_members(b);
        embed_batch_free(b);
    }
    for (struct embed_kind *k; (k = map_next(&e->kinds, &at));)
        free(k);
    map_release(&e->kinds);
    free(e);
}

void embedder_count(const struct embedder *e, struct embedder_counts *ret)
{
    *ret = (struct embedder_counts){
        .keys = e->kinds.count, .batches = e->batch_count, .held_bytes = e->held_bytes};
}

/* ---- kinds of requests */

static struct embed_kind *find_kind(struct embedder *e, const char *key)
{
    struct embed_kind *k = map_get(&e->kinds, key);
    if (k || e->kinds.count >= EMBED_MAX_KEYS)
        return k;
    k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    memcpy(k->key, key, sizeof(k->key));
    if (map_put(&e->kinds, k->key, k) == 0)
        return k;
    free(k);
    return NULL;
}

static void drop_idle(struct embedder *e, struct embed_kind *k)
{
    if (k->growing || k->waiting > 0)
        return;
    (void)map_remove(&e->kinds, k->key);
    free(k);
}

/* The one that grows goes to the queue. */
static void flush(struct embed_kind *k)
{
    struct embed_batch *b = k->growing;
    k->growing = NULL;
    k->waiting++;
    embed_batch_queue(b);
}

void embed_batch_pass(struct embed_batch *b)
{
    struct embed_kind *k = b->kind;
    if (!k)
        return;
    b->kind = NULL;
    if (k->growing == b)
        k->growing = NULL;
    else
        k->waiting--;
    if (k->growing && k->growing->due && k->waiting == 0)
        flush(k);
    drop_idle(b->owner, k);
}

void embed_batch_rejoin(struct embed_batch *b)
{
    b->kind = b->kind ? b->kind : find_kind(b->owner, b->key);
    if (b->kind)
        b->kind->waiting++;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct embed_batch *b = arg;
    (void)fd;
    (void)what;
    if (b->state == EMBED_READY) {
        embed_batch_send(b);
        return;
    }
    b->due = true;
    if (b->kind->waiting == 0)
        flush(b->kind);
}

/* ---- members */

void embed_member_free(struct embed_member *m)
{
    if (!m)
        return;
    for (size_t i = 0; m->items && i < m->part_count; i++)
        buf_release(&m->items[i]);
    free(m->items);
    free(m->parts);
    embed_inputs_release(&m->inputs);
    free(m);
}

void embed_member_detach(struct embed_member *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        struct embed_part *p = m->parts[i];
        m->parts[i] = NULL;
        if (p)
            embed_part_leave(p);
    }
}

static void on_left(void *arg)
{
    struct embed_member *m = arg;
    if (m->giving) {
        m->gone = true;
        return;
    }
    embed_member_detach(m);
    embed_member_free(m);
}

static const struct call_giver giver = {.left = on_left};

/* How many inputs from `first` on go together: at least one. */
static size_t run_of(const struct embed_inputs *in, const struct embed_terms *t, size_t first)
{
    int64_t tokens = 0;
    size_t n = 0;
    while (first + n < in->count && n < t->split_inputs) {
        tokens += in->list[first + n].tokens;
        if (n > 0 && tokens > t->max_tokens)
            break;
        n++;
    }
    return n;
}

static struct embed_part *make_part(struct embed_member *m, size_t first, size_t count)
{
    struct embed_part *p = calloc(1, sizeof(*p) + count * sizeof(p->slots[0]));
    if (!p)
        return NULL;
    list_init(&p->link);
    p->member = m;
    p->first = first;
    p->count = count;
    for (size_t i = first; i < first + count; i++) {
        p->tokens += m->inputs.list[i].tokens;
        p->bytes += m->inputs.list[i].text.len;
    }
    return p;
}

static bool make_parts(struct embed_member *m, const struct embed_terms *t)
{
    size_t n = 0;
    for (size_t at = 0; at < m->inputs.count; n++)
        at += run_of(&m->inputs, t, at);
    m->parts = calloc(n, sizeof(struct embed_part *));
    m->items = calloc(n, sizeof(*m->items));
    m->part_count = m->parts && m->items ? n : 0;
    for (size_t i = 0, at = 0; i < m->part_count; i++) {
        size_t count = run_of(&m->inputs, t, at);
        m->parts[i] = make_part(m, at, count);
        if (!m->parts[i])
            return false;
        m->parts[i]->index = i;
        buf_init(&m->items[i], UPSTREAM_MAX_BODY_BYTES);
        at += count;
    }
    return m->part_count > 0;
}

static bool fits(const struct embed_batch *b, const struct embed_part *p,
                 const struct embed_terms *t)
{
    return b->inputs + p->count <= t->max_inputs && b->tokens + p->tokens <= t->max_tokens &&
           b->bytes + p->bytes <= (size_t)EMBED_BATCH_BYTES;
}

static bool is_full(const struct embed_batch *b, const struct embed_terms *t)
{
    return b->inputs >= t->max_inputs || b->tokens >= t->max_tokens ||
           b->bytes >= (size_t)EMBED_BATCH_BYTES;
}

/* Into the batch that grows, or a new one. False: no memory. */
static bool place(struct embedder *e, struct embed_kind *k, const struct embed_terms *t,
                  struct embed_part *p)
{
    if (k->growing && !fits(k->growing, p, t))
        flush(k);
    if (!k->growing) {
        struct embed_batch *b = embed_batch_new(e, k->key, on_timer);
        if (!b)
            return false;
        b->kind = k;
        k->growing = b;
        embed_batch_arm(b, t->wait_ms);
    }
    embed_batch_add(k->growing, p);
    if (is_full(k->growing, t))
        flush(k);
    return true;
}

/* The inputs stay the caller's. */
static void discard(struct embed_member *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        struct embed_part *p = m->parts[i];
        m->parts[i] = NULL;
        if (p && p->batch)
            embed_part_leave(p);
        else
            free(p);
    }
    m->inputs = (struct embed_inputs){.list = NULL};
    embed_member_free(m);
}

static size_t bytes_of(const struct embed_inputs *in)
{
    size_t bytes = 0;
    for (size_t i = 0; i < in->count; i++)
        bytes += in->list[i].text.len;
    return bytes;
}

bool embedder_take(struct embedder *e, struct call *c, const struct embed_terms *t,
                   const struct embed_inputs *inputs)
{
    if (e->stopped || e->held_bytes + bytes_of(inputs) > (size_t)EMBED_HELD_BYTES)
        return false;
    struct embed_member *m = calloc(1, sizeof(*m));
    struct embed_kind *k = m ? find_kind(e, t->key) : NULL;
    if (!k) {
        free(m);
        return false;
    }
    *m = (struct embed_member){.owner = e, .call = c, .inputs = *inputs};
    bool good = make_parts(m, t);
    k->waiting++; /* so that it stays while its batches come and go */
    for (size_t i = 0; i < m->part_count && good; i++)
        good = place(e, k, t, m->parts[i]);
    m->unsent = m->part_count;
    if (good)
        call_join(c, "batched", &giver, m);
    else
        discard(m);
    k->waiting--;
    drop_idle(e, k);
    return good;
}
