#include "api/simulate/sim_reply_formats.h"

#include "api/simulate/sim_joint.h"

#include <inttypes.h>

static const char *stop_reason(const struct sim_reply *r)
{
    if (r->tool_calls > 0 || (r->joint && !r->cut_by_max))
        return "tool_use";
    return r->cut_by_max ? "max_tokens" : "end_turn";
}

/* input_tokens is only what was not read from the cache. */
static void add_usage(const struct sim_reply *r, int64_t output, struct buf *out)
{
    (void)buf_addf(out,
                   "\"usage\":{\"input_tokens\":%" PRId64 ",\"cache_creation_input_tokens\":0,"
                   "\"cache_read_input_tokens\":%" PRId64 ",\"output_tokens\":%" PRId64
                   ",\"service_tier\":\"standard\"}",
                   r->input_tokens - r->cached_tokens, r->cached_tokens, output);
}

static void message_start(const struct sim_reply *r, struct buf *out)
{
    (void)buf_addf(out, "{\"id\":\"%s\",\"type\":\"message\",\"role\":\"assistant\",", r->id);
    sim_reply_pair(out, "model", r->model);
    (void)buf_adds(out, ",\"content\":[");
}

static void add_call(const struct sim_reply *r, int64_t i, struct buf *out)
{
    (void)buf_addf(out, "{\"type\":\"tool_use\",\"id\":\"toolu_%08" PRIx64 "%02" PRId64 "\",",
                   r->number, i);
    sim_reply_pair(out, "name", sim_reply_tool_name(r, i));
    (void)buf_adds(out, ",\"input\":{");
}

static void messages_whole(const struct sim_reply *r, struct buf *out)
{
    message_start(r, out);
    if (r->joint) {
        (void)buf_addf(out,
                       "{\"type\":\"tool_use\",\"id\":\"toolu_%08" PRIx64
                       "\",\"name\":\"answers\",\"input\":",
                       r->number);
        sim_joint_text(r, out);
        (void)buf_adds(out, "}");
    }
    for (int64_t i = 0; !r->joint && i < r->tool_calls; i++) {
        (void)buf_adds(out, i ? "," : "");
        add_call(r, i, out);
        (void)buf_addf(out, "\"n\":%" PRId64 "}}", i);
    }
    if (!r->joint && r->tool_calls == 0 && r->output_tokens > 0) {
        (void)buf_adds(out, "{\"type\":\"text\",\"text\":\"");
        sim_reply_text(r, out);
        (void)buf_adds(out, "\"}");
    }
    (void)buf_addf(out, "],\"stop_reason\":\"%s\",\"stop_sequence\":null,", stop_reason(r));
    add_usage(r, r->output_tokens, out);
    (void)buf_adds(out, "}");
}

static void block_start(int64_t index, struct buf *out)
{
    (void)buf_addf(out,
                   "event: content_block_start\ndata: {\"type\":\"content_block_start\","
                   "\"index\":%" PRId64 ",\"content_block\":",
                   index);
}

static void block_stop(int64_t index, struct buf *out)
{
    (void)buf_addf(out,
                   "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
                   "\"index\":%" PRId64 "}\n\n",
                   index);
}

static void messages_head(const struct sim_reply *r, struct buf *out)
{
    (void)buf_adds(out, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    message_start(r, out);
    (void)buf_adds(out, "],\"stop_reason\":null,\"stop_sequence\":null,");
    add_usage(r, r->output_tokens > 0 ? 1 : 0, out);
    (void)buf_adds(out, "}}\n\n");
    if (r->tool_calls == 0 && r->output_tokens > 0) {
        block_start(0, out);
        (void)buf_adds(out, "{\"type\":\"text\",\"text\":\"\"}}\n\n");
    }
    (void)buf_adds(out, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

static void messages_unit(const struct sim_reply *r, int64_t i, struct buf *out)
{
    char token[SIM_TOKEN_BYTES];
    if (r->tool_calls > 0) {
        block_start(i, out);
        add_call(r, i, out);
        (void)buf_addf(out,
                       "}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                       "\"index\":%" PRId64 ",\"delta\":{\"type\":\"input_json_delta\","
                       "\"partial_json\":\"{\\\"n\\\":%" PRId64 "}\"}}\n\n",
                       i, i);
        block_stop(i, out);
        return;
    }
    (void)sim_reply_token(r, i, token);
    (void)buf_addf(out,
                   "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                   "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n",
                   token);
}

static void messages_tail(const struct sim_reply *r, struct buf *out)
{
    if (r->tool_calls == 0 && r->output_tokens > 0)
        block_stop(0, out);
    (void)buf_addf(out,
                   "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{"
                   "\"stop_reason\":\"%s\",\"stop_sequence\":null},\"usage\":{"
                   "\"output_tokens\":%" PRId64 "}}\n\n"
                   "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                   stop_reason(r), r->output_tokens);
}

static void count_tokens_whole(const struct sim_reply *r, struct buf *out)
{
    (void)buf_addf(out, "{\"input_tokens\":%" PRId64 "}", r->input_tokens);
}

const struct sim_format sim_format_messages = {"msg_", messages_whole, messages_head, messages_unit,
                                               messages_tail};
const struct sim_format sim_format_count_tokens = {"msg_", count_tokens_whole, NULL, NULL, NULL};
