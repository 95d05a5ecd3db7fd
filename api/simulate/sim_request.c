#include "api/simulate/sim_request.h"

#include "api/simulate/sim_transcript.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const paths[SIM_ENDPOINTS] = {
    [SIM_CHAT] = "/v1/chat/completions", [SIM_COMPLETIONS] = "/v1/completions",
    [SIM_RESPONSES] = "/v1/responses",   [SIM_EMBEDDINGS] = "/v1/embeddings",
    [SIM_MESSAGES] = "/v1/messages",     [SIM_COUNT_TOKENS] = "/v1/messages/count_tokens",
};

int sim_endpoint_find(const char *path)
{
    for (int i = 0; i < SIM_ENDPOINTS; i++)
        if (strcmp(paths[i], path) == 0)
            return i;
    return -1;
}

const char *sim_endpoint_path(enum sim_endpoint endpoint)
{
    return paths[endpoint];
}

bool sim_endpoint_is_anthropic(enum sim_endpoint endpoint)
{
    return endpoint == SIM_MESSAGES || endpoint == SIM_COUNT_TOKENS;
}

bool sim_refuse(struct sim_refusal *r, const char *code, const char *param, const char *format, ...)
{
    *r = (struct sim_refusal){.status = 400, .type = "invalid_request_error", .code = code};
    (void)snprintf(r->param, sizeof(r->param), "%s", param ? param : "");
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->message, sizeof(r->message), format, args);
    va_end(args);
    return false;
}

uint64_t sim_hash(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++) {
        hash ^= at[i];
        hash *= UINT64_C(1099511628211);
    }
    return hash;
}

int64_t sim_tokens(size_t bytes, int64_t bytes_per_token)
{
    return ((int64_t)bytes + bytes_per_token - 1) / bytes_per_token;
}

static bool is_text_key(const char *key)
{
    static const char *const others[] = {
        "role", "type", "id", "tool_call_id", "tool_use_id", "call_id", "url", "data",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(others[i], key) == 0)
            return false;
    return true;
}

/* Recursion is bounded by jansson's parser depth (2048). */
static size_t text_bytes(const json_t *value)
{
    size_t sum = 0, i;
    json_t *item;
    const char *key;
    if (json_is_string(value))
        return json_string_length(value);
    if (json_is_array(value))
        json_array_foreach((json_t *)value, i, item) sum += text_bytes(item);
    if (json_is_object(value))
        json_object_foreach((json_t *)value, key, item) sum +=
            is_text_key(key) ? text_bytes(item) : 0;
    return sum;
}

size_t sim_embedding_count(const json_t *body)
{
    const json_t *input = json_object_get(body, "input");
    if (json_is_array(input) && !json_is_number(json_array_get(input, 0)))
        return json_array_size(input);
    return 1;
}

static const json_t *embedding_input(const json_t *body, size_t i)
{
    const json_t *input = json_object_get(body, "input");
    if (json_is_array(input) && !json_is_number(json_array_get(input, 0)))
        return json_array_get(input, i);
    return input;
}

/* Content that a provider will not have, whose place in the array it tells. */
static bool check_inputs(const json_t *body, const char *refused, struct sim_refusal *r)
{
    for (size_t i = 0; *refused && i < sim_embedding_count(body); i++) {
        const char *text = json_string_value(embedding_input(body, i));
        if (text && strstr(text, refused))
            return sim_refuse(r, NULL, "input", "Invalid 'input[%zu]': it is not accepted.", i);
    }
    return true;
}

uint64_t sim_embedding_hash(const json_t *body, size_t i)
{
    const json_t *input = embedding_input(body, i);
    if (json_is_string(input))
        return sim_hash(json_string_value(input), json_string_length(input));
    uint64_t hash = sim_hash("", 0);
    size_t k;
    json_t *token;
    json_array_foreach((json_t *)input, k, token)
    {
        int64_t number = json_integer_value(token);
        hash = sim_hash(&number, sizeof(number)) ^ (hash * UINT64_C(1099511628211));
    }
    return hash;
}

void sim_embedding(uint64_t hash, float *vector, size_t dims)
{
    uint64_t state = hash ? hash : 1;
    double square = 0;
    for (size_t i = 0; i < dims; i++) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        uint64_t next = state * UINT64_C(2685821657736338717);
        double value = (double)(next >> 40) / 8388608.0 - 1.0;
        vector[i] = (float)value;
        square += value * value;
    }
    double length = sqrt(square);
    for (size_t i = 0; i < dims && length > 0; i++)
        vector[i] = (float)((double)vector[i] / length);
}

