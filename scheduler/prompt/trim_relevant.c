/*
 * trim_relevant: of old turns only those stay that have to do with the question.
 *
 * Turns are ranked by BM25 (Robertson and Zaragoza 2009, k1 = 1.2, b = 0.75) against the last
 * message of the user. A word is a run of ASCII letters and digits, whatever their case, and of
 * bytes above them, so that other scripts count too, though without borders between their words.
 * Escapes of JSON end a word. The best turns stay up to the limits on messages and tokens.
 *
 * What stays depends on the question: unlike the other stages this one moves with every turn.
 */
#include "scheduler/prompt/trim_state.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define WHY "an old turn that has little to do with the question"

#define MAX_TERMS  64 /* words of the question; the later ones are not looked at */
#define TERM_SLOTS 256
#define K1         1.2
#define B          0.75

struct turn_rank {
    uint32_t turn;
    uint32_t words;
    double score;
    uint16_t hits[MAX_TERMS];
};

struct ranking {
    const struct trim_state *s;
    uint64_t terms[TERM_SLOTS]; /* hashes of the question's words; 0: free */
    uint8_t number[TERM_SLOTS];
    uint32_t term_count;
    struct turn_rank *turns;
    uint32_t count;
    double average_words;
};

/* ---- words */

struct words {
    const char *p, *end;
};

static bool in_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (unsigned char)c >= 0x80;
}

/* The hash of the next word of two bytes or more, never 0; 0 at the end. */
static uint64_t next_word(struct words *w)
{
    while (w->p < w->end) {
        if (!in_word(*w->p)) {
            w->p += *w->p == '\\' && w->end - w->p > 1 ? 2 : 1;
            continue;
        }
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        const char *from = w->p;
        for (; w->p < w->end && in_word(*w->p); w->p++) {
            unsigned char c = (unsigned char)*w->p;
            hash = (hash ^ (c >= 'A' && c <= 'Z' ? c + 32U : c)) * UINT64_C(0x100000001b3);
        }
        if (w->p - from >= 2)
            return hash | 1;
    }
    return 0;
}

static struct words words_of(const struct transcript_block *b)
{
    struct json_span text = b->value.at ? b->value : b->span;
    return (struct words){text.at, text.at + text.len};
}

/* ---- the question */

static uint32_t slot_of(const struct ranking *r, uint64_t word)
{
    uint32_t at = (uint32_t)(word >> 20) % TERM_SLOTS;
    while (r->terms[at] != 0 && r->terms[at] != word)
        at = (at + 1) % TERM_SLOTS;
    return at;
}

static void add_terms(struct ranking *r, const struct transcript_block *b)
{
    struct words w = words_of(b);
    for (uint64_t word = next_word(&w); word != 0 && r->term_count < MAX_TERMS;
         word = next_word(&w)) {
        uint32_t at = slot_of(r, word);
        if (r->terms[at] != 0)
            continue;
        r->terms[at] = word;
        r->number[at] = (uint8_t)r->term_count++;
    }
}

static void read_question(struct ranking *r)
{
    const struct transcript *t = r->s->t;
    for (uint32_t i = t->last_turn; i < t->count; i++)
        for (uint32_t k = 0; transcript_is_user(t, i) && k < t->messages[i].block_count; k++)
            if (t->blocks[t->messages[i].block + k].kind == BLOCK_TEXT)
                add_terms(r, &t->blocks[t->messages[i].block + k]);
}

/* ---- the turns */

static void read_block(struct ranking *r, struct turn_rank *d, const struct transcript_block *b)
{
    /* Media are long and hold no words. */
    if (b->kind == BLOCK_OTHER)
        return;
    struct words w = words_of(b);
    for (uint64_t word = next_word(&w); word != 0; word = next_word(&w)) {
        uint32_t at = slot_of(r, word);
        d->words++;
        if (r->terms[at] == word && d->hits[r->number[at]] < UINT16_MAX)
            d->hits[r->number[at]]++;
    }
}

static void read_turn(struct ranking *r, uint32_t turn)
{
    const struct trim_state *s = r->s;
    struct turn_rank *d = &r->turns[r->count++];
    *d = (struct turn_rank){.turn = turn};
    for (uint32_t i = s->turn_first[turn]; i < s->turn_first[turn + 1]; i++) {
        const struct transcript_message *m = &s->t->messages[i];
        for (uint32_t k = m->block; k < m->block + m->block_count; k++)
            if (!s->messages[i].dropped && !s->blocks[k].replaced)
                read_block(r, d, &s->t->blocks[k]);
    }
    r->average_words += d->words;
}

static void score(struct ranking *r)
{
    uint32_t having[MAX_TERMS] = {0};
    for (uint32_t i = 0; i < r->count; i++)
        for (uint32_t k = 0; k < r->term_count; k++)
            having[k] += r->turns[i].hits[k] > 0;
    double average = r->count ? r->average_words / r->count : 0;
    for (uint32_t i = 0; i < r->count; i++) {
        struct turn_rank *d = &r->turns[i];
        double length = average > 0 ? 1 - B + B * d->words / average : 1;
        for (uint32_t k = 0; k < r->term_count; k++) {
            double rarity = log(1 + (r->count - having[k] + 0.5) / (having[k] + 0.5));
            d->score += rarity * d->hits[k] * (K1 + 1) / (d->hits[k] + K1 * length);
        }
    }
}

/* The best first; of equals the newer one. */
static int by_score(const void *a, const void *b)
{
    const struct turn_rank *x = a, *y = b;
    if (x->score < y->score || x->score > y->score)
        return x->score > y->score ? -1 : 1;
    return x->turn > y->turn ? -1 : x->turn < y->turn;
}

static void choose(struct trim_state *s, const struct ranking *r)
{
    int64_t messages = 0, tokens = s->total;
    for (uint32_t turn = 0; turn <= s->t->turns; turn++)
        messages += trim_turn_size(s, turn).messages;
    for (uint32_t i = 0; i < r->count; i++) {
        struct trim_size size = trim_turn_size(s, r->turns[i].turn);
        messages -= size.messages;
        tokens -= size.tokens;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        struct trim_size size = trim_turn_size(s, r->turns[i].turn);
        int64_t most = s->policy->max_context_tokens;
        if (r->turns[i].score > 0 && messages + size.messages <= s->policy->max_messages &&
            (most == 0 || tokens + size.tokens <= most)) {
            messages += size.messages;
            tokens += size.tokens;
            continue;
        }
        (void)trim_drop_turn(s, r->turns[i].turn, WHY);
    }
}

void trim_relevant(struct trim_state *s)
{
    uint32_t kept = trim_kept_turn(s);
    struct ranking r = {.s = s, .turns = calloc((size_t)kept + 1, sizeof(struct turn_rank))};
    if (!r.turns) {
        s->failed = -ENOMEM;
        return;
    }
    read_question(&r);
    for (uint32_t turn = 0; turn < kept; turn++)
        if (trim_turn_may_go(s, turn) && trim_turn_size(s, turn).messages > 0)
            read_turn(&r, turn);
    score(&r);
    qsort(r.turns, r.count, sizeof(*r.turns), by_score);
    choose(s, &r);
    free(r.turns);
}
