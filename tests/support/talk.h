/*
 * talk: makes conversations with tools, in every format, message by message.
 *
 * One description (the user says, the model answers, the model calls and gets results) is
 * written as OpenAI chat messages, as input items of responses or as Anthropic messages, so that
 * a test says once what happens. The same seed makes the same conversation.
 *
 *   ownership  talk_release() frees all; failures of memory end the test.
 */
#ifndef TESTS_SUPPORT_TALK_H
#define TESTS_SUPPORT_TALK_H

#include "common/buf.h"
#include "common/rand.h"
#include "scheduler/provider/wire.h"

#include <stdbool.h>
#include <stddef.h>

#define TALK_MAX_MESSAGES 4096
#define TALK_MAX_CALLS    8

struct talk {
    enum wire_endpoint endpoint;
    const char *model;
    struct rand rand;
    char *messages[TALK_MAX_MESSAGES];
    size_t count;
    char *system, *tools; /* Anthropic's system; NULL: none. tools: JSON, NULL: none */
    size_t ids;           /* calls so far: call_0, call_1, ... */
    bool thinks;          /* answers with calls begin with thinking (not in chat) */
};

void talk_init(struct talk *t, enum wire_endpoint endpoint, uint64_t seed);
void talk_release(struct talk *t);

void talk_system(struct talk *t, const char *text);
void talk_user(struct talk *t, const char *text);
void talk_answer(struct talk *t, const char *text);
/* One answer with count calls of that tool, and their results. */
void talk_calls(struct talk *t, const char *tool, const char *const *results, size_t count);
void talk_call(struct talk *t, const char *tool, const char *result);
/* A message as it is. */
void talk_raw(struct talk *t, const char *json);
/* Turns of all kinds: small talk, chains of calls, several calls at once, errors. */
void talk_random(struct talk *t, size_t turns, size_t result_bytes);

/* About that many bytes of words, numbers, quotes, line ends and other scripts; to be freed. */
char *talk_words(struct talk *t, size_t bytes);

/* The request with messages from..to-1. */
void talk_body(const struct talk *t, size_t from, size_t to, struct buf *out);
void talk_whole(const struct talk *t, struct buf *out);

#endif