static int64_t embedding_tokens(const json_t *body, int64_t bytes_per_token)
{
    int64_t sum = 0;
    for (size_t i = 0; i < sim_embedding_count(body); i++) {
        const json_t *input = embedding_input(body, i);
        sum += json_is_string(input) ? sim_tokens(json_string_length(input), bytes_per_token)
                                     : (int64_t)json_array_size(input);
    }
    return sum;
}

static int64_t count_input(const struct sim_request *q, int64_t bytes_per_token)
{
    static const char *const parts[] = {
        "messages", "system", "instructions", "prompt", "input", "tools", "functions",
    };
    if (q->endpoint == SIM_EMBEDDINGS)
        return embedding_tokens(q->body, bytes_per_token);
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        bytes += text_bytes(json_object_get(q->body, parts[i]));
    const json_t *turns =
        json_object_get(q->body, q->endpoint == SIM_RESPONSES ? "input" : "messages");
    int64_t messages = json_is_string(turns) ? 1 : (int64_t)json_array_size(turns);
    return sim_tokens(bytes, bytes_per_token) + messages * SIM_TOKENS_PER_MESSAGE;
}

static bool is_user(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role && strcmp(role, "user") == 0;
}

/* The last text that a person wrote: for embeddings and completions the first input. */
static const json_t *last_user_text(const struct sim_request *q)
{
    const char *key = q->endpoint == SIM_COMPLETIONS  ? "prompt"
                      : q->endpoint == SIM_EMBEDDINGS ? "input"
                      : q->endpoint == SIM_RESPONSES  ? "input"
                                                      : "messages";
    const json_t *turns = json_object_get(q->body, key);
    if (q->endpoint == SIM_COMPLETIONS || q->endpoint == SIM_EMBEDDINGS)
        return json_is_array(turns) ? json_array_get(turns, 0) : turns;
    if (json_is_string(turns))
        return turns;
    for (size_t i = json_array_size(turns); i-- > 0;) {
        const json_t *message = json_array_get(turns, i);
        const json_t *content = json_object_get(message, "content");
        if (!is_user(message))
            continue;
        if (json_is_string(content))
            return content;
        for (size_t k = json_array_size(content); k-- > 0;) {
            const json_t *text = json_object_get(json_array_get(content, k), "text");
            if (json_is_string(text))
                return text;
        }
    }
    return NULL;
}

static void read_id(struct sim_request *q)
{
    static const char *const names[] = {"id", "job_id", "job", "user_id"};
    const json_t *metadata = json_object_get(q->body, "metadata");
    const char *found = *q->steer.id ? q->steer.id : NULL;
    for (size_t i = 0; !found && i < sizeof(names) / sizeof(names[0]); i++)
        found = json_string_value(json_object_get(metadata, names[i]));
    if (!found)
        found = json_string_value(json_object_get(q->body, "user"));
    (void)snprintf(q->id, sizeof(q->id), "%s", found ? found : "");
}

/* Every endpoint has its own name for the largest output. */
static bool read_max_tokens(struct sim_request *q, struct sim_refusal *r)
{
    static const char *const names[] = {
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "max_tokens_to_sample",
    };
    q->max_tokens = -1;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const json_t *value = json_object_get(q->body, names[i]);
        if (!value || json_is_null(value))
            continue;
        if (!json_is_integer(value))
            return sim_refuse(r, "invalid_type", names[i],
                              "Invalid type for '%s': expected an integer.", names[i]);
        if (json_integer_value(value) < 1 && sim_endpoint_is_anthropic(q->endpoint))
            return sim_refuse(r, NULL, NULL, "%s: Input should be greater than or equal to 1",
                              names[i]);
        if (json_integer_value(value) < 1)
            return sim_refuse(r, "integer_below_min_value", names[i],
                              "Invalid '%s': integer below minimum value. Expected a value >= 1, "
                              "but got %" PRId64 " instead.",
                              names[i], (int64_t)json_integer_value(value));
        q->max_tokens = json_integer_value(value);
        return true;
    }
    if (q->endpoint == SIM_MESSAGES)
        return sim_refuse(r, NULL, NULL, "max_tokens: Field required");
    return true;
}

static bool read_model(struct sim_request *q, const struct sim_options *o, struct sim_refusal *r)
{
    q->model = json_string_value(json_object_get(q->body, "model"));
    bool anthropic = sim_endpoint_is_anthropic(q->endpoint);
    if (!q->model && anthropic)
        return sim_refuse(r, NULL, NULL, "model: Field required");
    if (!q->model || !*q->model)
        return sim_refuse(r, NULL, NULL, "you must provide a model parameter");
    for (int i = 0; i < o->model_count; i++)
        if (strcmp(o->models[i], q->model) == 0)
            return true;
    if (o->model_count == 0)
        return true;
    if (anthropic)
        (void)sim_refuse(r, NULL, NULL, "model: %.100s", q->model);
    else
        (void)sim_refuse(r, "model_not_found", NULL,
                         "The model `%.100s` does not exist or you do not have access to it.",
                         q->model);
    r->status = 404;
    r->type = anthropic ? "not_found_error" : "invalid_request_error";
    return false;
}

