#include "scheduler/session_body.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MAX_OUTPUT_TOKENS "4096" /* Anthropic's format wants one */

/* ---- set-up */

static const struct {
    const char *name;
    enum wire_endpoint endpoint;
} formats[] = {{"openai", WIRE_CHAT}, {"responses", WIRE_RESPONSES}, {"anthropic", WIRE_MESSAGES}};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static const char *const presets[] = {"aggressive", "balanced", "conservative"};

static bool is_given(struct json_span value)
{
    return json_kind(value) != JSON_NONE && json_kind(value) != JSON_NUL;
}

static const char *preset_of(struct json_span value)
{
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
        if (json_equals(value, presets[i]))
            return presets[i];
    return NULL;
}

static bool serves(const struct config *c, enum config_format format, const char *model)
{
    const struct config_provider *provider;
    const struct config_model *row;
    const char *name;
    return config_route(c, format, model, &provider, &row, &name);
}

static int find_format(const struct config *c, const char *model, const char **ret, struct error *e)
{
    bool openai = serves(c, CONFIG_OPENAI, model), anthropic = serves(c, CONFIG_ANTHROPIC, model);
    if (!openai && !anthropic)
        return error_set(e, -ENOENT, "model: no provider here serves '%.80s'.", model);
    /* Both may take any name; then the name itself says whose it is. */
    bool claude = strncmp(model, "claude", 6) == 0;
    *ret = anthropic && (!openai || claude) ? "anthropic" : "openai";
    return 0;
}

