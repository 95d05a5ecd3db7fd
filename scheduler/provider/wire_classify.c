#include "scheduler/provider/wire.h"

#include "common/limits.h"
#include "scheduler/provider/wire_quota.h"
#include "scheduler/provider/wire_rules.h"
#include "scheduler/provider/wire_time.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Texts of errors are searched this far, in their escaped form: what is looked for has no
 * byte that JSON escapes. */
#define MESSAGE_MAX_BYTES 4096

const char *wire_failure_name(enum wire_failure f)
{
    static const char *const names[] = {
        [WIRE_OK] = "ok",         [WIRE_RATE] = "rate",         [WIRE_LIMIT_SIZE] = "too_large",
        [WIRE_RAMP] = "ramp",     [WIRE_QUOTA] = "quota",       [WIRE_AUTH] = "auth",
        [WIRE_SERVER] = "server", [WIRE_OVERLOAD] = "overload", [WIRE_CLIENT] = "client",
    };
    return (unsigned)f < sizeof(names) / sizeof(names[0]) ? names[f] : "?";
}

bool wire_failure_may_retry(enum wire_failure f)
{
    return f == WIRE_RATE || f == WIRE_RAMP || f == WIRE_OVERLOAD || f == WIRE_SERVER;
}

/* ---- what an error body says */

struct fault {
    struct json_span error; /* the error object */
    struct json_span type, code;
    struct json_span message; /* without quotes, at most MESSAGE_MAX_BYTES */
    int status;               /* a number that the body gives as its code, or 0 */
};

/* Where the error object stands: {"error":{}} everywhere; inside "response" in Responses
 * streams; in the first item of an array at Gemini; bare in older services and in Responses'
 * "error" events. */
static struct json_span find_error(struct json_span root)
{
    struct json_iter it = json_iter(root);
    if (json_kind(root) == JSON_ARR && json_next(&it))
        root = it.value;
    struct json_span error = json_get(root, "error");
    if (json_kind(error) == JSON_OBJ || json_kind(error) == JSON_STR)
        return error;
    error = json_get(json_get(root, "response"), "error");
    if (json_kind(error) == JSON_OBJ)
        return error;
    if (json_equals(json_get(root, "type"), "error") ||
        json_kind(json_get(root, "message")) == JSON_STR)
        return root;
    return (struct json_span){0};
}

static struct fault read_fault(const char *body, size_t len)
{
    struct fault f = {0};
    if (!body || len > WIRE_MAX_ERROR_BYTES || json_scan_check(body, len, NULL) < 0)
        return f;
    f.error = find_error(json_span_of(body, len));
    f.type = json_get(f.error, "type");
    f.code = json_get(f.error, "code");
    f.message =
        json_inside(json_kind(f.error) == JSON_STR ? f.error : json_get(f.error, "message"));
    if (f.message.len > MESSAGE_MAX_BYTES)
        f.message.len = MESSAGE_MAX_BYTES;
    int64_t status;
    if (json_int(f.code, &status) && status >= 400 && status <= 599)
        f.status = (int)status;
    return f;
}

/* Where text stands in the message, in any case; the result is what follows it. */
static bool find_text(const struct fault *f, const char *text, struct json_span *ret_behind)
{
    size_t len = strlen(text);
    for (size_t i = 0; i + len <= f->message.len; i++) {
        if (strncasecmp(f->message.at + i, text, len) != 0)
            continue;
        if (ret_behind)
            *ret_behind = (struct json_span){f->message.at + i + len, f->message.len - i - len};
        return true;
    }
    return false;
}

static bool says(const struct fault *f, const char *text)
{
    return find_text(f, text, NULL);
}

/* The number at the start of text, with commas: "30,000, Used". False when there is none. */
static bool read_count(struct json_span text, int64_t *ret)
{
    int64_t sum = 0;
    size_t i = 0;
    for (; i < text.len && sum < WIRE_MAX_TOKENS; i++) {
        char c = text.at[i];
        if (c == ',' && i > 0)
            continue;
        if (c < '0' || c > '9')
            break;
        sum = sum * 10 + (c - '0');
    }
    *ret = sum;
    return i > 0;
}

/* The number behind a word. "Rate limit reached ... Limit 10000" has the word twice, so the
 * first one that has a number counts. */
static bool number_behind(const struct fault *f, const char *word, int64_t *ret)
{
    struct fault rest = *f;
    while (find_text(&rest, word, &rest.message))
        if (read_count(rest.message, ret))
            return true;
    return false;
}

/* ---- kinds */

/* WIRE_OK when the name is not known. */
static enum wire_failure named(struct json_span name)
{
    struct json_span text = json_inside(name);
    return text.at ? wire_rules_name(text.at, text.len) : WIRE_OK;
}

static struct json_span details_code(const struct fault *f)
{
    return json_get(json_get(f->error, "details"), "error_code");
}

