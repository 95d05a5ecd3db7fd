/*
 * wire_usage: the usage object of an answer, in whole bodies and in stream events.
 *
 * OpenAI counts cached tokens inside its input tokens; Anthropic counts them beside, and
 * input is made the sum of the three. A number that is missing, negative or no integer
 * leaves what was there, so that a stream's later event corrects an earlier one.
 */
#ifndef SCHEDULER_PROVIDER_WIRE_USAGE_H
#define SCHEDULER_PROVIDER_WIRE_USAGE_H

#include "scheduler/provider/wire.h"

/* False when value is no object, or has none of the numbers: ret is then untouched. */
bool wire_usage_object(enum wire_endpoint endpoint, struct json_span value, struct wire_usage *ret);

#endif
