/*
 * request_options: what a caller asks of Sluice in x-sluice-* headers.
 */
#ifndef API_REQUEST_OPTIONS_H
#define API_REQUEST_OPTIONS_H

#include "api/server.h"
#include "common/config.h"
#include "common/json_scan.h"
#include "limiter/pool_class.h"
#include "scheduler/answer_wish.h"
#include "scheduler/prompt/tool_cap.h"

#define REQUEST_MAX_WAIT_MS 86400000 /* a day */

struct request_options {
    enum pool_class class;
    bool class_given;
    int64_t max_wait_ms;
    struct answer_wish cache;
    bool no_fallback;    /* x-sluice-fallback: never */
    bool no_batch;       /* x-sluice-batch: off */
    const char *batch;   /* or the name of a group; NULL: not said */
    int64_t deadline_ms; /* until it is granted; 0: none */
    const char *trim;    /* NULL: not said. Borrowed from the exchange, as the next */
    const char *session; /* NULL: not said */
    bool never_shrink;
    bool caps_tools;
    struct config_tool_calls tool_calls; /* with caps_tools */
};

/* 0, or -EINVAL with the header, what was found and what is wanted in e. */
int request_options_read(const struct config *c, const struct exchange *x,
                         struct request_options *ret, struct error *e) MUST_CHECK;
/* Only trim, session and never_shrink are read, as jobs take them. */
int request_options_cutting(const struct exchange *x, struct request_options *ret,
                            struct error *e) MUST_CHECK;
/* A class by its name, or by a number as pool_class_of_number(); false for anything else. */
bool request_class(const char *text, enum pool_class *ret);
/* The same of a member of a body. 0 also when it is absent or null (*ret_given tells). */
int request_class_read(struct json_span value, enum pool_class *ret, bool *ret_given,
                       struct error *e) MUST_CHECK;
#define REQUEST_PRIORITIES                                                                         \
    "interactive, normal, batch, or a whole number from -2147483648 to 2147483647 where the "      \
    "lower one goes first (up to 0 is interactive, from 255 batch)"

/* The name of a group whose requests may be joined: 1 to BATCH_GROUP_BYTES printable characters
 * without blanks. */
bool request_batch_is_good(const char *name);

#endif
