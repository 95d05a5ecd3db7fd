#include "scheduler/provider/wire.h"

#include "scheduler/provider/wire_content.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/*
 * How the weights were found. 4,393 texts of 300 bytes and more (English and 16 other
 * languages from manual pages, Markdown, C, Python, JavaScript, TypeScript, shell, HTML, JSON,
 * XML, CSV, logs, random hexadecimal and base64, and the messages of 200 recorded agent
 * conversations with tool calls) were counted with the real o200k and cl100k vocabularies and
 * with a fitted stand-in for Claude's (its old public vocabulary times 1.10, said to be within
 * 2 % of count_tokens for the 4.5 models). A linear programme then looked for the weights,
 * none negative, with the least error when being too low costs 32 times as much as being too
 * high; letters, digits and emoji have a floor, so that a text without borders is not free.
 * Claude's were then moved by hand from words to letters and marks, which covers TypeScript,
 * and those of Chinese, Japanese and Korean lowered: simplified Chinese was twice too high.
 *
 *             4,393 texts            1,831 requests made of the conversations
 *   family    est >= count   mean    est >= count   lowest   mean   highest
 *   o200k     97.5 %         1.16    100 %          1.10     1.19   1.26
 *   cl100k    97.7 %         1.20    100 %          1.13     1.28   1.38
 *   claude    96.8 %         1.21    100 %          1.15     1.36   1.50
 *
 * A whole request is steadier than its single texts. Claude's newer vocabulary (Opus 4.7 and
 * all of generation 5) has no public stand-in; recorded counts put it at 1.15 (JSON) to 1.34
 * (code) times the older one, and 1.35 is taken. Vocabularies that are not known are taken as
 * cl100k and a tenth: published ratios lie at 1.00 to 1.08.
 */

/* Thousandths of a token for each of what struct wire_text counts. */
struct weights {
    int words, letters, numbers, digits, spaced_numbers;
    int mark_runs, marks, blank_runs;
    int two_bytes, three_bytes, four_bytes;
};

/* What a request costs beside its text. Per message: role, frame and a name. A tool's
 * definition is counted as JSON; OpenAI renders it more briefly, Anthropic with more around. */
struct overheads {
    int request, message, tools, tool;
    int image, image_low;
};

enum vocabulary { O200K, CL100K, CLAUDE };

static const struct weights weights[] = {
    [O200K] = {.words = 1072,
               .letters = 50,
               .numbers = 2038,
               .digits = 200,
               .spaced_numbers = 576,
               .mark_runs = 237,
               .marks = 304,
               .blank_runs = 1743,
               .two_bytes = 394,
               .three_bytes = 1333,
               .four_bytes = 2000},
    [CL100K] = {.words = 1252,
                .letters = 50,
                .numbers = 1874,
                .digits = 200,
                .spaced_numbers = 518,
                .mark_runs = 234,
                .marks = 270,
                .blank_runs = 1458,
                .two_bytes = 761,
                .three_bytes = 1700,
                .four_bytes = 2500},
    [CLAUDE] = {.words = 1500,
                .letters = 80,
                .numbers = 1675,
                .digits = 200,
                .spaced_numbers = 0,
                .mark_runs = 450,
                .marks = 230,
                .blank_runs = 1460,
                .two_bytes = 1004,
                .three_bytes = 1850,
                .four_bytes = 2500},
};

enum frame { OPENAI, ANTHROPIC, UNKNOWN };

/* An image without its size in pixels: the dearest form it can take, tiles of gpt-4o
 * (85 + 170 x 8), 1568 pixels of the longer edge at Anthropic. */
static const struct overheads overheads[] = {
    [OPENAI] = {.request = 8, .message = 5, .tools = 24, .tool = 8, .image = 1445, .image_low = 85},
    [ANTHROPIC] =
        {.request = 12, .message = 4, .tools = 549, .tool = 53, .image = 1600, .image_low = 1600},
    [UNKNOWN] =
        {.request = 16, .message = 6, .tools = 187, .tool = 71, .image = 2000, .image_low = 2000},
};

/* By the longest name that the model's name holds: it may stand behind a vendor's prefix
 * (openai/gpt-4o, us.anthropic.claude-sonnet-4-5). A Claude that is not listed is a newer one. */
