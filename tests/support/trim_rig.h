/*
 * trim_rig: a conversation, a policy as JSON, and what trimming makes of them.
 *
 *   ownership  trim_rig_set_up() and _tear_down() are for cmocka; state is the rig.
 */
#ifndef TESTS_SUPPORT_TRIM_RIG_H
#define TESTS_SUPPORT_TRIM_RIG_H

#include "scheduler/prompt/trim.h"
#include "tests/support/talk.h"

struct trim_rig {
    struct counter *counter;
    struct talk talk; /* chat, until a test says otherwise */
    struct buf body;  /* the request of the last run */
    struct trim_input in;
    struct trim_policy policy;
    struct trim_result r;
    bool ran;
};

int trim_rig_set_up(void **state);
int trim_rig_tear_down(void **state);

/* Trims the conversation as it is now; a policy that is none ends the test. */
const struct trim_result *trim_rig_run(struct trim_rig *g, const char *policy);
/* Whether the new body holds the text; no, when nothing was changed. */
bool trim_rig_holds(const struct trim_rig *g, const char *text);
/* Turns of four messages with a word of their own: "ask3", a call with "result3" and a long
 * text, "reply3". */
void trim_rig_add_turns(struct trim_rig *g, int from, int to);

#endif
