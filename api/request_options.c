#include "api/request_options.h"

#include "common/limits.h"
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
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    bool bare = *text == '-' || (*text >= '0' && *text <= '9');
    return bare && errno == 0 && *end == '\0' && pool_class_of_number(number, ret);
}

int request_class_read(struct json_span value, enum pool_class *ret, bool *ret_given,
                       struct error *e)
{
    int64_t number;
    enum json_kind kind = json_kind(value);
    *ret_given = kind != JSON_NONE && kind != JSON_NUL;
    *ret = CLASS_NORMAL;
    for (enum pool_class c = 0; c < CLASS_COUNT; c++) {
        if (json_equals(value, pool_class_name(c))) {
            *ret = c;
            return 0;
        }
    }
    if (!*ret_given || (json_int(value, &number) && pool_class_of_number(number, ret)))
        return 0;
    return error_set(e, -EINVAL, "priority is %.*s; it must be " REQUEST_PRIORITIES ".",
                     (int)(value.len < 40 ? value.len : 40), value.at);
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

static int read_caps(const struct exchange *x, struct request_options *ret, struct error *e)
{
    const char *caps = exchange_header(x, "x-sluice-tool-calls");
    ret->caps_tools = caps != NULL;
    return caps ? tool_caps_read(caps, &ret->tool_calls, e) : 0;
}

/* Whether a way of trimming of that name is known, the scheduler says. */
int request_options_cutting(const struct exchange *x, struct request_options *ret, struct error *e)
{
    const char *shrink = exchange_header(x, "x-sluice-shrink");
    const char *session = exchange_header(x, "x-sluice-session");
    ret->trim = exchange_header(x, "x-sluice-trim");
    ret->session = session;
    ret->never_shrink = shrink && strcmp(shrink, "never") == 0;
    if (shrink && !ret->never_shrink && strcmp(shrink, "auto") != 0)
        return error_set(e, -EINVAL, "x-sluice-shrink is '%.40s'; it must be auto or never.",
                         shrink);
    if (session && !session_id_is_good(session))
        return error_set(e, -EINVAL,
                         "x-sluice-session is '%.40s'; it must be 1 to %d printable ASCII "
                         "characters without blanks.",
                         session, SESSION_ID_BYTES);
    return 0;
}

/* Whichever ends first: the patience, or the time when the answer is of no use any more. */
static int read_deadline(const struct exchange *x, struct request_options *ret, struct error *e)
{
    const char *deadline = exchange_header(x, "x-sluice-deadline-ms");
    int rc = deadline ? read_ms("x-sluice-deadline-ms", deadline, &ret->deadline_ms, e) : 0;
    if (rc == 0 && deadline && ret->deadline_ms == 0)
        rc = error_set(e, -EINVAL, "x-sluice-deadline-ms is 0; it must be at least 1.");
    if (rc == 0 && deadline && ret->deadline_ms < ret->max_wait_ms)
        ret->max_wait_ms = ret->deadline_ms;
    return rc;
}

int request_options_read(const struct config *c, const struct exchange *x,
                         struct request_options *ret, struct error *e)
{
    const char *priority = exchange_header(x, "x-sluice-priority");
    const char *wait = exchange_header(x, "x-sluice-max-wait-ms");
    *ret = (struct request_options){.class = CLASS_NORMAL, .max_wait_ms = c->queue.max_wait_ms};
    if (priority && !request_class(priority, &ret->class))
        return error_set(e, -EINVAL,
                         "x-sluice-priority is '%.40s'; it must be " REQUEST_PRIORITIES ".",
                         priority);
    ret->class_given = priority != NULL;
    const char *fallback = exchange_header(x, "x-sluice-fallback");
    ret->no_fallback = fallback && strcmp(fallback, "never") == 0;
    if (fallback && !ret->no_fallback && strcmp(fallback, "allow") != 0)
        return error_set(e, -EINVAL, "x-sluice-fallback is '%.40s'; it must be allow or never.",
                         fallback);
    const char *batch = exchange_header(x, "x-sluice-batch");
    ret->no_batch = batch && strcmp(batch, "off") == 0;
    ret->batch = ret->no_batch ? NULL : batch;
    if (batch && !request_batch_is_good(batch))
        return error_set(e, -EINVAL,
                         "x-sluice-batch is '%.40s'; it must be off, or the name of a group: 1 to "
                         "%d printable characters without blanks.",
                         batch, BATCH_GROUP_BYTES);
    int rc = wait ? read_ms("x-sluice-max-wait-ms", wait, &ret->max_wait_ms, e) : 0;
    if (rc == 0)
        rc = read_deadline(x, ret, e);
    if (rc == 0)
        rc = read_caps(x, ret, e);
    if (rc == 0)
        rc = answer_wish_read(exchange_header(x, "x-sluice-cache"),
                              exchange_header(x, "cache-control"), &ret->cache, e);
    return rc < 0 ? rc : request_options_cutting(x, ret, e);
}

bool request_batch_is_good(const char *name)
{
    size_t len = 0;
    while (name && name[len] > ' ' && name[len] < 0x7f)
        len++;
    return len > 0 && name[len] == '\0' && len <= BATCH_GROUP_BYTES;
}
