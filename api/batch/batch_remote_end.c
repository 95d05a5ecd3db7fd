#include "api/batch/batch_remote.h"

#include "common/log.h"
#include "common/money.h"
#include "scheduler/cost.h"
#include "scheduler/scheduler.h"
#include "scheduler/spending.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_BYTES (256 * KIB)
#define STEP_LINES 200
#define PATH_BYTES 512

void remote_unmap(struct batch_remote *m)
{
    if (m->map)
        (void)munmap(m->map, m->len);
    if (m->fd >= 0)
        (void)close(m->fd);
    m->map = NULL;
    m->fd = -1;
    m->len = m->at = 0;
}

/* ---- fetch */

void remote_fetch(struct batch_remote *m)
{
    char path[PATH_BYTES];
    bool openai = remote_is_openai(m);
    if (m->which > (openai ? 1 : 0)) {
        m->next = 0;
        remote_go(m, REMOTE_END);
        return;
    }
    if (openai && !*m->outputs[m->which]) {
        m->which++;
        remote_go(m, REMOTE_FETCH);
        return;
    }
    (void)snprintf(path, sizeof(path), openai ? "/files/%.200s/content" : "%s%.200s/results",
                   openai ? m->outputs[m->which] : "/messages/batches/",
                   openai ? "" : remote_text(m, "batch_id"));
    remote_unmap(m);
    m->fd = batch_form_file(batches_folder(m->run->all));
    if (m->fd < 0)
        remote_again(m, strerror(-m->fd), 0, REMOTE_FETCH);
    else
        remote_talk(m, &(struct batch_talk_ask){.method = "GET", .path = path, .fd = m->fd});
}

static bool map_it(struct batch_remote *m)
{
    struct stat st;
    if (fstat(m->fd, &st))
        return false;
    m->len = (size_t)st.st_size;
    if (m->len == 0)
        return true;
    void *map = mmap(NULL, m->len, PROT_READ, MAP_PRIVATE, m->fd, 0);
    m->map = map == MAP_FAILED ? NULL : map;
    return m->map != NULL;
}

void remote_fetched(struct batch_remote *m, const struct batch_talk_answer *a)
{
    bool good = a->status >= 200 && a->status < 300;
    if (!good && a->status != 404) {
        remote_again(m, a->why, a->retry_after_ms, REMOTE_FETCH);
        return;
    }
    m->ours = m->others = 0;
    if (good && !map_it(m))
        remote_again(m, "the results cannot be read", 0, REMOTE_FETCH);
    else
        remote_go(m, REMOTE_READ);
}

/* ---- read */

static const char *model_of(const struct batch_remote *m, size_t line, struct buf *model)
{
    const char *provider = remote_text(m, "provider");
    size_t len = strlen(provider);
    struct json_span body = batch_input_body(&m->run->input, line);
    if (json_text(json_get(body, "model"), model) < 0 || !model->data)
        return "";
    bool forced = strncmp(model->data, provider, len) == 0 && model->data[len] == '/';
    return model->data + (forced ? len + 1 : 0);
}

/* At the price of batches, once, since the line is written once; after it, so that a kill between
 * the two loses the count rather than having it twice. */
static void count_cost(struct batch_remote *m, size_t line, struct json_span body)
{
    struct batch_run *r = m->run;
    const struct scheduler_options *o = scheduler_options(r->all->options.scheduler);
    struct spending_limit limits[SPENDING_MAX_LIMITS];
    struct wire_usage u;
    struct batch_way way;
    struct price price;
    struct buf model;
    const char *upstream = NULL, *key = json_string_value(json_object_get(r->record, "key"));
    wire_usage_read(r->endpoint, body.at, body.len, &u);
    if (!u.known || !remote_way(m, &way))
        return;
    buf_init(&model, BATCH_MODEL_BYTES);
    const char *name = model_of(m, line, &model);
    const struct config_model *row = model.data ? batch_way_row(&way, model.data, &upstream) : NULL;
    struct price_usage used = {u.input, u.cache_read, u.cache_write, u.output};
    struct batch_usage sum = {.input = u.input, .cached = u.cache_read, .output = u.output};
    struct cost_row cost = {.count = {[COST_requests] = 1,
                                      [COST_unpriced] = 1,
                                      [COST_input] = u.input,
                                      [COST_cache_read] = u.cache_read,
                                      [COST_cache_write] = u.cache_write,
                                      [COST_output] = u.output}};
    struct cost_way at = {way.config, way.provider, row, name};
    if (row && cost_find_price(scheduler_prices(r->all->options.scheduler), &at, &price)) {
        sum.pico = cost_of_batch_usage(&price, &used);
        cost.count[COST_unpriced] = 0;
        cost.count[COST_cost] = money_of_pico(sum.pico);
        cost.count[COST_saved_batch] = money_of_pico(cost_of_saved_batch(&price, &used));
    }
    (void)snprintf(cost.tenant, sizeof(cost.tenant), "%s", r->tenant);
    (void)snprintf(cost.key, sizeof(cost.key), "%s", key ? key : "");
    (void)snprintf(cost.model, sizeof(cost.model), "%.*s", MODEL_NAME_BYTES, name);
    if (o->spending)
        spending_count(o->spending, &cost, limits,
                       spending_limits(o->spending, way.config, r->tenant, cost.key, limits));
    batch_run_used(r, &sum);
    buf_release(&model);
}

