/*
 * trim_policy: what may be cut from a conversation, as data.
 *
 * A policy is a list of stages that run in order, and their limits. It comes from a preset, or
 * from JSON as callers and the configuration write it:
 *
 *   {"preset": "balanced", "stages": ["tool_results", "window"], "keep_turns": 3,
 *    "max_context_tokens": 20000, "keep_tools": ["read_file"], ...}
 *
 * where a preset is only the start, and every member is optional.
 *
 *   ownership  a plain struct; keep_tools borrows from the JSON it was read from.
 */
#ifndef SCHEDULER_PROMPT_TRIM_POLICY_H
#define SCHEDULER_PROMPT_TRIM_POLICY_H

#include "common/json_scan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name, what it does */
/* clang-format off */
#define TRIM_STAGES(X)                                                                     \
    X(WINDOW, "window")             /* only the last messages, none that are too old */    \
    X(TOOL_RESULTS, "tool_results") /* results of old turns become a short note */         \
    X(TRUNCATE, "truncate")         /* each result is cut to a length */                   \
    X(DELETION, "deletion")         /* the oldest turns go until the rest fits */          \
    X(SELECTIVE, "selective")       /* of old turns only those with tools, errors, marks */\
    X(RELEVANT, "relevant")         /* of old turns only those that fit the question */    \
    X(SUMMARIZE, "summarize")       /* old turns become their summary */                   \
    X(RESET, "reset")               /* above a threshold only the last turns stay */

enum trim_stage {
#define X(id, name) TRIM_##id,
    TRIM_STAGES(X)
#undef X
    TRIM_STAGE_COUNT,
};
/* clang-format on */

/* Removal of turns always spares system messages, the last turn, and what is pinned. */
struct trim_policy {
    enum trim_stage stages[TRIM_STAGE_COUNT]; /* none twice */
    size_t stage_count;
    bool always;            /* also when it would fit; else only until max_context_tokens is met */
    bool repair;            /* mend a conversation that is illegal as it came */
    bool clear_tool_inputs; /* tool_results: arguments of the calls become {} too */
    bool keep_first_turn;   /* the turn in which the task was set stays */
    int64_t max_context_tokens;    /* 0: no limit */
    int64_t max_messages;          /* window, relevant: messages that stay, system not counted */
    int64_t max_age_ms;            /* window: 0 none; needs the times of the messages */
    int64_t keep_turns;            /* last turns that all stages but truncate, reset and, when
                                      it must, deletion leave alone */
    int64_t keep_steps;            /* tool_results: with more steps than this in the kept turns,
                                      the results of older steps go too; 0: never */
    int64_t keep_results;          /* truncate: last results that stay whole */
    int64_t max_tool_result_chars; /* truncate: characters */
    int64_t min_saving_tokens;     /* tool_results: not worth it below */
    int64_t reset_threshold;       /* reset: tokens of the whole request */
    int64_t reset_turns;           /* reset: turns that stay */
    struct json_span keep_tools;   /* names of tools whose results are not cleared; an array */
    char marker[64]; /* selective: a text that holds it marks its turn to be kept; "": none */
};

const char *trim_stage_name(enum trim_stage s);

/* The policy with no stages and every limit at its default. */
void trim_policy_init(struct trim_policy *p);
/* "aggressive", "balanced", "conservative". False: there is no such preset; p is untouched. */
bool trim_policy_preset(const char *name, struct trim_policy *p);
/* 0, or -EINVAL with e naming the member, what is wrong and what is wanted. Stages must be given
 * by the JSON or its preset. */
int trim_policy_read(struct json_span json, struct trim_policy *ret, struct error *e) MUST_CHECK;

#endif
