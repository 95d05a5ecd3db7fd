/*
 * trim_splice: the edits of a trim_state as places in the original, and the new body.
 */
#include "scheduler/prompt/trim_state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MARKER ",\"cache_control\":"

/* The bytes from..to of the original become those of `texts`, with what is around them. */
struct edit {
    const char *from, *to;
    size_t at, len;
    const char *lead, *tail;
    size_t order;
};

struct edits {
    const struct trim_state *s;
    struct edit *list;
    size_t count, room;
    int failed;
};

static const char *end_of(struct json_span span)
{
    return span.at + span.len;
}

static void add(struct edits *e, struct edit edit)
{
    if (e->count == e->room) {
        size_t room = e->room ? e->room * 2 : 64;
        struct edit *grown = realloc(e->list, room * sizeof(*grown));
        if (!grown) {
            e->failed = -ENOMEM;
            return;
        }
        e->list = grown;
        e->room = room;
    }
    edit.order = e->count;
    e->list[e->count++] = edit;
}

static void cut(struct edits *e, const char *from, const char *to)
{
    add(e, (struct edit){.from = from, .to = to, .lead = "", .tail = ""});
}

/* ---- inside of a message */

static void edit_values(struct edits *e, const struct transcript_message *m)
{
    for (uint32_t k = m->block; k < m->block + m->block_count; k++) {
        const struct trim_block *b = &e->s->blocks[k];
        const struct transcript_block *was = &e->s->t->blocks[k];
        if (b->replaced && !b->dropped)
            add(e, (struct edit){.from = was->value.at,
                                 .to = end_of(was->value),
                                 .at = b->at,
                                 .len = b->len,
                                 .lead = "",
                                 .tail = ""});
        if (b->takes_marker && !b->dropped)
            add(e, (struct edit){.from = end_of(was->span) - 1,
                                 .to = end_of(was->span) - 1,
                                 .at = b->marker_at,
                                 .len = b->marker_len,
                                 .lead = MARKER,
                                 .tail = ""});
    }
}

/* A block goes with the comma behind it; those at the end with the comma before them. */
static void cut_blocks(struct edits *e, const struct transcript_message *m)
{
    const struct transcript *t = e->s->t;
    uint32_t end = m->block + m->block_count, kept_end = m->block;
    for (uint32_t k = m->block; k < end; k++)
        if (!e->s->blocks[k].dropped)
            kept_end = k + 1;
    for (uint32_t k = m->block; k < kept_end; k++)
        if (e->s->blocks[k].dropped)
            cut(e, t->blocks[k].span.at, t->blocks[k + 1].span.at);
    if (kept_end < end) {
        assert(kept_end > m->block);
        cut(e, end_of(t->blocks[kept_end - 1].span), end_of(t->blocks[end - 1].span));
    }
}

/* ---- the list of messages */

/* Insertions before message i, which is kept. */
static void insert_before(struct edits *e, uint32_t i)
{
    const char *place = e->s->t->messages[i].span.at;
    for (size_t k = 0; k < e->s->insert_count; k++) {
        const struct trim_insert *in = &e->s->inserts[k];
        if (in->before == i)
            add(e, (struct edit){place, place, in->at, in->len, "", ",", 0});
    }
}

/* Insertions behind the last message that is kept; kept_end is behind it, 0 when there is none. */
static void insert_at_end(struct edits *e, uint32_t kept_end)
{
    const struct transcript *t = e->s->t;
    const char *place = t->count ? end_of(t->messages[t->count - 1].span) : t->list.at + 1;
    bool first = kept_end == 0;
    for (size_t k = 0; k < e->s->insert_count; k++) {
        const struct trim_insert *in = &e->s->inserts[k];
        if (in->before < kept_end)
            continue;
        add(e, (struct edit){place, place, in->at, in->len, first ? "" : ",", "", 0});
        first = false;
    }
}

static void edit_messages(struct edits *e)
{
    const struct transcript *t = e->s->t;
    uint32_t kept_end = 0;
    for (uint32_t i = 0; i < t->count; i++)
        if (!e->s->messages[i].dropped)
            kept_end = i + 1;
    for (uint32_t i = 0; i < kept_end; i++) {
        insert_before(e, i);
        if (e->s->messages[i].dropped) {
            cut(e, t->messages[i].span.at, t->messages[i + 1].span.at);
            continue;
        }
        cut_blocks(e, &t->messages[i]);
        edit_values(e, &t->messages[i]);
    }
    if (kept_end < t->count)
        cut(e, kept_end ? end_of(t->messages[kept_end - 1].span) : t->messages[0].span.at,
            end_of(t->messages[t->count - 1].span));
    insert_at_end(e, kept_end);
}

/* ---- the new body */

/* By place; at one place in the order they were found, which is that of the result. */
static int by_place(const void *a, const void *b)
{
    const struct edit *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int write_edits(const struct edits *e, struct buf *out)
{
    const char *texts = e->s->texts.data;
    const char *p = e->s->in->body, *end = p + e->s->in->len;
    for (size_t i = 0; i < e->count; i++) {
        const struct edit *edit = &e->list[i];
        assert(edit->from >= p && edit->to >= edit->from);
        buf_add(out, p, (size_t)(edit->from - p));
        if (edit->len > 0) {
            buf_adds(out, edit->lead);
            buf_add(out, texts + edit->at, edit->len);
            buf_adds(out, edit->tail);
        }
        p = edit->to;
    }
    buf_add(out, p, (size_t)(end - p));
    return out->failed;
}

int trim_splice(const struct trim_state *s, struct buf *out)
{
    struct edits e = {.s = s};
    edit_messages(&e);
    int rc = e.failed;
    if (rc == 0 && e.count > 0)
        qsort(e.list, e.count, sizeof(*e.list), by_place);
    if (rc == 0)
        rc = write_edits(&e, out);
    free(e.list);
    return rc;
}
