/*
 * call_settings: what is saved for its model, put into the request of one call.
 *
 * A request that names a value keeps it, but for the most output, which is a bound as well. Bytes
 * change only where a value is added or lowered; else the client's own go on.
 *
 *   ownership  inside struct call; nothing to release.
 */
#ifndef SCHEDULER_CALL_SETTINGS_H
#define SCHEDULER_CALL_SETTINGS_H

#include "common/error.h"
#include "common/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct call;
struct call_failure;

struct call_settings {
    bool read; /* the stage was passed: a way that is taken later has settings of its own */
    bool added_temperature, added_output, lowered_output;
    int64_t tenths, output;     /* as they were set */
    char trim[TRIM_NAME_BYTES]; /* saved for the model: copied, as entries come and go; "" none */
};

/* A stage of preflight: may rewrite the body or refuse the request. */
int call_settings_read(struct call *c, struct call_failure *failure) MUST_CHECK;
/* Another way was taken: what was added for the one before goes, and its own comes. Nothing is
 * refused. */
int call_settings_again(struct call *c) MUST_CHECK;

#endif
