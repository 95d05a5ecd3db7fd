#include "api/cmd_trim.h"

#include "api/trim_report.h"

#include "common/args.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/rand.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OPTION_MAX_TOKENS = ARGS_NO_CHAR, OPTION_POLICY };

static const struct args_option options[] = {
    {'p', "preset", "P", "aggressive, balanced (default) or conservative"},
    {OPTION_POLICY, "policy", "JSON", "a policy of your own, as /v1/context/trim takes it"},
    {OPTION_MAX_TOKENS, "max-tokens", "N", "make it fit into N input tokens"},
    {'f', "format", "F", "openai or anthropic; found out from the request when not given"},
    {'j', "json", NULL, "print a report with the request in it instead of the request"},
    {0},
};

const struct args_command cmd_trim_usage = {
    .name = "trim",
    .about = "Makes a request smaller and prints it: the JSON body of a call to chat completions,\n"
             "responses or messages. What was cut is told on standard error. The exit code is 1\n"
             "when the request is given back as it was since it is illegal, or does not fit.",
    .operands = "FILE",
    .least = 1,
    .most = 1,
    .options = options,
    .example = "  sluice trim --preset balanced --max-tokens 20000 request.json >smaller.json",
};

struct job {
    struct trim_policy policy;
    int64_t max_tokens; /* -1: as the policy says */
    const char *format; /* NULL: find out */
    bool json;
    struct buf body, report;
};

static int complain(const char *name, const char *text)
{
    (void)fprintf(stderr, "sluice trim: %s: %s\n", name, text);
    return 1;
}

static void read_policy(struct job *j, struct args *a)
{
    struct error e;
    size_t len = strlen(a->value);
    if (json_scan_check(a->value, len, &e) < 0 ||
        trim_policy_read(json_span_of(a->value, len), &j->policy, &e) < 0)
        args_error(a, "--policy: %s", e.text);
}

static void parse(struct job *j, struct args *a)
{
    for (int id; (id = args_next(a)) != ARGS_END;) {
        if (id == 'p' && !trim_policy_preset(a->value, &j->policy))
            args_error(a, "--preset %s: expected aggressive, balanced or conservative", a->value);
        else if (id == OPTION_POLICY)
            read_policy(j, a);
        else if (id == OPTION_MAX_TOKENS)
            (void)args_number(a, 1, INT64_C(1000000000), &j->max_tokens);
        else if (id == 'f' && strcmp(a->value, "openai") != 0 && strcmp(a->value, "anthropic") != 0)
            args_error(a, "--format %s: expected openai or anthropic", a->value);
        else if (id == 'f')
            j->format = a->value;
        else if (id == 'j')
            j->json = true;
    }
}

static int print(struct job *j, const struct trim_result *r)
{
    struct json_span original = json_span_of(j->body.data, j->body.len);
    bool changed = r->body.len > 0;
    if (!j->json) {
        (void)fwrite(changed ? r->body.data : j->body.data, 1, changed ? r->body.len : j->body.len,
                     stdout);
    } else if (trim_report(r, original, &j->report) < 0) {
        return complain("report", strerror(ENOMEM));
    } else {
        (void)fwrite(j->report.data, 1, j->report.len, stdout);
    }
    return fflush(stdout) == 0 ? 0 : complain("output", strerror(errno));
}

static int tell(const struct trim_result *r)
{
    (void)fprintf(stderr,
                  "sluice trim: %" PRId64 " tokens in %" PRIu32 " messages, now %" PRId64
                  " in %" PRIu32 "; %zu edits\n",
                  r->before.tokens, r->before.messages, r->after.tokens, r->after.messages,
                  r->action_count);
    if (r->refused.text[0])
        return complain("given back as it was", r->refused.text);
    return r->fits ? 0 : complain("does not fit", "nothing more may be cut");
}

static int trim_body(struct job *j, const char *path)
{
    struct error e;
    struct trim_result r;
    struct trim_input in = {.body = j->body.data, .len = j->body.len, .policy = &j->policy};
    int rc = json_scan_check(in.body ? in.body : "", in.len, &e);
    if (rc < 0)
        return complain(path, e.text);
    if (!transcript_endpoint(json_span_of(in.body, in.len), &in.endpoint))
        return complain(path, "it has neither messages nor input");
    if (j->format && strcmp(j->format, "anthropic") == 0)
        in.endpoint = WIRE_MESSAGES;
    else if (j->format && in.endpoint == WIRE_MESSAGES)
        in.endpoint = WIRE_CHAT;
    if (counter_new(rand_system_seed(), &in.counter) < 0)
        return complain("start", strerror(ENOMEM));
    rc = trim(&in, &r, &e);
    counter_free(in.counter);
    if (rc < 0)
        return complain(path, e.text);
    int code = print(j, &r);
    code |= tell(&r);
    trim_result_release(&r);
    return code;
}

int cmd_trim(int argc, char **argv)
{
    struct job j = {.max_tokens = -1};
    struct args a;
    (void)trim_policy_preset("balanced", &j.policy);
    args_init(&a, &cmd_trim_usage, argc, argv);
    parse(&j, &a);
    if (a.exit_code >= 0)
        return a.exit_code;
    if (j.max_tokens >= 0)
        j.policy.max_context_tokens = j.max_tokens;
    buf_init(&j.body, (size_t)TOKENS_MAX_FILE_BYTES);
    buf_init(&j.report, (size_t)TOKENS_MAX_REPORT_BYTES);
    int failed = file_append(a.operands[0], &j.body);
    int code =
        failed < 0 ? complain(a.operands[0], strerror(-failed)) : trim_body(&j, a.operands[0]);
    buf_release(&j.body);
    buf_release(&j.report);
    return code;
}
