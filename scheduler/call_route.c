#include "scheduler/call_internal.h"

#include "common/model_list.h"

#include <errno.h>
#include <string.h>

#define MODEL_MAX_BYTES 256

/* A name that forced a provider is ours, as a fallback is; the provider knows another. */
int call_rename_model(struct call *c, const char *model)
{
    struct buf changed;
    if (json_equals(c->request.model, model))
        return 0;
    buf_init(&changed, HTTP_MAX_BODY_BYTES + KIB);
    int rc = wire_request_set_model(&c->request, model, &changed);
    if (rc == 0)
        return call_replace_body(c, &changed);
    buf_release(&changed);
    return rc;
}

bool call_may_use(const struct call *c, const char *asked)
{
    const struct config_provider *provider;
    const struct config_model *row;
    const char *model = NULL;
    enum config_format format = (enum config_format)wire_format_of(c->spec.endpoint);
    return model_list_allows(c->spec.models, asked) ||
           (config_route(c->plan->config, format, asked, &provider, &row, &model) &&
            model_list_allows(c->spec.models, model));
}

/* What the name stands for may be an alias; the key names what its callers ask for. */
static int check_model(const struct call *c, struct call_failure *f)
{
    if (call_may_use(c, c->asked))
        return 0;
    call_failure_set(f, 403, "model_not_allowed",
                     "This API key may not use the model '%.100s'. Ask for one of the models that "
                     "it may use, which GET /v1/models lists, or for a key that may use this one "
                     "(sluice keys create --models).",
                     c->asked);
    f->param = "model";
    return -EPERM;
}

/* The name that was asked for, and a first row that serves it. */
static int find_row(struct call *c, struct call_failure *f)
{
    enum wire_format format = wire_format_of(c->spec.endpoint);
    const char *model = NULL;
    struct buf name;

    buf_init(&name, MODEL_MAX_BYTES);
    if (json_text(c->request.model, &name) < 0 || name.len == 0) {
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
    c->asked = strdup(name.data);
    buf_release(&name);
    return c->asked ? 0 : call_fail_memory(f);
}

/* Where the first provider has no key of its own, the caller's is needed. */
static int check_key(struct call *c, struct call_failure *f)
{
    if (c->provider->key_count > 0 || c->spec.pool)
        return 0;
    if (c->spec.is_job) {
        call_failure_set(f, 400, "key_not_configured",
                         "A job runs when its caller is gone, so the provider '%s' must have an "
                         "api_key in the configuration.",
                         c->provider->name);
        return -EINVAL;
    }
    /* Who calls the provider itself, or only looks, need not show its key: then its requests share
     * one account. */
    if (!c->spec.caller_key && !c->spec.for_permit && !c->spec.unfit) {
        call_failure_set(f, 401, "invalid_api_key",
                         "The provider '%s' has no key of its own here: send yours, as you "
                         "would to the provider.",
                         c->provider->name);
        return -EACCES;
    }
    return 0;
}

int call_route(struct call *c, struct call_failure *failure)
{
    int rc = find_row(c, failure);
    if (rc == 0)
        rc = check_model(c, failure);
    if (rc == 0)
        rc = check_key(c, failure);
    if (rc < 0)
        return rc;
    rc = c->spec.pool ? call_find_way(c, c->spec.pool) : call_choose_way(c);
    if (rc == -ENOSPC) {
        call_failure_set(failure, 503, "too_many_accounts",
                         "Too many accounts are in use here at once; try again in a moment.");
        failure->retry_after_ms = 1000;
    } else if (rc < 0) {
        rc = call_fail_memory(failure);
    }
    return rc;
}
