#include "scheduler/provider/wire.h"

#include <assert.h>
#include <string.h>

/* An OpenAI base_url ends in /v1, so the path below it does not begin with it. */
static const struct {
    enum wire_format format;
    const char *path;
    const char *upstream_path;
} rows[WIRE_ENDPOINT_COUNT] = {
    [WIRE_CHAT] = {WIRE_OPENAI, "/v1/chat/completions", "/chat/completions"},
    [WIRE_COMPLETIONS] = {WIRE_OPENAI, "/v1/completions", "/completions"},
    [WIRE_RESPONSES] = {WIRE_OPENAI, "/v1/responses", "/responses"},
    [WIRE_EMBEDDINGS] = {WIRE_OPENAI, "/v1/embeddings", "/embeddings"},
    [WIRE_MESSAGES] = {WIRE_ANTHROPIC, "/v1/messages", "/v1/messages"},
};

enum wire_format wire_format_of(enum wire_endpoint endpoint)
{
    assert((unsigned)endpoint < WIRE_ENDPOINT_COUNT);
    return rows[endpoint].format;
}

const char *wire_path(enum wire_endpoint endpoint)
{
    assert((unsigned)endpoint < WIRE_ENDPOINT_COUNT);
    return rows[endpoint].path;
}

const char *wire_upstream_path(enum wire_endpoint endpoint)
{
    assert((unsigned)endpoint < WIRE_ENDPOINT_COUNT);
    return rows[endpoint].upstream_path;
}

bool wire_endpoint_find(const char *path, enum wire_endpoint *ret)
{
    for (unsigned i = 0; i < WIRE_ENDPOINT_COUNT; i++) {
        if (strcmp(rows[i].path, path) == 0) {
            *ret = (enum wire_endpoint)i;
            return true;
        }
    }
    return false;
}
