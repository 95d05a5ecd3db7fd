#include "scheduler/prompt/count_schema.h"

#include <string.h>

static void add_properties(struct count_sum *s, const struct count_frame *f,
                           struct json_span schema, int depth);

static void add_flat(struct count_sum *s, int64_t tokens)
{
    s->flat = (uint64_t)((int64_t)s->flat + tokens);
}

/* A description loses the dot at its end. */
static void append_description(struct buf *line, struct json_span description)
{
    if (json_kind(description) != JSON_STR || json_text(description, line) < 0)
        return;
    if (line->len > 0 && line->data[line->len - 1] == '.')
        line->len--;
}

static void append_text(struct buf *line, struct json_span string)
{
    if (json_kind(string) == JSON_STR && json_text(string, line) < 0)
        buf_clear(line);
}

static void add_values(struct count_sum *s, const struct count_frame *f, struct json_span values)
{
    if (json_kind(values) != JSON_ARR)
        return;
    add_flat(s, f->first_value);
    struct json_iter it = json_iter(values);
    while (json_next(&it)) {
        add_flat(s, f->value);
        if (json_kind(it.value) == JSON_STR)
            count_sum_string(s, it.value);
        else
            count_sum_json(s, it.value);
    }
}

static void add_property(struct count_sum *s, const struct count_frame *f, struct json_span key,
                         struct json_span schema, int depth)
{
    static const char *const other[] = {"anyOf", "oneOf", "allOf", "$ref", "additionalProperties"};
    struct json_span type = json_get(schema, "type");
    add_flat(s, f->property);
    add_values(s, f, json_get(schema, "enum"));
    buf_clear(s->scratch);
    append_text(s->scratch, key);
    buf_adds(s->scratch, ":");
    append_text(s->scratch, type);
    buf_adds(s->scratch, ":");
    append_description(s->scratch, json_get(schema, "description"));
    count_sum_scratch(s);
    if (json_kind(type) == JSON_ARR)
        count_sum_json(s, type);
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        if (json_kind(json_get(schema, other[i])) != JSON_BOOL)
            count_sum_json(s, json_get(schema, other[i]));
    add_properties(s, f, schema, depth + 1);
    struct json_span items = json_get(schema, "items");
    add_values(s, f, json_get(items, "enum"));
    add_properties(s, f, items, depth + 1);
}

static void add_properties(struct count_sum *s, const struct count_frame *f,
                           struct json_span schema, int depth)
{
    struct json_span properties = json_get(schema, "properties");
    if (depth > COUNT_SCHEMA_DEPTH) {
        count_sum_json(s, properties);
        return;
    }
    struct json_iter it = json_iter(properties);
    for (bool first = true; json_next(&it); first = false) {
        if (first)
            add_flat(s, f->first_property);
        add_property(s, f, it.key, it.value, depth);
    }
}

/* Where the definition stands differs: in `function` (chat), beside the type (responses), alone
 * (Anthropic, and chat's old functions). */
static bool find_function(struct json_span tool, struct json_span *ret_function,
                          struct json_span *ret_schema)
{
    struct json_span inner = json_get(tool, "function");
    struct json_span function = json_kind(inner) == JSON_OBJ ? inner : tool;
    struct json_span schema = json_get(function, "parameters");
    if (!schema.at)
        schema = json_get(function, "input_schema");
    *ret_function = function;
    *ret_schema = schema;
    return json_kind(json_get(function, "name")) == JSON_STR &&
           (schema.at || json_get(function, "description").at);
}

static void add_function(struct count_sum *s, const struct count_frame *f,
                         struct json_span function, struct json_span schema)
{
    add_flat(s, f->function);
    buf_clear(s->scratch);
    append_text(s->scratch, json_get(function, "name"));
    buf_adds(s->scratch, ":");
    append_description(s->scratch, json_get(function, "description"));
    count_sum_scratch(s);
    add_properties(s, f, schema, 0);
    count_sum_json(s, json_get(schema, "$defs"));
    count_sum_json(s, json_get(schema, "definitions"));
}

void count_schema(struct count_sum *s, const struct count_frame *frame, struct json_span tools)
{
    int64_t count = 0;
    struct json_iter it = json_iter(tools);
    while (json_next(&it)) {
        struct json_span function, schema;
        if (frame->function > 0 && find_function(it.value, &function, &schema))
            add_function(s, frame, function, schema);
        else
            count_sum_json(s, it.value);
        count++;
    }
    if (count > 0)
        add_flat(s, frame->tools + count * frame->tool + frame->functions_end);
}
