/* What is told of tenants and models, as Redis holds it: no counter ever steps back. */
#include "api/metrics_page.h"

#include <string.h>

struct name_row {
    enum tally_counter counter;
    const char *value;
};

struct name_family {
    const char *name, *help, *label;
    double unit;
    const struct name_row *rows;
    size_t row_count;
};

static const struct name_row outcomes[] = {
    {TALLY_succeeded, "succeeded"},
    {TALLY_failed, "failed"},
    {TALLY_cancelled, "cancelled"},
    {TALLY_expired, "expired"},
};
static const struct name_row tokens[] = {
    {TALLY_tokens_reserved, "reserved"}, {TALLY_tokens_input, "input"},
    {TALLY_tokens_output, "output"},     {TALLY_tokens_trimmed, "trimmed"},
    {TALLY_tokens_cached, "cached"},
};
static const struct name_row waited[] = {{TALLY_waited_ms, NULL}};
static const struct name_row answered[] = {{TALLY_answered, NULL}};
static const struct name_row upstream[] = {{TALLY_upstream_ms, NULL}};

#define ROWS(rows) rows, sizeof(rows) / sizeof((rows)[0])

static const struct name_family tenants[] = {
    {"sluice_tenant_requests_total", "Requests of a tenant that ended, by how.", "outcome", 1,
     ROWS(outcomes)},
    {"sluice_tenant_tokens_total", "Tokens of a tenant.", "kind", 1, ROWS(tokens)},
    {"sluice_tenant_wait_seconds_total", "Time that a tenant's requests waited.", NULL, 1000,
     ROWS(waited)},
};
static const struct name_family models[] = {
    {"sluice_model_requests_total", "Requests to a model that ended, by how.", "outcome", 1,
     ROWS(outcomes)},
    {"sluice_model_tokens_total", "Tokens of a model.", "kind", 1, ROWS(tokens)},
    {"sluice_model_answers_total", "Whole answers of a model.", NULL, 1, ROWS(answered)},
    {"sluice_model_answer_seconds_total", "Time that they took.", NULL, 1000, ROWS(upstream)},
};

static bool is_hidden(const char *kind, const struct stats_name *n, const char *only)
{
    return only && strcmp(kind, "tenant") == 0 && strcmp(only, n->name) != 0;
}

static void family(struct buf *out, const struct name_family *f, const char *kind,
                   const struct stats_names *names, const char *only)
{
    metrics_family(out, f->name, METRICS_COUNTER, f->help);
    for (size_t i = 0; i < names->count; i++) {
        const struct stats_name *n = &names->rows[i];
        struct metrics_label labels[] = {{kind, n->name}, {NULL, NULL}, {NULL, NULL}};
        for (size_t k = 0; k < f->row_count && !is_hidden(kind, n, only); k++) {
            labels[1] = (struct metrics_label){f->label, f->rows[k].value};
            metrics_real(out, f->name, labels, (double)n->stored[f->rows[k].counter] / f->unit);
        }
    }
}

static void depth(struct buf *out, const char *name, const char *help,
                  const struct stats_names *names, const char *only)
{
    bool queued = strcmp(name, "sluice_tenant_queued") == 0;
    metrics_family(out, name, METRICS_GAUGE, help);
    for (size_t i = 0; i < names->count; i++) {
        const struct stats_name *n = &names->rows[i];
        struct metrics_label labels[] = {{"tenant", n->name}, {NULL, NULL}};
        if (!is_hidden("tenant", n, only))
            metrics_int(out, name, labels, queued ? n->queued : n->running);
    }
}

void metrics_names(struct buf *out, const struct stats_view *view, const char *tenant)
{
    const struct stats_names *names = &view->names[TALLY_TENANT];
    for (size_t i = 0; names->count > 0 && i < sizeof(tenants) / sizeof(tenants[0]); i++)
        family(out, &tenants[i], "tenant", names, tenant);
    if (names->count > 0) {
        depth(out, "sluice_tenant_queued", "Requests of a tenant that wait.", names, tenant);
        depth(out, "sluice_tenant_running", "Requests of a tenant that the provider works on.",
              names, tenant);
    }
    names = &view->names[TALLY_MODEL];
    for (size_t i = 0; names->count > 0 && i < sizeof(models) / sizeof(models[0]); i++)
        family(out, &models[i], "model", names, NULL);
}
