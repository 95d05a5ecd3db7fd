/*
 * session_answer: the model's messages, collected from an answer on its way to the client.
 *
 * What comes out is what the next request must hold: of chat the message, of Anthropic the
 * assistant's turn, of responses the output items. Streams are put together piece by piece, their
 * texts as they are written, so that nothing is decoded and encoded again.
 *
 *   ownership  opaque.
 *   threads    none.
 *   limits     SESSION_COMMIT_MESSAGES items, TOOL_FILTER_MAX_BLOCKS blocks or calls,
 *              UPSTREAM_MAX_BODY_BYTES; past them the answer cannot be kept.
 *   not kept   citations of streamed text blocks, and custom tool calls of a chat stream.
 */
#ifndef SCHEDULER_SESSION_ANSWER_H
#define SCHEDULER_SESSION_ANSWER_H

#include "common/json_scan.h"
#include "scheduler/provider/wire.h"

struct session_answer;

struct session_answer *session_answer_new(enum wire_endpoint endpoint, bool stream);
void session_answer_free(struct session_answer *a); /* accepts NULL */
/* The answer's own end was in what came so far; of a plain one, never. */
bool session_answer_add(struct session_answer *a, const char *bytes, size_t len);
/* A stream that has not come to its own end. */
bool session_answer_is_cut(const struct session_answer *a);
/* fn for each message, raw JSON. 0; -EBADMSG when it is no answer of this format or is not whole;
 * -E2BIG, -ENOMEM; or what fn returned. */
int session_answer_each(struct session_answer *a, int (*fn)(void *arg, struct json_span message),
                        void *arg) MUST_CHECK;

#endif
