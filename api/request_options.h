/*
 * request_options: what a caller asks of Sluice in x-sluice-* headers.
 */
#ifndef API_REQUEST_OPTIONS_H
#define API_REQUEST_OPTIONS_H

#include "api/server.h"
#include "common/config.h"
#include "limiter/pool_class.h"
#include "scheduler/prompt/tool_cap.h"

#define REQUEST_MAX_WAIT_MS 86400000 /* a day */

struct request_options {
    enum pool_class class;
    int64_t max_wait_ms;
    const char *session; /* name of the conversation, borrowed from the exchange; NULL none */
    bool caps_tools;
    struct config_tool_calls tool_calls; /* with caps_tools */
};

/* 0, or -EINVAL with the header, what was found and what is wanted in e. */
int request_options_read(const struct config *c, const struct exchange *x,
                         struct request_options *ret, struct error *e) MUST_CHECK;
/* "interactive", "normal", "batch"; false for anything else. */
bool request_class(const char *text, enum pool_class *ret);

#endif
