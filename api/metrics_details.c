/* Histograms of pools, and what bound their requests. */
#include "api/metrics_page.h"

#include <string.h>

/* Bounds are a millisecond above the largest time of a step, since times are whole, cut. */
static void times(const struct metrics_page *page, const char *name, const struct stats_pool *p,
                  struct metrics_label *labels, size_t time)
{
    const int64_t *numbers = p->stored.details + detail_time_at(time, 0);
    struct metrics_bucket buckets[STEP_BUCKETS];
    struct metrics_histogram h = {.buckets = buckets,
                                  .bucket_count = STEP_BUCKETS - 1,
                                  .above = numbers[STEP_BUCKETS - 1],
                                  .sum = (double)numbers[STEP_BUCKETS] / 1000};
    for (size_t i = 0; i + 1 < STEP_BUCKETS; i++)
        buckets[i] = (struct metrics_bucket){(double)(step_top_ms(i) + 1) / 1000, numbers[i]};
    metrics_histogram(page->out, name, labels, &h);
}

static void waits(const struct metrics_page *page)
{
    static const char name[] = "sluice_queue_wait_seconds";
    metrics_family(page->out, name, METRICS_HISTOGRAM,
                   "Time from a request's arrival to its first grant.");
    for (size_t i = 0; i < page->count; i++) {
        struct metrics_label labels[METRICS_POOL_LABELS + 2] = {{NULL, NULL}};
        metrics_label_pool(&page->pools[i].pool, labels);
        for (size_t c = 0; c < CLASS_COUNT; c++) {
            labels[METRICS_POOL_LABELS] =
                (struct metrics_label){"class", pool_class_name((enum pool_class)c)};
            times(page, name, &page->pools[i].pool, labels, c);
        }
    }
}

static void answers(const struct metrics_page *page, const char *name, const char *help,
                    size_t time)
{
    metrics_family(page->out, name, METRICS_HISTOGRAM, help);
    for (size_t i = 0; i < page->count; i++) {
        struct metrics_label labels[METRICS_POOL_LABELS + 1] = {{NULL, NULL}};
        metrics_label_pool(&page->pools[i].pool, labels);
        times(page, name, &page->pools[i].pool, labels, time);
    }
}

static void errors(const struct metrics_page *page)
{
    static const char name[] = "sluice_estimate_ratio";
    metrics_family(page->out, name, METRICS_HISTOGRAM,
                   "Reserved tokens divided by used ones: 1 is a perfect estimate, above it budget "
                   "was held in vain.");
    for (size_t i = 0; i < page->count; i++) {
        const int64_t *numbers = page->pools[i].pool.stored.details + DETAILS_ERRORS;
        struct metrics_label labels[METRICS_POOL_LABELS + 1] = {{NULL, NULL}};
        struct metrics_bucket buckets[ERROR_BOUNDS];
        struct metrics_histogram h = {.buckets = buckets,
                                      .bucket_count = ERROR_BOUNDS,
                                      .above = numbers[ERROR_BOUNDS],
                                      .sum = (double)numbers[ERROR_BOUNDS + 1] / 100};
        for (size_t k = 0; k < ERROR_BOUNDS; k++)
            buckets[k] = (struct metrics_bucket){(double)detail_error_bounds[k] / 100, numbers[k]};
        metrics_label_pool(&page->pools[i].pool, labels);
        metrics_histogram(page->out, name, labels, &h);
    }
}

/* Most limits bind nobody: only those that did are shown. */
static void bounds(const struct metrics_page *page)
{
    static const char name[] = "sluice_bound_decisions_total";
    metrics_family(page->out, name, METRICS_COUNTER,
                   "Requests that did not just pass, by what became of them and which limit it was "
                   "(tenant: one of the tenant's own).");
    for (size_t i = 0; i < page->count; i++) {
        const struct stats_pool *p = &page->pools[i].pool;
        struct metrics_label labels[METRICS_POOL_LABELS + 3] = {{NULL, NULL}};
        metrics_label_pool(p, labels);
        for (size_t k = 0; k < (size_t)DECISION_MAX * BOUND_MAX; k++) {
            enum detail_decision d = (enum detail_decision)(k / BOUND_MAX);
            enum detail_limit l = (enum detail_limit)(k % BOUND_MAX);
            int64_t n = p->stored.details[detail_bound_at(d, l)];
            labels[METRICS_POOL_LABELS] =
                (struct metrics_label){"decision", detail_decision_name(d)};
            labels[METRICS_POOL_LABELS + 1] = (struct metrics_label){"limit", detail_limit_name(l)};
            if (n > 0)
                metrics_int(page->out, name, labels, n);
        }
    }
}

void metrics_details(const struct metrics_page *page)
{
    waits(page);
    answers(page, "sluice_upstream_seconds", "From sending a request to the end of its answer.",
            TIME_UPSTREAM);
    answers(page, "sluice_time_to_first_token_seconds",
            "From sending a request to the first output of its stream.", TIME_FIRST_TOKEN);
    errors(page);
    bounds(page);
}
