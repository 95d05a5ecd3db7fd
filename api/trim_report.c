#include "api/trim_report.h"

#include <inttypes.h>
#include <string.h>

static void add_size(struct buf *out, const char *name, struct trim_size size)
{
    (void)buf_addf(out, ",\"%s\":{\"messages\":%" PRIu32 ",\"tokens\":%" PRId64 "}", name,
                   size.messages, size.tokens);
}

int trim_report(const struct trim_result *r, struct json_span original, struct buf *out)
{
    bool changed = r->body.len > 0;
    (void)buf_adds(out, "{\"body\":");
    (void)buf_add(out, changed ? r->body.data : original.at, changed ? r->body.len : original.len);
    add_size(out, "before", r->before);
    add_size(out, "after", r->after);
    (void)buf_addf(out, ",\"fits\":%s,\"actions\":[", r->fits ? "true" : "false");
    for (size_t i = 0; i < r->action_count; i++)
        (void)buf_addf(out,
                       "%s{\"stage\":\"%s\",\"message\":%" PRIu32 ",\"saved_tokens\":%" PRId64
                       ",\"why\":\"%s\"}",
                       i > 0 ? "," : "", r->actions[i].stage, r->actions[i].message,
                       r->actions[i].saved_tokens, r->actions[i].why);
    (void)buf_adds(out, "]");
    if (r->refused.text[0]) {
        (void)buf_adds(out, ",\"refused\":\"");
        (void)buf_add_json(out, r->refused.text, strlen(r->refused.text));
        (void)buf_adds(out, "\"");
    }
    return buf_adds(out, "}\n");
}
