#include "scheduler/batch/embedder_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An answer on its way to those who wait for it. */
struct gift {
    const struct call *source;
    int status;
    const char *type;
    size_t size; /* of the batch, in calls; 0: one, and sent as it came */
};

static struct embed_member *take_member(struct embed_part *p)
{
    struct embed_member *m = p->member;
    m->parts[p->index] = NULL;
    p->member = NULL;
    p->batch->live--;
    return m;
}

/* ---- to one caller */

static void tell_failure(struct embed_member *m, const struct call_failure *f)
{
    embed_member_detach(m);
    m->giving = true;
    call_given_fail(m->call, f);
    embed_member_free(m);
}

static void tell(struct embed_member *m, const struct gift *g, struct json_span answer,
                 const struct wire_usage *usage)
{
    enum pool_counter counter = COUNT_batched;
    embed_member_detach(m);
    m->giving = true;
    call_given_by(m->call, g->source, g->size, usage);
    if (g->size == 0)
        counter = strcmp(call_decision(g->source), "delayed") == 0 ? COUNT_delayed : COUNT_admitted;
    call_given_start(m->call, g->status, g->type, counter);
    if (!m->gone)
        call_given_data(m->call, answer.at, answer.len);
    if (!m->gone)
        call_given_end(m->call, usage);
    embed_member_free(m);
}

static void tell_too_large(struct embed_member *m, int rc)
{
    struct call_failure f;
    if (rc == -ENOSPC)
        call_failure_set(&f, 502, "provider_answer_too_large",
                         "The provider's answer is larger than this service takes: send fewer "
                         "inputs, or ask for encoding_format base64.");
    else
        (void)call_fail_memory(&f);
    tell_failure(m, &f);
}

/* ---- vectors */

static int add_items(struct embed_part *p, const struct json_span *items)
{
    struct buf *out = &p->member->items[p->index];
    for (size_t i = 0; i < p->count; i++) {
        if (i > 0)
            (void)buf_adds(out, ",");
        if (embed_answer_item(items[p->slots[i]], p->first + i, out) < 0)
            return out->failed;
    }
    return 0;
}

/* All its items, in order, in those of its first part. */
static int join_items(struct embed_member *m)
{
    struct buf *all = &m->items[0];
    for (size_t i = 1; i < m->part_count; i++) {
        (void)buf_adds(all, ",");
        (void)buf_add(all, m->items[i].data, m->items[i].len);
        buf_release(&m->items[i]);
    }
    return all->failed;
}

static void complete(struct embed_member *m, const struct gift *g, const struct embed_answer *from)
{
    struct buf out;
    int64_t input = embed_usage_of(&m->usage, "prompt_tokens");
    struct wire_usage usage = {.known = input >= 0, .input = input >= 0 ? input : 0};
    buf_init(&out, UPSTREAM_MAX_BODY_BYTES);
    int rc = join_items(m);
    if (rc == 0)
        rc = embed_answer_write(from, &m->items[0], &m->usage, &out);
    if (rc == 0)
        tell(m, g, (struct json_span){.at = out.data, .len = out.len}, &usage);
    else
        tell_too_large(m, rc);
    buf_release(&out);
}

static void give_part(struct embed_part *p, const struct gift *g, const struct embed_answer *from,
                      const struct json_span *items, const struct embed_usage *usage)
{
    int rc = add_items(p, items);
    struct embed_member *m = take_member(p);
    embed_usage_add(&m->usage, usage);
    if (rc < 0)
        tell_too_large(m, rc);
    else if (++m->answered == m->part_count)
        complete(m, g, from);
}

/* Each part's share, also of those whose callers left: nobody else used their tokens. */
static struct embed_usage *share_usage(const struct embed_batch *b, const struct embed_usage *all)
{
    size_t n = 0;
    struct embed_usage *shares = calloc(b->part_count, sizeof(*shares));
    int64_t *weights = calloc(b->part_count, sizeof(*weights));
    for (struct list *at = b->parts.next; weights && at != &b->parts; at = at->next)
        weights[n++] = LIST_ITEM(at, struct embed_part, link)->tokens;
    if (!shares || !weights || embed_usage_share(all, weights, n, shares) < 0) {
        free(shares);
        shares = NULL;
    }
    free(weights);
    return shares;
}

static void fail_all(struct embed_batch *b, const struct call_failure *f)
{
    for (struct list *at = b->parts.next; at != &b->parts; at = at->next) {
        struct embed_part *p = LIST_ITEM(at, struct embed_part, link);
        if (p->member)
            tell_failure(take_member(p), f);
    }
}

/* Not one vector for each input. Alone each call has what it would have had without a batch. */
static void part_all(struct embed_batch *b)
{
    struct call_failure f;
    call_failure_set(&f, 502, "provider_error",
                     "The provider's answer does not hold one vector for each input.");
    for (struct list *at = b->parts.next; at != &b->parts; at = at->next) {
        struct embed_part *p = LIST_ITEM(at, struct embed_part, link);
        struct embed_member *m = p->member ? take_member(p) : NULL;
        if (m && m->part_count > 1) {
            tell_failure(m, &f);
        } else if (m) {
            call_part(m->call);
            embed_member_free(m);
        }
    }
}

