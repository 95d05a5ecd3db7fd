/*
 * route: the table of paths, and the way from a request to its handler.
 *
 * A pattern's "{id}" matches one segment, which the handler gets as id; a second one, at the end,
 * matches all that is left, slashes and all, and is rest. The table is the only list of routes: the
 * OpenAPI document is tested against it.
 */
#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "api/auth.h"
#include "api/server.h"
#include "api/service.h"

#define ROUTE_ID_BYTES 128

struct route_request {
    struct service *service;
    struct exchange *exchange;
    struct caller caller;
    char id[ROUTE_ID_BYTES];   /* of "{id}"; "" none */
    char rest[ROUTE_ID_BYTES]; /* of a second one */
};

struct route {
    const char *method;
    const char *pattern;
    void (*handle)(const struct route_request *r);
    enum access_scope scope; /* that a key must have; SCOPE_OPEN: none is needed */
};

/* NULL past the end. */
const struct route *route_at(size_t index);
/* For server_new(); arg is the service. */
void route_dispatch(void *arg, struct exchange *x);

/* ---- handlers, one file each */
void route_proxy(const struct route_request *r);  /* route_proxy.c */
void route_models(const struct route_request *r); /* route_info.c */
void route_healthz(const struct route_request *r);
void route_readyz(const struct route_request *r);
void route_openapi(const struct route_request *r);
void route_dashboard(const struct route_request *r); /* route_www.c */
void route_www(const struct route_request *r);
void route_stats(const struct route_request *r); /* route_stats.c */
void route_stats_stream(const struct route_request *r);
void route_stats_history(const struct route_request *r); /* route_history.c */
void route_metrics(const struct route_request *r);       /* route_metrics.c */
void route_jobs_submit(const struct route_request *r);   /* route_jobs.c */
void route_jobs_list(const struct route_request *r);
void route_jobs_get(const struct route_request *r);
void route_jobs_cancel(const struct route_request *r);
void route_jobs_events(const struct route_request *r);
void route_job_groups_get(const struct route_request *r); /* route_job_groups.c */
void route_job_groups_cancel(const struct route_request *r);
/* The group that an NDJSON submission comes into; false: it was answered 400. key: its
 * Idempotency-Key; NULL none. */
bool route_job_group_of(const struct route_request *r, const char *key, char ret[GROUP_ID_BYTES]);
void route_jobs_retry(const struct route_request *r);   /* route_job_retry.c */
void route_files_upload(const struct route_request *r); /* route_files.c */
void route_files_list(const struct route_request *r);
void route_files_get(const struct route_request *r);
void route_files_delete(const struct route_request *r);
void route_files_content(const struct route_request *r);
void route_batches_create(const struct route_request *r); /* route_batches.c */
void route_batches_list(const struct route_request *r);
void route_batches_get(const struct route_request *r);
void route_batches_cancel(const struct route_request *r);
void route_message_batches_create(const struct route_request *r); /* route_message_batches.c */
void route_message_batches_list(const struct route_request *r);
void route_message_batches_get(const struct route_request *r);
void route_message_batches_delete(const struct route_request *r);
void route_message_batches_results(const struct route_request *r);
void route_message_batches_cancel(const struct route_request *r);
void route_webhooks_list(const struct route_request *r); /* route_webhooks.c */
void route_webhooks_get(const struct route_request *r);
void route_webhooks_redeliver(const struct route_request *r);
void route_permits_ask(const struct route_request *r); /* route_permits.c */
void route_permits_get(const struct route_request *r);
void route_permits_release(const struct route_request *r);
void route_permits_settle(const struct route_request *r);
void route_permits_renew(const struct route_request *r);
void route_admission_check(const struct route_request *r); /* route_admission.c */
void route_tokens_count(const struct route_request *r);    /* route_prompt.c */
void route_messages_count(const struct route_request *r);
void route_context_trim(const struct route_request *r);
void route_sessions_create(const struct route_request *r); /* route_sessions.c */
void route_sessions_list(const struct route_request *r);
void route_sessions_get(const struct route_request *r);
void route_sessions_context(const struct route_request *r);
void route_sessions_clear(const struct route_request *r);
void route_sessions_delete(const struct route_request *r);
void route_sessions_post(const struct route_request *r); /* route_session_post.c */
void route_cache_get(const struct route_request *r);     /* route_cache.c */
void route_cache_purge(const struct route_request *r);
void route_costs(const struct route_request *r);         /* route_costs.c */
void route_budgets(const struct route_request *r);       /* route_budgets.c */
void route_settings_list(const struct route_request *r); /* route_settings.c */
void route_settings_get(const struct route_request *r);
void route_settings_put(const struct route_request *r);
void route_settings_delete(const struct route_request *r);
void route_drain(const struct route_request *r);     /* route_drain.c */
void route_keys_list(const struct route_request *r); /* route_keys.c */
void route_keys_create(const struct route_request *r);
void route_keys_get(const struct route_request *r);
void route_keys_rotate(const struct route_request *r);
void route_keys_remove(const struct route_request *r);

#endif
