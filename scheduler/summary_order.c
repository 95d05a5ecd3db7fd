#include "scheduler/summaries.h"

#include "common/limits.h"
#include "common/utf8.h"

#include <stdio.h>

void summary_order_init(struct summary_order *o, const char *tenant, const char *model,
                        const struct trim_summary_ask *ask)
{
    const struct transcript *t = ask->transcript;
    const char *from = t->messages[ask->from].span.at;
    struct json_span last = t->messages[ask->to - 1].span;
    char of_content[DIGEST_HEX_BYTES], both[DIGEST_HEX_BYTES + MODEL_NAME_BYTES + 2];
    *o = (struct summary_order){.weight = 1};
    buf_init(&o->text, HTTP_MAX_BODY_BYTES);
    (void)snprintf(o->tenant, sizeof(o->tenant), "%s", tenant);
    /* A cryptographic one: whoever could make another text of the same hash would put words into
     * the summary of a conversation that is not theirs. */
    digest_hex(from, (size_t)(last.at + last.len - from), of_content, DIGEST_HEX_BYTES - 1);
    int n = snprintf(both, sizeof(both), "%s %s", of_content, model);
    digest_hex(both, (size_t)n, o->digest, DIGEST_HEX_BYTES - 1);
}

void summary_order_release(struct summary_order *o)
{
    buf_release(&o->text);
}

/* The beginning of a text, which a summary can be made of as well. */
static void add_text(struct buf *out, struct json_span value, size_t most)
{
    size_t before = out->len;
    if (json_kind(value) != JSON_STR) {
        size_t len = value.len < most ? value.len : utf8_floor(value.at, value.len, most);
        (void)buf_add(out, value.at ? value.at : "", len);
        return;
    }
    if (json_text(value, out) == 0 && out->len - before > most)
        out->len = before + utf8_floor(out->data + before, out->len - before, most);
}

static void add_block(struct buf *out, const struct transcript_block *b)
{
    if (b->kind == BLOCK_CALL) {
        (void)buf_adds(out, "[calls ");
        add_text(out, b->name, MODEL_NAME_BYTES);
        (void)buf_adds(out, " with ");
        add_text(out, b->value, SUMMARY_MAX_BLOCK_BYTES);
        (void)buf_adds(out, "]\n");
    } else if (b->kind == BLOCK_RESULT) {
        (void)buf_adds(out, "[result: ");
        add_text(out, b->value, SUMMARY_MAX_BLOCK_BYTES);
        (void)buf_adds(out, "]\n");
    } else if (b->kind == BLOCK_TEXT) {
        add_text(out, b->value, SUMMARY_MAX_BLOCK_BYTES * 4);
        (void)buf_adds(out, "\n");
    }
}

int summary_order_fill(struct summary_order *o, const struct trim_summary_ask *ask)
{
    static const char *const names[] = {[ROLE_SYSTEM] = NULL,
                                        [ROLE_USER] = "User",
                                        [ROLE_ASSISTANT] = "Assistant",
                                        [ROLE_TOOL] = "Tool",
                                        [ROLE_OTHER] = "Other"};
    const struct transcript *t = ask->transcript;
    for (uint32_t i = ask->from; i < ask->to; i++) {
        const struct transcript_message *m = &t->messages[i];
        if (!names[m->role])
            continue; /* stays where it is */
        (void)buf_addf(&o->text, "%s: ", names[m->role]);
        for (uint32_t k = m->block; k < m->block + m->block_count; k++)
            add_block(&o->text, &t->blocks[k]);
    }
    return o->text.failed ? o->text.failed : o->text.len > 0 ? 0 : -1;
}
