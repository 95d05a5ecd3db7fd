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

/* Fills role, content and blocks of the last message of the transcript, whose span is set.
 * 0, -E2BIG, -ENOMEM. */
int transcript_blocks_read(struct transcript_reader *r, struct transcript_message *m) MUST_CHECK;

#endif
