/* Who waits for a change of a job. */
#include "scheduler/job_internal.h"

#include <stdio.h>
#include <string.h>

bool job_status_is_final(const char *status)
{
    return strcmp(status, "queued") != 0 && strcmp(status, "running") != 0 &&
           strcmp(status, "retrying") != 0;
}

void job_watch(struct jobs *j, struct job_watch *w)
{
    list_add_last(&j->watches, &w->link);
}

void job_unwatch(struct job_watch *w)
{
    list_remove(&w->link);
}

/* Watches may leave, and others join, while they are told: each walk takes the list off and puts
 * every watch back before it is told. */
static void tell(struct jobs *j, const char *id, const char *state)
{
    struct list batch;
    list_init(&batch);
    for (struct list *at = j->watches.next, *next; at != &j->watches; at = next) {
        next = at->next;
        struct job_watch *w = LIST_ITEM(at, struct job_watch, link);
        if (id && strcmp(w->id, id) != 0)
            continue;
        list_remove(at);
        list_add_last(&batch, at);
    }
    while (!list_is_empty(&batch)) {
        struct job_watch *w = LIST_ITEM(batch.next, struct job_watch, link);
        list_remove(&w->link);
        list_add_last(&j->watches, &w->link);
        w->fn(w->arg, state);
    }
}

void jobs_event(struct jobs *j, const char *payload)
{
    char id[TICKET_ID_BYTES], state[16];
    if (!list_is_empty(&j->watches) && sscanf(payload, "%47s %15s", id, state) == 2)
        tell(j, id, state);
}

void jobs_channel_back(struct jobs *j)
{
    tell(j, NULL, "");
    job_strays_look(j);
}
