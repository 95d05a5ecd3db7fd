#include "api/simulate/sim_reply_formats.h"

#include <inttypes.h>

/* The sequence numbers follow from the place in the stream, so that nothing has to be
 * remembered: a text's head has 4 events and its units 1, a tool call's head 2 and its
 * units 4. */
#define TEXT_HEAD_EVENTS 4
#define CALL_HEAD_EVENTS 2
#define CALL_EVENTS      4

static void add_usage(const struct sim_reply *r, struct buf *out)
{
    (void)buf_addf(
        out,
        "{\"input_tokens\":%" PRId64 ",\"input_tokens_details\":{\"cached_tokens\":%" PRId64
        "},\"output_tokens\":%" PRId64 ",\"output_tokens_details\":{"
        "\"reasoning_tokens\":0},\"total_tokens\":%" PRId64 "}",
        r->input_tokens, r->cached_tokens, r->output_tokens, r->input_tokens + r->output_tokens);
}

static void add_call(const struct sim_reply *r, int64_t i, bool done, struct buf *out)
{
    (void)buf_addf(out,
                   "{\"id\":\"fc_%08" PRIx64 "%02" PRId64
                   "\",\"type\":\"function_call\",\"status\":\"%s\",",
                   r->number, i, done ? "completed" : "in_progress");
    sim_reply_pair(out, "name", sim_reply_tool_name(r, i));
    (void)buf_addf(out, ",\"call_id\":\"call_%08" PRIx64 "%02" PRId64 "\",\"arguments\":\"",
                   r->number, i);
    if (done)
        (void)buf_addf(out, "{\\\"n\\\":%" PRId64 "}", i);
    (void)buf_adds(out, "\"}");
}

static void add_part(const struct sim_reply *r, bool done, struct buf *out)
{
    (void)buf_adds(out, "{\"type\":\"output_text\",\"text\":\"");
    if (done)
        sim_reply_text(r, out);
    (void)buf_adds(out, "\",\"annotations\":[],\"logprobs\":[]}");
}

static void add_message(const struct sim_reply *r, bool done, struct buf *out)
{
    (void)buf_addf(out,
                   "{\"id\":\"msg_%08" PRIx64 "\",\"type\":\"message\",\"status\":\"%s\","
                   "\"role\":\"assistant\",\"content\":[",
                   r->number, done ? "completed" : "in_progress");
    if (done)
        add_part(r, true, out);
    (void)buf_adds(out, "]}");
}

static void add_response(const struct sim_reply *r, bool done, struct buf *out)
{
    const char *status = !done ? "in_progress" : r->cut_by_max ? "incomplete" : "completed";
    (void)buf_addf(out,
                   "{\"id\":\"%s\",\"object\":\"response\",\"created_at\":%" PRId64
                   ",\"status\":\"%s\",\"error\":null,\"incomplete_details\":%s,"
                   "\"instructions\":null,",
                   r->id, r->created_s, status,
                   done && r->cut_by_max ? "{\"reason\":\"max_output_tokens\"}" : "null");
    sim_reply_pair(out, "model", r->model);
    (void)buf_adds(out, ",\"output\":[");
    if (done && r->tool_calls == 0)
        add_message(r, true, out);
    for (int64_t i = 0; done && i < r->tool_calls; i++) {
        (void)buf_adds(out, i ? "," : "");
        add_call(r, i, true, out);
    }
    (void)buf_adds(out, "],\"parallel_tool_calls\":true,\"previous_response_id\":null,"
                        "\"store\":true,\"temperature\":1.0,\"tool_choice\":\"auto\",\"tools\":[],"
                        "\"top_p\":1.0,\"truncation\":\"disabled\",\"metadata\":{},\"usage\":");
    if (done)
        add_usage(r, out);
    else
        (void)buf_adds(out, "null");
    (void)buf_adds(out, "}");
}

static void event(struct buf *out, const char *type, int64_t sequence)
{
    (void)buf_addf(out, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%" PRId64 ",", type,
                   type, sequence);
}

static void responses_whole(const struct sim_reply *r, struct buf *out)
{
    add_response(r, true, out);
}

