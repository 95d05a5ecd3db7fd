/*
 * call_answers: which calls may have an answer of others, and when two of them are the same.
 *
 * The key is the SHA-256 of what decides the answer: the tenant; the provider, its address and the
 * account where that is the caller's own; the endpoint; the headers that are passed on, but for
 * those that only tell of the client and its tracing; how far the request may be changed on its
 * way, and with whom it may be joined; and the body as the provider would get it, after trimming,
 * in the form of common/json_canon.h. Left out of the body is what only names the caller: user,
 * safety_identifier, prompt_cache_key and metadata, which the endpoints do not give back
 * (responses do: there all counts). A stream and a plain answer are never the same.
 *
 * Of embeddings each input has a key: of all that without the inputs, and of the bytes of the input
 * as they are written. Whole requests of these are shared on their way, but not kept.
 *
 * A tenant's keys of different accounts at one provider share, as both are the tenant's and the
 * service's; callers with own keys of the provider only with themselves.
 */
#ifndef SCHEDULER_CALL_ANSWERS_H
#define SCHEDULER_CALL_ANSWERS_H

#include "common/digest.h"

#include <stdbool.h>

struct call;

/* One of the ways that a call may go before it has a ticket (call_ways.c): true when another one
 * answers it. */
bool call_take_answer(struct call *c);
/* Of the request as it is now. False: it has none, and is never kept. */
bool call_answer_key(const struct call *c, char ret[DIGEST_HEX_BYTES]);
/* The same of all but its inputs, and of what only decides whether it is sent elsewhere: what
 * comes from elsewhere is not kept for an input. */
bool call_inputs_key(const struct call *c, char ret[DIGEST_HEX_BYTES]);

/* Where it was asked for and may not be, x-sluice-cache tells so from now on. */
bool call_may_have_answer(struct call *c);
/* Before a grant that would be at once: it must not wait for Redis, nor for another. */
bool call_may_wait(const struct call *c);
bool call_may_look(const struct call *c); /* for what is kept in Redis */

#endif