static void give_vectors(struct embed_batch *b, const struct gift *g)
{
    struct embed_answer answer;
    struct call_failure f;
    struct json_span *items = calloc(b->slot_count, sizeof(*items));
    int rc = items ? embed_answer_read(b->answer, b->answer_len, b->slot_count, items, &answer)
                   : -ENOMEM;
    struct embed_usage *shares = rc == 0 ? share_usage(b, &answer.usage) : NULL;
    if (rc == 0 && !shares)
        rc = -ENOMEM;
    size_t i = 0;
    for (struct list *at = b->parts.next; rc == 0 && at != &b->parts; at = at->next, i++) {
        struct embed_part *p = LIST_ITEM(at, struct embed_part, link);
        if (p->member)
            give_part(p, g, &answer, items, &shares[i]);
    }
    if (rc == -EINVAL)
        part_all(b);
    else if (rc == -ENOMEM && call_fail_memory(&f))
        fail_all(b, &f);
    free(shares);
    free(items);
}

/* The same bytes for all. */
static void give_bytes(struct embed_batch *b, const struct gift *g)
{
    struct json_span bytes = {.at = b->answer, .len = b->answer_len};
    for (struct list *at = b->parts.next; at != &b->parts; at = at->next) {
        struct embed_part *p = LIST_ITEM(at, struct embed_part, link);
        if (p->member)
            tell(take_member(p), g, bytes, b->whole ? call_usage(g->source) : NULL);
    }
}

/* ---- a refusal, halved */

static int by_slot(const void *a, const void *b)
{
    const struct embed_part *const *x = a, *const *y = b;
    if ((*x)->slots[0] != (*y)->slots[0])
        return (*x)->slots[0] < (*y)->slots[0] ? -1 : 1;
    return (*x)->first < (*y)->first ? -1 : (*x)->first > (*y)->first;
}

static void on_half(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    embed_batch_send(arg);
}

static void move(struct embed_part *p, struct embed_batch *from, struct embed_batch *to)
{
    embed_part_unlink(p);
    from->live--;
    embed_batch_add(to, p);
    if (p->sent) {
        p->sent = false;
        if (p->member->unsent++ == 0)
            call_given_waits(p->member->call);
    }
}

static bool is_one_input(struct embed_part *const *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (parts[i]->count > 1 || parts[i]->slots[0] != parts[0]->slots[0])
            return false;
    }
    return true;
}

/* Equal inputs stay together as long as others can be parted from them. */
static size_t middle_of(struct embed_part *const *parts, size_t n)
{
    size_t up = n / 2, down = n / 2;
    while (up < n && parts[up]->slots[0] == parts[up - 1]->slots[0])
        up++;
    while (down > 0 && parts[down]->slots[0] == parts[down - 1]->slots[0])
        down--;
    if (down > 0 && (up == n || n / 2 - down < up - n / 2))
        return down;
    return up < n ? up : n / 2;
}

/* Both halves go to the queue by themselves. False: it cannot be halved. */
static bool halve(struct embed_batch *b)
{
    size_t n = 0;
    struct embed_part **parts = calloc(b->live ? b->live : 1, sizeof(*parts));
    struct embed_batch *halves[2] = {NULL, NULL};
    for (struct list *at = b->parts.next; parts && at != &b->parts; at = at->next) {
        struct embed_part *p = LIST_ITEM(at, struct embed_part, link);
        if (p->member)
            parts[n++] = p;
    }
    bool may = n > 1 && !is_one_input(parts, n);
    for (size_t i = 0; i < 2 && may; i++)
        halves[i] = embed_batch_new(b->owner, b->key, on_half);
    may = may && halves[0] && halves[1];
    if (may) {
        qsort(parts, n, sizeof(struct embed_part *), by_slot);
        size_t middle = middle_of(parts, n);
        for (size_t i = 0; i < n; i++)
            move(parts[i], b, halves[i >= middle]);
    }
    for (size_t i = 0; i < 2; i++) {
        if (halves[i] && may) {
            embed_batch_rejoin(halves[i]);
            embed_batch_queue(halves[i]);
        } else if (halves[i]) {
            embed_batch_free(halves[i]);
        }
    }
    free(parts);
    return may;
}

static bool may_blame_one(int status)
{
    return status == 400 || status == 413 || status == 422;
}

/* A member that all of them have in common is wrong, by the provider's own word. */
static bool blames_all(const struct embed_batch *b)
{
    struct buf name;
    if (json_scan_check(b->answer, b->answer_len, NULL) < 0)
        return false;
    struct json_span body = json_span_of(b->answer, b->answer_len);
    struct json_span param = json_get(json_get(body, "error"), "param");
    buf_init(&name, KIB);
    bool other =
        json_text(param, &name) == 0 && name.len > 0 && strncmp(name.data, "input", 5) != 0;
    buf_release(&name);
    return other;
}

/* ---- the end of a batch */

static struct call *end(struct embed_batch *b)
{
    struct call *source = b->call;
    b->call = NULL;
    b->state = EMBED_ENDED;
    embed_batch_pass(b);
    return source;
}

void embed_batch_end(struct embed_batch *b)
{
    struct call *source = end(b);
    struct gift g = {
        .source = source, .status = call_status(source), .size = b->whole ? 0 : b->part_count};
    char type[CALL_TYPE_BYTES];
    const char *theirs = call_reply_header(source, "content-type");
    (void)snprintf(type, sizeof(type), "%s", theirs ? theirs : "");
    g.type = *type ? type : NULL;
    if (b->whole || (g.status >= 400 && !may_blame_one(g.status)))
        give_bytes(b, &g);
    else if (g.status < 300)
        give_vectors(b, &g);
    else if (blames_all(b) || !halve(b))
        give_bytes(b, &g);
    embed_batch_free(b);
}

void embed_batch_fail(struct embed_batch *b, const struct call_failure *failure)
{
    struct call_failure f = *failure;
    (void)end(b);
    bool large = may_blame_one(f.status) || strcmp(f.code, "provider_answer_too_large") == 0;
    if (!large || !halve(b))
        fail_all(b, &f);
    embed_batch_free(b);
}
