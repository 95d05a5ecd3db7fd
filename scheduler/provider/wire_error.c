#include "scheduler/provider/wire.h"

#include <stddef.h>
#include <string.h>

static const struct {
    int status;
    const char *openai, *anthropic;
} types[] = {
    {400, "invalid_request_error", "invalid_request_error"},
    {401, "authentication_error", "authentication_error"},
    {402, "insufficient_quota", "billing_error"},
    {403, "permission_error", "permission_error"},
    {404, "not_found_error", "not_found_error"},
    {409, "conflict_error", "invalid_request_error"},
    {413, "invalid_request_error", "request_too_large"},
    {429, "rate_limit_error", "rate_limit_error"},
    {500, "server_error", "api_error"},
    {503, "service_unavailable_error", "overloaded_error"},
    {504, "timeout_error", "timeout_error"},
    {529, "service_unavailable_error", "overloaded_error"},
};

const char *wire_error_type(enum wire_format format, int status)
{
    bool openai = format == WIRE_OPENAI;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].status == status)
            return openai ? types[i].openai : types[i].anthropic;
    if (status < 500)
        return "invalid_request_error";
    return openai ? "server_error" : "api_error";
}

static int add_quoted(struct buf *out, const char *text)
{
    if (!text)
        return buf_adds(out, "null");
    int rc = buf_adds(out, "\"");
    if (rc == 0)
        rc = buf_add_json(out, text, strlen(text));
    return rc < 0 ? rc : buf_adds(out, "\"");
}

int wire_error(enum wire_format format, const struct wire_error *error, struct buf *out)
{
    const char *type = error->type ? error->type : wire_error_type(format, error->status);
    bool openai = format == WIRE_OPENAI;
    const struct {
        const char *before, *text;
    } parts[] = {
        {openai ? "{\"error\":{\"message\":" : "{\"type\":\"error\",\"error\":{\"type\":",
         openai ? error->message : type},
        {openai ? ",\"type\":" : ",\"message\":", openai ? type : error->message},
        {",\"param\":", error->param},
        {",\"code\":", error->code},
    };
    size_t count = openai ? 4 : 2;
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = buf_adds(out, parts[i].before);
        if (rc == 0)
            rc = add_quoted(out, parts[i].text);
    }
    return rc < 0 ? rc : buf_adds(out, "}}");
}
