#include "api/simulate/sim_reply.h"

#include "api/simulate/sim_error.h"
#include "api/simulate/sim_reply_formats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ECHO_TOKENS 5 /* "echo" and four times four hex digits */

static const struct sim_format *const formats[SIM_ENDPOINTS] = {
    [SIM_CHAT] = &sim_format_chat,           [SIM_COMPLETIONS] = &sim_format_completions,
    [SIM_RESPONSES] = &sim_format_responses, [SIM_EMBEDDINGS] = &sim_format_embeddings,
    [SIM_MESSAGES] = &sim_format_messages,   [SIM_COUNT_TOKENS] = &sim_format_count_tokens,
};

const char *sim_reply_id_prefix(enum sim_endpoint endpoint)
{
    return formats[endpoint]->id_prefix;
}

int64_t sim_reply_units(const struct sim_reply *r)
{
    return r->tool_calls > 0 ? r->tool_calls : r->output_tokens;
}

int64_t sim_reply_unit_tokens(const struct sim_reply *r)
{
    return (r->tool_calls > 0 ? SIM_TOOL_CALL_TOKENS : 1) * r->choices;
}

int64_t sim_reply_output(const struct sim_reply *r)
{
    return r->output_tokens * r->choices;
}

/* The 4 bytes that stand for token i of a long answer. */
static void four_bytes(const struct sim_reply *r, int64_t i, char out[4])
{
    static const char words[] = " the and for not you all can her was one our out day get has him";
    char start[ECHO_TOKENS * 4 + 1];
    if (i < ECHO_TOKENS) {
        (void)snprintf(start, sizeof(start), "echo%016" PRIx64, r->user_hash);
        memcpy(out, start + i * 4, 4);
        return;
    }
    uint64_t pick = (r->user_hash >> (i % 16 * 4)) ^ (uint64_t)i;
    memcpy(out, words + (pick & 15) * 4, 4);
}

size_t sim_reply_token(const struct sim_reply *r, int64_t i, char out[SIM_TOKEN_BYTES])
{
    bool last = i + 1 == r->output_tokens;
    int64_t until = last && i + 1 < ECHO_TOKENS ? ECHO_TOKENS : i + 1;
    size_t len = 0;
    for (int64_t k = i; k < until; k++, len += 4)
        four_bytes(r, k, out + len);
    out[len] = '\0';
    return len;
}

void sim_reply_text(const struct sim_reply *r, struct buf *out)
{
    char token[SIM_TOKEN_BYTES];
    for (int64_t i = 0; i < r->output_tokens; i++)
        (void)buf_add(out, token, sim_reply_token(r, i, token));
}

void sim_reply_pair(struct buf *out, const char *key, const char *text)
{
    (void)buf_addf(out, "\"%s\":\"", key);
    (void)buf_add_json(out, text, strlen(text));
    (void)buf_adds(out, "\"");
}

const char *sim_reply_tool_name(const struct sim_reply *r, int64_t i)
{
    const json_t *tools = json_object_get(r->body, "tools");
    size_t count = json_array_size(tools);
    if (count == 0)
        return "tool";
    const json_t *tool = json_array_get(tools, (size_t)i % count);
    const char *name = json_string_value(json_object_get(tool, "name"));
    if (!name)
        name = json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
    return name ? name : "tool";
}

void sim_reply_whole(const struct sim_reply *r, struct buf *out)
{
    formats[r->endpoint]->whole(r, out);
}

void sim_reply_head(const struct sim_reply *r, struct buf *out)
{
    formats[r->endpoint]->head(r, out);
}

void sim_reply_unit(const struct sim_reply *r, int64_t i, struct buf *out)
{
    formats[r->endpoint]->unit(r, i, out);
}

void sim_reply_tail(const struct sim_reply *r, struct buf *out)
{
    formats[r->endpoint]->tail(r, out);
}

void sim_reply_error(const struct sim_reply *r, struct buf *out)
{
    bool anthropic = sim_endpoint_is_anthropic(r->endpoint);
    enum sim_profile profile = anthropic ? SIM_PROFILE_ANTHROPIC : SIM_PROFILE_OPENAI;
    struct sim_refusal refusal;
    sim_status_refusal(profile, anthropic ? 529 : 500, &refusal);
    if (r->endpoint == SIM_RESPONSES) {
        (void)buf_adds(out, "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",");
        sim_reply_pair(out, "message", refusal.message);
        (void)buf_adds(out, ",\"param\":null,\"sequence_number\":0}\n\n");
        return;
    }
    (void)buf_adds(out, anthropic ? "event: error\ndata: " : "data: ");
    sim_error_body(profile, &refusal, r->id, out);
    (void)buf_adds(out, "\n\n");
}
