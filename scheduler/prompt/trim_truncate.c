/*
 * trim_truncate: each tool result is cut to a length.
 *
 * Two thirds of what stays are the beginning and one third the end, since errors and totals
 * stand there; between them a note says how much is missing. A result of several texts shares
 * the length among them; images and other media in it stay.
 */
#include "scheduler/prompt/trim_state.h"

#include "common/utf8.h"

#include <inttypes.h>

#define WHY "a result longer than the limit"

/* Longer than the note can become, so that a text that is cut is never longer than before. */
#define NOTE_MAX_CHARS 40

struct text {
    const struct buf *bytes; /* decoded */
    int64_t chars;
};

static int64_t count_chars(const char *bytes, size_t len)
{
    int64_t chars = 0;
    for (size_t i = 0; i < len; i++)
        chars += ((unsigned char)bytes[i] & 0xC0) != 0x80;
    return chars;
}

/* How many bytes the first n characters have. */
static size_t bytes_of(const char *bytes, size_t len, int64_t n)
{
    size_t i = 0;
    while (i < len && n > 0) {
        i++;
        while (i < len && ((unsigned char)bytes[i] & 0xC0) == 0x80)
            i++;
        n--;
    }
    return i;
}

static void add_cut(struct buf *out, const struct text *text, int64_t limit)
{
    const char *bytes = text->bytes->data;
    size_t len = text->bytes->len;
    int64_t room = limit > NOTE_MAX_CHARS ? limit - NOTE_MAX_CHARS : 0;
    int64_t head = room > 0 ? room - room / 3 : limit, tail = room / 3;
    size_t head_bytes = bytes_of(bytes, len, head);
    size_t tail_at = bytes_of(bytes, len, text->chars - tail);
    (void)buf_adds(out, "\"");
    (void)buf_add_json(out, bytes, head_bytes);
    if (room > 0) {
        (void)buf_addf(out, "\\n[%" PRId64 " characters cut]\\n", text->chars - head - tail);
        (void)buf_add_json(out, bytes + tail_at, len - tail_at);
    }
    (void)buf_adds(out, "\"");
}

/* Adds the string, cut when it has more than limit characters. Whether it was cut. */
static bool add_string(struct buf *out, struct json_span string, int64_t limit)
{
    struct buf plain;
    bool cut = false;
    buf_init(&plain, string.len + 1);
    /* Bytes are at least as many as characters. */
    if ((int64_t)string.len > limit && json_text(string, &plain) == 0) {
        struct text text = {&plain, count_chars(plain.data, plain.len)};
        cut = text.chars > limit;
        if (cut)
            add_cut(out, &text, limit);
    }
    if (!cut)
        (void)buf_add(out, string.at, string.len);
    buf_release(&plain);
    return cut;
}

/* A list of content blocks: the texts are cut, all other bytes are copied. */
static bool add_list(struct buf *out, struct json_span list, int64_t limit)
{
    int64_t texts = 0;
    struct json_iter it = json_iter(list);
    while (json_next(&it))
        texts += json_kind(json_get(it.value, "text")) == JSON_STR;
    if (texts == 0)
        return false;
    bool cut = false;
    int64_t share = limit / texts > 0 ? limit / texts : 1;
    const char *p = list.at;
    it = json_iter(list);
    while (json_next(&it)) {
        struct json_span text = json_get(it.value, "text");
        if (json_kind(text) != JSON_STR)
            continue;
        (void)buf_add(out, p, (size_t)(text.at - p));
        cut = add_string(out, text, share) || cut;
        p = text.at + text.len;
    }
    (void)buf_add(out, p, (size_t)(list.at + list.len - p));
    return cut;
}

/* The block from which on results stay whole. */
static uint32_t first_whole(const struct trim_state *s)
{
    uint32_t k = s->t->block_count;
    for (int64_t keep = s->policy->keep_results; k > 0 && keep > 0; k--)
        keep -= s->t->blocks[k - 1].kind == BLOCK_RESULT;
    return s->policy->keep_results > 0 ? k : s->t->block_count;
}

void trim_truncate(struct trim_state *s)
{
    uint32_t whole = first_whole(s);
    for (uint32_t k = 0; k < whole; k++) {
        const struct transcript_block *b = &s->t->blocks[k];
        bool there = b->kind == BLOCK_RESULT && !s->blocks[k].dropped && !s->blocks[k].replaced &&
                     !s->messages[b->message].dropped;
        if (!there || (int64_t)b->value.len <= s->policy->max_tool_result_chars)
            continue;
        size_t start = s->texts.len;
        bool cut = json_kind(b->value) == JSON_STR
                       ? add_string(&s->texts, b->value, s->policy->max_tool_result_chars)
                       : add_list(&s->texts, b->value, s->policy->max_tool_result_chars);
        if (cut)
            (void)trim_replace(s, k, s->texts.len - start, WHY);
        else if (!s->texts.failed)
            s->texts.len = start;
    }
}
