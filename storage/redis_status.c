#include "storage/redis_status.h"

#include <string.h>

static const char *const names[] = {
    [REDIS_OK] = "ok",
    [REDIS_DOWN] = "down",
    [REDIS_LOST] = "lost",
    [REDIS_BUSY_LOCAL] = "busy_local",
    [REDIS_NOSCRIPT] = "noscript",
    [REDIS_OOM] = "oom",
    [REDIS_READONLY] = "readonly",
    [REDIS_LOADING] = "loading",
    [REDIS_BUSY] = "busy",
    [REDIS_MISCONF] = "misconf",
    [REDIS_DENIED] = "denied",
    [REDIS_MOVED] = "moved",
    [REDIS_TRYAGAIN] = "tryagain",
    [REDIS_SPLIT] = "clusterdown",
    [REDIS_ERROR] = "error",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == REDIS_STATUS_COUNT, "one name for each status");

static const struct {
    const char *word;
    enum redis_status status;
} codes[] = {
    {"NOSCRIPT", REDIS_NOSCRIPT},   {"OOM", REDIS_OOM},
    {"READONLY", REDIS_READONLY},   {"NOREPLICAS", REDIS_READONLY},
    {"MASTERDOWN", REDIS_READONLY}, {"LOADING", REDIS_LOADING},
    {"BUSY", REDIS_BUSY},           {"MISCONF", REDIS_MISCONF},
    {"NOAUTH", REDIS_DENIED},       {"WRONGPASS", REDIS_DENIED},
    {"NOPERM", REDIS_DENIED},       {"MOVED", REDIS_MOVED},
    {"ASK", REDIS_MOVED},           {"TRYAGAIN", REDIS_TRYAGAIN},
    {"CLUSTERDOWN", REDIS_SPLIT},
};

const char *redis_status_name(enum redis_status s)
{
    return (unsigned)s < REDIS_STATUS_COUNT ? names[s] : "?";
}

bool redis_status_passes(enum redis_status s)
{
    switch (s) {
    case REDIS_DOWN:
    case REDIS_LOST:
    case REDIS_LOADING:
    case REDIS_MOVED:
    case REDIS_TRYAGAIN:
    case REDIS_SPLIT:
        return true;
    default:
        return false;
    }
}

static enum redis_status status_of_word(const char *text)
{
    size_t len = strcspn(text, " \r\n");
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strlen(codes[i].word) == len && memcmp(codes[i].word, text, len) == 0)
            return codes[i].status;
    return REDIS_ERROR;
}

enum redis_status redis_status_of_error(const char *text)
{
    static const char wrapper[] = "ERR Error running script";
    if (strncmp(text, wrapper, sizeof(wrapper) - 1) != 0)
        return status_of_word(text);
    const char *inner = NULL;
    for (const char *at = strstr(text, ": -"); at; at = strstr(at + 1, ": -"))
        inner = at + 3;
    return inner ? status_of_word(inner) : REDIS_ERROR;
}
