#include "api/route.h"

#include "api/answer.h"

#include "common/limits.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct route routes[] = {
    {"POST", "/v1/chat/completions", route_proxy, SCOPE_PROXY},
    {"POST", "/v1/completions", route_proxy, SCOPE_PROXY},
    {"POST", "/v1/responses", route_proxy, SCOPE_PROXY},
    {"POST", "/v1/embeddings", route_proxy, SCOPE_PROXY},
    {"POST", "/v1/messages", route_proxy, SCOPE_PROXY},
    {"POST", "/v1/messages/count_tokens", route_messages_count, SCOPE_PROXY},
    {"POST", "/v1/tokens/count", route_tokens_count, SCOPE_PROXY},
    {"POST", "/v1/context/trim", route_context_trim, SCOPE_PROXY},
    {"GET", "/v1/models", route_models, SCOPE_PROXY},
    {"POST", "/v1/jobs", route_jobs_submit, SCOPE_JOBS},
    {"GET", "/v1/jobs", route_jobs_list, SCOPE_JOBS},
    {"GET", "/v1/jobs/{id}", route_jobs_get, SCOPE_JOBS},
    {"DELETE", "/v1/jobs/{id}", route_jobs_cancel, SCOPE_JOBS},
    {"POST", "/v1/jobs/{id}/retry", route_jobs_retry, SCOPE_JOBS},
    {"GET", "/v1/jobs/{id}/events", route_jobs_events, SCOPE_JOBS},
    {"GET", "/v1/job-groups/{id}", route_job_groups_get, SCOPE_JOBS},
    {"POST", "/v1/job-groups/{id}/cancel", route_job_groups_cancel, SCOPE_JOBS},
    {"POST", "/v1/sessions", route_sessions_create, SCOPE_PROXY},
    {"GET", "/v1/sessions", route_sessions_list, SCOPE_PROXY},
    {"GET", "/v1/sessions/{id}", route_sessions_get, SCOPE_PROXY},
    {"DELETE", "/v1/sessions/{id}", route_sessions_delete, SCOPE_PROXY},
    {"POST", "/v1/sessions/{id}/messages", route_sessions_post, SCOPE_PROXY},
    {"DELETE", "/v1/sessions/{id}/messages", route_sessions_clear, SCOPE_PROXY},
    {"GET", "/v1/sessions/{id}/context", route_sessions_context, SCOPE_PROXY},
    {"POST", "/v1/files", route_files_upload, SCOPE_JOBS},
    {"GET", "/v1/files", route_files_list, SCOPE_JOBS},
    {"GET", "/v1/files/{id}", route_files_get, SCOPE_JOBS},
    {"DELETE", "/v1/files/{id}", route_files_delete, SCOPE_JOBS},
    {"GET", "/v1/files/{id}/content", route_files_content, SCOPE_JOBS},
    {"POST", "/v1/batches", route_batches_create, SCOPE_JOBS},
    {"GET", "/v1/batches", route_batches_list, SCOPE_JOBS},
    {"GET", "/v1/batches/{id}", route_batches_get, SCOPE_JOBS},
    {"POST", "/v1/batches/{id}/cancel", route_batches_cancel, SCOPE_JOBS},
    {"POST", "/v1/messages/batches", route_message_batches_create, SCOPE_JOBS},
    {"GET", "/v1/messages/batches", route_message_batches_list, SCOPE_JOBS},
    {"GET", "/v1/messages/batches/{id}", route_message_batches_get, SCOPE_JOBS},
    {"DELETE", "/v1/messages/batches/{id}", route_message_batches_delete, SCOPE_JOBS},
    {"GET", "/v1/messages/batches/{id}/results", route_message_batches_results, SCOPE_JOBS},
    {"POST", "/v1/messages/batches/{id}/cancel", route_message_batches_cancel, SCOPE_JOBS},
    {"GET", "/v1/webhooks/deliveries", route_webhooks_list, SCOPE_JOBS},
    {"GET", "/v1/webhooks/deliveries/{id}", route_webhooks_get, SCOPE_JOBS},
    {"POST", "/v1/webhooks/deliveries/{id}/redeliver", route_webhooks_redeliver, SCOPE_JOBS},
    {"POST", "/v1/permits", route_permits_ask, SCOPE_PERMITS},
    {"GET", "/v1/permits/{id}", route_permits_get, SCOPE_PERMITS},
    {"DELETE", "/v1/permits/{id}", route_permits_release, SCOPE_PERMITS},
    {"POST", "/v1/permits/{id}/settle", route_permits_settle, SCOPE_PERMITS},
    {"POST", "/v1/permits/{id}/renew", route_permits_renew, SCOPE_PERMITS},
    {"POST", "/v1/admission/check", route_admission_check, SCOPE_PERMITS},
    {"GET", "/v1/stats", route_stats, SCOPE_STATS},
    {"GET", "/v1/stats/history", route_stats_history, SCOPE_STATS},
    {"GET", "/v1/stats/stream", route_stats_stream, SCOPE_STATS},
    {"GET", "/v1/costs", route_costs, SCOPE_STATS},
    {"GET", "/v1/costs/budgets", route_budgets, SCOPE_STATS},
    {"GET", "/metrics", route_metrics, SCOPE_STATS},
    {"GET", "/v1/admin/keys", route_keys_list, SCOPE_ADMIN},
    {"POST", "/v1/admin/keys", route_keys_create, SCOPE_ADMIN},
    {"GET", "/v1/admin/keys/{id}", route_keys_get, SCOPE_ADMIN},
    {"POST", "/v1/admin/keys/{id}/rotate", route_keys_rotate, SCOPE_ADMIN},
    {"DELETE", "/v1/admin/keys/{id}", route_keys_remove, SCOPE_ADMIN},
    {"GET", "/v1/admin/cache", route_cache_get, SCOPE_ADMIN},
    {"DELETE", "/v1/admin/cache", route_cache_purge, SCOPE_ADMIN},
    {"GET", "/v1/settings", route_settings_list, SCOPE_STATS},
    {"GET", "/v1/settings/{provider}/{model}", route_settings_get, SCOPE_STATS},
    {"PUT", "/v1/settings/{provider}/{model}", route_settings_put, SCOPE_ADMIN},
    {"DELETE", "/v1/settings/{provider}/{model}", route_settings_delete, SCOPE_ADMIN},
    {"POST", "/v1/admin/drain", route_drain, SCOPE_ADMIN},
    {"GET", "/healthz", route_healthz, SCOPE_OPEN},
    {"GET", "/health/liveliness", route_healthz, SCOPE_OPEN},
    {"GET", "/readyz", route_readyz, SCOPE_OPEN},
    {"GET", "/health/readiness", route_readyz, SCOPE_OPEN},
    {"GET", "/openapi.yaml", route_openapi, SCOPE_OPEN},
    {"GET", "/", route_dashboard, SCOPE_OPEN},
    {"GET", "/ui/{id}", route_www, SCOPE_OPEN},
};
#define ROUTES (sizeof(routes) / sizeof(routes[0]))