static void responses_head(const struct sim_reply *r, struct buf *out)
{
    event(out, "response.created", 0);
    (void)buf_adds(out, "\"response\":");
    add_response(r, false, out);
    (void)buf_adds(out, "}\n\n");
    event(out, "response.in_progress", 1);
    (void)buf_adds(out, "\"response\":");
    add_response(r, false, out);
    (void)buf_adds(out, "}\n\n");
    if (r->tool_calls > 0)
        return;
    event(out, "response.output_item.added", 2);
    (void)buf_adds(out, "\"output_index\":0,\"item\":");
    add_message(r, false, out);
    (void)buf_adds(out, "}\n\n");
    event(out, "response.content_part.added", 3);
    (void)buf_addf(out,
                   "\"item_id\":\"msg_%08" PRIx64 "\",\"output_index\":0,\"content_index\":0,"
                   "\"part\":",
                   r->number);
    add_part(r, false, out);
    (void)buf_adds(out, "}\n\n");
}

static void call_unit(const struct sim_reply *r, int64_t i, struct buf *out)
{
    int64_t sequence = CALL_HEAD_EVENTS + CALL_EVENTS * i;
    event(out, "response.output_item.added", sequence);
    (void)buf_addf(out, "\"output_index\":%" PRId64 ",\"item\":", i);
    add_call(r, i, false, out);
    (void)buf_adds(out, "}\n\n");
    event(out, "response.function_call_arguments.delta", sequence + 1);
    (void)buf_addf(out,
                   "\"item_id\":\"fc_%08" PRIx64 "%02" PRId64 "\",\"output_index\":%" PRId64
                   ",\"delta\":\"{\\\"n\\\":%" PRId64 "}\"}\n\n",
                   r->number, i, i, i);
    event(out, "response.function_call_arguments.done", sequence + 2);
    (void)buf_addf(out,
                   "\"item_id\":\"fc_%08" PRIx64 "%02" PRId64 "\",\"output_index\":%" PRId64
                   ",\"arguments\":\"{\\\"n\\\":%" PRId64 "}\"}\n\n",
                   r->number, i, i, i);
    event(out, "response.output_item.done", sequence + 3);
    (void)buf_addf(out, "\"output_index\":%" PRId64 ",\"item\":", i);
    add_call(r, i, true, out);
    (void)buf_adds(out, "}\n\n");
}

static void responses_unit(const struct sim_reply *r, int64_t i, struct buf *out)
{
    char token[SIM_TOKEN_BYTES];
    if (r->tool_calls > 0) {
        call_unit(r, i, out);
        return;
    }
    (void)sim_reply_token(r, i, token);
    event(out, "response.output_text.delta", TEXT_HEAD_EVENTS + i);
    (void)buf_addf(out,
                   "\"item_id\":\"msg_%08" PRIx64 "\",\"output_index\":0,\"content_index\":0,"
                   "\"delta\":\"%s\",\"logprobs\":[]}\n\n",
                   r->number, token);
}

static void text_done(const struct sim_reply *r, int64_t sequence, struct buf *out)
{
    event(out, "response.output_text.done", sequence);
    (void)buf_addf(out,
                   "\"item_id\":\"msg_%08" PRIx64 "\",\"output_index\":0,\"content_index\":0,"
                   "\"text\":\"",
                   r->number);
    sim_reply_text(r, out);
    (void)buf_adds(out, "\",\"logprobs\":[]}\n\n");
    event(out, "response.content_part.done", sequence + 1);
    (void)buf_addf(out,
                   "\"item_id\":\"msg_%08" PRIx64 "\",\"output_index\":0,\"content_index\":0,"
                   "\"part\":",
                   r->number);
    add_part(r, true, out);
    (void)buf_adds(out, "}\n\n");
    event(out, "response.output_item.done", sequence + 2);
    (void)buf_adds(out, "\"output_index\":0,\"item\":");
    add_message(r, true, out);
    (void)buf_adds(out, "}\n\n");
}

static void responses_tail(const struct sim_reply *r, struct buf *out)
{
    int64_t sequence = r->tool_calls > 0 ? CALL_HEAD_EVENTS + CALL_EVENTS * r->tool_calls
                                         : TEXT_HEAD_EVENTS + r->output_tokens;
    if (r->tool_calls == 0) {
        text_done(r, sequence, out);
        sequence += 3;
    }
    event(out, r->cut_by_max ? "response.incomplete" : "response.completed", sequence);
    (void)buf_adds(out, "\"response\":");
    add_response(r, true, out);
    (void)buf_adds(out, "}\n\n");
}

const struct sim_format sim_format_responses = {"resp_", responses_whole, responses_head,
                                                responses_unit, responses_tail};
