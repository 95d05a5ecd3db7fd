#include "common/nearest.h"

#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Rows of the usual table, of which three are kept: a swap looks back two. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][NEAREST_MAX_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_len; j++)
        last[j] = j;
    memcpy(before, last, sizeof(rows[0]));
    for (size_t i = 1; i <= a_len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(change, least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b_len];
}

void nearest_init(struct nearest *n, const char *given)
{
    /* A third of the letters may be wrong, and one in any word. */
    *n = (struct nearest){.given = given, .distance = strlen(given) / 3 + 2};
}

void nearest_offer(struct nearest *n, const char *word)
{
    size_t given_len = strlen(n->given), len = strlen(word);
    if (given_len > NEAREST_MAX_BYTES || len > NEAREST_MAX_BYTES)
        return;

    size_t d = distance(n->given, given_len, word, len);
    if (d < n->distance) {
        n->distance = d;
        n->best = word;
    }
}
