#include "api/permit_input.h"

#include "api/request_options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 256 /* of a model or provider that is asked for */
#define SHOWN      40  /* bytes of a wrong value that a message shows */

static int bad(struct call_failure *f, const char *field, struct json_span found,
               const char *wanted)
{
    call_failure_set(f, 400, "invalid_value", "%s is %.*s; it must be %s.", field,
                     (int)(found.len < SHOWN ? found.len : SHOWN), found.at, wanted);
    f->param = field;
    return -EINVAL;
}

/* Absent and null are the same. */
static bool is_told(struct json_span value)
{
    enum json_kind kind = json_kind(value);
    return kind != JSON_NONE && kind != JSON_NUL;
}

struct range {
    const char *field;
    int64_t least, most, otherwise;
};

static int read_number(struct json_span obj, const struct range *range, int64_t *ret,
                       struct call_failure *f)
{
    struct json_span value = json_get(obj, range->field);
    *ret = range->otherwise;
    if (!is_told(value))
        return 0;
    if (json_int(value, ret) && *ret >= range->least && *ret <= range->most)
        return 0;
    call_failure_set(f, 400, "invalid_value",
                     "%s is %.*s; it must be a whole number from %" PRId64 " to %" PRId64 ".",
                     range->field, (int)(value.len < SHOWN ? value.len : SHOWN), value.at,
                     range->least, range->most);
    f->param = range->field;
    return -EINVAL;
}

static int read_numbers(struct json_span ask, struct permit_input *ret, struct call_failure *f)
{
    static const struct range input = {"input_tokens", 1, WIRE_MAX_TOKENS, 0};
    static const struct range output = {"max_output_tokens", 1, WIRE_MAX_TOKENS, 0};
    static const struct range wait = {"wait_ms", 0, PERMIT_MAX_WAIT_MS, -1};
    static const struct range ttl = {"ttl_ms", PERMIT_LEAST_TTL_MS, PERMIT_MAX_TTL_MS, 0};
    int rc = read_number(ask, &input, &ret->input_tokens, f);
    if (rc == 0)
        rc = read_number(ask, &output, &ret->max_output_tokens, f);
    if (rc == 0)
        rc = read_number(ask, &wait, &ret->wait_ms, f);
    return rc < 0 ? rc : read_number(ask, &ttl, &ret->ttl_ms, f);
}

static int read_class(struct json_span ask, struct permit_input *ret, struct call_failure *f)
{
    struct error e;
    if (request_class_read(json_get(ask, "priority"), &ret->class, &ret->class_given, &e) == 0)
        return 0;
    call_failure_set(f, 400, "invalid_value", "%s", e.text);
    f->param = "priority";
    return -EINVAL;
}

/* ---- which endpoint, by the format of the provider */

static const struct config_provider *find_provider(const struct config *c, struct json_span name)
{
    for (size_t i = 0; i < c->provider_count; i++) {
        if (json_equals(name, c->providers[i].name))
            return &c->providers[i];
    }
    return NULL;
}

/* How exactly a row names a model; 0: it does not serve it. */
static size_t exactness(const struct config *c, enum config_format format, const char *model)
{
    const struct config_provider *provider = NULL;
    const struct config_model *row = NULL;
    const char *name = NULL;
    if (!config_route(c, format, model, &provider, &row, &name))
        return 0;
    size_t len = strlen(row->name);
    return row->name[len - 1] == '*' ? len : NAME_BYTES + len;
}

static int format_of_model(const struct config *c, const char *model, enum config_format *ret,
                           struct call_failure *f)
{
    size_t openai = exactness(c, CONFIG_OPENAI, model);
    size_t anthropic = exactness(c, CONFIG_ANTHROPIC, model);
    *ret = anthropic > openai ? CONFIG_ANTHROPIC : CONFIG_OPENAI;
    if (openai != anthropic)
        return 0;
    if (openai == 0) {
        call_failure_set(f, 404, "model_not_found",
                         "No provider serves the model '%.100s' here; GET /v1/models lists those "
                         "that are configured.",
                         model);
        f->param = "model";
        return -ENOENT;
    }
    /* Two catch-alls say nothing about a model, its own name does. */
    if (openai < NAME_BYTES) {
        *ret = strncmp(model, "claude", 6) == 0 ? CONFIG_ANTHROPIC : CONFIG_OPENAI;
        return 0;
    }
    call_failure_set(f, 400, "invalid_value",
                     "format is missing, and the model '%.100s' is served in both: say \"openai\" "
                     "or \"anthropic\", or name the provider.",
                     model);
    f->param = "format";
    return -EINVAL;
}