static bool fits_context(const struct sim_request *q, const struct sim_options *o,
                         struct sim_refusal *r)
{
    if (o->context_window == 0 || q->input_tokens <= o->context_window)
        return true;
    if (sim_endpoint_is_anthropic(q->endpoint))
        return sim_refuse(r, NULL, NULL,
                          "prompt is too long: %" PRId64 " tokens > %" PRId64 " maximum",
                          q->input_tokens, o->context_window);
    return sim_refuse(r, "context_length_exceeded", "messages",
                      "This model's maximum context length is %" PRId64 " tokens. However, your "
                      "messages resulted in %" PRId64 " tokens. Please reduce the length of the "
                      "messages.",
                      o->context_window, q->input_tokens);
}

static void read_flags(struct sim_request *q, const char *x_sim)
{
    const json_t *options = json_object_get(q->body, "stream_options");
    q->stream = json_is_true(json_object_get(q->body, "stream"));
    q->include_usage = json_is_true(json_object_get(options, "include_usage"));
    const json_t *n = json_object_get(q->body, "n");
    q->choices = json_is_integer(n) && json_integer_value(n) > 0 ? json_integer_value(n) : 1;
    if (q->choices > SIM_MAX_CHOICES)
        q->choices = SIM_MAX_CHOICES;

    sim_steer_init(&q->steer);
    const json_t *text = last_user_text(q);
    const char *value = json_is_string(text) ? json_string_value(text) : "";
    size_t len = json_is_string(text) ? json_string_length(text) : 0;
    q->user_hash = sim_hash(value, len);
    (void)sim_steer_text(&q->steer, value, len);
    if (x_sim)
        (void)sim_steer_words(&q->steer, x_sim, strlen(x_sim));
    read_id(q);
}

bool sim_request_read(struct sim_request *q, const struct sim_options *o, const char *bytes,
                      size_t len, const char *x_sim, struct sim_refusal *r)
{
    q->body_hash = sim_hash(bytes, len);
    q->body = json_loadb(bytes, len, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(q->body)) {
        if (sim_endpoint_is_anthropic(q->endpoint))
            return sim_refuse(r, NULL, NULL, "The request body is not valid JSON.");
        return sim_refuse(r, NULL, NULL,
                          "We could not parse the JSON body of your request. (HINT: This likely "
                          "means you aren't using your HTTP library correctly. The OpenAI API "
                          "expects a JSON payload, but what was sent was not valid JSON.)");
    }
    read_flags(q, x_sim);
    if (!read_model(q, o, r) || !read_max_tokens(q, r))
        return false;
    if (q->endpoint == SIM_EMBEDDINGS && !check_inputs(q->body, o->refuse_input, r))
        return false;
    if (!sim_transcript_check(q->endpoint, q->body, o->strict_roles, r))
        return false;
    q->input_tokens = count_input(q, o->bytes_per_token);
    return fits_context(q, o, r);
}

void sim_request_release(struct sim_request *q)
{
    json_decref(q->body);
    q->body = NULL;
    q->model = NULL;
}

struct sim_cost sim_request_cost(const struct sim_request *q, const struct sim_options *o)
{
    struct sim_cost cost = {.need = {[SIM_RPM] = 1, [SIM_RPD] = 1}};
    if (q->endpoint == SIM_COUNT_TOKENS)
        return (struct sim_cost){.need = {0}};
    int64_t output = q->max_tokens >= 0 ? q->max_tokens : o->default_max_tokens;
    int64_t tokens = q->input_tokens;
    bool reserves = q->endpoint != SIM_EMBEDDINGS && !sim_endpoint_is_anthropic(q->endpoint);
    output *= q->choices;
    if (reserves && o->cost_rule == SIM_COST_SUM)
        tokens += output;
    else if (reserves && o->cost_rule == SIM_COST_MAX && output > tokens)
        tokens = output;
    cost.need[SIM_TPM] = cost.need[SIM_TPD] = tokens;
    cost.need[SIM_ITPM] = q->input_tokens;
    cost.need[SIM_OTPM] = q->endpoint == SIM_EMBEDDINGS ? 0 : 1;
    memcpy(cost.charge, cost.need, sizeof(cost.charge));
    cost.charge[SIM_OTPM] = 0;
    return cost;
}
