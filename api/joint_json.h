/*
 * joint_json: the kinds of chat requests that this instance joins, for statistics.
 */
#ifndef API_JOINT_JSON_H
#define API_JOINT_JSON_H

#include "scheduler/joint/joint_board.h"

#include <jansson.h>

#define JOINT_MAX_TOLD 100 /* kinds; the others only count in their pools */

/* An array; the caller owns it. NULL: out of memory. */
json_t *joint_json(const struct joint_board *b);

#endif