static int check_kinds(struct json_span root, struct error *e)
{
    static const struct {
        const char *name, *wanted;
        enum json_kind kind, other;
    } rows[] = {
        {"system", "a string or an array", JSON_STR, JSON_ARR},
        {"tools", "an array", JSON_ARR, JSON_ARR},
        {"metadata", "an object", JSON_OBJ, JSON_OBJ},
        {"messages", "left out: post them to the session", JSON_NUL, JSON_NUL},
        {"input", "left out: post it to the session", JSON_NUL, JSON_NUL},
        {"content", "left out: post it to the session", JSON_NUL, JSON_NUL},
        {"stream", "left out: it belongs to a post", JSON_NUL, JSON_NUL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct json_span value = json_get(root, rows[i].name);
        enum json_kind kind = json_kind(value);
        if (is_given(value) && kind != rows[i].kind && kind != rows[i].other)
            return error_set(e, -EINVAL, "%s: must be %s.", rows[i].name, rows[i].wanted);
    }
    struct json_span preset = json_get(root, "preset");
    if (is_given(preset) && !preset_of(preset))
        return error_set(e, -EINVAL, "preset: must be aggressive, balanced or conservative.");
    if (json_get(root, "metadata").len > JOB_MAX_METADATA_BYTES)
        return error_set(e, -EINVAL, "metadata: has more than %ld bytes.", JOB_MAX_METADATA_BYTES);
    return 0;
}

static int read_format(const struct config *c, struct json_span root, const char **ret,
                       struct error *e)
{
    struct json_span format = json_get(root, "format");
    struct buf model;
    for (size_t i = 0; i < FORMATS; i++)
        if (json_equals(format, formats[i].name))
            *ret = formats[i].name;
    if (is_given(format) && !*ret)
        return error_set(e, -EINVAL, "format: must be openai, responses or anthropic.");
    buf_init(&model, MODEL_NAME_BYTES * 2);
    int rc = json_text(json_get(root, "model"), &model);
    if (rc < 0 || model.len == 0)
        rc = error_set(e, -EINVAL, "model: is missing, empty or too long.");
    else if (!*ret)
        rc = find_format(c, model.data, ret, e);
    buf_release(&model);
    return rc;
}

int session_setup_make(const struct config *c, const char *text, size_t len, struct buf *out,
                       struct error *e)
{
    const char *format = NULL;
    struct json_span root = json_span_of(text, len);
    int rc = json_scan_check(text, len, e);
    if (rc < 0)
        return rc;
    if (json_kind(root) != JSON_OBJ)
        return error_set(e, -EINVAL, "the session: must be an object.");
    if (root.len > SESSION_MAX_SETUP_BYTES)
        return error_set(e, -EINVAL, "the session: has more than %ld bytes.",
                         SESSION_MAX_SETUP_BYTES);
    rc = check_kinds(root, e);
    if (rc == 0)
        rc = read_format(c, root, &format, e);
    if (rc < 0)
        return rc;
    rc = buf_addf(out, "{\"format\":\"%s\",\"setup\":", format);
    if (rc == 0)
        rc = buf_add(out, root.at, root.len);
    return rc < 0 ? rc : buf_adds(out, "}");
}

int session_setup_parse(const char *text, size_t len, struct session_setup_read *ret)
{
    struct json_span all = json_span_of(text, len);
    struct json_span format = json_get(all, "format"), root = json_get(all, "setup");
    const char *preset = preset_of(json_get(root, "preset"));
    *ret = (struct session_setup_read){
        .root = root,
        .model = json_get(root, "model"),
        .system = json_get(root, "system"),
        .metadata = json_get(root, "metadata"),
        .preset = preset ? preset : "",
    };
    for (size_t i = 0; i < FORMATS; i++) {
        if (json_equals(format, formats[i].name)) {
            ret->endpoint = formats[i].endpoint;
            return json_kind(root) == JSON_OBJ ? 0 : -EINVAL;
        }
    }
    return -EINVAL;
}

/* ---- what is said */

int session_said_read(const char *text, size_t len, struct session_said *ret, struct error *e)
{
    int rc = json_scan_check(text, len, e);
    if (rc < 0)
        return rc;
    struct json_span root = json_span_of(text, len);
    *ret = (struct session_said){
        .root = root, .content = json_get(root, "content"), .messages = json_get(root, "messages")};
    static const char *const others[] = {"model", "system", "instructions", "input"};
    if (json_kind(root) != JSON_OBJ)
        return error_set(e, -EINVAL, "the post: must be an object.");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (json_get(root, others[i]).at)
            return error_set(e, -EINVAL, "%s: belongs to the session, not to a post.", others[i]);
    if (is_given(ret->content) == is_given(ret->messages))
        return error_set(e, -EINVAL, "the post: must have either content or messages.");
    if (is_given(ret->content)) {
        enum json_kind kind = json_kind(ret->content);
        ret->count = 1;
        ret->messages = (struct json_span){0};
        return kind == JSON_STR || kind == JSON_ARR
                   ? 0
                   : error_set(e, -EINVAL, "content: must be a string or an array.");
    }
    struct json_iter it = json_iter(ret->messages);
    bool objects = json_kind(ret->messages) == JSON_ARR;
    for (; objects && json_next(&it); ret->count++)
        objects = json_kind(it.value) == JSON_OBJ;
    if (!objects || ret->count == 0)
        return error_set(e, -EINVAL, "messages: must be an array of messages, one at least.");
    return 0;
}

int session_said_each(const struct session_said *said,
                      int (*fn)(void *arg, const char *text, size_t len), void *arg)
{
    struct json_iter it = json_iter(said->messages);
    int rc = 0;
    if (said->messages.at) {
        while (rc == 0 && json_next(&it))
            rc = fn(arg, it.value.at, it.value.len);
        return rc;
    }
    struct buf message;
    buf_init(&message, HTTP_MAX_BODY_BYTES);
    rc = buf_adds(&message, "{\"role\":\"user\",\"content\":");
    if (rc == 0)
        rc = buf_add(&message, said->content.at, said->content.len);
    if (rc == 0)
        rc = buf_adds(&message, "}");
    if (rc == 0)
        rc = fn(arg, message.data, message.len);
    buf_release(&message);
    return rc;
}

int session_entry(struct json_span message, int64_t now_ms, const struct wire_usage *usage,
                  struct buf *out)
{
    int rc = buf_addf(out, "{\"at\":%" PRId64, now_ms);
    if (rc == 0 && usage && usage->known)
        rc = buf_addf(out,
                      ",\"usage\":{\"input_tokens\":%" PRId64 ",\"output_tokens\":%" PRId64
                      ",\"cached_tokens\":%" PRId64 "}",
                      usage->input, usage->output, usage->cache_read);
    if (rc == 0)
        rc = buf_adds(out, ",\"message\":");
    if (rc == 0)
        rc = buf_add(out, message.at, message.len);
    return rc < 0 ? rc : buf_adds(out, "}");
}

struct json_span session_entry_message(const char *text, size_t len)
{
    return json_get(json_span_of(text, len), "message");
}

/* ---- the request */

struct list {
    struct buf *out;
    bool begun;
};

static int add_item(void *arg, const char *text, size_t len)
{
    struct list *l = arg;
    int rc = l->begun ? buf_adds(l->out, ",") : 0;
    l->begun = true;
    return rc < 0 ? rc : buf_add(l->out, text, len);
}

static int add_member(struct buf *out, const char *name, struct json_span value)
{
    int rc = buf_addf(out, ",\"%s\":", name);
    return rc < 0 ? rc : buf_add(out, value.at, value.len);
}

static bool is_one_of(struct json_span key, const char *const *names)
{
    for (; *names; names++)
        if (json_equals(key, *names))
            return true;
    return false;
}

/* All members but some, and but those that `over` has too. */
static int copy_members(struct json_span from, const char *const *but, struct json_span over,
                        struct buf *out)
{
    struct json_iter it = json_iter(from);
    int rc = 0;
    while (rc == 0 && json_next(&it)) {
        bool again = false;
        struct json_iter o = json_iter(over);
        while (over.at && !again && json_next(&o))
            again = o.key.len == it.key.len && memcmp(o.key.at, it.key.at, it.key.len) == 0;
        if (again || is_one_of(it.key, but))
            continue;
        rc = buf_adds(out, ",");
        if (rc == 0)
            rc = buf_add(out, it.key.at, it.key.len);
        if (rc == 0)
            rc = buf_adds(out, ":");
        if (rc == 0)
            rc = buf_add(out, it.value.at, it.value.len);
    }
    return rc;
}

static int add_list(const struct session_setup_read *setup, const struct session_view *view,
                    const struct session_said *said, struct buf *out)
{
    struct list list = {.out = out};
    int rc = buf_adds(out, setup->endpoint == WIRE_RESPONSES ? ",\"input\":[" : ",\"messages\":[");
    if (rc == 0 && setup->endpoint == WIRE_CHAT && is_given(setup->system)) {
        rc = buf_adds(out, "{\"role\":\"system\",\"content\":");
        if (rc == 0)
            rc = buf_add(out, setup->system.at, setup->system.len);
        if (rc == 0)
            rc = buf_adds(out, "}");
        list.begun = true;
    }
    for (size_t i = 0; rc == 0 && i < view->count; i++) {
        size_t len = 0;
        const char *text = session_view_message(view, i, &len);
        struct json_span message = session_entry_message(text ? text : "{}", text ? len : 2);
        if (message.at)
            rc = add_item(&list, message.at, message.len);
    }
    if (rc == 0 && said)
        rc = session_said_each(said, add_item, &list);
    return rc < 0 ? rc : buf_adds(out, "]}");
}

int session_body(const struct session_setup_read *setup, const struct session_view *view,
                 const struct session_said *said, struct buf *out)
{
    static const char *const ours[] = {"model", "system", "preset", "metadata", "format", NULL};
    static const char *const said_ours[] = {"content", "messages", NULL};
    struct json_span post = said ? said->root : (struct json_span){0};
    bool anthropic = setup->endpoint == WIRE_MESSAGES;
    int rc = buf_adds(out, "{\"model\":");
    if (rc == 0)
        rc = buf_add(out, setup->model.at, setup->model.len);
    if (rc == 0 && setup->endpoint != WIRE_CHAT && is_given(setup->system))
        rc = add_member(out, anthropic ? "system" : "instructions", setup->system);
    if (rc == 0)
        rc = copy_members(setup->root, ours, post, out);
    if (rc == 0 && post.at)
        rc = copy_members(post, said_ours, (struct json_span){0}, out);
    if (rc == 0 && anthropic && !json_get(setup->root, "max_tokens").at &&
        !json_get(post, "max_tokens").at)
        rc = buf_adds(out, ",\"max_tokens\":" MAX_OUTPUT_TOKENS);
    return rc < 0 ? rc : add_list(setup, view, said, out);
}
