#include "api/simulate/sim_reply_formats.h"

#include "api/simulate/sim_joint.h"

#include <inttypes.h>
#include <string.h>

/* Chat completions and the older completions: the same frame around other choices. */

static const char *finish_reason(const struct sim_reply *r)
{
    if (r->tool_calls > 0)
        return "tool_calls";
    return r->cut_by_max ? "length" : "stop";
}

static void add_usage(const struct sim_reply *r, struct buf *out)
{
    int64_t output = sim_reply_output(r);
    (void)buf_addf(out,
                   "\"usage\":{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64
                   ",\"total_tokens\":%" PRId64 ",\"prompt_tokens_details\":{\"cached_tokens\":"
                   "%" PRId64 ",\"audio_tokens\":0},\"completion_tokens_details\":{"
                   "\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
                   "\"rejected_prediction_tokens\":0}}",
                   r->input_tokens, output, r->input_tokens + output, r->cached_tokens);
}

static void frame(const struct sim_reply *r, const char *object, struct buf *out)
{
    (void)buf_addf(out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%" PRId64 ",", r->id, object,
                   r->created_s);
    sim_reply_pair(out, "model", r->model);
    (void)buf_adds(out, ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_simulated\",");
}

static void add_call(const struct sim_reply *r, int64_t choice, int64_t i, struct buf *out)
{
    (void)buf_addf(out,
                   "\"id\":\"call_%08" PRIx64 "%02" PRId64 "%02" PRId64
                   "\",\"type\":\"function\",\"function\":{",
                   r->number, choice, i);
    sim_reply_pair(out, "name", sim_reply_tool_name(r, i));
    (void)buf_addf(out, ",\"arguments\":\"{\\\"n\\\":%" PRId64 "}\"}", i);
}

static void add_joint(const struct sim_reply *r, struct buf *out)
{
    struct buf text;
    buf_init(&text, SIM_MAX_REPLY_BYTES);
    sim_joint_text(r, &text);
    if (text.len > 0) /* one that was cut is no JSON any more */
        (void)buf_add_json(out, text.data, r->cut_by_max ? text.len / 2 : text.len);
    buf_release(&text);
}

static void whole_choice(const struct sim_reply *r, int64_t choice, struct buf *out)
{
    (void)buf_addf(out, "%s{\"index\":%" PRId64 ",\"message\":{\"role\":\"assistant\",\"content\":",
                   choice ? "," : "", choice);
    if (r->tool_calls > 0) {
        (void)buf_adds(out, "null,\"tool_calls\":[");
        for (int64_t i = 0; i < r->tool_calls; i++) {
            (void)buf_adds(out, i ? ",{" : "{");
            add_call(r, choice, i, out);
            (void)buf_adds(out, "}");
        }
        (void)buf_adds(out, "]");
    } else {
        (void)buf_adds(out, "\"");
        if (r->joint)
            add_joint(r, out);
        else
            sim_reply_text(r, out);
        (void)buf_adds(out, "\"");
    }
    (void)buf_addf(out,
                   ",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
                   "\"finish_reason\":\"%s\"}",
                   finish_reason(r));
}

static void chat_whole(const struct sim_reply *r, struct buf *out)
{
    frame(r, "chat.completion", out);
    (void)buf_adds(out, "\"choices\":[");
    for (int64_t choice = 0; choice < r->choices; choice++)
        whole_choice(r, choice, out);
    (void)buf_adds(out, "],");
    add_usage(r, out);
    (void)buf_adds(out, "}");
}

static void chunk_start(const struct sim_reply *r, int64_t choice, struct buf *out)
{
    (void)buf_adds(out, "data: ");
    frame(r, "chat.completion.chunk", out);
    (void)buf_addf(out, "\"choices\":[{\"index\":%" PRId64 ",\"delta\":{", choice);
}

static void chunk_end(const struct sim_reply *r, const char *finish, struct buf *out)
{
    (void)buf_adds(out, "},\"logprobs\":null,\"finish_reason\":");
    if (finish)
        (void)buf_addf(out, "\"%s\"}]", finish);
    else
        (void)buf_adds(out, "null}]");
    (void)buf_adds(out, r->include_usage ? ",\"usage\":null}\n\n" : "}\n\n");
}

