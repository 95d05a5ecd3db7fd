/*
 * route_info: what does not depend on a request: health, models, the OpenAPI document.
 */
#include "api/answer.h"
#include "api/route.h"

#include "common/model_list.h"

#include "www_embedded.h"

#include <string.h>

void route_healthz(const struct route_request *r)
{
    answer_json(r->exchange, 200, json_pack("{s:s}", "status", "ok"));
}

void route_readyz(const struct route_request *r)
{
    const char *why = "";
    bool ready = service_is_ready(r->service, &why);
    answer_json(r->exchange, ready ? 200 : 503, json_pack("{s:s}", "status", why));
}

/* Rows with an exact name that the caller may use; patterns name no model. */
void route_models(const struct route_request *r)
{
    const struct config *c = service_config(r->service);
    json_t *data = json_array();
    for (size_t i = 0; i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        for (size_t k = 0; k < p->model_count; k++) {
            if (strchr(p->models[k].name, '*') ||
                !model_list_allows(r->caller.models, p->models[k].name))
                continue;
            json_t *model = json_pack(
                "{s:s, s:s, s:I, s:s}", "id", p->models[k].name, "object", "model", "created",
                (json_int_t)(service_started_ms(r->service) / 1000), "owned_by", p->name);
            if (json_array_append_new(data, model) < 0)
                break;
        }
    }
    answer_json(r->exchange, 200,
                json_pack("{s:s, s:o, s:b}", "object", "list", "data", data, "has_more", 0));
}

void route_openapi(const struct route_request *r)
{
    exchange_reply(r->exchange, 200, "application/yaml", www_openapi_yaml, www_openapi_yaml_size);
}
