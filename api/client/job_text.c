#include "api/client/job_text.h"

#include "api/client/job_wait.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const job_titles[JOB_COLUMNS] = {"ID",   "STATUS", "PRIORITY",  "MODEL",
                                             ">AGE", ">TRIES", ">STARTS IN"};

static int64_t number(const json_t *job, const char *key)
{
    const json_t *value = json_object_get(job, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

const char *job_error_text(const json_t *holder)
{
    const json_t *error = json_object_get(holder, "error");
    const char *text = json_string_value(json_object_get(error, "message"));
    if (!text) /* the provider's own words */
        text = json_string_value(json_object_get(json_object_get(error, "error"), "message"));
    return text ? text : "";
}

void job_add_row(struct table *t, const json_t *job, int64_t now_s)
{
    char text[DURATION_BYTES];
    const char *status = job_text(job, "status");
    int64_t created = number(job, "created_at");
    table_add(t, job_text(job, "id"));
    table_add_coloured(t, status, terminal_status_colour(status));
    table_add(t, job_text(job, "priority"));
    table_add(t, job_text(job, "model"));
    table_add(t,
              duration_text(created < 0 || now_s < created ? -1 : (now_s - created) * 1000, text));
    (void)snprintf(text, sizeof(text), "%" PRId64, number(job, "attempts"));
    table_add(t, text);
    table_add(t, duration_text(number(job, "eta_ms"), text));
}

/* ---- one job */

static void add_pair(struct table *t, const char *name, const char *value)
{
    if (!*value)
        return;
    table_add_coloured(t, name, COLOUR_DIM);
    table_add(t, value);
}

static void add_time(struct table *t, const char *name, int64_t at_s)
{
    char text[64] = "";
    time_t at = (time_t)at_s;
    struct tm local;
    if (at_s >= 0 && localtime_r(&at, &local) &&
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local) > 0)
        add_pair(t, name, text);
}

static void add_count(struct table *t, const char *name, int64_t value)
{
    char text[GROUPED_BYTES];
    if (value >= 0)
        add_pair(t, name, grouped_text(value, text));
}

static void add_usage(struct table *t, const json_t *usage)
{
    static const char *const names[][2] = {
        {"input_tokens", "tokens in"},
        {"prompt_tokens", "tokens in"},
        {"output_tokens", "tokens out"},
        {"completion_tokens", "tokens out"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        add_count(t, names[i][1], number(usage, names[i][0]));
}

static void add_all(struct table *t, const json_t *job)
{
    char text[DURATION_BYTES];
    const char *status = job_text(job, "status");
    add_pair(t, "id", job_text(job, "id"));
    table_add_coloured(t, "status", COLOUR_DIM);
    table_add_coloured(t, status, terminal_status_colour(status));
    add_pair(t, "endpoint", job_text(job, "endpoint"));
    add_pair(t, "model", job_text(job, "model"));
    add_pair(t, "priority", job_text(job, "priority"));
    add_time(t, "created", number(job, "created_at"));
    add_time(t, "started", number(job, "started_at"));
    add_time(t, "finished", number(job, "finished_at"));
    add_count(t, "attempts", number(job, "attempts"));
    add_count(t, "position", number(job, "position"));
    if (number(job, "eta_ms") >= 0)
        add_pair(t, "starts in", duration_text(number(job, "eta_ms"), text));
    add_pair(t, "waits for", job_text(job, "binding_limit"));
    add_usage(t, json_object_get(job, "usage"));
    add_count(t, "answer", number(json_object_get(job, "response"), "status_code"));
    add_pair(t, "error", job_error_text(job));
}

int job_print(const json_t *job, const struct terminal *term)
{
    static const char *const titles[] = {"JOB", ""};
    const json_t *body = json_object_get(json_object_get(job, "response"), "body");
    struct table t;
    table_init(&t, titles, 2);
    add_all(&t, job);
    int rc = table_print(&t, term);
    table_release(&t);
    if (rc < 0 || !body || json_is_null(body))
        return rc;
    char *text = json_dumps(body, JSON_INDENT(2) | JSON_ENCODE_ANY);
    if (!text)
        return -ENOMEM;
    (void)fprintf(term->out, "\n%s\n", text);
    free(text);
    return 0;
}
