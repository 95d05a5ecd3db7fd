/*
 * transcript_blocks: takes one message or input item apart; see transcript.h.
 */
#ifndef SCHEDULER_PROMPT_TRANSCRIPT_BLOCKS_H
#define SCHEDULER_PROMPT_TRANSCRIPT_BLOCKS_H

#include "scheduler/prompt/transcript.h"

struct transcript_reader {
    struct transcript *t;
    uint32_t message_room, block_room;
};

/* The members of an object that are wanted, all in one pass: a body is passed over once for each
 * json_get(), however large it is. Of members of one name the last one counts, as there. */
struct transcript_wanted {
    const char *name;
    struct json_span *value;
};
void transcript_members(struct json_span object, const struct transcript_wanted *wanted,
                        size_t count);

/* Fills role, content and blocks of the last message of the transcript, whose span is set.
 * 0, -E2BIG, -ENOMEM. */
int transcript_blocks_read(struct transcript_reader *r, struct transcript_message *m) MUST_CHECK;

#endif
