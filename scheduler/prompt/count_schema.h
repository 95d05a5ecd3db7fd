/*
 * count_schema: tokens of tool definitions.
 *
 * OpenAI renders functions as something like TypeScript before the model. The cookbook's
 * constants reproduce it for flat schemas; nested objects and items of arrays are taken as
 * properties in the same way, anything else (anyOf, definitions) as its JSON.
 */
#ifndef SCHEDULER_PROMPT_COUNT_SCHEMA_H
#define SCHEDULER_PROMPT_COUNT_SCHEMA_H

#include "scheduler/prompt/count_text.h"

#define COUNT_SCHEMA_DEPTH 10 /* levels that are told apart; deeper ones count as JSON */

/* tools: an array of definitions, of any of the formats. */
void count_schema(struct count_sum *s, const struct count_frame *frame, struct json_span tools);

#endif
