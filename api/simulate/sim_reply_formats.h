/*
 * sim_reply_formats: one struct of functions for each format; see sim_reply.h.
 */
#ifndef API_SIMULATE_SIM_REPLY_FORMATS_H
#define API_SIMULATE_SIM_REPLY_FORMATS_H

#include "api/simulate/sim_reply.h"

struct sim_format {
    const char *id_prefix;
    void (*whole)(const struct sim_reply *r, struct buf *out);
    void (*head)(const struct sim_reply *r, struct buf *out);
    void (*unit)(const struct sim_reply *r, int64_t i, struct buf *out);
    void (*tail)(const struct sim_reply *r, struct buf *out);
};

extern const struct sim_format sim_format_chat;
extern const struct sim_format sim_format_completions;
extern const struct sim_format sim_format_responses;
extern const struct sim_format sim_format_messages;
extern const struct sim_format sim_format_count_tokens; /* whole only */
extern const struct sim_format sim_format_embeddings;   /* whole only */

#endif
