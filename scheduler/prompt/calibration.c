#include "scheduler/prompt/calibration.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define TAU             0.98
#define LEAST_STEP      0.02 /* of the mean */
#define LEAST_GAMMA     0.01 /* of the quantiles */
#define FIRST_GAMMA     0.15
#define ANCHORED_GUESS  0.03 /* before anything was learned */
#define MOST_LOG        2.0  /* a factor of 7: beyond it somebody counts something else */
#define WHOLE_SAMPLE    1000 /* tokens: a bill of fewer says less about the ratio */
#define SMALLEST_SAMPLE 32

static double within(double value, double most)
{
    return fmax(-most, fmin(value, most));
}

void calibration_init(struct calibration *c, int64_t reserve_permille)
{
    *c = (struct calibration){.cold = log((double)reserve_permille / 1000),
                              .anchored = ANCHORED_GUESS};
}

/* Foreseen before anything is put on top: at least 1. */
static double foresee(const struct calibration *c, int64_t counted,
                      const struct calibration_anchor *anchor)
{
    double ratio = exp(c->ratio), whole = (double)counted * ratio;
    if (!anchor || anchor->billed <= 0)
        return fmax(1, whole);
    double more = (double)(counted - anchor->counted) * ratio;
    return fmax(1, (double)anchor->billed + more);
}

static bool has(const struct calibration_anchor *anchor)
{
    return anchor && anchor->billed > 0;
}

struct calibration_guess calibration_guess(const struct calibration *c, int64_t counted,
                                           const struct calibration_anchor *anchor)
{
    double tokens = foresee(c, counted, anchor);
    double top = tokens * exp(has(anchor) ? c->anchored : c->cold);
    return (struct calibration_guess){(int64_t)ceil(tokens), (int64_t)ceil(fmax(tokens, top))};
}

static void follow(double *log_value, int64_t *samples, double seen)
{
    double gamma = fmax(LEAST_GAMMA, FIRST_GAMMA / sqrt((double)++*samples));
    *log_value += gamma * (seen > *log_value ? TAU : TAU - 1);
    *log_value = within(*log_value, MOST_LOG);
}

/* The mean moves by what is new: of a whole bill, or of what came behind the anchor. */
static void follow_ratio(struct calibration *c, double counted, double billed)
{
    if (counted < SMALLEST_SAMPLE || billed < 1)
        return;
    double step = fmax(LEAST_STEP, 1 / (double)(c->samples + 2));
    step *= fmin(1, counted / WHOLE_SAMPLE);
    c->ratio += step * within(log(billed / counted) - c->ratio, 1);
    c->ratio = within(c->ratio, MOST_LOG);
    c->samples++;
}

void calibration_learn(struct calibration *c, int64_t counted,
                       const struct calibration_anchor *anchor, int64_t billed)
{
    if (counted < 1 || billed < 1)
        return;
    double seen = within(log((double)billed / foresee(c, counted, anchor)), MOST_LOG);
    if (has(anchor)) {
        follow(&c->anchored, &c->anchors, seen);
        follow_ratio(c, (double)(counted - anchor->counted), (double)(billed - anchor->billed));
    } else {
        follow(&c->cold, &c->colds, seen);
        follow_ratio(c, (double)counted, (double)billed);
    }
}

/* ---- together */

static double mean(double a, int64_t of_a, double b, int64_t of_b)
{
    return of_a + of_b > 0 ? (a * (double)of_a + b * (double)of_b) / (double)(of_a + of_b) : a;
}

static int64_t since(int64_t now, int64_t then)
{
    return now > then ? now - then : 0;
}

struct calibration calibration_merge(const struct calibration *base, const struct calibration *a,
                                     const struct calibration *b)
{
    int64_t s1 = since(a->samples, base->samples), s2 = since(b->samples, base->samples);
    int64_t c1 = since(a->colds, base->colds), c2 = since(b->colds, base->colds);
    int64_t n1 = since(a->anchors, base->anchors), n2 = since(b->anchors, base->anchors);
    return (struct calibration){
        .ratio = mean(a->ratio, s1, b->ratio, s2),
        .cold = mean(a->cold, c1, b->cold, c2),
        .anchored = mean(a->anchored, n1, b->anchored, n2),
        .samples = base->samples + s1 + s2,
        .colds = base->colds + c1 + c2,
        .anchors = base->anchors + n1 + n2,
    };
}

void calibration_write(const struct calibration *c, char out[CALIBRATION_TEXT_BYTES])
{
    (void)snprintf(out, CALIBRATION_TEXT_BYTES, "1 %.6f %.6f %.6f %" PRId64 " %" PRId64 " %" PRId64,
                   c->ratio, c->cold, c->anchored, c->samples, c->colds, c->anchors);
}

bool calibration_read(const char *text, struct calibration *ret)
{
    struct calibration c;
    int version = 0;
    if (sscanf(text, "%d %lf %lf %lf %" SCNd64 " %" SCNd64 " %" SCNd64, &version, &c.ratio, &c.cold,
               &c.anchored, &c.samples, &c.colds, &c.anchors) != 7 ||
        version != 1)
        return false;
    /* Written so that a NaN fails it as well. */
    bool sane = fabs(c.ratio) <= MOST_LOG && fabs(c.cold) <= MOST_LOG &&
                fabs(c.anchored) <= MOST_LOG && c.samples >= 0 && c.colds >= 0 && c.anchors >= 0;
    if (sane)
        *ret = c;
    return sane;
}