const struct route *route_at(size_t index)
{
    return index < ROUTES ? &routes[index] : NULL;
}

/* Whether path fits the pattern; what stands for "{…}" goes to id, of a second one to rest. */
static bool matches(const char *pattern, const char *path, struct route_request *r)
{
    char *to = r->id;
    r->id[0] = r->rest[0] = '\0';
    for (; *pattern; pattern++) {
        if (*pattern != '{') {
            if (*pattern != *path++)
                return false;
            continue;
        }
        size_t len = to == r->id ? strcspn(path, "/") : strlen(path);
        if (len == 0 || len >= ROUTE_ID_BYTES)
            return false;
        (void)snprintf(to, ROUTE_ID_BYTES, "%.*s", (int)len, path);
        path += len;
        pattern = strchr(pattern, '}');
        to = r->rest;
    }
    return *path == '\0';
}

static bool method_fits(const char *wanted, const char *given)
{
    return strcmp(wanted, given) == 0 || (strcmp(given, "HEAD") == 0 && strcmp(wanted, "GET") == 0);
}

static void not_found(struct exchange *x, const char *allowed)
{
    char message[ERROR_TEXT_BYTES];
    enum wire_format format = answer_format(exchange_path(x));
    if (*allowed) {
        (void)snprintf(message, sizeof(message), "%s is not answered here for %.100s; use %s.",
                       exchange_method(x), exchange_path(x), allowed);
        if (exchange_set_header(x, "Allow", allowed) == 0)
            answer_error(x, format, 405, "method_not_allowed", message);
        else
            answer_error(x, format, 503, "out_of_memory", "Sluice is out of memory.");
        return;
    }
    (void)snprintf(message, sizeof(message),
                   "There is no route %s %.100s; /openapi.yaml lists them.", exchange_method(x),
                   exchange_path(x));
    answer_error(x, format, 404, "not_found", message);
}

/* Every answer to a request that has an id carries it, refusals as well. */
static void echo_request_id(struct exchange *x)
{
    char id[REQUEST_ID_BYTES + 1];
    const char *given = exchange_header(x, "x-request-id");
    if (!given || !*given)
        return;
    (void)snprintf(id, sizeof(id), "%s", given);
    if (exchange_set_header(x, "x-request-id", id) < 0)
        log_write(LOG_DEBUG, "a header was left out", "name", "x-request-id", NULL);
}

void route_dispatch(void *arg, struct exchange *x)
{
    struct route_request r = {.service = arg, .exchange = x};
    const struct route *found = NULL;
    const char *path = exchange_path(x), *method = exchange_method(x);
    char allowed[64] = "";
    size_t used = 0;

    echo_request_id(x);
    for (size_t i = 0; i < ROUTES && !found; i++) {
        if (!matches(routes[i].pattern, path, &r))
            continue;
        if (method_fits(routes[i].method, method))
            found = &routes[i];
        else if (used + strlen(routes[i].method) + 3 < sizeof(allowed))
            used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s",
                                     used ? ", " : "", routes[i].method);
    }
    if (!found) {
        not_found(x, allowed);
        return;
    }
    struct error e;
    struct auth_rules rules = {service_config(r.service), service_access(r.service), found->scope};
    int rc = found->scope == SCOPE_OPEN ? 0 : auth_caller(&rules, x, &r.caller, &e);
    if (rc < 0)
        answer_error(x, answer_format(exchange_path(x)), auth_status(rc), auth_code(rc), e.text);
    else
        found->handle(&r);
}