static int read_format(struct json_span ask, const struct config *c, struct json_span model,
                       enum config_format *ret, struct call_failure *f)
{
    struct json_span told = json_get(ask, "format");
    struct buf name;
    if (is_told(told)) {
        *ret = json_equals(told, "anthropic") ? CONFIG_ANTHROPIC : CONFIG_OPENAI;
        return json_equals(told, "anthropic") || json_equals(told, "openai")
                   ? 0
                   : bad(f, "format", told, "\"openai\" or \"anthropic\"");
    }
    buf_init(&name, NAME_BYTES);
    int rc = json_text(model, &name);
    if (rc < 0 || name.len == 0)
        rc = bad(f, "model", model, "the name of a model, of at most 256 bytes");
    else
        rc = format_of_model(c, name.data, ret, f);
    buf_release(&name);
    return rc;
}

static int read_endpoint(struct json_span ask, const struct config *c, struct json_span model,
                         struct permit_input *ret, struct call_failure *f)
{
    struct json_span named = json_get(ask, "provider"), told = json_get(ask, "endpoint");
    enum config_format format = CONFIG_OPENAI;
    const struct config_provider *provider = find_provider(c, named);
    if (is_told(named) && !provider)
        return bad(f, "provider", named, "the name of a provider in the configuration");
    ret->provider = provider ? provider->name : NULL;
    for (enum wire_endpoint e = 0; is_told(told); e++) {
        if (e == WIRE_ENDPOINT_COUNT)
            return bad(f, "endpoint", told,
                       "one of /v1/chat/completions, /v1/completions, /v1/responses, "
                       "/v1/embeddings, /v1/messages");
        if (json_equals(told, wire_path(e))) {
            ret->endpoint = e;
            return 0;
        }
    }
    int rc = 0;
    if (provider)
        format = provider->format;
    else
        rc = read_format(ask, c, model, &format, f);
    ret->endpoint = format == CONFIG_ANTHROPIC ? WIRE_MESSAGES : WIRE_CHAT;
    return rc;
}

/* ---- the request behind it */

/* The name of the input at an endpoint, and what stands for one that is only a number. */
static const struct {
    const char *name, *empty;
} inputs[WIRE_ENDPOINT_COUNT] = {
    [WIRE_CHAT] = {"messages", "[]"},     [WIRE_COMPLETIONS] = {"prompt", "\"\""},
    [WIRE_RESPONSES] = {"input", "[]"},   [WIRE_EMBEDDINGS] = {"input", "\"\""},
    [WIRE_MESSAGES] = {"messages", "[]"},
};

static int give_body(struct buf *body, struct permit_input *ret, int rc, struct call_failure *f)
{
    if (rc < 0) {
        buf_release(body);
        return call_fail_memory(f);
    }
    ret->body_len = body->len;
    ret->body = buf_take(body);
    return 0;
}

static int make_body(struct json_span model, struct json_span input, struct permit_input *ret,
                     struct call_failure *f)
{
    const char *empty = inputs[ret->endpoint].empty;
    struct buf body;
    if (!input.at)
        input = (struct json_span){empty, strlen(empty)};
    buf_init(&body, HTTP_MAX_BODY_BYTES + KIB);
    int rc = buf_addf(&body, "{\"%s\":", inputs[ret->endpoint].name);
    if (rc == 0)
        rc = buf_add(&body, input.at, input.len);
    if (rc == 0)
        rc = buf_adds(&body, ",\"model\":");
    if (rc == 0)
        rc = buf_add(&body, model.at, model.len);
    return give_body(&body, ret, rc < 0 ? rc : buf_adds(&body, "}"), f);
}

