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

#endif
