/*
 * sim_batch: the batch APIs of both providers, as far as a client of them can see.
 *
 *   POST /v1/files, GET and DELETE /v1/files/ID, GET /v1/files/ID/content, GET /v1/files
 *   POST and GET /v1/batches, GET /v1/batches/ID, POST /v1/batches/ID/cancel
 *   POST and GET /v1/messages/batches, GET .../ID, GET .../ID/results, POST .../ID/cancel
 *
 * A batch ends batch_delay_ms after it was made: its lines are answered when somebody looks after
 * that. A line whose text steers `disconnect` is lost: no result has it. A scripted reply for
 * "/v1/files", "/v1/batches" or "/v1/messages/batches" answers a POST to it; with `disconnect` the
 * work is done and only its answer is lost.
 */
#include "api/simulate/sim_core.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#define MAX_STORED 1000 /* files and batches, each */

struct sim_stored {
    struct sim_stored *next;
    char id[64];
    json_t *object;
    char *text; /* of a file; of a batch: the lines it was given */
    size_t len;
    struct buf results[2]; /* of a batch: good lines, others */
    int64_t due_us, lines;
    bool anthropic, ended, cancelled;
};

struct sim_batches {
    struct sim_stored *files, *batches; /* newest first */
    size_t file_count, batch_count;
    uint64_t number;
};

struct ask {
    struct sim *sim;
    struct evhttp_request *http;
    enum evhttp_cmd_type method;
    const char *tail; /* of the path behind the collection: "", "/ID", "/ID/cancel" */
    bool anthropic;
};

static void stored_free(struct sim_stored *s)
{
    json_decref(s->object);
    free(s->text);
    buf_release(&s->results[0]);
    buf_release(&s->results[1]);
    free(s);
}

static void free_list(struct sim_stored *s)
{
    for (struct sim_stored *next; s; s = next) {
        next = s->next;
        stored_free(s);
    }
}

void sim_batches_free(struct sim_batches *b)
{
    if (!b)
        return;
    free_list(b->files);
    free_list(b->batches);
    free(b);
}

/* ---- answers */

static void send_value(struct evhttp_request *http, int status, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    if (text)
        sim_send_json(http, status, text, strlen(text));
    else
        sim_send_json(http, 503, "{}", 2);
    free(text);
}

static void send_error(const struct ask *a, int status, const char *code, const char *message)
{
    send_value(a->http, status,
               json_pack("{s:s, s:{s:s, s:s, s:s}}", "type", "error", "error", "type",
                         "invalid_request_error", "code", code, "message", message));
}

static void send_scripted(const struct ask *a, const struct sim_scripted *s)
{
    const char *name;
    json_t *value;
    json_object_foreach(s->headers, name, value)
    {
        (void)evhttp_add_header(evhttp_request_get_output_headers(a->http), name,
                                json_string_value(value));
    }
    sim_send_json(a->http, s->status, s->body, s->body_len);
}

/* Of a POST that has done its work. */
static void send_made(const struct ask *a, struct sim_scripted *scripted, json_t *object)
{
    if (scripted) {
        struct evhttp_connection *connection = evhttp_request_get_connection(a->http);
        sim_scripted_free(scripted);
        evhttp_connection_free(connection);
        return;
    }
    send_value(a->http, 200, json_incref(object));
}

/* ---- what is kept */

static struct sim_stored *store(struct sim *sim, bool file, const char *prefix)
{
    if (!sim->batches)
        sim->batches = calloc(1, sizeof(*sim->batches));
    struct sim_batches *b = sim->batches;
    struct sim_stored *s = NULL;
    if (b && (file ? b->file_count : b->batch_count) < MAX_STORED)
        s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    struct sim_stored **list = file ? &b->files : &b->batches;
    (void)snprintf(s->id, sizeof(s->id), "%s%08" PRIx64, prefix, ++b->number);
    buf_init(&s->results[0], SIM_MAX_REPLY_BYTES);
    buf_init(&s->results[1], SIM_MAX_REPLY_BYTES);
    s->next = *list;
    *list = s;
    *(file ? &b->file_count : &b->batch_count) += 1;
    return s;
}

static struct sim_stored *find(const struct ask *a, bool file, const char *id, size_t len)
{
    const struct sim_batches *b = a->sim->batches;
    struct sim_stored *s = !b ? NULL : file ? b->files : b->batches;
    while (s && (strlen(s->id) != len || strncmp(s->id, id, len) != 0 ||
                 s->anthropic != (a->anthropic && !file)))
        s = s->next;
    return s;
}

