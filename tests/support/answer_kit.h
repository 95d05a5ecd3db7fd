/*
 * answer_kit: calls on a core_kit that may share answers, and what their provider says.
 */
#ifndef TESTS_SUPPORT_ANSWER_KIT_H
#define TESTS_SUPPORT_ANSWER_KIT_H

#include "tests/support/core_kit.h"

#define JSON_TYPE "Content-Type: application/json\r\n"
#define SSE_TYPE  "Content-Type: text/event-stream\r\n"
#define USAGE     "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}"
#define ANSWER(reason)                                                                             \
    "{\"choices\":[{\"index\":0,\"finish_reason\":\"" reason "\",\"message\":{\"content\":\"yes\"" \
    "}}]," USAGE "}"
#define CHUNK(text)                                                                                \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text                              \
    "\"},\"finish_reason\":null}]}\n\n"
#define LAST                                                                                       \
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"              \
    "data: [DONE]\n\n"
#define ASK(more)                                                                                  \
    "{\"model\":\"m\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}"      \
    "]" more "}"
#define STEADY       ASK(",\"temperature\":0")
#define STREAM       ASK(",\"temperature\":0,\"stream\":true")
#define LIMITS       "rpm: 1000, tpm: 100000"
#define KEPT         "cache: {enabled: true}\n"
#define KEPT_REDIS   "cache: {enabled: true, redis: true}\n"
#define STREAM_BYTES CHUNK("one") CHUNK("two") LAST

/* Zero: of the tenant default, class interactive, with CORE_WAIT_MS. */
struct answer_call {
    const char *tenant;
    enum pool_class class;
    int64_t max_wait_ms;
    struct answer_wish cache;
    const char *batch; /* it may be joined with others of this name */
};

/* wish NULL: of the class normal, and nothing is said of kept answers. */
void answer_begin(struct core_kit *k, struct core_call *c, const char *body,
                  const struct answer_call *wish);
/* Until its end, which must be a good one. */
void answer_ask(struct core_kit *k, struct core_call *c, const char *body,
                const struct answer_call *wish);
/* One event of a stream, of so many bytes in all; the caller's. */
char *answer_event(size_t len);
/* Until nothing is left of any call. */
void answer_settled(struct core_kit *k);

/* At once; and not before fake_provider_go(). */
extern const struct fake_step answer_plain[3], answer_stalls[4];

#endif
