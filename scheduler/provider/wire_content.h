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

struct wire_content {
    struct wire_text_count text;
    int64_t images, images_low;
    int64_t audio_ms;
    int64_t files, file_bytes;
    int64_t opaque_bytes;
};

/* A string, a message, an item, a block, or a list of any of these. */
void wire_content_add(struct wire_content *c, struct json_span value);

#endif
