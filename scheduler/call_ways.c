/*
 * call_ways: how a call may be answered without a ticket of its own, in the order in which it is
 * tried. A way that has taken it may give it back by call_part(): then the next ones are tried.
 */
#include "scheduler/call_answers.h"
#include "scheduler/call_internal.h"
#include "scheduler/call_vectors.h"

static bool (*const ways[])(struct call *c) = {
    call_take_vectors, /* inputs of embeddings that are kept */
    call_take_answer,  /* kept, or on its way to another one */
    call_embed,        /* a batch of embeddings */
    call_joint,        /* a joint request of several chat calls */
};

bool call_take_way(struct call *c)
{
    while (c->given.next_way < sizeof(ways) / sizeof(ways[0])) {
        if (ways[c->given.next_way++](c))
            return true;
    }
    return false;
}
