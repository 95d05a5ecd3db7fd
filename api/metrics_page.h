/*
 * metrics_page: the parts of GET /metrics (api/route_metrics.c) that stand in files of their own.
 */
#ifndef API_METRICS_PAGE_H
#define API_METRICS_PAGE_H

#include "api/stats.h"
#include "common/metrics.h"

struct buf;

#define METRICS_POOL_LABELS 3
#define FOLDED_BYTES        (POOL_NAME_BYTES + 96)

/* One or more pools as they are shown; key is "provider\naccount\ngroup". */
struct folded {
    char key[FOLDED_BYTES];
    struct stats_pool pool;
};

struct metrics_page {
    struct buf *out;
    const struct folded *pools;
    size_t count;
};

/* provider, account and pool. */
void metrics_label_pool(const struct stats_pool *p, struct metrics_label *labels);

void metrics_details(const struct metrics_page *page); /* metrics_details.c */
/* Tenants and models: STATS_MAX_TENANTS and STATS_MAX_MODELS of them, and "other". tenant: no
 * other tenant is told of; NULL: all are. metrics_names.c */
void metrics_names(struct buf *out, const struct stats_view *view, const char *tenant);

#endif
