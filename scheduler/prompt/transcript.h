/*
 * transcript: a request body as a list of messages and blocks, found in place.
 *
 * What the three formats have in common is told alike here: OpenAI chat messages, the input
 * items of OpenAI responses, Anthropic messages. Nothing is copied and nothing is judged: an
 * illegal conversation is read too, and validate.h says what is wrong with it.
 *
 *   message    one element of the list. A system message of chat and a developer message are
 *              in it; Anthropic's `system` and the `instructions` of responses are not.
 *   block      what a message is made of: texts, calls, results, thinking, anything else.
 *              A result finds its call by id: in chat in the assistant message before the run
 *              of tool messages, with Anthropic in the turn before, in responses anywhere.
 *   atom       messages that stand or fall together: calls with all their results, and in
 *              responses all that one answer of the model brought (reasoning and what follows).
 *   turn       from a message of the user to before the next one; messages of the user in a
 *              row are one. A message that brings results starts none, not even with a text
 *              beside them: it cannot stand without the calls before it. Numbers count from 1;
 *              0 is what stands before the first message of a user.
 *   step       an atom with calls.
 *   pinned     never removed: system and developer messages, the last turn (so the last message
 *              of the user and all behind it), compaction blocks, and messages of an unknown
 *              role.
 *
 *   ownership  spans borrow from the body; transcript_release() frees the lists.
 *   threads    none.
 *   time       linear in the bytes.
 */
#ifndef SCHEDULER_PROMPT_TRANSCRIPT_H
#define SCHEDULER_PROMPT_TRANSCRIPT_H

#include "common/json_scan.h"
#include "scheduler/provider/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRANSCRIPT_NONE    UINT32_MAX
#define TRANSCRIPT_FORMATS 4

enum transcript_role {
    ROLE_SYSTEM, /* system or developer */
    ROLE_USER,
    ROLE_ASSISTANT,
    ROLE_TOOL, /* results only, whatever the format calls their bearer */
    ROLE_OTHER,
};

enum block_kind {
    BLOCK_TEXT,
    BLOCK_CALL,
    BLOCK_RESULT,
    BLOCK_THINKING,
    BLOCK_COMPACTION, /* stands for the messages before it */
    BLOCK_OTHER,      /* images, files, calls that the provider answers itself */
};

struct transcript_block {
    enum block_kind kind;
    bool listed;            /* an element of a list inside the message (content, tool_calls) */
    bool failed;            /* a result that says it is an error */
    bool marked;            /* has a cache_control, itself or inside */
    uint32_t message;       /* index */
    uint32_t pair;          /* a call: its first result; a result: its call; else NONE */
    struct json_span span;  /* the block; of a plain string content, the string */
    struct json_span value; /* TEXT: the string. CALL: the arguments. RESULT: the content */
    struct json_span id;    /* CALL, RESULT: with quotes */
    struct json_span name;  /* CALL: the tool's, with quotes */
};

struct transcript_message {
    struct json_span span;
    struct json_span content; /* none where the format has none */
    enum transcript_role role;
    bool pinned;
    uint32_t block, block_count; /* first block, number of blocks */
    uint32_t atom;               /* index of the first message of its atom */
    uint32_t turn;
};

struct transcript {
    enum wire_endpoint endpoint;
    bool remote_history; /* more of the conversation lies at the provider */
    struct json_span body, model;
    struct json_span list;   /* the array of messages; none when the input is a plain string */
    struct json_span system; /* Anthropic's system, the instructions of responses */
    struct json_span tools;  /* tools, or functions */
    struct json_span input;  /* of responses, when it is a plain string */
    /* Where a schema of the answer may stand: response_format, text, output_format, -_config. */
    struct json_span formats[TRANSCRIPT_FORMATS];
    struct transcript_message *messages;
    struct transcript_block *blocks;
    uint32_t count, block_count;
    uint32_t turns;     /* number of the last turn; 0 when there is no user */
    uint32_t last_turn; /* its first message */
};

/* The endpoint whose body this is, by its members: WIRE_CHAT, WIRE_RESPONSES, WIRE_MESSAGES.
 * Only a body with messages can be either's; then what only Anthropic has decides, or else the
 * model's name. False when there is neither `messages` nor `input`. */
bool transcript_endpoint(struct json_span body, enum wire_endpoint *ret);

/* body is a text that json_scan_check() accepted. 0; -EINVAL with e saying what is no
 * conversation; -E2BIG past TRANSCRIPT_MAX_MESSAGES or _BLOCKS; -ENOMEM. */
int transcript_read(enum wire_endpoint endpoint, const char *body, size_t len,
                    struct transcript *ret, struct error *e) MUST_CHECK;
void transcript_release(struct transcript *t); /* also of a zeroed one; twice is harmless */

/* Whether the message begins an atom, so that what is before it can go without it. */
static inline bool transcript_may_cut(const struct transcript *t, uint32_t message)
{
    return message >= t->count || t->messages[message].atom == message;
}

/* Whether it is a message of the user's own, not one that only brings results. */
bool transcript_is_user(const struct transcript *t, uint32_t message);
/* Whether the model said it: a message or item of the assistant's, of whatever kind. */
bool transcript_is_assistant(const struct transcript *t, uint32_t message);

#endif
