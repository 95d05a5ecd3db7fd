/*
 * transcript_pair: which result answers which call; see transcript.h.
 */
#ifndef SCHEDULER_PROMPT_TRANSCRIPT_PAIR_H
#define SCHEDULER_PROMPT_TRANSCRIPT_PAIR_H

#include "scheduler/prompt/transcript.h"

/* Sets `pair` of all calls and results. 0 or -ENOMEM. */
int transcript_pair(struct transcript *t) MUST_CHECK;

#endif