static const struct family {
    const char *name;
    enum vocabulary vocabulary;
    enum frame frame;
    int percent;     /* of the vocabulary's weights */
    int image_times; /* mini models bill images as if they were larger */
} families[] = {
    {"", CL100K, UNKNOWN, 110, 1},
    {"gpt-", O200K, OPENAI, 100, 1},
    {"chatgpt-", O200K, OPENAI, 100, 1},
    {"gpt-3.5", CL100K, OPENAI, 100, 1},
    {"gpt-4", CL100K, OPENAI, 100, 1},
    {"gpt-4o", O200K, OPENAI, 100, 1},
    {"gpt-4o-mini", O200K, OPENAI, 100, 34},
    {"gpt-4.1", O200K, OPENAI, 100, 1},
    {"gpt-4.1-mini", O200K, OPENAI, 100, 2},
    {"gpt-4.1-nano", O200K, OPENAI, 100, 3},
    {"gpt-4.5", O200K, OPENAI, 100, 1},
    {"gpt-5-mini", O200K, OPENAI, 100, 2},
    {"gpt-5-nano", O200K, OPENAI, 100, 3},
    {"o1-", O200K, OPENAI, 100, 1},
    {"o3-", O200K, OPENAI, 100, 1},
    {"o4-mini", O200K, OPENAI, 100, 2},
    {"text-embedding-", CL100K, OPENAI, 100, 1},
    {"claude", CLAUDE, ANTHROPIC, 135, 3},
    {"claude-2", CLAUDE, ANTHROPIC, 100, 1},
    {"claude-3", CLAUDE, ANTHROPIC, 100, 1},
    {"claude-instant", CLAUDE, ANTHROPIC, 100, 1},
    {"claude-haiku-4", CLAUDE, ANTHROPIC, 100, 1},
    {"claude-sonnet-4", CLAUDE, ANTHROPIC, 100, 1},
    {"claude-opus-4", CLAUDE, ANTHROPIC, 100, 1},
    {"claude-opus-4-7", CLAUDE, ANTHROPIC, 135, 3},
    {"claude-opus-4-8", CLAUDE, ANTHROPIC, 135, 3},
    {"claude-opus-4-9", CLAUDE, ANTHROPIC, 135, 3},
};

static int64_t opaque_tokens(int64_t base64_bytes)
{
    return base64_bytes * WIRE_OPAQUE_TOKENS / WIRE_OPAQUE_CHARS;
}

static const struct family *family_of(enum wire_endpoint endpoint, const char *model)
{
    const struct family *best = &families[0];
    size_t longest = 0;
    for (size_t i = 1; i < sizeof(families) / sizeof(families[0]); i++) {
        size_t len = strlen(families[i].name);
        if (len > longest && strstr(model, families[i].name)) {
            best = &families[i];
            longest = len;
        }
    }
    if (longest > 0 || wire_format_of(endpoint) != WIRE_ANTHROPIC)
        return best;
    return family_of(endpoint, "claude"); /* an alias; the format tells the vendor */
}

static int64_t weighed(const struct wire_text *t, const struct weights *w)
{
    return t->words * w->words + t->letters * w->letters + t->numbers * w->numbers +
           t->digits * w->digits + t->spaced_numbers * w->spaced_numbers +
           t->mark_runs * w->mark_runs + t->marks * w->marks + t->blank_runs * w->blank_runs +
           t->two_bytes * w->two_bytes + t->three_bytes * w->three_bytes +
           t->four_bytes * w->four_bytes;
}

static int64_t text_tokens(const struct wire_request *r, const struct family *f,
                           double chars_per_token)
{
    if (chars_per_token > 0)
        return (int64_t)fmin(ceil((double)r->input_bytes / chars_per_token),
                             (double)r->input_bytes * 8);
    const struct weights *w = &weights[f->vocabulary];
    int64_t thousandths = weighed(&r->text, w) + weighed(&r->schema, w);
    return (thousandths * f->percent / 100 + 999) / 1000;
}

static int64_t media_tokens(const struct wire_request *r, const struct family *f)
{
    const struct overheads *o = &overheads[f->frame];
    int64_t images = (r->images - r->images_low) * o->image + r->images_low * o->image_low;
    int64_t files = r->file_bytes / WIRE_FILE_BYTES_PER_TOKEN;
    if (files < r->files * WIRE_FILE_MIN_TOKENS)
        files = r->files * WIRE_FILE_MIN_TOKENS;
    return images * f->image_times + files + r->audio_ms / WIRE_AUDIO_MS_PER_TOKEN +
           opaque_tokens(r->opaque_bytes);
}

int64_t wire_estimate_input(enum wire_endpoint endpoint, const struct wire_request *r,
                            const char *model, double chars_per_token)
{
    const struct family *f = family_of(endpoint, model);
    const struct overheads *o = &overheads[f->frame];
    int64_t tokens = text_tokens(r, f, chars_per_token) + media_tokens(r, f) + r->token_ids;
    /* Plain prompts and inputs stand alone; messages have a frame. */
    if (endpoint != WIRE_COMPLETIONS && endpoint != WIRE_EMBEDDINGS)
        tokens += o->request + r->messages * o->message;
    if (r->tools > 0)
        tokens += o->tools + r->tools * o->tool;
    return tokens > 0 ? tokens : 1;
}
