#include "scheduler/prompt/transcript_pair.h"

#include "scheduler/prompt/content_hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A call in the place where its results are looked for. Open addressing, never full. */
struct slot {
    uint32_t group; /* ids may come again in another place of the conversation */
    uint32_t call;  /* NONE: free */
};

struct table {
    struct transcript *t;
    struct slot *slots;
    size_t mask;
    uint64_t seed;
};

static bool same_id(struct json_span a, struct json_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* The slot of the call with that id, or the free one where it belongs. */
static struct slot *find(const struct table *table, uint32_t group, struct json_span id)
{
    size_t at = (size_t)content_hash(id.at, id.len, table->seed + group).low;
    for (;; at++) {
        struct slot *slot = &table->slots[at & table->mask];
        if (slot->call == TRANSCRIPT_NONE)
            return slot;
        if (slot->group == group && same_id(table->t->blocks[slot->call].id, id))
            return slot;
    }
}

static int make_table(struct transcript *t, struct table *table)
{
    size_t calls = 0, room = 16;
    for (uint32_t i = 0; i < t->block_count; i++)
        calls += t->blocks[i].kind == BLOCK_CALL;
    while (room < calls * 2)
        room *= 2;
    /* The address differs from process to process: enough that no ids are known to collide. */
    *table = (struct table){
        .t = t, .slots = malloc(room * sizeof(struct slot)), .mask = room - 1, .seed = 0};
    table->seed = (uint64_t)(uintptr_t)table->slots;
    if (!table->slots)
        return -ENOMEM;
    for (size_t i = 0; i < room; i++)
        table->slots[i].call = TRANSCRIPT_NONE;
    return 0;
}

/*
 * The place of a message: calls and results meet when theirs are equal.
 *
 *   chat       an assistant message and the tool messages right behind it
 *   messages   a turn of the assistant's, and the turn of the user's behind it; the API takes
 *              messages of one role in a row for one turn
 *   responses  the whole conversation
 */
static uint32_t next_group(const struct transcript *t, uint32_t i, uint32_t group)
{
    if (t->endpoint == WIRE_RESPONSES || i == 0)
        return 0;
    const struct transcript_message *m = &t->messages[i], *before = m - 1;
    if (t->endpoint == WIRE_CHAT)
        return m->role == ROLE_TOOL ? group : i;
    bool assistant = m->role == ROLE_ASSISTANT;
    return assistant && before->role != ROLE_ASSISTANT ? group + 1 : group;
}

static void add_calls(struct table *table, const struct transcript_message *m, uint32_t group)
{
    struct transcript *t = table->t;
    for (uint32_t k = m->block; k < m->block + m->block_count; k++) {
        if (t->blocks[k].kind != BLOCK_CALL)
            continue;
        struct slot *slot = find(table, group, t->blocks[k].id);
        if (slot->call == TRANSCRIPT_NONE)
            *slot = (struct slot){.group = group, .call = k};
    }
}

static void add_results(struct table *table, const struct transcript_message *m, uint32_t group)
{
    struct transcript *t = table->t;
    for (uint32_t k = m->block; k < m->block + m->block_count; k++) {
        if (t->blocks[k].kind != BLOCK_RESULT)
            continue;
        uint32_t call = find(table, group, t->blocks[k].id)->call;
        t->blocks[k].pair = call;
        if (call != TRANSCRIPT_NONE && t->blocks[call].pair == TRANSCRIPT_NONE)
            t->blocks[call].pair = k;
    }
}

/* Two calls with one id are answered by one result, as far as the APIs look. */
static void share_results(struct table *table, const struct transcript_message *m, uint32_t group)
{
    struct transcript *t = table->t;
    for (uint32_t k = m->block; k < m->block + m->block_count; k++)
        if (t->blocks[k].kind == BLOCK_CALL && t->blocks[k].pair == TRANSCRIPT_NONE)
            t->blocks[k].pair = t->blocks[find(table, group, t->blocks[k].id)->call].pair;
}

static void each_message(struct table *table,
                         void (*fn)(struct table *table, const struct transcript_message *m,
                                    uint32_t group))
{
    uint32_t group = 0;
    for (uint32_t i = 0; i < table->t->count; i++) {
        group = next_group(table->t, i, group);
        fn(table, &table->t->messages[i], group);
    }
}

int transcript_pair(struct transcript *t)
{
    struct table table;
    if (make_table(t, &table) < 0)
        return -ENOMEM;
    each_message(&table, add_calls);
    each_message(&table, add_results);
    each_message(&table, share_results);
    free(table.slots);
    return 0;
}
