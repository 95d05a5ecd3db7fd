#include "common/metrics.h"

#include "common/buf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_BYTES 40
#define NAME_BYTES   80

static void add_escaped(struct buf *out, const char *text, const char *special)
{
    for (const char *p = text; *p;) {
        size_t plain = strcspn(p, special);
        (void)buf_add(out, p, plain);
        p += plain;
        if (*p) {
            const char escape[2] = {'\\', *p == '\n' ? 'n' : *p};
            (void)buf_add(out, escape, 2);
            p++;
        }
    }
}

void metrics_family(struct buf *out, const char *name, enum metrics_type type, const char *help)
{
    static const char *const types[] = {[METRICS_COUNTER] = "counter",
                                        [METRICS_GAUGE] = "gauge",
                                        [METRICS_HISTOGRAM] = "histogram"};
    (void)buf_addf(out, "# HELP %s ", name);
    add_escaped(out, help, "\\\n");
    (void)buf_addf(out, "\n# TYPE %s %s\n", name, types[type]);
}

static void sample(struct buf *out, const char *name, const struct metrics_label *labels,
                   const char *value)
{
    const char *before = "{";
    (void)buf_adds(out, name);
    for (; labels && labels->name; labels++) {
        (void)buf_addf(out, "%s%s=\"", before, labels->name);
        add_escaped(out, labels->value, "\\\n\"");
        (void)buf_adds(out, "\"");
        before = ",";
    }
    (void)buf_addf(out, "%s %s\n", *before == ',' ? "}" : "", value);
}

void metrics_int(struct buf *out, const char *name, const struct metrics_label *labels,
                 int64_t value)
{
    char text[NUMBER_BYTES];
    (void)snprintf(text, sizeof(text), "%" PRId64, value);
    sample(out, name, labels, text);
}

static void real_text(double value, char out[NUMBER_BYTES])
{
    if (isnan(value))
        (void)strcpy(out, "NaN");
    else if (isinf(value))
        (void)strcpy(out, value > 0 ? "+Inf" : "-Inf");
    else
        (void)snprintf(out, NUMBER_BYTES, "%.15g", value);
}

void metrics_real(struct buf *out, const char *name, const struct metrics_label *labels,
                  double value)
{
    char text[NUMBER_BYTES];
    real_text(value, text);
    sample(out, name, labels, text);
}

void metrics_histogram(struct buf *out, const char *name, const struct metrics_label *labels,
                       const struct metrics_histogram *h)
{
    char full[NAME_BYTES], le[NUMBER_BYTES];
    struct metrics_label with[METRICS_MAX_LABELS + 2];
    size_t n = 0;
    int64_t sum = 0;
    for (; labels && labels[n].name && n < METRICS_MAX_LABELS; n++)
        with[n] = labels[n];
    with[n] = (struct metrics_label){"le", le};
    with[n + 1] = (struct metrics_label){NULL, NULL};
    (void)snprintf(full, sizeof(full), "%s_bucket", name);
    for (size_t i = 0; i < h->bucket_count; i++) {
        sum += h->buckets[i].count;
        real_text(h->buckets[i].le, le);
        metrics_int(out, full, with, sum);
    }
    (void)strcpy(le, "+Inf");
    metrics_int(out, full, with, sum + h->above);
    (void)snprintf(full, sizeof(full), "%s_sum", name);
    metrics_real(out, full, labels, h->sum);
    (void)snprintf(full, sizeof(full), "%s_count", name);
    metrics_int(out, full, labels, sum + h->above);
}
