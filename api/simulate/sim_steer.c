#include "api/simulate/sim_steer.h"

#include <stdlib.h>
#include <string.h>

#define SEPARATORS " ,;\t\r\n"
#define WORD_BYTES 160
#define MAX_VALUE  INT64_C(1000000000)

void sim_steer_init(struct sim_steer *s)
{
    *s = (struct sim_steer){
        .status = -1,
        .retry_after_ms = -1,
        .latency_ms = -1,
        .ms_per_token = -1,
        .output = -1,
        .tool_calls = -1,
        .cached = -1,
        .cut_after = -1,
        .stall_after = -1,
        .error_after = -1,
    };
}

static bool set_flag(struct sim_steer *s, const char *name)
{
    if (strcmp(name, "disconnect") == 0)
        s->disconnect = true;
    else if (strcmp(name, "stall") == 0)
        s->stall = true;
    else if (strcmp(name, "unruly") == 0)
        s->unruly = true;
    else
        return false;
    return true;
}

static bool set_value(struct sim_steer *s, const char *name, const char *value)
{
    const struct {
        const char *name;
        int64_t *to;
    } table[] = {
        {"status", &s->status},           {"retry_after_ms", &s->retry_after_ms},
        {"latency_ms", &s->latency_ms},   {"ms_per_token", &s->ms_per_token},
        {"output", &s->output},           {"tool_calls", &s->tool_calls},
        {"cached", &s->cached},           {"cut_after", &s->cut_after},
        {"stall_after", &s->stall_after}, {"error_after", &s->error_after},
    };
    if (strcmp(name, "id") == 0) {
        size_t len = strlen(value);
        if (len >= sizeof(s->id))
            return false;
        memcpy(s->id, value, len + 1);
        return true;
    }
    char *end;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end || number < 0 || number > MAX_VALUE)
        return false;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(table[i].name, name) != 0)
            continue;
        *table[i].to = number;
        return true;
    }
    return false;
}

static bool one_word(struct sim_steer *s, const char *start, size_t len)
{
    char word[WORD_BYTES];
    if (len >= sizeof(word))
        return false;
    memcpy(word, start, len);
    word[len] = '\0';
    char *equals = strchr(word, '=');
    if (!equals)
        return set_flag(s, word);
    *equals = '\0';
    return set_value(s, word, equals + 1);
}

bool sim_steer_words(struct sim_steer *s, const char *words, size_t len)
{
    bool known = true;
    for (size_t i = 0; i < len;) {
        size_t start = i;
        while (i < len && !strchr(SEPARATORS, words[i]))
            i++;
        if (i > start && !one_word(s, words + start, i - start))
            known = false;
        i += i == start;
    }
    return known;
}

bool sim_steer_text(struct sim_steer *s, const char *text, size_t len)
{
    static const char opening[] = "[[sim ";
    bool known = true;
    const char *end = text + len;
    for (;;) {
        const char *open = memmem(text, (size_t)(end - text), opening, sizeof(opening) - 1);
        if (!open)
            return known;
        open += sizeof(opening) - 1;
        const char *close = memmem(open, (size_t)(end - open), "]]", 2);
        if (!close)
            return false;
        if (!sim_steer_words(s, open, (size_t)(close - open)))
            known = false;
        text = close + 2;
    }
}
