/*
 * validate_edit: what holds between a body and what was made of it; see validate.h.
 */
#include "scheduler/prompt/validate.h"

#include <errno.h>
#include <string.h>

#define MARKER ",\"cache_control\":"

static int fault(struct validate_fault *f, int invariant, uint32_t message, const char *text)
{
    f->invariant = invariant;
    f->message = message;
    return error_set(&f->error, -EINVAL, "%s", text);
}

static bool same_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool same(struct json_span a, struct json_span b)
{
    return same_bytes(a.at, a.len, b.at, b.len);
}

/* The same block, or the same with a breakpoint that was moved to it. */
static bool same_block(struct json_span before, struct json_span after)
{
    size_t start = strlen(MARKER);
    if (same(before, after))
        return true;
    return before.len > 1 && after.len > before.len + start &&
           memcmp(before.at, after.at, before.len - 1) == 0 &&
           memcmp(after.at + before.len - 1, MARKER, start) == 0;
}

/* ---- 1 */

static int check_around(const struct transcript *before, const struct transcript *after,
                        struct validate_fault *f)
{
    const char *b_end = before->list.at + before->list.len;
    const char *a_end = after->list.at + after->list.len;
    size_t b_tail = (size_t)(before->body.at + before->body.len - b_end);
    size_t a_tail = (size_t)(after->body.at + after->body.len - a_end);
    if (!same_bytes(before->body.at, (size_t)(before->list.at - before->body.at), after->body.at,
                    (size_t)(after->list.at - after->body.at)) ||
        !same_bytes(b_end, b_tail, a_end, a_tail))
        return fault(f, 1, TRANSCRIPT_NONE, "what stands beside the messages was changed");
    return 0;
}

/* ---- 1, 2 and 8 */

static bool same_message(const struct transcript *before, const struct transcript_message *b,
                         const struct transcript *after, const struct transcript_message *a)
{
    if (same(b->span, a->span))
        return true;
    if (b->role != a->role || b->block_count != a->block_count)
        return false;
    for (uint32_t k = 0; k < b->block_count; k++) {
        const struct transcript_block *from = &before->blocks[b->block + k];
        const struct transcript_block *to = &after->blocks[a->block + k];
        if (from->kind != to->kind)
            return false;
        bool kept =
            from->kind == BLOCK_RESULT ? same(from->id, to->id) : same_block(from->span, to->span);
        if (!kept)
            return false;
    }
    return true;
}

static uint32_t next_system(const struct transcript *t, uint32_t i)
{
    while (i < t->count && t->messages[i].role != ROLE_SYSTEM)
        i++;
    return i;
}

static int check_system(const struct transcript *before, const struct transcript *after,
                        struct validate_fault *f)
{
    uint32_t b = next_system(before, 0), a = next_system(after, 0);
    while (b < before->count && a < after->count) {
        if (!same_message(before, &before->messages[b], after, &after->messages[a]))
            break;
        b = next_system(before, b + 1);
        a = next_system(after, a + 1);
    }
    if (b < before->count || a < after->count)
        return fault(f, 1, b < before->count ? b : a, "a system message was changed or removed");
    return 0;
}

static int check_last_turn(const struct transcript *before, const struct transcript *after,
                           struct validate_fault *f)
{
    uint32_t wanted = before->count - before->last_turn;
    if (after->count < wanted)
        return fault(f, 2, before->last_turn, "messages of the last turn were removed");
    for (uint32_t i = 1; i <= wanted; i++) {
        uint32_t b = before->count - i, a = after->count - i;
        if (!same_message(before, &before->messages[b], after, &after->messages[a]))
            return fault(f, 2, b, "a message of the last turn was changed");
    }
    return 0;
}

/* ---- 5, 6 and 9 */

static bool is_users(enum transcript_role role)
{
    return role == ROLE_USER || role == ROLE_TOOL;
}

static uint32_t repeated_roles(const struct transcript *t)
{
    uint32_t repeated = 0;
    for (uint32_t i = 1; i < t->count; i++)
        repeated += is_users(t->messages[i].role) == is_users(t->messages[i - 1].role);
    return repeated;
}

/* What thinking there is now must have been there, in this order and to the byte. */
static int check_thinking(const struct transcript *before, const struct transcript *after,
                          struct validate_fault *f)
{
    uint32_t b = 0;
    for (uint32_t a = 0; a < after->block_count; a++) {
        const struct transcript_block *thought = &after->blocks[a];
        if (thought->kind != BLOCK_THINKING)
            continue;
        while (b < before->block_count && (before->blocks[b].kind != BLOCK_THINKING ||
                                           !same(before->blocks[b].span, thought->span)))
            b++;
        if (b++ >= before->block_count)
            return fault(f, 6, thought->message, "a thinking block was changed");
    }
    return 0;
}

int validate_edit(const struct transcript *before, const struct transcript *after,
                  struct validate_fault *ret)
{
    int rc = check_around(before, after, ret);
    if (rc == 0)
        rc = check_system(before, after, ret);
    if (rc == 0)
        rc = check_last_turn(before, after, ret);
    if (rc == 0)
        rc = check_thinking(before, after, ret);
    if (rc < 0)
        return rc;
    if (before->endpoint == WIRE_MESSAGES && repeated_roles(after) > repeated_roles(before))
        return fault(ret, 5, TRANSCRIPT_NONE, "roles repeat that did not before");
    uint32_t had = validate_markers(before), has = validate_markers(after);
    if (has > had || (had > 0 && has == 0))
        return fault(ret, 9, TRANSCRIPT_NONE, "a cache breakpoint was lost or made");
    return 0;
}
