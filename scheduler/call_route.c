#include "scheduler/call_internal.h"

#include <errno.h>
#include <string.h>

#define MODEL_MAX_BYTES 256

/* The name that forced a provider is ours; the provider knows another. */
static int rename_model(struct call *c)
{
    struct buf changed;
    buf_init(&changed, HTTP_MAX_BODY_BYTES + KIB);
    int rc = wire_request_set_model(&c->request, c->model, &changed);
    if (rc == 0)
        return call_replace_body(c, &changed);
    buf_release(&changed);
    return rc;
}

/* Which provider and row serve the model, and the name that the provider knows it by. */
static int find_row(struct call *c, struct call_failure *f)
{
    enum wire_format format = wire_format_of(c->spec.endpoint);
    const char *model = NULL;
    struct buf name;

    buf_init(&name, MODEL_MAX_BYTES);
    if (c->spec.provider && buf_addf(&name, "%s/", c->spec.provider) < 0)
        return call_fail_memory(f);
    size_t prefix = name.len;
    if (json_text(c->request.model, &name) < 0 || name.len == prefix) {
        buf_release(&name);
        call_failure_set(f, 400, "invalid_value",
                         "model must be a string of 1 to %d bytes; send the name of a model.",
                         MODEL_MAX_BYTES);
        f->param = "model";
        return -EINVAL;
    }
    if (!config_route(c->plan->config, (enum config_format)format, name.data, &c->provider, &c->row,
                      &model)) {
        call_failure_set(f, 404, "model_not_found",
                         "No provider with the %s format serves the model '%.100s' here; GET "
                         "/v1/models lists those that are configured.",
                         format == WIRE_OPENAI ? "OpenAI" : "Anthropic", name.data);
        f->param = "model";
        buf_release(&name);
        return -ENOENT;
    }
    c->model = strdup(model);
    bool forced = c->model && strcmp(model, name.data) != 0;
    buf_release(&name);
    if (!c->model || (forced && rename_model(c) < 0))
        return call_fail_memory(f);
    return 0;
}

static int use_pool(struct call *c, struct pool_view *pool, struct call_failure *f)
{
    if (!pool) {
        call_failure_set(f, 503, "too_many_accounts",
                         "Too many accounts are in use here at once; try again in a moment.");
        f->retry_after_ms = 1000;
        return -ENOSPC;
    }
    c->pool = pool;
    pool->users++;
    return 0;
}

static int find_pool(struct call *c, struct call_failure *f)
{
    char account[ACCOUNT_BYTES] = "default";
    if (c->spec.pool)
        return use_pool(c, c->spec.pool, f);
    if (!c->provider->api_key && c->spec.is_job) {
        call_failure_set(f, 400, "key_not_configured",
                         "A job runs when its caller is gone, so the provider '%s' must have an "
                         "api_key in the configuration.",
                         c->provider->name);
        return -EINVAL;
    }
    /* Who calls the provider itself need not show its key: then its requests share one account. */
    if (!c->provider->api_key && (c->spec.caller_key || !c->spec.for_permit)) {
        const char *key = c->spec.caller_key;
        if (!key) {
            call_failure_set(f, 401, "invalid_api_key",
                             "The provider '%s' has no key of its own here: send yours, as you "
                             "would to the provider.",
                             c->provider->name);
            return -EACCES;
        }
        scheduler_account(key, account);
    }
    return use_pool(c, scheduler_pool(c->sched, c->provider, c->row, account), f);
}

int call_route(struct call *c, struct call_failure *failure)
{
    int rc = find_row(c, failure);
    return rc < 0 ? rc : find_pool(c, failure);
}
