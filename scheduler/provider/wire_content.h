/*
 * wire_content: what is billed inside messages, input items and content blocks.
 *
 * One walk for all dialects: the shapes differ, the names of their members do not clash. A
 * table says which members are not billed (ids, roles, signatures), which are media, which
 * are JSON; every other member counts as text, so that one which is new here counts too.
 *
 *   threads    none; no allocation.
 *   invariant  at most WIRE_CONTENT_DEPTH levels are told apart; what lies deeper counts as
 *              the JSON text that it is. This bounds the time: each level is passed twice.
 */
#ifndef SCHEDULER_PROVIDER_WIRE_CONTENT_H
#define SCHEDULER_PROVIDER_WIRE_CONTENT_H

#include "scheduler/provider/wire_text.h"

#define WIRE_CONTENT_DEPTH 10

/* Gets what is text instead of having it weighed, and sees every image. */
struct wire_content_sink {
    void *arg;
    void (*text)(void *arg, struct json_span string);
    void (*json)(void *arg, struct json_span value); /* billed as the compact JSON it is */
    void (*image)(void *arg, struct json_span block);
};

/* Media without a length in tokens. OpenAI bills 10 tokens per second of sound. A page of a
 * PDF has about 50 kB and costs 2,000 to 3,000 tokens; a file whose size is not known is taken
 * as two pages. Encrypted reasoning is text of about 4 bytes per token in base64: 16 of its
 * characters are 12 bytes, which are 3 tokens. */
#define WIRE_AUDIO_MS_PER_TOKEN   100
#define WIRE_FILE_BYTES_PER_TOKEN 20
#define WIRE_FILE_MIN_TOKENS      5000
#define WIRE_OPAQUE_CHARS         16
#define WIRE_OPAQUE_TOKENS        3

struct wire_content {
    const struct wire_content_sink *sink; /* NULL: text is weighed below */
    struct wire_text_count text;
    int64_t images, images_low;
    int64_t audio_ms;
    int64_t files, file_bytes;
    int64_t opaque_bytes;
};

/* A string, a message, an item, a block, or a list of any of these. */
void wire_content_add(struct wire_content *c, struct json_span value);

#endif