static int copy_body(struct json_span whole, struct permit_input *ret, struct call_failure *f)
{
    struct buf body;
    buf_init(&body, HTTP_MAX_BODY_BYTES + KIB);
    return give_body(&body, ret, buf_add(&body, whole.at, whole.len), f);
}

/* One way of stating the request, and where its model stands. */
static int check_ways(struct json_span ask, struct json_span *ret_model, struct call_failure *f)
{
    struct json_span body = json_get(ask, "body"), messages = json_get(ask, "messages");
    int ways = is_told(json_get(ask, "input_tokens")) + is_told(messages) + is_told(body);
    *ret_model = json_get(is_told(body) ? body : ask, "model");
    if (is_told(body) && json_kind(body) != JSON_OBJ)
        return bad(f, "body", body, "an object: the request as it is sent to the provider");
    if (is_told(messages) && json_kind(messages) != JSON_ARR)
        return bad(f, "messages", messages, "an array of messages");
    if (ways != 1) {
        call_failure_set(
            f, 400, "invalid_value",
            "Found %d of input_tokens, messages and body; exactly one of them must say "
            "how large the request is.",
            ways);
        f->param = "input_tokens";
        return -EINVAL;
    }
    if (json_kind(*ret_model) == JSON_STR && json_inside(*ret_model).len > 0)
        return 0;
    call_failure_set(f, 400, "invalid_value", "%s must be the name of a model.",
                     is_told(body) ? "body.model" : "model");
    f->param = is_told(body) ? "body.model" : "model";
    return -EINVAL;
}

static int read_ask(struct json_span ask, const struct config *c, struct permit_input *ret,
                    struct call_failure *f)
{
    struct json_span model, body = json_get(ask, "body"), messages = json_get(ask, "messages");
    int rc = check_ways(ask, &model, f);
    if (rc == 0)
        rc = read_numbers(ask, ret, f);
    if (rc == 0)
        rc = read_class(ask, ret, f);
    if (rc == 0)
        rc = read_endpoint(ask, c, model, ret, f);
    if (rc < 0)
        return rc;
    if (is_told(messages) && ret->endpoint != WIRE_CHAT && ret->endpoint != WIRE_MESSAGES)
        return bad(f, "endpoint", json_get(ask, "endpoint"),
                   "one that takes messages; send the whole request as body for this one");
    if (is_told(body))
        return copy_body(body, ret, f);
    return make_body(model, is_told(messages) ? messages : (struct json_span){0}, ret, f);
}

static int read_object(const char *text, size_t len, struct json_span *ret, struct call_failure *f)
{
    struct error e;
    if (json_scan_check(text, len, &e) < 0) {
        call_failure_set(f, 400, "invalid_json", "The body is %.200s.", e.text);
        return -EINVAL;
    }
    *ret = json_span_of(text, len);
    if (json_kind(*ret) == JSON_OBJ)
        return 0;
    call_failure_set(f, 400, "invalid_value",
                     "The body must be an object, such as {\"model\", \"input_tokens\", "
                     "\"max_output_tokens\"}.");
    return -EINVAL;
}

int permit_input_read(const char *text, size_t len, const struct config *c,
                      struct permit_input *ret, struct call_failure *f)
{
    struct json_span ask;
    *ret = (struct permit_input){.class = CLASS_NORMAL};
    int rc = read_object(text, len, &ask, f);
    return rc < 0 ? rc : read_ask(ask, c, ret, f);
}

void permit_input_release(struct permit_input *in)
{
    free(in->body);
    in->body = NULL;
}

int permit_renewal_read(const char *text, size_t len, int64_t *ret_ttl_ms, struct call_failure *f)
{
    static const struct range ttl = {"ttl_ms", PERMIT_LEAST_TTL_MS, PERMIT_MAX_TTL_MS, 0};
    struct json_span ask;
    *ret_ttl_ms = 0;
    if (len == 0)
        return 0;
    int rc = read_object(text, len, &ask, f);
    return rc < 0 ? rc : read_number(ask, &ttl, ret_ttl_ms, f);
}
