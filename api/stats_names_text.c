/* What the API says of tenants and models. */
#include "api/stats.h"

#include "common/config.h"

#include <string.h>

static void set(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value); /* without memory the key is missing */
}

static int64_t served(const struct stats_name *n)
{
    return n->number[TALLY_tokens_input] + n->number[TALLY_tokens_output];
}

static json_t *times(const int64_t *steps, int64_t total_ms)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "p50", (json_int_t)step_percentile(steps, 500), "p95",
                     (json_int_t)step_percentile(steps, 950), "p99",
                     (json_int_t)step_percentile(steps, 990), "total", (json_int_t)total_ms);
}

/* kind: what the name is of. */
static json_t *row_json(const char *kind, const struct stats_name *n)
{
    static const char prefix[] = "tokens_";
    json_t *row = json_object(), *counts = json_object(), *tokens = json_object();
    for (size_t i = 0; i < TALLY_COUNT; i++) {
        char room[TALLY_FIELD_BYTES];
        const char *field = tally_field(i, room);
        if (i == TALLY_waited_ms || i == TALLY_upstream_ms)
            continue; /* sums stand beside their percentiles */
        if (strncmp(field, prefix, sizeof(prefix) - 1) == 0)
            set(tokens, field + sizeof(prefix) - 1, json_integer(n->number[i]));
        else
            set(counts, field, json_integer(n->number[i]));
    }
    set(row, kind, json_string(n->name));
    set(row, "counts", counts);
    set(row, "tokens", tokens);
    set(row, "wait_ms", times(n->number + TALLY_WAITS, n->number[TALLY_waited_ms]));
    set(row, "upstream_ms", times(n->number + TALLY_UPSTREAM, n->number[TALLY_upstream_ms]));
    return row;
}

static int64_t weight_of(const struct config *c, const char *tenant)
{
    for (size_t i = 0; i < c->tenant_count; i++) {
        if (strcmp(c->tenants[i].name, tenant) == 0)
            return c->tenants[i].weight;
    }
    return 1;
}

static bool are_known(const struct stats_view *view)
{
    for (size_t i = 0; i < view->pool_count; i++) {
        if (!view->pools[i].known)
            return false;
    }
    return true;
}

json_t *stats_tenants(const struct config *c, const struct stats_view *view, const char *tenant)
{
    const struct stats_names *names = &view->names[TALLY_TENANT];
    bool known = are_known(view);
    json_t *list = json_array();
    int64_t total = 0;
    for (size_t i = 0; i < names->count; i++)
        total += served(&names->rows[i]);
    for (size_t i = 0; list && i < names->count; i++) {
        const struct stats_name *n = &names->rows[i];
        json_t *row = NULL;
        if (tenant && strcmp(tenant, n->name) != 0)
            continue;
        row = row_json("tenant", n);
        set(row, "weight", json_integer(weight_of(c, n->name)));
        set(row, "share", total > 0 ? json_real((double)served(n) / (double)total) : json_null());
        set(row, "queued", known ? json_integer(n->queued) : json_null());
        set(row, "running", known ? json_integer(n->running) : json_null());
        (void)json_array_append_new(list, row);
    }
    return list;
}

json_t *stats_models(const struct stats_view *view)
{
    const struct stats_names *names = &view->names[TALLY_MODEL];
    json_t *list = json_array();
    for (size_t i = 0; list && i < names->count; i++)
        (void)json_array_append_new(list, row_json("model", &names->rows[i]));
    return list;
}
