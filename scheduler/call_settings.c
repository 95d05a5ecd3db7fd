#include "scheduler/call_settings.h"

#include "scheduler/call_internal.h"

#include "common/json_edit.h"
#include "common/limits.h"
#include "scheduler/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_BYTES (MODEL_NAME_BYTES + 1)

/* ---- changes of the body */

static int replace(struct call *c, int rc, struct buf *changed)
{
    if (rc == 0)
        return call_replace_body(c, changed);
    buf_release(changed);
    return rc;
}

static int drop(struct call *c, const char *name)
{
    struct buf changed;
    if (json_kind(json_get(c->request.body, name)) == JSON_NONE)
        return 0;
    buf_init(&changed, HTTP_MAX_BODY_BYTES + KIB);
    return replace(c, wire_request_drop(&c->request, name, &changed), &changed);
}

static int set_output(struct call *c, int64_t tokens)
{
    struct buf changed;
    buf_init(&changed, HTTP_MAX_BODY_BYTES + KIB);
    int rc = wire_request_set_output(c->spec.endpoint, &c->request, tokens, &changed);
    return replace(c, rc, &changed);
}

static int set_temperature(struct call *c, int64_t tenths)
{
    struct json_edits edits;
    struct buf changed;
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRId64 ".%" PRId64, tenths / 10, tenths % 10);
    json_edits_init(&edits, c->request.body.at, c->request.body.len);
    json_edit_set(&edits, c->request.body, "temperature", text);
    buf_init(&changed, HTTP_MAX_BODY_BYTES + KIB);
    int rc = json_edits_apply(&edits, &changed);
    json_edits_release(&edits);
    return replace(c, rc, &changed);
}

/* ---- temperature */

static bool is_named(const struct call *c, const char *name)
{
    enum json_kind kind = json_kind(json_get(c->request.body, name));
    return kind != JSON_NONE && kind != JSON_NUL;
}

/* Claude takes no temperature while it thinks. */
static bool thinks(const struct call *c)
{
    struct json_span thinking = json_get(c->request.body, "thinking");
    return json_kind(thinking) == JSON_OBJ && !json_equals(json_get(thinking, "type"), "disabled");
}

/* By the name that the provider gets. top_p is the other way to say the same: a request that says
 * it has chosen, and newer Claude models refuse both together. */
static bool wants_temperature(const struct call *c, bool *ret_claude)
{
    struct buf name;
    bool takes = false;
    if (is_named(c, "temperature") || is_named(c, "top_p") || thinks(c))
        return false;
    buf_init(&name, NAME_BYTES);
    if (json_text(c->request.model, &name) == 0) {
        takes = settings_model_takes_temperature(name.data);
        *ret_claude = settings_model_is_claude(name.data);
    }
    buf_release(&name);
    return takes;
}

static int apply_temperature(struct call *c, const struct settings_values *v)
{
    bool claude = false;
    int64_t tenths = v->temperature_tenths;
    if (tenths == SETTINGS_UNSET || !wants_temperature(c, &claude))
        return 0;
    if (claude && tenths > SETTINGS_MAX_CLAUDE_TENTHS)
        tenths = SETTINGS_MAX_CLAUDE_TENTHS; /* saved for a pattern of many makers */
    int rc = set_temperature(c, tenths);
    if (rc == 0) {
        c->settings.added_temperature = true;
        c->settings.tenths = tenths;
    }
    return rc;
}

/* ---- the most output */

static const char *output_param(const struct call *c)
{
    return c->spec.endpoint == WIRE_RESPONSES ? "max_output_tokens" : "max_tokens";
}

static int refuse_thinking(const struct call *c, int64_t most, struct call_failure *f)
{
    call_failure_set(f, 400, "max_output_tokens_exceeded",
                     "thinking.budget_tokens is %" PRId64 ", and the most output that is set here "
                     "for %.40s/%.80s is %" PRId64 ": think within less, or raise it (sluice "
                     "settings set).",
                     wire_request_thinking(c->spec.endpoint, &c->request), c->provider->name,
                     c->model, most);
    f->param = "thinking.budget_tokens";
    return -E2BIG;
}

static int refuse_output(const struct call *c, int64_t most, struct call_failure *f)
{
    call_failure_set(f, 400, "max_output_tokens_exceeded",
                     "%s is %" PRId64 ", and the most that is set here for %.40s/%.80s is %" PRId64
                     ": ask for less, let x-sluice-shrink: never be, or raise it (sluice settings "
                     "set).",
                     output_param(c), c->request.max_output_tokens, c->provider->name, c->model,
                     most);
    f->param = output_param(c);
    return -E2BIG;
}