static bool matches(const struct wire_rule *rule, int status, const struct fault *f)
{
    if (rule->status != 0 && rule->status != status)
        return false;
    if (rule->name && !json_equals(f->code, rule->name) && !json_equals(f->type, rule->name) &&
        !json_equals(json_get(f->error, "status"), rule->name) &&
        !json_equals(details_code(f), rule->name))
        return false;
    return !rule->text || says(f, rule->text);
}

/* The profile's own row for this answer; NULL: it has none. */
static const struct wire_rule *own_rule(const struct wire_rules *rules, int status,
                                        const struct fault *f)
{
    for (size_t i = 0; i < WIRE_RULES_MAX; i++) {
        const struct wire_rule *rule = &rules->rows[i];
        if (rule->status == 0 && !rule->name && !rule->text)
            return NULL;
        if (matches(rule, status, f))
            return rule;
    }
    return NULL;
}

/* The code is the narrower of the two, but a type that speaks of money wins. */
static enum wire_failure named_by_body(const struct fault *f)
{
    enum wire_failure details = named(details_code(f));
    if (details != WIRE_OK)
        return details;
    enum wire_failure type = named(f->type), code = named(f->code);
    if (type == WIRE_QUOTA || code == WIRE_OK)
        return type;
    return code;
}

static bool is_too_large(const struct fault *f)
{
    int64_t limit, requested;
    if (says(f, "request too large"))
        return true;
    return number_behind(f, "Limit ", &limit) && number_behind(f, "Requested ", &requested) &&
           requested > limit;
}

static enum wire_failure refused_by_limit(const struct fault *f)
{
    enum wire_failure failure = named_by_body(f);
    if (failure == WIRE_QUOTA || failure == WIRE_RAMP || failure == WIRE_OVERLOAD)
        return failure;
    if (is_too_large(f))
        return WIRE_LIMIT_SIZE;
    return says(f, "acceleration limit") ? WIRE_RAMP : WIRE_RATE;
}

/* An error event inside a stream came with status 200: only its body tells. */
static enum wire_failure without_status(const struct fault *f)
{
    enum wire_failure failure = named_by_body(f);
    if (failure == WIRE_RATE)
        return refused_by_limit(f);
    return failure == WIRE_OK ? WIRE_SERVER : failure;
}

static enum wire_failure by_status(int status, const struct fault *f)
{
    switch (status) {
    case 401:
    case 403:
        return WIRE_AUTH;
    case 402:
        return WIRE_QUOTA;
    case 408:
    case 409:
        return WIRE_SERVER;
    case 429:
        return refused_by_limit(f);
    case 498:
    case 503:
    case 529:
        return WIRE_OVERLOAD;
    default:
        if (status >= 500 || status < 100)
            return named_by_body(f) == WIRE_OVERLOAD ? WIRE_OVERLOAD : WIRE_SERVER;
        return WIRE_CLIENT;
    }
}

static enum wire_failure classify(const struct wire_rules *rules, int status, const struct fault *f)
{
    bool in_stream = status >= 200 && status < 300;
    if (in_stream && !f->error.at)
        return WIRE_OK;
    if (in_stream && f->status != 0)
        status = f->status;
    const struct wire_rule *rule = own_rule(rules, status, f);
    /* A row about a limit does not know of a request that is larger than it. */
    if (rule && (rule->failure != WIRE_RATE || !is_too_large(f)))
        return rule->failure;
    return in_stream && f->status == 0 ? without_status(f) : by_status(status, f);
}

/* ---- which limit */

/* In this order: "input tokens per min" holds "tokens per min". */
static const struct {
    const char *text, *dimension;
} phrases[] = {
    {"(ITPM)", "itpm"},
    {"(OTPM)", "otpm"},
    {"(TPM)", "tpm"},
    {"(RPM)", "rpm"},
    {"(TPD)", "tpd"},
    {"(RPD)", "rpd"},
    {"input tokens per min", "itpm"},
    {"output tokens per min", "otpm"},
    {"tokens per min", "tpm"},
    {"requests per min", "rpm"},
    {"tokens per day", "tpd"},
    {"requests per day", "rpd"},
    {"request tokens has exceeded your per-minute", "itpm"},
    {"request tokens has exceeded your daily", "tpd"},
    {"requests has exceeded your per-minute", "rpm"},
    {"token rate limit", "tpm"},
    {"call rate limit", "rpm"},
};

static void name_dimension(const struct fault *f, char *ret, size_t room)
{
    const char *found = "";
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]) && !*found; i++)
        if (says(f, phrases[i].text))
            found = phrases[i].dimension;
    size_t len = strnlen(found, room - 1);
    memcpy(ret, found, len);
    ret[len] = '\0';
}

