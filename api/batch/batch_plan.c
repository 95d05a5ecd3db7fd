#include "api/batch/batch_plan.h"

#include "common/limits.h"
#include "common/model_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int add_fault(struct batch_input *in, size_t line, const char *code, const char *message)
{
    if (json_array_size(in->errors) >= BATCH_MAX_ERRORS)
        return 0;
    json_t *error =
        json_pack("{s:s, s:I, s:s, s:s}", "code", code, "line", (json_int_t)in->lines[line].number,
                  "message", message, "param", "body");
    return error && json_array_append_new(in->errors, error) == 0 ? 0 : -ENOMEM;
}

static bool is_among(const struct config_candidate *all, size_t n, const struct config_candidate *c)
{
    for (size_t i = 0; i < n; i++)
        if (all[i].provider == c->provider && all[i].account == c->account)
            return true;
    return false;
}

/* What is left of p->ways when they must serve this model, too. NULL: fine. */
static const char *narrow(struct batch_plan *p, const char *model, const char **ret_code)
{
    struct config_candidate found[CONFIG_MAX_ROUTES];
    const char *name = model;
    enum config_format format = (enum config_format)wire_format_of(p->endpoint);
    size_t n = config_candidates(p->config, format, model, found, &name), kept = 0;
    *ret_code = "model_not_found";
    if (n == 0)
        return "No provider serves this model here.";
    *ret_code = "model_not_allowed";
    if (!model_list_allows(p->models, model) && !model_list_allows(p->models, name))
        return "This API key may not use this model.";
    *ret_code = "provider_batch_account";
    for (size_t i = 0; !*p->last && i < n; i++)
        if (found[i].account)
            p->ways[p->count++] = found[i];
    if (p->count == 0)
        return "The provider of this model has no api_key of its own here.";
    for (size_t i = 0; i < p->count; i++)
        if (is_among(found, n, &p->ways[i]))
            p->ways[kept++] = p->ways[i];
    if (kept == 0)
        return "All requests of a provider's batch must be for one account of one provider, and "
               "none serves this model and those before it.";
    p->count = kept;
    return NULL;
}

static int take_line(struct batch_plan *p, struct batch_input *in, struct json_span body)
{
    struct wire_request r;
    struct error e;
    struct buf model;
    const char *code = "invalid_request", *why = NULL;
    if (wire_request_read(p->endpoint, body.at, body.len, &r, &e) < 0)
        return add_fault(in, p->at, code, e.text);
    if (r.stream)
        return add_fault(in, p->at, code, "A request of a batch cannot be streamed.");
    buf_init(&model, BATCH_MODEL_BYTES - 1);
    int rc = json_text(r.model, &model);
    if (rc == -ENOMEM) {
        buf_release(&model);
        return rc;
    }
    if (rc < 0 || model.len == 0)
        why = "model must be a string of 1 to 255 bytes.";
    else if (strcmp(model.data, p->last) != 0)
        why = narrow(p, model.data, &code);
    if (!why)
        (void)snprintf(p->last, sizeof(p->last), "%s", model.data);
    buf_release(&model);
    return why ? add_fault(in, p->at, code, why) : 0;
}

int batch_plan_step(struct batch_plan *p, struct batch_input *in, size_t budget)
{
    size_t done = 0;
    int rc = 0;
    for (; rc == 0 && p->at < in->count && done < budget; p->at++) {
        struct json_span body = batch_input_body(in, p->at);
        rc = take_line(p, in, body);
        done += in->lines[p->at].len;
    }
    return rc < 0 ? rc : p->at < in->count;
}

const struct config_model *batch_way_row(const struct batch_way *w, const char *model,
                                         const char **ret_upstream)
{
    struct config_candidate found[CONFIG_MAX_ROUTES];
    const char *name = model;
    size_t n = config_candidates(w->config, w->provider->format, model, found, &name);
    for (size_t i = 0; i < n; i++) {
        if (found[i].provider != w->provider || found[i].account != w->account)
            continue;
        *ret_upstream = found[i].row->upstream_model ? found[i].row->upstream_model : name;
        return found[i].row;
    }
    return NULL;
}

bool batch_way_find(const struct config *c, const char *provider, const char *account,
                    struct batch_way *ret)
{
    for (size_t i = 0; i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        for (size_t k = 0; strcmp(p->name, provider) == 0 && k < p->key_count; k++) {
            if (strcmp(p->keys[k].name, account) != 0)
                continue;
            *ret = (struct batch_way){c, p, &p->keys[k]};
            return true;
        }
    }
    return false;
}

bool batch_plan_is_possible(const struct config *c, enum wire_format format)
{
    for (size_t i = 0; i < c->provider_count; i++)
        if (c->providers[i].format == (enum config_format)format && c->providers[i].key_count > 0)
            return true;
    return false;
}
