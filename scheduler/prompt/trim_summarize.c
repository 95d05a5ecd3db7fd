/*
 * trim_summarize: old turns become their summary.
 *
 * The summary itself is made elsewhere, by a call of its own; here it is asked for, and until
 * it is there tool_results stands in. It is put as a message of the user and a word of the
 * assistant's, which every format accepts before a message of the user. The turns are taken
 * keep_turns at a time, so that one summary serves for several requests.
 */
#include "scheduler/prompt/trim_state.h"

#include "common/limits.h"

#define WHY_GONE    "it is in the summary"
#define WHY_SUMMARY "the summary of what went"
#define WHY_ANSWER  "keeps the roles alternating"

static uint32_t last_summarized(const struct trim_state *s)
{
    uint32_t kept = trim_kept_turn(s);
    uint32_t step =
        (uint32_t)(s->policy->keep_turns < UINT32_MAX ? s->policy->keep_turns : UINT32_MAX);
    uint32_t old = kept > 0 ? kept - 1 : 0;
    return old / step * step;
}

static bool ask(const struct trim_state *s, uint32_t from, uint32_t to, struct buf *out)
{
    const struct trim_summarizer *maker = s->in->summarizer;
    if (!maker || !maker->make)
        return false;
    const char *first = s->t->messages[from].span.at;
    struct json_span last = s->t->messages[to - 1].span;
    struct trim_summary_ask question = {
        .transcript = s->t,
        .from = from,
        .to = to,
        .key = content_hash(first, (size_t)(last.at + last.len - first), 0),
    };
    for (uint32_t i = from; i < to; i++)
        question.tokens += s->messages[i].dropped ? 0 : s->messages[i].tokens;
    return maker->make(maker->arg, &question, out) == 0 && out->len > 0 && out->failed == 0;
}

/* Puts the message as JSON at the end of `texts`; its length. */
static size_t write_message(struct trim_state *s, const char *role, const struct buf *text)
{
    size_t start = s->texts.len;
    (void)buf_addf(&s->texts, "{\"role\":\"%s\",\"content\":\"", role);
    (void)buf_add_json(&s->texts, text->data, text->len);
    (void)buf_adds(&s->texts, "\"}");
    return s->texts.len - start;
}

static bool is_worth_it(struct trim_state *s, uint32_t from_turn, uint32_t to_turn,
                        const struct buf *summary)
{
    int64_t gone = 0;
    for (uint32_t turn = from_turn; turn < to_turn; turn++)
        if (trim_turn_may_go(s, turn))
            gone += trim_turn_size(s, turn).tokens;
    struct count_size size = count_text(s->in->counter, &s->model, summary->data, summary->len);
    /* The heading and the answer are 20 tokens or less. */
    return gone > count_message(&s->model, size) + 20 + 2 * s->model.family->frame->message;
}

static void put(struct trim_state *s, uint32_t before, const struct buf *summary)
{
    struct buf text;
    buf_init(&text, (size_t)HTTP_MAX_BODY_BYTES);
    (void)buf_adds(&text, "[Summary of the earlier conversation]\n");
    (void)buf_add(&text, summary->data, summary->len);
    if (text.failed)
        s->failed = text.failed;
    trim_insert(s, before, write_message(s, "user", &text), WHY_SUMMARY);
    buf_clear(&text);
    if (buf_adds(&text, "Understood.") < 0)
        s->failed = text.failed;
    trim_insert(s, before, write_message(s, "assistant", &text), WHY_ANSWER);
    buf_release(&text);
}

void trim_summarize(struct trim_state *s)
{
    uint32_t end = last_summarized(s) + 1, first = 0;
    struct buf summary;
    while (first < end && !trim_turn_may_go(s, first))
        first++;
    buf_init(&summary, (size_t)HTTP_MAX_BODY_BYTES);
    bool made = first < end && ask(s, s->turn_first[first], s->turn_first[end], &summary) &&
                is_worth_it(s, first, end, &summary);
    if (made) {
        for (uint32_t turn = first; turn < end; turn++)
            if (trim_turn_may_go(s, turn))
                (void)trim_drop_turn(s, turn, WHY_GONE);
        put(s, s->turn_first[end], &summary);
    }
    buf_release(&summary);
    if (made)
        return;
    s->stage = TRIM_TOOL_RESULTS;
    trim_tool_results(s);
}
