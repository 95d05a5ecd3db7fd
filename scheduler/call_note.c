#include "scheduler/call_internal.h"

#include <inttypes.h>
#include <string.h>

void call_note(struct call *c, const char *failure)
{
    const char *pool = pool_agent_pool(c->pool->agent)->id;
    if (c->note_count >= CALL_MAX_NOTES)
        return;
    /* Without memory the list is shorter; nothing depends on it. */
    size_t whole = c->notes.len;
    (void)buf_adds(&c->notes, c->note_count > 0 ? ",{\"pool\":\"" : "[{\"pool\":\"");
    (void)buf_add_json(&c->notes, pool, strlen(pool));
    (void)buf_adds(&c->notes, "\",\"model\":\"");
    (void)buf_add_json(&c->notes, c->model, strlen(c->model));
    (void)buf_addf(&c->notes, "\",\"status\":%d,\"failure\":\"%s\",\"queue_ms\":%" PRId64 "}",
                   c->status, failure, call_queue_ms(c));
    if (c->notes.failed)
        c->notes.len = whole;
    else
        c->note_count++;
}

const char *call_notes(struct call *c)
{
    if (c->note_count == 0)
        return "";
    size_t open = c->notes.len;
    if (buf_adds(&c->notes, "]") < 0)
        return "";
    c->notes.len = open; /* what follows is written over it */
    return c->notes.data;
}

const char *call_binding(const struct call *c)
{
    return c->binding;
}
