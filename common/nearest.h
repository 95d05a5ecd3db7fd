/*
 * nearest: which known word a mistyped one was meant to be.
 *
 * Offer every known word; best is then the closest, or NULL when none is close enough to
 * be worth a "did you mean". Distance is the number of inserted, dropped, changed or
 * swapped neighbouring letters (Damerau 1964, optimal string alignment).
 *
 *   ownership  words are borrowed and must outlive the struct.
 *   limits     words longer than NEAREST_MAX_BYTES are never offered back.
 */
#ifndef COMMON_NEAREST_H
#define COMMON_NEAREST_H

#include <stddef.h>

#define NEAREST_MAX_BYTES 64

struct nearest {
    const char *given;
    const char *best; /* NULL: nothing close */
    size_t distance;  /* of best; before the first, one more than is accepted */
};

void nearest_init(struct nearest *n, const char *given);
void nearest_offer(struct nearest *n, const char *word);

#endif