static json_t *file_object(const struct sim_stored *s, const char *purpose)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s}", "id", s->id, "object", "file", "bytes",
                     (json_int_t)s->len, "created_at", (json_int_t)(clock_wall_ms() / 1000),
                     "filename", "batch.jsonl", "purpose", purpose);
}

static bool keep_text(struct sim_stored *s, const char *text, size_t len)
{
    s->text = malloc(len + 1);
    if (!s->text)
        return false;
    memcpy(s->text, text, len);
    s->text[len] = '\0';
    s->len = len;
    return true;
}

/* ---- lines */

static void add_body(struct buf *out, const struct sim_refusal *refusal, bool anthropic,
                     const char *id)
{
    sim_error_body(anthropic ? SIM_PROFILE_ANTHROPIC : SIM_PROFILE_OPENAI, refusal, id, out);
}

/* False: the line is lost. */
static bool answer_body(struct sim *sim, enum sim_endpoint endpoint, const json_t *body,
                        struct buf *out, int *ret_status)
{
    struct sim_request q = {.endpoint = endpoint};
    struct sim_refusal refusal;
    struct sim_reply reply;
    char *text = json_dumps(body, JSON_COMPACT);
    bool anthropic = sim_endpoint_is_anthropic(endpoint);
    bool read = text && sim_request_read(&q, &sim->options, text, strlen(text), NULL, &refusal);
    bool lost = read && q.steer.disconnect;
    *ret_status = 200;
    if (text && !read) {
        *ret_status = refusal.status;
        add_body(out, &refusal, anthropic, "req_batch");
    } else if (read && q.steer.status >= 400) {
        *ret_status = (int)q.steer.status;
        sim_status_refusal(anthropic ? SIM_PROFILE_ANTHROPIC : SIM_PROFILE_OPENAI, *ret_status,
                           &refusal);
        add_body(out, &refusal, anthropic, "req_batch");
    } else if (read) {
        sim_reply_plan(sim, &q, &reply);
        sim_reply_whole(&reply, out);
    }
    sim_request_release(&q);
    free(text);
    return text && !lost;
}

static void write_result(const struct sim_stored *s, struct buf *out, const json_t *line,
                         int status, const struct buf *body)
{
    const char *custom = json_string_value(json_object_get(line, "custom_id"));
    (void)buf_adds(out, "{");
    sim_reply_pair(out, "custom_id", custom ? custom : "");
    if (!s->anthropic)
        (void)buf_addf(out,
                       ",\"id\":\"batch_req_sim\",\"error\":null,\"response\":{\"status_code\":%d,"
                       "\"request_id\":\"req_batch\",\"body\":",
                       status);
    else if (status == 200)
        (void)buf_adds(out, ",\"result\":{\"type\":\"succeeded\",\"message\":");
    else
        (void)buf_adds(out, ",\"result\":{\"type\":\"errored\",\"error\":");
    (void)buf_add(out, body->data, body->len);
    (void)buf_adds(out, "}}\n");
}

static void write_undone(const struct sim_stored *s, struct buf *out, const json_t *line)
{
    const char *custom = json_string_value(json_object_get(line, "custom_id"));
    (void)buf_adds(out, "{");
    sim_reply_pair(out, "custom_id", custom ? custom : "");
    (void)buf_adds(out, s->anthropic ? ",\"result\":{\"type\":\"canceled\"}}\n"
                                     : ",\"id\":\"batch_req_sim\",\"response\":null,\"error\":{"
                                       "\"code\":\"batch_cancelled\",\"message\":\"Cancelled.\"}}"
                                       "\n");
}

static void run_line(struct sim *sim, struct sim_stored *s, const json_t *line)
{
    struct buf body;
    int status;
    const char *url = json_string_value(json_object_get(line, "url"));
    int endpoint = s->anthropic ? SIM_MESSAGES : sim_endpoint_find(url ? url : "");
    const json_t *request = json_object_get(line, s->anthropic ? "params" : "body");
    if (s->cancelled) {
        write_undone(s, &s->results[!s->anthropic], line);
        return;
    }
    buf_init(&body, SIM_MAX_REPLY_BYTES);
    if (endpoint >= 0 && answer_body(sim, (enum sim_endpoint)endpoint, request, &body, &status))
        write_result(s, &s->results[!s->anthropic && status != 200], line, status, &body);
    buf_release(&body);
}

static void publish(struct sim *sim, struct sim_stored *s, int which)
{
    static const char *const keys[] = {"output_file_id", "error_file_id"};
    if (s->results[which].len == 0)
        return;
    struct sim_stored *file = store(sim, true, "file-simout");
    if (!file || !keep_text(file, s->results[which].data, s->results[which].len))
        return;
    file->object = file_object(file, "batch_output");
    (void)json_object_set_new(s->object, keys[which], json_string(file->id));
}

