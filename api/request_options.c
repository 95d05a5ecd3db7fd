#include "api/request_options.h"

#include "storage/session_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool request_class(const char *text, enum pool_class *ret)
{
    for (enum pool_class c = 0; c < CLASS_COUNT; c++) {
        if (strcmp(text, pool_class_name(c)) == 0) {
            *ret = c;
            return true;
        }
    }
    return false;
}

static int read_ms(const char *name, const char *text, int64_t *ret, struct error *e)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > REQUEST_MAX_WAIT_MS)
        return error_set(e, -EINVAL, "%s is '%.40s'; it must be whole milliseconds, 0 to %d.", name,
                         text, REQUEST_MAX_WAIT_MS);
    *ret = value;
    return 0;
}

static int read_conversation(const struct exchange *x, struct request_options *ret, struct error *e)
{
    const char *caps = exchange_header(x, "x-sluice-tool-calls");
    ret->session = exchange_header(x, "x-sluice-session");
    ret->caps_tools = caps != NULL;
    if (ret->session && !session_id_is_good(ret->session))
        return error_set(
            e, -EINVAL,
            "x-sluice-session is '%.40s'; it must be 1 to %d printable ASCII characters "
            "without blanks.",
            ret->session, SESSION_ID_BYTES);
    return caps ? tool_caps_read(caps, &ret->tool_calls, e) : 0;
}

int request_options_read(const struct config *c, const struct exchange *x,
                         struct request_options *ret, struct error *e)
{
    const char *priority = exchange_header(x, "x-sluice-priority");
    const char *wait = exchange_header(x, "x-sluice-max-wait-ms");
    *ret = (struct request_options){.class = CLASS_NORMAL, .max_wait_ms = c->queue.max_wait_ms};
    if (priority && !request_class(priority, &ret->class))
        return error_set(e, -EINVAL,
                         "x-sluice-priority is '%.40s'; it must be interactive, normal or batch.",
                         priority);
    int rc = wait ? read_ms("x-sluice-max-wait-ms", wait, &ret->max_wait_ms, e) : 0;
    return rc < 0 ? rc : read_conversation(x, ret, e);
}