/* What the provider calls it, for people: its code, else its type. Only plain names. */
static void name_reason(const struct fault *f, char *ret, size_t room)
{
    const struct json_span names[] = {details_code(f), f->code, f->type};
    ret[0] = '\0';
    for (size_t i = 0; i < 3 && !*ret; i++) {
        struct json_span name = json_kind(names[i]) == JSON_STR ? json_inside(names[i]) : names[i];
        size_t len = 0;
        while (name.at && len < name.len && len < room - 1 &&
               (isalnum((unsigned char)name.at[len]) || strchr("_.-", name.at[len])))
            len++;
        if (len == 0 || len < name.len || (name.len == 4 && memcmp(name.at, "null", 4) == 0))
            continue;
        memcpy(ret, name.at, len);
        ret[len] = '\0';
    }
}

/* ---- how long */

/* Gemini, through its OpenAI dialect: details hold google.rpc.RetryInfo and QuotaFailure. */
static bool is_daily_quota(struct json_span detail)
{
    struct json_iter it = json_iter(json_get(detail, "violations"));
    while (json_next(&it)) {
        struct json_span id = json_inside(json_get(it.value, "quotaId"));
        if (id.at && memmem(id.at, id.len, "PerDay", 6))
            return true;
    }
    return false;
}

static bool wait_from_details(const struct fault *f, int64_t now_wall_ms, struct wire_answer *ret)
{
    bool any = false, daily = false;
    struct json_iter it = json_iter(json_get(f->error, "details"));
    while (!it.object && json_next(&it)) {
        struct json_span delay = json_inside(json_get(it.value, "retryDelay"));
        daily |= is_daily_quota(it.value);
        any |= delay.at && wire_duration(delay.at, delay.len, &ret->retry_after_ms);
    }
    if (daily) {
        /* The delay beside it is that of the minute, after which the day is still used up. */
        ret->retry_after_ms = wire_until_pacific_midnight_ms(now_wall_ms);
        memcpy(ret->dimension, "rpd", 4);
    }
    return any || daily;
}

static bool wait_from_text(const struct fault *f, int64_t *ret_ms)
{
    static const char *const before[] = {"try again in ", "retry after ", "retry in "};
    struct json_span rest;
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
        if (find_text(f, before[i], &rest) && wire_duration(rest.at, rest.len, ret_ms))
            return true;
    return false;
}

/* Anthropic's spend limit of an organization, which ends with the month. */
static bool is_spend_limit(const struct fault *f)
{
    return json_equals(json_get(json_get(f->error, "details"), "error_code"),
                       "enforced_spend_limit_reached");
}

static const char *header_of(const struct wire_reply *reply, const char *name)
{
    return reply->header ? reply->header(reply->arg, name) : NULL;
}

static bool wait_from_headers(const struct wire_reply *reply, int64_t now_wall_ms, int64_t *ret_ms)
{
    const char *ms = header_of(reply, "retry-after-ms");
    if (ms && wire_milliseconds(ms, ret_ms))
        return true;
    const char *after = header_of(reply, "retry-after");
    return after && wire_retry_after(after, now_wall_ms, ret_ms);
}

static void find_wait(const struct wire_reply *reply, const struct fault *f, int64_t now_wall_ms,
                      struct wire_answer *ret)
{
    /* The details know of a day's quota, so they may lengthen what a header says. */
    bool in_details = wait_from_details(f, now_wall_ms, ret);
    int64_t wait_ms;
    if (wait_from_headers(reply, now_wall_ms, &wait_ms)) {
        if (wait_ms > ret->retry_after_ms)
            ret->retry_after_ms = wait_ms;
    } else if (!in_details && !wait_from_text(f, &ret->retry_after_ms) && is_spend_limit(f)) {
        ret->retry_after_ms = wire_until_next_month_ms(now_wall_ms);
    }
}

/* The header is an advice about this very answer, to clients that would repeat at once. A no
 * is not obeyed when a wait was told, since it is kept here; a yes does not make a wrong key
 * or an empty account right. */
static bool may_retry(const struct wire_reply *reply, const struct wire_answer *answer)
{
    bool may = wire_failure_may_retry(answer->failure);
    const char *advice = header_of(reply, "x-should-retry");
    if (!advice)
        return may;
    if (strcasecmp(advice, "false") == 0)
        return may && answer->retry_after_ms >= 0;
    return may || (strcasecmp(advice, "true") == 0 && answer->failure == WIRE_CLIENT);
}

struct wire_answer wire_classify(const struct wire_rules *rules, const struct wire_reply *reply,
                                 int64_t now_wall_ms)
{
    struct fault f = read_fault(reply->body, reply->len);
    struct wire_answer answer = {
        .failure = classify(rules, reply->status, &f),
        .retry_after_ms = -1,
    };
    if (answer.failure == WIRE_OK)
        return answer;
    name_dimension(&f, answer.dimension, sizeof(answer.dimension));
    name_reason(&f, answer.reason, sizeof(answer.reason));
    find_wait(reply, &f, now_wall_ms, &answer);
    answer.may_retry = may_retry(reply, &answer);
    wire_quota_read(f.error, &answer.hints);
    return answer;
}
