#include "scheduler/prompt/count.h"

#include "common/limits.h"
#include "scheduler/prompt/count_schema.h"
#include "scheduler/prompt/count_text.h"
#include "scheduler/prompt/model_encoding.h"
#include "scheduler/prompt/tokenizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct counter {
    struct tokenizers *tokenizers;
    struct count_memo *memo;
    struct buf scratch;
    struct count_budget budget;
    bool limited;
    uint64_t seed;
};

int counter_new(uint64_t seed, struct counter **ret)
{
    struct counter *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->seed = seed;
    buf_init(&c->scratch, (size_t)HTTP_MAX_BODY_BYTES * 2);
    if (tokenizers_new(&c->tokenizers) < 0 || count_memo_new(&c->memo) < 0) {
        counter_free(c);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

void counter_free(struct counter *c)
{
    if (!c)
        return;
    tokenizers_free(c->tokenizers);
    count_memo_free(c->memo);
    buf_release(&c->scratch);
    free(c);
}

void counter_at_most(struct counter *c, size_t bytes)
{
    c->budget = (struct count_budget){.left = bytes, .rough = c->budget.rough};
    c->limited = true;
}

void counter_whole(struct counter *c)
{
    c->limited = false;
}

uint64_t counter_rough(const struct counter *c)
{
    return c->budget.rough;
}

int counter_model(struct counter *c, const char *model, struct count_model *ret)
{
    const char *slash = strrchr(model, '/');
    const char *name = slash ? slash + 1 : model;
    struct count_model m = {.family = count_family(model), .exact = model_encoding(name) != NULL};
    int rc = tokenizer_for_model(c->tokenizers, name, &m.tokenizer, NULL);
    if (rc < 0)
        return rc;
    /* The tokenizer's address tells the vocabularies apart, as the set keeps each only once. */
    m.salt = (uint64_t)(uintptr_t)m.tokenizer + count_family_index(m.family);
    *ret = m;
    return 0;
}

int counter_model_of(struct counter *c, struct json_span model, struct count_model *ret)
{
    struct json_span inside = json_inside(model);
    char name[MODEL_NAME_BYTES] = "";
    if (inside.len < sizeof(name))
        memcpy(name, inside.at ? inside.at : "", inside.len);
    return counter_model(c, name, ret);
}

/* ---- sizes, through the memo */

/* The same bytes can be counted as different things. */
enum what { VALUE, MESSAGE, TOOLS, JSON };

static uint32_t clamp(uint64_t tokens)
{
    return tokens < INT32_MAX ? (uint32_t)tokens : INT32_MAX;
}

static void add_message(struct count_sum *s, struct json_span message)
{
    count_sum_content(s, message);
    if (s->family->frame->name > 0 && json_kind(json_get(message, "name")) == JSON_STR)
        s->flat += (uint64_t)s->family->frame->name;
}

static struct count_size size_of(struct counter *c, const struct count_model *m, enum what what,
                                 struct json_span value)
{
    struct count_size size = {0};
    if (!value.at)
        return size;
    struct content_hash key = content_hash(value.at, value.len, c->seed + (m->salt << 2) + what);
    if (count_memo_find(c->memo, key, &size))
        return size;
    struct count_sum s = {.tokenizer = m->tokenizer,
                          .family = m->family,
                          .scratch = &c->scratch,
                          .budget = c->limited ? &c->budget : NULL};
    uint64_t rough = c->budget.rough;
    if (what == MESSAGE)
        add_message(&s, value);
    else if (what == TOOLS)
        count_schema(&s, m->family->frame, value);
    else if (what == JSON)
        count_sum_json(&s, value);
    else
        count_sum_content(&s, value);
    size = (struct count_size){clamp(s.text), clamp(s.flat)};
    if (!c->limited || c->budget.rough == rough)
        count_memo_put(c->memo, key, size);
    return size;
}

struct count_size count_value(struct counter *c, const struct count_model *m,
                              struct json_span value)
{
    return size_of(c, m, VALUE, value);
}

struct count_size count_json(struct counter *c, const struct count_model *m, struct json_span value)
{
    return size_of(c, m, JSON, value);
}

struct count_size count_text(struct counter *c, const struct count_model *m, const char *text,
                             size_t len)
{
    (void)c;
    return (struct count_size){.text = clamp(tokenizer_count(m->tokenizer, text, len))};
}

int64_t count_tokens(const struct count_model *m, struct count_size size)
{
    return ((int64_t)size.text * m->family->ratio + 999) / 1000 + size.flat;
}

int64_t count_message(const struct count_model *m, struct count_size size)
{
    return count_tokens(m, size) + m->family->frame->message;
}

/* ---- whole requests */

struct adder {
    struct counter *c;
    const struct count_model *m;
    int64_t tokens, reserved;
};

static int64_t reserve(const struct count_model *m, struct count_size size)
{
    return ((int64_t)size.text * m->family->reserve + 999) / 1000 + size.flat;
}

static void add(struct adder *a, enum what what, struct json_span value)
{
    struct count_size size = size_of(a->c, a->m, what, value);
    a->tokens += count_tokens(a->m, size);
    a->reserved += reserve(a->m, size);
}

static void add_frame(struct adder *a, int64_t tokens)
{
    a->tokens += tokens;
    a->reserved += tokens;
}

/* The schema of the answer is put before the model; a plain json_object costs nothing. */
static void add_answer_schema(struct adder *a, const struct transcript *t)
{
    for (size_t i = 0; i < TRANSCRIPT_FORMATS; i++) {
        struct json_span format = t->formats[i];
        if (json_kind(format) != JSON_OBJ)
            continue;
        add(a, JSON, json_get(format, "json_schema"));
        add(a, JSON, json_get(format, "schema"));
        add(a, JSON, json_get(json_get(format, "format"), "schema"));
    }
}

static void add_fixed(struct adder *a, const struct transcript *t)
{
    const struct count_frame *frame = a->m->family->frame;
    add_frame(a, frame->request);
    if (t->system.at) {
        add(a, VALUE, t->system);
        add_frame(a, t->endpoint == WIRE_RESPONSES ? frame->message : 0);
    }
    add(a, TOOLS, t->tools);
    add_answer_schema(a, t);
    if (!t->input.at)
        return;
    add(a, VALUE, t->input);
    add_frame(a, frame->message);
}

struct count_total count_transcript(struct counter *c, const struct count_model *m,
                                    const struct transcript *t, struct count_size *sizes)
{
    struct adder a = {.c = c, .m = m};
    add_fixed(&a, t);
    struct count_total total = {.fixed = a.tokens};
    for (uint32_t i = 0; i < t->count; i++) {
        struct count_size size = size_of(c, m, MESSAGE, t->messages[i].span);
        total.messages += count_message(m, size);
        a.reserved += reserve(m, size) + m->family->frame->message;
        if (sizes)
            sizes[i] = size;
    }
    total.total = total.fixed + total.messages;
    total.reserved = a.reserved > total.total ? a.reserved : total.total;
    return total;
}