static void look(struct sim *sim, struct sim_stored *s)
{
    if (s->ended || (!s->cancelled && sim_now_us() < s->due_us))
        return;
    s->ended = true;
    for (const char *at = s->text, *end = s->text + s->len, *stop; at < end; at = stop + 1) {
        stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        json_t *line = json_loadb(at, (size_t)(stop - at), 0, NULL);
        if (line)
            run_line(sim, s, line);
        json_decref(line);
    }
    if (s->anthropic) {
        (void)json_object_set_new(s->object, "processing_status", json_string("ended"));
        return;
    }
    publish(sim, s, 0);
    publish(sim, s, 1);
    (void)json_object_set_new(s->object, "status",
                              json_string(s->cancelled ? "cancelled" : "completed"));
}

static int64_t waiting_lines(const struct sim *sim)
{
    int64_t sum = 0;
    for (const struct sim_stored *s = sim->batches->batches; s; s = s->next)
        sum += s->ended ? 0 : s->lines;
    return sum;
}

/* ---- the routes */

static const char *body_of(const struct ask *a, size_t *ret_len)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(a->http);
    *ret_len = evbuffer_get_length(in);
    return *ret_len ? (const char *)evbuffer_pullup(in, -1) : "";
}

static void upload(const struct ask *a, struct sim_scripted *scripted)
{
    size_t len;
    const char *body = body_of(a, &len);
    const char *first = memmem(body, len, "\r\n", 2);
    const char *part = memmem(body, len, "name=\"file\"", 11);
    size_t mark = first ? (size_t)(first - body) : 0;
    const char *from = part ? memmem(part, len - (size_t)(part - body), "\r\n\r\n", 4) : NULL;
    const char *to = from ? memmem(from + 4, len - (size_t)(from + 4 - body), body, mark) : NULL;
    struct sim_stored *s = to ? store(a->sim, true, "file-sim") : NULL;
    if (!s || !keep_text(s, from + 4, (size_t)(to - from) - 6)) {
        sim_scripted_free(scripted);
        send_error(a, 400, "invalid_form", "The form is not whole.");
        return;
    }
    s->object = file_object(s, "batch");
    send_made(a, scripted, s->object);
}

static void count_lines(struct sim_stored *s)
{
    for (size_t i = 0; i < s->len; i++)
        s->lines += s->text[i] == '\n';
}

static void fail_full(struct sim_stored *s)
{
    s->ended = true;
    (void)json_object_set_new(s->object, "status", json_string("failed"));
    (void)json_object_set_new(s->object, "errors",
                              json_pack("{s:s, s:[{s:s, s:s, s:n, s:n}]}", "object", "list", "data",
                                        "code", "token_limit_exceeded", "message",
                                        "Enqueued token limit reached.", "line", "param"));
}

static void create_openai(const struct ask *a, struct sim_scripted *scripted)
{
    size_t len;
    const char *text = body_of(a, &len);
    json_t *asked = json_loadb(text, len, 0, NULL);
    const char *id = json_string_value(json_object_get(asked, "input_file_id"));
    const struct sim_stored *file = id ? find(a, true, id, strlen(id)) : NULL;
    struct sim_stored *s = file ? store(a->sim, false, "batch_sim") : NULL;
    if (!s || !keep_text(s, file->text, file->len)) {
        json_decref(asked);
        sim_scripted_free(scripted);
        send_error(a, 404, "not_found", "No such file.");
        return;
    }
    count_lines(s);
    s->object =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:O?, s:n, s:n, s:n}", "id", s->id, "object", "batch",
                  "status", "in_progress", "input_file_id", file->id, "created_at",
                  (json_int_t)(clock_wall_ms() / 1000), "metadata",
                  json_object_get(asked, "metadata"), "output_file_id", "error_file_id", "errors");
    s->due_us = sim_now_us() + a->sim->options.batch_delay_ms * 1000;
    if (a->sim->options.batch_queue > 0 && waiting_lines(a->sim) > a->sim->options.batch_queue)
        fail_full(s);
    json_decref(asked);
    send_made(a, scripted, s->object);
}

