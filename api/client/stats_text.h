/*
 * stats_text: the answer of GET /v1/stats for people.
 */
#ifndef API_CLIENT_STATS_TEXT_H
#define API_CLIENT_STATS_TEXT_H

#include "api/client/terminal.h"

#include <jansson.h>

/* Members that are missing are shown as "-". */
void stats_print(const json_t *stats, const struct terminal *term);

#endif
