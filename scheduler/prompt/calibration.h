/*
 * calibration: what a provider's own counts say about ours, for one model.
 *
 * Where a vocabulary is not public, or a provider adds texts of its own, counts are off by a
 * factor that is steady for a model. Answers tell what was billed, so the factor is learned: its
 * logarithm by an exponential mean, and what 98 of 100 requests do not exceed by stochastic
 * approximation (limiter/quantile.h does the same with outputs). What is foreseen from the last
 * bill of the same conversation (an anchor) errs far less, so it has a quantile of its own.
 *
 *   units      tokens; logarithms of factors.
 *   ownership  a plain struct.
 *   threads    none; no clock.
 *   sources    Robbins and Monro (1951); the steps were chosen on recorded counts of Claude.
 */
#ifndef SCHEDULER_PROMPT_CALIBRATION_H
#define SCHEDULER_PROMPT_CALIBRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct calibration {
    double ratio;          /* log of billed / counted */
    double cold, anchored; /* logs of the quantiles of billed / foreseen */
    int64_t samples, colds, anchors;
};

/* reserve: counted times this, in thousandths, is what 98 of 100 requests do not exceed. */
void calibration_init(struct calibration *c, int64_t reserve_permille);

struct calibration_anchor {
    int64_t billed, counted; /* of the request that the new one goes on from; billed 0: none */
};

/* What a request of that count is likely to be billed, and what is to be reserved for it. */
struct calibration_guess {
    int64_t tokens, reserved;
};
struct calibration_guess calibration_guess(const struct calibration *c, int64_t counted,
                                           const struct calibration_anchor *anchor);

/* It was billed. Amounts below 1 are left out. */
void calibration_learn(struct calibration *c, int64_t counted,
                       const struct calibration_anchor *anchor, int64_t billed);

/* What two instances learned since both were at `base`, in one: by the number of samples. */
struct calibration calibration_merge(const struct calibration *base, const struct calibration *a,
                                     const struct calibration *b);

#define CALIBRATION_TEXT_BYTES 192
/* One line of text, for the store; read gives false for anything else. */
void calibration_write(const struct calibration *c, char out[CALIBRATION_TEXT_BYTES]);
bool calibration_read(const char *text, struct calibration *ret);

#endif
