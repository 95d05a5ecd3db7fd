/*
 * Any JSON as a request, in each format: what trimming makes of it is JSON again, weighs what
 * it says, is not heavier unless it was mended, and is legal whenever anything was changed.
 *
 * The first byte chooses the format, the second the policy (both modulo their number).
 */
#include "scheduler/prompt/trim.h"
#include "scheduler/prompt/validate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(bool fine)
{
    if (!fine)
        abort();
}

static const char *const policies[] = {
    "{\"preset\":\"conservative\",\"min_saving_tokens\":0,\"keep_turns\":1}",
    "{\"preset\":\"balanced\",\"max_context_tokens\":50}",
    "{\"preset\":\"aggressive\",\"keep_turns\":1,\"max_messages\":3}",
    "{\"stages\":[\"truncate\",\"tool_results\"],\"max_tool_result_chars\":3,\"keep_turns\":1,"
    "\"keep_steps\":1,\"clear_tool_inputs\":true}",
    "{\"stages\":[\"selective\",\"relevant\",\"deletion\"],\"keep_turns\":1,\"max_messages\":2,"
    "\"max_context_tokens\":1}",
    "{\"stages\":[\"summarize\",\"reset\",\"window\"],\"keep_turns\":1,\"reset_turns\":1,"
    "\"reset_threshold\":10,\"max_messages\":1}",
};
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

static int summary(void *arg, const struct trim_summary_ask *ask, struct buf *out)
{
    (void)arg;
    require(ask->from < ask->to && ask->to <= ask->transcript->count);
    return buf_adds(out, "s");
}

static void check(struct counter *c, const struct trim_input *in, const struct trim_result *r)
{
    struct transcript before, after;
    struct validate_fault f;
    struct count_model m;
    int64_t saved = 0;
    for (size_t i = 0; i < r->action_count; i++)
        saved += r->actions[i].saved_tokens;
    require(r->before.tokens - r->after.tokens == saved);
    require((r->body.len > 0) == (r->action_count > 0));
    if (r->body.len == 0)
        return;
    require(json_scan_check(r->body.data, r->body.len, NULL) == 0);
    require(transcript_read(in->endpoint, in->body, in->len, &before, NULL) == 0);
    require(transcript_read(in->endpoint, r->body.data, r->body.len, &after, NULL) == 0);
    require(validate_body(&after, &f) == 0);
    if (validate_body(&before, &f) == 0) {
        require(validate_edit(&before, &after, &f) == 0);
        require(r->after.tokens <= r->before.tokens);
    }
    require(counter_model_of(c, after.model, &m) == 0);
    require(count_transcript(c, &m, &after, NULL).total >= 0);
    transcript_release(&before);
    transcript_release(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const enum wire_endpoint endpoints[] = {WIRE_CHAT, WIRE_RESPONSES, WIRE_MESSAGES};
    static struct counter *counter; /* kept over all inputs: its tables are large */
    const struct trim_summarizer summarizer = {.make = summary};
    struct trim_policy policy;
    struct trim_result r;
    if (len < 3 || (!counter && counter_new(1, &counter) < 0))
        return 0;
    const char *text = policies[bytes[1] % POLICIES];
    struct trim_input in = {.counter = counter,
                            .endpoint = endpoints[bytes[0] % 3],
                            .body = (const char *)bytes + 2,
                            .len = len - 2,
                            .policy = &policy,
                            .summarizer = &summarizer};
    require(trim_policy_read(json_span_of(text, strlen(text)), &policy, NULL) == 0);
    if (json_scan_check(in.body, in.len, NULL) < 0 || trim(&in, &r, NULL) < 0)
        return 0;
    check(counter, &in, &r);
    trim_result_release(&r);
    return 0;
}
