#include "scheduler/batch/embedder_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct embed_batch *embed_batch_new(struct embedder *e, const char *key, event_callback_fn on_timer)
{
    struct embed_batch *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    *b = (struct embed_batch){.owner = e, .state = EMBED_GROWING};
    memcpy(b->key, key, sizeof(b->key));
    list_init(&b->parts);
    b->timer = evtimer_new(e->base, on_timer, b);
    if (!b->timer) {
        free(b);
        return NULL;
    }
    list_add_last(&e->batches, &b->link);
    e->batch_count++;
    return b;
}

void embed_part_unlink(struct embed_part *p)
{
    struct embed_batch *b = p->batch;
    list_remove(&p->link);
    b->part_count--;
    b->inputs -= p->count;
    b->bytes -= p->bytes;
    b->tokens -= p->tokens;
    b->owner->held_bytes -= p->bytes;
}

void embed_batch_free(struct embed_batch *b)
{
    while (!list_is_empty(&b->parts)) {
        struct embed_part *p = LIST_ITEM(b->parts.next, struct embed_part, link);
        embed_part_unlink(p);
        free(p);
    }
    list_remove(&b->link);
    b->owner->batch_count--;
    event_free(b->timer);
    free(b);
}

void embed_batch_arm(struct embed_batch *b, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    evtimer_add(b->timer, &tv);
}

void embed_batch_add(struct embed_batch *b, struct embed_part *p)
{
    list_add_last(&b->parts, &p->link);
    p->batch = b;
    b->part_count++;
    b->live++;
    b->inputs += p->count;
    b->bytes += p->bytes;
    b->tokens += p->tokens;
    b->owner->held_bytes += p->bytes;
}

void embed_batch_queue(struct embed_batch *b)
{
    b->state = EMBED_READY;
    embed_batch_arm(b, 0);
}

/* ---- those who leave */

static void drop(struct embed_batch *b)
{
    struct call *c = b->call;
    b->call = NULL;
    if (c)
        call_cancel(c);
    embed_batch_pass(b);
    embed_batch_free(b);
}

void embed_part_leave(struct embed_part *p)
{
    struct embed_batch *b = p->batch;
    p->member = NULL;
    b->live--;
    if (b->state == EMBED_ENDED)
        return;
    if (b->state == EMBED_GROWING || b->state == EMBED_READY) {
        embed_part_unlink(p);
        free(p);
    }
    if (b->live == 0)
        drop(b);
}

/* ---- what is sent */

static struct json_span text_of(const struct embed_part *p, size_t i)
{
    return p->member->inputs.list[p->first + i].text;
}

/* FNV-1a. Who makes inputs collide slows down nobody's batch but the tenant's own. */
static uint64_t hash(struct json_span text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.at[i]) * UINT64_C(0x100000001b3);
    return h;
}

struct slots {
    struct json_span *texts;
    uint32_t *table; /* slot + 1 by hash; 0: free */
    size_t mask, count;
};

static uint32_t slot_for(struct slots *s, struct json_span text)
{
    size_t at = hash(text) & s->mask;
    for (; s->table[at]; at = (at + 1) & s->mask) {
        const struct json_span *old = &s->texts[s->table[at] - 1];
        if (old->len == text.len && memcmp(old->at, text.at, text.len) == 0)
            return s->table[at] - 1;
    }
    s->texts[s->count] = text;
    s->table[at] = (uint32_t)++s->count;
    return (uint32_t)s->count - 1;
}

/* Equal inputs, as they are written, have one slot. */
static int fill_slots(struct embed_batch *b, struct slots *s)
{
    size_t room = 2;
    while (room < b->inputs * 2)
        room *= 2;
    *s = (struct slots){.texts = calloc(b->inputs, sizeof(*s->texts)),
                        .table = calloc(room, sizeof(*s->table)),
                        .mask = room - 1};
    if (!s->texts || !s->table)
        return -ENOMEM;
    for (struct list *at = b->parts.next; at != &b->parts; at = at->next) {
        struct embed_part *p = LIST_ITEM(at, struct embed_part, link);
        for (size_t i = 0; i < p->count; i++)
            p->slots[i] = slot_for(s, text_of(p, i));
    }
    b->slot_count = s->count;
    return 0;
}

/* All else of the request is the same in all its calls, so any of them gives it. */
static int write_body(struct embed_batch *b, const struct slots *s, struct buf *out)
{
    const struct embed_part *first = LIST_ITEM(b->parts.next, struct embed_part, link);
    const struct embed_inputs *in = &first->member->inputs;
    const char *behind = in->value.at + in->value.len;
    b->whole = b->part_count == 1 && first->count == in->count && s->count == in->count;
    if (b->whole)
        return buf_add(out, in->body.at, in->body.len);
    (void)buf_add(out, in->body.at, (size_t)(in->value.at - in->body.at));
    for (size_t i = 0; i < s->count; i++) {
        (void)buf_adds(out, i > 0 ? "," : "[");
        (void)buf_add(out, s->texts[i].at, s->texts[i].len);
    }
    (void)buf_adds(out, "]");
    return buf_add(out, behind, (size_t)(in->body.at + in->body.len - behind));
}

static int make_body(struct embed_batch *b, struct buf *out)
{
    struct slots s;
    int rc = fill_slots(b, &s);
    if (rc == 0)
        rc = write_body(b, &s, out);
    free(s.texts);
    free(s.table);
    return rc;
}

