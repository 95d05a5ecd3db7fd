/*
 * trim_selective: of old turns only those stay in which something happened.
 *
 * A turn stays with tool calls in it, with an error, or with the marker of the policy; small
 * talk goes. Turns go whole, since half of one would leave an answer without its question.
 */
#include "scheduler/prompt/trim_state.h"

#include <string.h>

#define WHY "an old turn without tools, errors or marks"

/* How the texts of errors begin or what they hold near their beginning. */
static bool tells_error(struct json_span text)
{
    static const char *const signs[] = {"error",     "Error",  "ERROR",  "exception", "Exception",
                                        "Traceback", "failed", "Failed", "FAILED"};
    size_t len = text.len < 200 ? text.len : 200;
    for (size_t i = 0; text.at && i < sizeof(signs) / sizeof(signs[0]); i++)
        if (memmem(text.at, len, signs[i], strlen(signs[i])))
            return true;
    return false;
}

static bool is_marked(const struct trim_state *s, struct json_span message)
{
    const char *marker = s->policy->marker;
    return *marker && memmem(message.at, message.len, marker, strlen(marker));
}

static bool matters(const struct trim_state *s, uint32_t turn)
{
    const struct transcript *t = s->t;
    for (uint32_t i = s->turn_first[turn]; i < s->turn_first[turn + 1]; i++) {
        const struct transcript_message *m = &t->messages[i];
        if (is_marked(s, m->span))
            return true;
        for (uint32_t k = m->block; k < m->block + m->block_count; k++) {
            enum block_kind kind = t->blocks[k].kind;
            if (kind == BLOCK_CALL || kind == BLOCK_RESULT || tells_error(t->blocks[k].value))
                return true;
        }
    }
    return false;
}

void trim_selective(struct trim_state *s)
{
    uint32_t kept = trim_kept_turn(s);
    for (uint32_t turn = 0; turn < kept; turn++)
        if (trim_turn_may_go(s, turn) && !matters(s, turn))
            (void)trim_drop_turn(s, turn, WHY);
}