static void create_anthropic(const struct ask *a, struct sim_scripted *scripted)
{
    size_t len, i;
    const char *text = body_of(a, &len);
    json_t *asked = json_loadb(text, len, 0, NULL), *one;
    json_t *requests = json_object_get(asked, "requests");
    struct sim_stored *s =
        json_array_size(requests) > 0 ? store(a->sim, false, "msgbatch_sim") : NULL;
    struct buf lines;
    char created[32];
    buf_init(&lines, SIM_MAX_BODY_BYTES);
    json_array_foreach(requests, i, one)
    {
        char *line = json_dumps(one, JSON_COMPACT);
        (void)buf_adds(&lines, line ? line : "");
        (void)buf_adds(&lines, "\n");
        free(line);
    }
    if (s && !lines.failed && keep_text(s, lines.data, lines.len)) {
        sim_rfc3339(created, clock_wall_ms());
        s->anthropic = true;
        s->lines = (int64_t)json_array_size(requests);
        s->due_us = sim_now_us() + a->sim->options.batch_delay_ms * 1000;
        s->object =
            json_pack("{s:s, s:s, s:s, s:s, s:{s:I, s:i, s:i, s:i, s:i}}", "id", s->id, "type",
                      "message_batch", "processing_status", "in_progress", "created_at", created,
                      "request_counts", "processing", (json_int_t)s->lines, "succeeded", 0,
                      "errored", 0, "canceled", 0, "expired", 0);
        send_made(a, scripted, s->object);
    } else {
        sim_scripted_free(scripted);
        send_error(a, 400, "invalid", "requests: must be a list.");
    }
    buf_release(&lines);
    json_decref(asked);
}

static void list(const struct ask *a, bool file)
{
    json_t *data = json_array();
    const struct sim_batches *b = a->sim->batches;
    for (struct sim_stored *s = !b ? NULL : file ? b->files : b->batches; s; s = s->next) {
        if (s->anthropic == (a->anthropic && !file))
            (void)json_array_append(data, s->object);
    }
    send_value(a->http, 200,
               json_pack("{s:s, s:o, s:b}", "object", "list", "data", data, "has_more", 0));
}

static void send_text(const struct ask *a, const char *text, size_t len)
{
    sim_send_json(a->http, 200, text ? text : "", len);
}

static void on_file(const struct ask *a, struct sim_stored *s, const char *what)
{
    if (strcmp(what, "/content") == 0) {
        send_text(a, s->text, s->len);
    } else if (a->method == EVHTTP_REQ_DELETE) {
        struct sim_stored **at = &a->sim->batches->files;
        while (*at != s)
            at = &(*at)->next;
        *at = s->next;
        a->sim->batches->file_count--;
        send_value(a->http, 200, json_pack("{s:s, s:b}", "id", s->id, "deleted", 1));
        stored_free(s);
    } else {
        send_value(a->http, 200, json_incref(s->object));
    }
}

static void on_batch(const struct ask *a, struct sim_stored *s, const char *what)
{
    if (strcmp(what, "/cancel") == 0 && !s->ended)
        s->cancelled = true;
    look(a->sim, s);
    if (strcmp(what, "/results") == 0)
        send_text(a, s->results[0].data, s->results[0].len);
    else
        send_value(a->http, 200, json_incref(s->object));
}

static void on_one(const struct ask *a, bool file)
{
    const char *id = a->tail + 1;
    size_t len = strcspn(id, "/");
    struct sim_stored *s = find(a, file, id, len);
    if (!s)
        send_error(a, 404, "not_found", "There is none with this id.");
    else if (file)
        on_file(a, s, id + len);
    else
        on_batch(a, s, id + len);
}

static void create(const struct ask *a, bool file, const char *collection)
{
    struct sim_scripted *scripted = sim_script_take(&a->sim->script, collection);
    if (scripted && !scripted->disconnect) {
        send_scripted(a, scripted);
        sim_scripted_free(scripted);
    } else if (file) {
        upload(a, scripted);
    } else if (a->anthropic) {
        create_anthropic(a, scripted);
    } else {
        create_openai(a, scripted);
    }
}

bool sim_batch_route(struct sim *sim, struct evhttp_request *http, const char *path)
{
    static const char *const collections[] = {"/v1/files", "/v1/batches", "/v1/messages/batches"};
    for (size_t i = 0; i < sizeof(collections) / sizeof(collections[0]); i++) {
        size_t len = strlen(collections[i]);
        struct ask a = {.sim = sim,
                        .http = http,
                        .method = evhttp_request_get_command(http),
                        .tail = path + len,
                        .anthropic = i == 2};
        if (strncmp(path, collections[i], len) != 0 || (path[len] && path[len] != '/'))
            continue;
        if (path[len])
            on_one(&a, i == 0);
        else if (a.method == EVHTTP_REQ_POST)
            create(&a, i == 0, collections[i]);
        else
            list(&a, i == 0);
        return true;
    }
    return false;
}