/* Its calls' own waits and budgets become the batch's: the longest wait. */
static int64_t take_over(const struct embed_batch *b)
{
    int64_t most = 1;
    for (struct list *at = b->parts.next; at != &b->parts; at = at->next) {
        struct call *c = LIST_ITEM(at, struct embed_part, link)->member->call;
        int64_t left = call_patience_ms(c);
        call_hand_over(c);
        most = left > most ? left : most;
    }
    return most;
}

/* ---- its call */

static void on_queued(void *arg, int64_t eta_ms, const char *binding)
{
    (void)arg;
    (void)eta_ms;
    (void)binding;
}

static void set_sent(struct embed_part *p, bool sent)
{
    struct embed_member *m = p->member;
    if (!m || p->sent == sent)
        return;
    p->sent = sent;
    if (!sent && m->unsent++ == 0)
        call_given_waits(m->call);
    if (sent && --m->unsent == 0)
        call_given_sent(m->call);
}

static bool is_dead(void *arg, size_t index, const struct json_iter *item)
{
    const uint32_t *places = arg;
    (void)item;
    return places[index] == UINT32_MAX;
}

/* The new number of each slot that somebody still waits for. */
static uint32_t number_slots(const struct embed_batch *b, uint32_t *places)
{
    uint32_t next = 0;
    for (size_t i = 0; i < b->slot_count; i++)
        places[i] = UINT32_MAX;
    for (struct list *at = b->parts.next; at != &b->parts; at = at->next) {
        const struct embed_part *p = LIST_ITEM(at, struct embed_part, link);
        for (size_t i = 0; i < p->count && p->member; i++)
            places[p->slots[i]] = 0;
    }
    for (size_t i = 0; i < b->slot_count; i++) {
        if (places[i] == 0)
            places[i] = next++;
    }
    return next;
}

static void renumber(struct embed_batch *b, const uint32_t *places, uint32_t count)
{
    for (struct list *at = b->parts.next, *next; at != &b->parts; at = next) {
        struct embed_part *p = LIST_ITEM(at, struct embed_part, link);
        next = at->next;
        for (size_t i = 0; i < p->count && p->member; i++)
            p->slots[i] = places[p->slots[i]];
        if (!p->member) {
            embed_part_unlink(p);
            free(p);
        }
    }
    b->slot_count = count;
}

/* What nobody waits for any more is not sent. Without memory it is, and thrown away later. */
static void cut_dead(struct embed_batch *b)
{
    if (b->live == b->part_count || b->whole)
        return;
    uint32_t *places = calloc(b->slot_count, sizeof(*places));
    if (!places)
        return;
    uint32_t count = number_slots(b, places);
    if (count == b->slot_count || call_cut_inputs(b->call, is_dead, places) == 0)
        renumber(b, places, count);
    free(places);
}

static void count(struct embed_batch *b)
{
    struct pool_stats *stats = pool_agent_stats(call_pool(b->call)->agent);
    if (b->counted || b->whole)
        return;
    b->counted = true;
    pool_stats_add(stats, COUNT_batches, 1);
    pool_stats_add(stats, COUNT_inputs_deduplicated, (int64_t)(b->inputs - b->slot_count));
}

static void on_granted(void *arg)
{
    struct embed_batch *b = arg;
    b->state = EMBED_SENT;
    embed_batch_pass(b);
    cut_dead(b);
    count(b);
    for (struct list *at = b->parts.next; at != &b->parts; at = at->next)
        set_sent(LIST_ITEM(at, struct embed_part, link), true);
}

static void on_requeued(void *arg)
{
    struct embed_batch *b = arg;
    b->state = EMBED_QUEUED;
    embed_batch_rejoin(b);
    for (struct list *at = b->parts.next; at != &b->parts; at = at->next)
        set_sent(LIST_ITEM(at, struct embed_part, link), false);
}

static void on_start(void *arg)
{
    (void)arg;
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct embed_batch *b = arg;
    b->answer = bytes;
    b->answer_len = len;
}

static void on_end(void *arg)
{
    embed_batch_end(arg);
}

static void on_fail(void *arg, const struct call_failure *failure)
{
    embed_batch_fail(arg, failure);
}

static const struct call_sink sink = {
    .queued = on_queued,
    .granted = on_granted,
    .requeued = on_requeued,
    .start = on_start,
    .data = on_data,
    .end = on_end,
    .fail = on_fail,
};

void embed_batch_send(struct embed_batch *b)
{
    const struct embed_part *first = LIST_ITEM(b->parts.next, struct embed_part, link);
    struct call_likeness like;
    struct call_failure f;
    struct buf body;
    b->state = EMBED_QUEUED;
    buf_init(&body, HTTP_MAX_BODY_BYTES);
    if (make_body(b, &body) < 0) {
        buf_release(&body);
        (void)call_fail_memory(&f);
        embed_batch_fail(b, &f);
        return;
    }
    call_liken(first->member->call, b->whole, &like);
    like.spec.max_wait_ms = take_over(b);
    like.spec.body_len = body.len;
    like.spec.body = buf_take(&body);
    b->call = call_new(call_scheduler(first->member->call), &like.spec, &sink, b, &f);
    if (b->call)
        call_start(b->call);
    else
        embed_batch_fail(b, &f);
}