static void chat_head(const struct sim_reply *r, struct buf *out)
{
    for (int64_t choice = 0; choice < r->choices; choice++) {
        chunk_start(r, choice, out);
        (void)buf_addf(out, "\"role\":\"assistant\",\"content\":%s,\"refusal\":null",
                       r->tool_calls > 0 ? "null" : "\"\"");
        chunk_end(r, NULL, out);
    }
}

static void chat_unit(const struct sim_reply *r, int64_t i, struct buf *out)
{
    char token[SIM_TOKEN_BYTES];
    for (int64_t choice = 0; choice < r->choices; choice++) {
        chunk_start(r, choice, out);
        if (r->tool_calls > 0) {
            (void)buf_addf(out, "\"tool_calls\":[{\"index\":%" PRId64 ",", i);
            add_call(r, choice, i, out);
            (void)buf_adds(out, "}]");
        } else {
            (void)sim_reply_token(r, i, token);
            (void)buf_addf(out, "\"content\":\"%s\"", token);
        }
        chunk_end(r, NULL, out);
    }
}

static void usage_chunk(const struct sim_reply *r, const char *object, struct buf *out)
{
    if (r->include_usage) {
        (void)buf_adds(out, "data: ");
        frame(r, object, out);
        (void)buf_adds(out, "\"choices\":[],");
        add_usage(r, out);
        (void)buf_adds(out, "}\n\n");
    }
    (void)buf_adds(out, "data: [DONE]\n\n");
}

static void chat_tail(const struct sim_reply *r, struct buf *out)
{
    for (int64_t choice = 0; choice < r->choices; choice++) {
        chunk_start(r, choice, out);
        chunk_end(r, finish_reason(r), out);
    }
    usage_chunk(r, "chat.completion.chunk", out);
}

static void completion_choice(int64_t choice, const char *finish, struct buf *out)
{
    (void)buf_addf(out, "\",\"index\":%" PRId64 ",\"logprobs\":null,\"finish_reason\":", choice);
    if (finish)
        (void)buf_addf(out, "\"%s\"}", finish);
    else
        (void)buf_adds(out, "null}");
}

static void completions_whole(const struct sim_reply *r, struct buf *out)
{
    frame(r, "text_completion", out);
    (void)buf_adds(out, "\"choices\":[");
    for (int64_t choice = 0; choice < r->choices; choice++) {
        (void)buf_adds(out, choice ? ",{\"text\":\"" : "{\"text\":\"");
        sim_reply_text(r, out);
        completion_choice(choice, finish_reason(r), out);
    }
    (void)buf_adds(out, "],");
    add_usage(r, out);
    (void)buf_adds(out, "}");
}

static void completion_chunk(const struct sim_reply *r, int64_t choice, const char *text,
                             const char *finish, struct buf *out)
{
    (void)buf_adds(out, "data: ");
    frame(r, "text_completion", out);
    (void)buf_addf(out, "\"choices\":[{\"text\":\"%s", text);
    completion_choice(choice, finish, out);
    (void)buf_adds(out, r->include_usage ? "],\"usage\":null}\n\n" : "]}\n\n");
}

static void completions_head(const struct sim_reply *r, struct buf *out)
{
    (void)r;
    (void)out; /* the first event is the first token */
}

static void completions_unit(const struct sim_reply *r, int64_t i, struct buf *out)
{
    char token[SIM_TOKEN_BYTES];
    (void)sim_reply_token(r, i, token);
    for (int64_t choice = 0; choice < r->choices; choice++)
        completion_chunk(r, choice, token, NULL, out);
}

static void completions_tail(const struct sim_reply *r, struct buf *out)
{
    for (int64_t choice = 0; choice < r->choices; choice++)
        completion_chunk(r, choice, "", finish_reason(r), out);
    usage_chunk(r, "text_completion", out);
}

const struct sim_format sim_format_chat = {"chatcmpl-", chat_whole, chat_head, chat_unit,
                                           chat_tail};
const struct sim_format sim_format_completions = {"cmpl-", completions_whole, completions_head,
                                                  completions_unit, completions_tail};
