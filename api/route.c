#include "api/route.h"

#include "api/answer.h"

#include "common/limits.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct route routes[] = {
    {"POST", "/v1/chat/completions", route_proxy, false},
    {"POST", "/v1/completions", route_proxy, false},
    {"POST", "/v1/responses", route_proxy, false},
    {"POST", "/v1/embeddings", route_proxy, false},
    {"POST", "/v1/messages", route_proxy, false},
    {"POST", "/v1/messages/count_tokens", route_messages_count, false},
    {"POST", "/v1/tokens/count", route_tokens_count, false},
    {"POST", "/v1/context/trim", route_context_trim, false},
    {"GET", "/v1/models", route_models, false},
    {"POST", "/v1/jobs", route_jobs_submit, false},
    {"GET", "/v1/jobs", route_jobs_list, false},
    {"GET", "/v1/jobs/{id}", route_jobs_get, false},
    {"DELETE", "/v1/jobs/{id}", route_jobs_cancel, false},
    {"GET", "/v1/jobs/{id}/events", route_jobs_events, false},
    {"POST", "/v1/sessions", route_sessions_create, false},
    {"GET", "/v1/sessions", route_sessions_list, false},
    {"GET", "/v1/sessions/{id}", route_sessions_get, false},
    {"DELETE", "/v1/sessions/{id}", route_sessions_delete, false},
    {"POST", "/v1/sessions/{id}/messages", route_sessions_post, false},
    {"DELETE", "/v1/sessions/{id}/messages", route_sessions_clear, false},
    {"GET", "/v1/sessions/{id}/context", route_sessions_context, false},
    {"GET", "/v1/stats", route_stats, false},
    {"GET", "/v1/stats/stream", route_stats_stream, false},
    {"GET", "/metrics", route_metrics, false},
    {"GET", "/healthz", route_healthz, true},
    {"GET", "/health/liveliness", route_healthz, true},
    {"GET", "/readyz", route_readyz, true},
    {"GET", "/health/readiness", route_readyz, true},
    {"GET", "/openapi.yaml", route_openapi, true},
    {"GET", "/", route_dashboard, true},
    {"GET", "/ui/{id}", route_www, true},
};
#define ROUTES (sizeof(routes) / sizeof(routes[0]))

const struct route *route_at(size_t index)
{
    return index < ROUTES ? &routes[index] : NULL;
}

/* Whether path fits the pattern; the segment of "{id}" goes to id. */
static bool matches(const char *pattern, const char *path, char id[ROUTE_ID_BYTES])
{
    id[0] = '\0';
    for (; *pattern; pattern++) {
        if (*pattern != '{') {
            if (*pattern != *path++)
                return false;
            continue;
        }
        size_t len = strcspn(path, "/");
        if (len == 0 || len >= ROUTE_ID_BYTES)
            return false;
        (void)snprintf(id, ROUTE_ID_BYTES, "%.*s", (int)len, path);
        path += len;
        pattern = strchr(pattern, '}');
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
        if (!matches(routes[i].pattern, path, r.id))
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
    int rc = found->open ? 0 : auth_caller(service_config(r.service), x, &r.caller, &e);
    if (rc < 0)
        answer_error(x, answer_format(path), rc == -EACCES ? 401 : 400,
                     rc == -EACCES ? "invalid_api_key" : "invalid_tenant", e.text);
    else
        found->handle(&r);
}