static void read_openai(struct json_span line, struct batch_result *ret)
{
    int64_t status = 0;
    struct json_span response = json_get(line, "response");
    struct json_span error = json_get(line, "error"), code = json_get(error, "code");
    struct json_span body = json_get(response, "body");
    (void)json_int(json_get(response, "status_code"), &status);
    *ret = (struct batch_result){.outcome = BATCH_FAILED, .status = (int)status};
    if (body.at && status > 0) {
        ret->body = body.at;
        ret->body_len = body.len;
    } else {
        ret->status = 0;
    }
    if (json_equals(code, "batch_expired"))
        ret->outcome = BATCH_EXPIRED;
    else if (json_equals(code, "batch_cancelled"))
        ret->outcome = BATCH_CANCELLED;
    else if (status >= 200 && status < 300 && ret->body)
        ret->outcome = BATCH_OK;
}

static int status_of(struct json_span type)
{
    static const struct {
        const char *type;
        int status;
    } table[] = {{"invalid_request_error", 400}, {"authentication_error", 401},
                 {"permission_error", 403},      {"not_found_error", 404},
                 {"request_too_large", 413},     {"rate_limit_error", 429},
                 {"overloaded_error", 529}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (json_equals(type, table[i].type))
            return table[i].status;
    return 500;
}

static void read_anthropic(struct json_span line, struct batch_result *ret)
{
    struct json_span result = json_get(line, "result"), type = json_get(result, "type");
    struct json_span body = json_get(result, "message"), error = json_get(result, "error");
    *ret = (struct batch_result){.outcome = BATCH_FAILED};
    if (json_equals(type, "canceled"))
        ret->outcome = BATCH_CANCELLED;
    else if (json_equals(type, "expired"))
        ret->outcome = BATCH_EXPIRED;
    else if (json_equals(type, "succeeded") && body.at)
        *ret = (struct batch_result){
            .outcome = BATCH_OK, .status = 200, .body = body.at, .body_len = body.len};
    else if (error.at)
        *ret =
            (struct batch_result){.outcome = BATCH_FAILED,
                                  .status = status_of(json_get(json_get(error, "error"), "type")),
                                  .body = error.at,
                                  .body_len = error.len};
}

/* False: the line could not be written. */
static bool take_line(struct batch_remote *m, struct json_span line)
{
    char tag[BATCH_TAG_BYTES];
    struct error e;
    struct batch_result result;
    if (json_scan_check(line.at, line.len, &e) < 0)
        return true; /* told as lost in the end */
    remote_tag(m, tag);
    long at = batch_form_line(&m->run->input, tag, json_inside(json_get(line, "custom_id")));
    m->others += at < 0;
    m->ours += at >= 0;
    if (at < 0 || m->run->done[at])
        return true;
    if (remote_is_openai(m))
        read_openai(line, &result);
    else
        read_anthropic(line, &result);
    struct json_span body = {result.body, result.body_len};
    if (batch_line_end(m->run, (size_t)at, &result) < 0)
        return false;
    if (result.outcome == BATCH_OK)
        count_cost(m, (size_t)at, body);
    return true;
}

/* Another one of the same size was taken for ours: see batch_remote.h. */
static bool is_foreign(struct batch_remote *m)
{
    json_t *others = json_object_get(m->state, "others");
    if (remote_is_openai(m) || m->ours > 0 || m->others == 0)
        return false;
    log_write(LOG_INFO, "a batch at the provider was not ours, it is looked for again", "batch",
              m->run->id, "its_id", remote_text(m, "batch_id"), NULL);
    if (!others) {
        others = json_array();
        (void)json_object_set_new(m->state, "others", others);
    }
    (void)json_array_append(others, json_object_get(m->state, "batch_id"));
    (void)json_object_del(m->state, "batch_id");
    remote_keep(m, REMOTE_FIND);
    return true;
}

void remote_read(struct batch_remote *m)
{
    size_t until = m->at + STEP_BYTES;
    while (m->at < m->len && m->at < until) {
        const char *from = m->map + m->at;
        const char *stop = memchr(from, '\n', m->len - m->at);
        size_t len = stop ? (size_t)(stop - from) : m->len - m->at;
        if (len > 0 && !take_line(m, json_span_of(from, len))) {
            remote_again(m, "results cannot be written", 0, REMOTE_READ);
            return;
        }
        m->at += len + (stop != NULL);
    }
    if (m->at < m->len) {
        remote_go(m, REMOTE_READ);
        return;
    }
    remote_unmap(m);
    if (is_foreign(m))
        return;
    m->which++;
    remote_go(m, REMOTE_FETCH);
}

/* ---- lines without a result */

void remote_end(struct batch_remote *m)
{
    struct batch_run *r = m->run;
    char error[BATCH_WHY_BYTES * 6 + 100];
    struct buf why;
    enum batch_outcome outcome = r->cancelling ? BATCH_CANCELLED
                                 : r->expiring ? BATCH_EXPIRED
                                               : BATCH_FAILED;
    const char *text = *m->lost ? m->lost : "The provider's batch has no result for this request.";
    buf_init(&why, sizeof(error));
    (void)buf_add_json(&why, text, strlen(text));
    (void)snprintf(error, sizeof(error),
                   "{\"status\":502,\"code\":\"provider_batch_lost\",\"message\":\"%s\"}",
                   why.data && !why.failed ? why.data : "There is no result.");
    buf_release(&why);
    for (size_t n = 0; m->next < r->input.count && n < STEP_LINES; m->next++) {
        struct batch_result result = {.outcome = outcome, .error = error};
        if (r->done[m->next])
            continue;
        if (batch_line_end(r, m->next, &result) < 0) {
            remote_again(m, "results cannot be written", 0, REMOTE_END);
            return;
        }
        n++;
    }
    remote_go(m, m->next < r->input.count ? REMOTE_END : REMOTE_CLEAN);
}
