#include "scheduler/provider/wire_quota.h"

#include "limiter/hint_text.h"

#include <stdio.h>
#include <string.h>

static bool has(struct json_span text, const char *word)
{
    return text.at && memmem(text.at, text.len, word, strlen(word));
}

const char *wire_quota_dim(struct json_span id)
{
    bool day = has(id, "PerDay"), minute = has(id, "PerMinute");
    bool tokens = has(id, "Token"), requests = has(id, "Request");
    if (tokens)
        return day ? "tpd" : (minute ? "tpm" : "");
    if (requests)
        return day ? "rpd" : (minute ? "rpm" : "");
    return "";
}

/* A string by the API, a number where JSON libraries made one of it. */
static int64_t value_of(struct json_span value)
{
    char text[24];
    int64_t number;
    struct json_span inside = json_kind(value) == JSON_STR ? json_inside(value) : value;
    if (!inside.at || inside.len == 0 || inside.len >= sizeof(text))
        return -1;
    memcpy(text, inside.at, inside.len);
    text[inside.len] = '\0';
    return hint_number(text, &number) && number > 0 ? number : -1;
}

static void read_violation(struct json_span violation, struct hints *ret)
{
    struct hint one = {.remaining = -1, .reset_ms = -1};
    const char *dim = wire_quota_dim(json_inside(json_get(violation, "quotaId")));
    one.limit = value_of(json_get(violation, "quotaValue"));
    (void)snprintf(one.dim, sizeof(one.dim), "%s", dim);
    if (*dim && one.limit > 0)
        hints_add(ret, &one);
}

void wire_quota_read(struct json_span error, struct hints *ret)
{
    struct json_iter details = json_iter(json_get(error, "details"));
    while (!details.object && json_next(&details)) {
        struct json_iter it = json_iter(json_get(details.value, "violations"));
        while (!it.object && json_next(&it))
            read_violation(it.value, ret);
    }
}