/* failure NULL: what cannot be lowered is left as it is. */
static int apply_output(struct call *c, const struct settings_values *v, struct call_failure *f)
{
    int64_t most = v->max_output_tokens, asked = c->request.max_output_tokens;
    if (most == SETTINGS_UNSET)
        return 0;
    if (c->row->max_output_tokens > 0 && c->row->max_output_tokens < most)
        most = c->row->max_output_tokens;
    if (asked >= 0 && asked <= most)
        return 0;
    if (wire_request_thinking(c->spec.endpoint, &c->request) >= most)
        return f ? refuse_thinking(c, most, f) : 0;
    if (asked >= 0 && c->spec.never_shrink)
        return f ? refuse_output(c, most, f) : 0;
    int rc = set_output(c, most);
    if (rc < 0)
        return rc;
    c->settings.added_output |= asked < 0;
    c->settings.lowered_output |= asked >= 0;
    c->settings.output = most;
    c->fit.output_lowered |= asked >= 0;
    return 0;
}

/* ---- rounds of the agent's loop */

static int check_iterations(const struct call *c, const struct settings_values *v,
                            struct call_failure *f)
{
    int64_t n = c->tools.count.iterations;
    if (v->max_iterations == SETTINGS_UNSET || !c->spec.facts || n <= v->max_iterations)
        return 0;
    call_failure_set(f, 422, "max_iterations_exceeded",
                     "This turn of the conversation has had %" PRId64 " rounds of tool calls, and "
                     "the most that is set here for %.40s/%.80s is %" PRId64 " (max_iterations); "
                     "nothing was sent to the provider. Begin a new turn with a message of the "
                     "user, or raise it (sluice settings set).",
                     n, c->provider->name, c->model, v->max_iterations);
    f->param = c->spec.endpoint == WIRE_RESPONSES ? "input" : "messages";
    return -EDQUOT;
}

/* ---- the stage */

/* Who calls the provider itself sends what it likes; embeddings have none of these. */
static const struct settings_entry *entry_of(const struct call *c)
{
    if (c->spec.for_permit || c->spec.endpoint == WIRE_EMBEDDINGS)
        return NULL;
    return settings_find(scheduler_options(c->sched)->settings, c->provider->name, c->model);
}

static int apply(struct call *c, struct call_failure *f)
{
    const struct settings_entry *e = entry_of(c);
    if (!e)
        return 0;
    int rc = f ? check_iterations(c, &e->values, f) : 0;
    if (rc == 0)
        rc = apply_output(c, &e->values, f);
    return rc < 0 ? rc : apply_temperature(c, &e->values);
}

int call_settings_read(struct call *c, struct call_failure *failure)
{
    struct call_failure f = {.status = 0};
    const struct settings_entry *e = entry_of(c);
    c->settings.read = true;
    (void)snprintf(c->settings.trim, sizeof(c->settings.trim), "%s", e ? e->values.trim : "");
    /* A job was judged when it was handed in. */
    int rc = apply(c, c->spec.prepared ? NULL : &f);
    if (rc == 0)
        return 0;
    if (f.status == 0)
        return call_fail_memory(failure);
    if (c->spec.unfit) { /* who only looks is told, and goes on */
        *c->spec.unfit = f;
        return 0;
    }
    *failure = f;
    return rc;
}

int call_settings_again(struct call *c)
{
    static const char *const outputs[] = {"max_tokens", "max_completion_tokens",
                                          "max_output_tokens"};
    int rc = 0;
    if (!c->settings.read)
        return 0;
    if (c->settings.added_temperature)
        rc = drop(c, "temperature");
    /* One that was lowered further since, to fit, stays. */
    bool ours = c->settings.added_output && c->request.max_output_tokens == c->settings.output;
    for (size_t i = 0; ours && rc == 0 && i < sizeof(outputs) / sizeof(outputs[0]); i++)
        rc = drop(c, outputs[i]);
    c->settings.added_temperature = c->settings.added_output = c->settings.lowered_output = false;
    return rc < 0 ? rc : apply(c, NULL);
}

const char *call_settings_applied(const struct call *c, char out[CALL_SETTINGS_BYTES])
{
    const struct call_settings *s = &c->settings;
    int n = 0;
    out[0] = '\0';
    if (s->added_output || s->lowered_output)
        n = snprintf(out, CALL_SETTINGS_BYTES, "max_output_tokens=%" PRId64, s->output);
    if (s->added_temperature)
        n +=
            snprintf(out + n, CALL_SETTINGS_BYTES - (size_t)n, "%stemperature=%" PRId64 ".%" PRId64,
                     n > 0 ? ", " : "", s->tenths / 10, s->tenths % 10);
    if (c->fit.policy && *s->trim && strcmp(c->fit.policy, s->trim) == 0)
        (void)snprintf(out + n, CALL_SETTINGS_BYTES - (size_t)n, "%strim=%s", n > 0 ? ", " : "",
                       s->trim);
    return *out ? out : NULL;
}
