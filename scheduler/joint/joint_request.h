/*
 * joint_request: several chat requests of one kind as one.
 *
 * A request may be joined when it is nothing but one small question under a common set-up: a chat
 * completion or a message with only these members: model, messages, max_tokens,
 * max_completion_tokens, temperature, top_p, top_k, seed, presence_penalty, frequency_penalty,
 * reasoning_effort, service_tier, user, safety_identifier, prompt_cache_key, metadata, store and
 * system; and stream: false, n: 1. Its messages are system or developer messages and then one user
 * message, of text only, at most JOINT_MAX_ITEM_BYTES. Whatever has another member (tools,
 * response_format, stop, logprobs, ...) goes alone, since its meaning for a joint answer is not
 * known.
 *
 * Those that are joined are put, each between tags with a random name of its own, into one user
 * message under the set-up that they share. The answer is an object of required members r1, r2, ...
 * each with the name of the item that it answers and the text: by a strict JSON schema of OpenAI's,
 * or by a tool that must be called of Anthropic's. No item can end its tag or give another's
 * answer, as it cannot know the names. The schema does not hold the names: it is the same for all
 * joint requests of a size, so that a provider compiles it once, and a model that only fills in
 * what a schema forces on it would prove nothing by them.
 *
 *   ownership  items borrow from their bodies.
 *   threads    none
 *   sources    reference on structured outputs (strict: every member required, no others) and on
 *              tool_choice {"type":"tool"} of 2026
 */
#ifndef SCHEDULER_JOINT_JOINT_REQUEST_H
#define SCHEDULER_JOINT_JOINT_REQUEST_H

#include "common/digest.h"
#include "common/limits.h"
#include "scheduler/provider/wire.h"

#define JOINT_NAME_DIGITS 12 /* 48 random bits, drawn after the texts were given */
#define JOINT_NAME_BYTES  (JOINT_NAME_DIGITS + 1)
#define JOINT_KEY_BYTES   33
#define JOINT_TOOL        "answers" /* of the schema, or the tool */

struct joint_item {
    enum wire_endpoint endpoint;
    struct json_span body;     /* a checked object */
    struct json_span messages; /* its messages but for the last: the inside of the array, or none */
    struct json_span content;  /* of the user message: a string, or text parts */
    const char *limit_name;    /* of the most output: static; NULL: it has none */
    int64_t limit;
    int64_t text_bytes; /* of content, as it stands there */
};

/* NULL: it may be joined. Else why not, for people; static. body is a checked JSON text. */
const char *joint_item_read(enum wire_endpoint endpoint, const char *body, size_t len,
                            struct joint_item *ret);
/* What it must share with others to be joined with them: its set-up, and what the caller knows
 * besides (pool, tenant, group, ...). 0 or -ENOMEM. */
int joint_item_key(const struct joint_item *item, const struct buf *besides,
                   char ret[JOINT_KEY_BYTES]) MUST_CHECK;

struct joint_names {
    char name[JOINT_MAX_ITEMS][JOINT_NAME_BYTES];
};
void joint_names_draw(struct joint_names *ret);

/* The joint body of items of one key. most_output: what the model can give, 0 unknown. 0 or what
 * buf_add() gives; out holds HTTP_MAX_BODY_BYTES at least. */
int joint_request_write(const struct joint_item *items, size_t count,
                        const struct joint_names *names, int64_t most_output,
                        struct buf *out) MUST_CHECK;

#endif
