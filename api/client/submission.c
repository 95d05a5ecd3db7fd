#include "api/client/submission.h"

#include "common/buf.h"
#include "common/json_scan.h"
#include "common/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_TIMEOUT_MS 120000

static bool is_blank(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] != ' ' && at[i] != '\t' && at[i] != '\r' && at[i] != '\n')
            return false;
    }
    return true;
}

static int add_line(struct submission *s, size_t *room, struct submission_line line)
{
    if (s->count == *room) {
        size_t more = *room ? *room * 2 : 64;
        struct submission_line *lines = realloc(s->lines, more * sizeof(*lines));
        if (!lines)
            return -ENOMEM;
        s->lines = lines;
        *room = more;
    }
    s->lines[s->count++] = line;
    return 0;
}

static int split(struct submission *s, const char *text, size_t len)
{
    const char *end = text + len;
    size_t room = 0, number = 0;
    int rc = 0;
    while (rc == 0 && text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t line = stop ? (size_t)(stop - text) : (size_t)(end - text);
        number++;
        if (!is_blank(text, line))
            rc = add_line(s, &room, (struct submission_line){text, line, number, NULL});
        text += line + (stop != NULL);
    }
    return rc;
}

int submission_read(struct submission *s, const char *text, size_t len, struct error *e)
{
    struct error reason, ignored;
    size_t room = 0;
    int rc;
    *s = (struct submission){.lines = NULL};
    if (is_blank(text, len))
        return error_set(e, -EINVAL, "there is no job in it");
    if (json_scan_check(text, len, &reason) == 0) {
        rc = add_line(s, &room, (struct submission_line){text, len, 1, NULL});
    } else {
        s->many = true;
        rc = split(s, text, len);
        /* A first line that is no JSON: one job over several lines, with a mistake in it. */
        if (rc == 0 && json_scan_check(s->lines[0].at, s->lines[0].len, &ignored) < 0)
            rc = error_set(e, -EINVAL, "it is not valid JSON: %.200s", reason.text);
    }
    return rc == -ENOMEM ? error_set(e, rc, "out of memory") : rc;
}

/* The last of two members with one name counts, so a priority that is null is replaced too. */
static void add_job(struct buf *out, const struct submission_line *line, const char *priority)
{
    struct error e;
    struct json_span job = json_span_of(line->at, line->len);
    bool checked = priority && json_scan_check(line->at, line->len, &e) == 0;
    enum json_kind named = checked ? json_kind(json_get(job, "priority")) : JSON_STR;
    if (!checked || json_kind(job) != JSON_OBJ || (named != JSON_NONE && named != JSON_NUL)) {
        (void)buf_add(out, line->at, line->len);
        return;
    }
    struct json_iter it = json_iter(job);
    bool empty = !json_next(&it);
    (void)buf_add(out, job.at, job.len - 1);
    (void)buf_addf(out, "%s\"priority\":\"%s\"}", empty ? "" : ",", priority);
}

static int send_one(struct submission *s, struct client *c, const char *priority, struct error *e)
{
    struct buf body;
    buf_init(&body, CLIENT_MAX_INPUT_BYTES);
    add_job(&body, &s->lines[0], priority);
    int rc = body.failed ? error_set(e, -ENOMEM, "out of memory") : 0;
    struct client_call call = {.method = "POST",
                               .path = "/v1/jobs",
                               .body = body.data,
                               .body_len = body.len,
                               .timeout_ms = BATCH_TIMEOUT_MS};
    if (rc == 0)
        rc = client_call(c, &call, &s->lines[0].answer, e);
    buf_release(&body);
    return rc;
}

static int take_answers(struct submission_line *lines, size_t count, json_t *list, struct error *e)
{
    json_t *data = json_object_get(list, "data");
    if (json_array_size(data) != count)
        return error_set(e, -EPROTO, "%zu jobs were sent and %zu answers came back", count,
                         json_array_size(data));
    for (size_t i = 0; i < count; i++)
        lines[i].answer = json_incref(json_array_get(data, i));
    return 0;
}

static int send_batch(struct submission *s, struct client *c, size_t from, const struct buf *body,
                      size_t count, struct error *e)
{
    json_t *list = NULL;
    char path[GROUP_ID_BYTES + 24] = "/v1/jobs";
    if (*s->group)
        (void)snprintf(path, sizeof(path), "/v1/jobs?group=%s", s->group);
    struct client_call call = {.method = "POST",
                               .path = path,
                               .type = "application/x-ndjson",
                               .body = body->data,
                               .body_len = body->len,
                               .timeout_ms = BATCH_TIMEOUT_MS};
    int rc =
        body->failed ? error_set(e, -ENOMEM, "out of memory") : client_call(c, &call, &list, e);
    const char *group = rc == 0 ? json_string_value(json_object_get(list, "group")) : NULL;
    if (group && strlen(group) < sizeof(s->group))
        (void)snprintf(s->group, sizeof(s->group), "%s", group);
    if (rc == 0)
        rc = take_answers(s->lines + from, count, list, e);
    json_decref(list);
    return rc;
}

int submission_send(struct submission *s, struct client *c, const char *priority,
                    struct progress *p, struct error *e)
{
    struct buf body;
    int rc = 0;
    if (!s->many)
        return send_one(s, c, priority, e);
    buf_init(&body, CLIENT_MAX_INPUT_BYTES);
    for (size_t at = 0; rc == 0 && at < s->count;) {
        size_t n = 0;
        buf_clear(&body);
        while (at + n < s->count && n < CLIENT_BATCH_LINES &&
               (n == 0 || body.len + s->lines[at + n].len < CLIENT_BATCH_BYTES)) {
            add_job(&body, &s->lines[at + n++], priority);
            (void)buf_adds(&body, "\n");
        }
        rc = send_batch(s, c, at, &body, n, e);
        at += n;
        progress_show(p, at, s->count, "submitted");
    }
    progress_clear(p);
    buf_release(&body);
    return rc;
}

void submission_release(struct submission *s)
{
    for (size_t i = 0; i < s->count; i++)
        json_decref(s->lines[i].answer);
    free(s->lines);
    *s = (struct submission){.lines = NULL};
}
