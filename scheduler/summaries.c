#include "scheduler/summaries.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/list.h"
#include "common/log.h"
#include "scheduler/call.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define INSTRUCTION                                                                                \
    ("Sum up the conversation below for the assistant who goes on with it: what was asked, what "  \
     "was decided and why, what was found (names, numbers, paths, errors word for word), what "    \
     "was "                                                                                        \
     "done, and what is still open. Leave out what no longer matters. Answer with the summary "    \
     "only.")

struct kept {
    char digest[DIGEST_HEX_BYTES];
    char tenant[TENANT_NAME_BYTES + 1];
    struct buf text;
    int64_t until_ms;
};

/* One summary on its way: first Redis is asked, then a model. */
struct making {
    struct list link;
    struct summaries *owner; /* NULL: stopped */
    struct summary_order order;
    char *caller_key;
    struct list waits;
    struct call *call;
    enum wire_endpoint endpoint;
    struct buf reply;
};

struct summaries {
    struct scheduler *scheduler;
    struct summary_store *store;
    struct list makings;
    struct kept kept[SUMMARIES_MAX_KEPT];
    size_t next; /* the one that makes room */
};

struct summaries *summaries_new(struct scheduler *s, struct summary_store *store)
{
    struct summaries *all = calloc(1, sizeof(*all));
    if (!all)
        return NULL;
    all->scheduler = s;
    all->store = store;
    list_init(&all->makings);
    return all;
}

static void making_free(struct making *m)
{
    list_remove(&m->link);
    while (!list_is_empty(&m->waits))
        list_remove(m->waits.next);
    summary_order_release(&m->order);
    buf_release(&m->reply);
    free(m->caller_key);
    free(m);
}

void summaries_stop(struct summaries *s)
{
    for (struct list *at = s->makings.next, *next; at != &s->makings; at = next) {
        struct making *m = LIST_ITEM(at, struct making, link);
        next = at->next;
        list_remove(at);
        m->owner = NULL;
        if (!m->call)
            continue; /* Redis still answers it */
        call_cancel(m->call);
        making_free(m);
    }
}

void summaries_free(struct summaries *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < SUMMARIES_MAX_KEPT; i++)
        buf_release(&s->kept[i].text);
    free(s);
}

/* ---- in memory */

static bool is_for(const struct summary_order *o, const char *digest, const char *tenant)
{
    return strcmp(o->digest, digest) == 0 && strcmp(o->tenant, tenant) == 0;
}

bool summaries_find(struct summaries *s, const struct summary_order *o, struct buf *out)
{
    for (size_t i = 0; i < SUMMARIES_MAX_KEPT; i++) {
        const struct kept *k = &s->kept[i];
        if (is_for(o, k->digest, k->tenant) && clock_mono_ms() < k->until_ms)
            return buf_add(out, k->text.data, k->text.len) == 0;
    }
    return false;
}

static void keep(struct summaries *s, const struct summary_order *o, const char *text, size_t len)
{
    struct kept *k = &s->kept[s->next];
    s->next = (s->next + 1) % SUMMARIES_MAX_KEPT;
    buf_release(&k->text);
    *k = (struct kept){.until_ms = clock_mono_ms() +
                                   scheduler_plan(s->scheduler)->config->summaries.ttl_s * 1000};
    buf_init(&k->text, SUMMARY_MAX_BYTES);
    if (buf_add(&k->text, text, len) < 0)
        return; /* too long to be a summary, or no memory */
    memcpy(k->digest, o->digest, sizeof(k->digest));
    memcpy(k->tenant, o->tenant, sizeof(k->tenant));
}

/* ---- making one */

static void done(struct making *m, int64_t spent)
{
    list_remove(&m->link); /* who asks from now on begins anew */
    while (!list_is_empty(&m->waits)) {
        struct summary_wait *w = LIST_ITEM(m->waits.next, struct summary_wait, link);
        list_remove(&w->link);
        w->fn(w->arg, spent);
        spent = 0; /* one of them pays */
    }
    making_free(m);
}

static void on_queued(void *arg, int64_t eta_ms, const char *binding)
{
    (void)arg;
    (void)eta_ms;
    (void)binding;
}

static void on_start(void *arg)
{
    (void)arg;
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct making *m = arg;
    (void)buf_add(&m->reply, bytes, len); /* a failure stays in reply.failed */
}

static struct json_span first_of(struct json_span list)
{
    struct json_iter it = json_iter(list);
    return json_next(&it) ? it.value : (struct json_span){0};
}

static struct json_span said(const struct making *m)
{
    struct json_span body = json_span_of(m->reply.data, m->reply.len);
    if (m->endpoint == WIRE_MESSAGES)
        return json_get(first_of(json_get(body, "content")), "text");
    return json_get(json_get(first_of(json_get(body, "choices")), "message"), "content");
}

static void on_end(void *arg)
{
    struct making *m = arg;
    struct error e;
    struct buf text;
    const struct wire_usage *u = call_usage(m->call);
    int64_t spent = u->known ? u->input + u->output : 0;
    bool good = call_status(m->call) < 300 && m->reply.failed == 0 && m->reply.len > 0 &&
                json_scan_check(m->reply.data, m->reply.len, &e) == 0;
    buf_init(&text, SUMMARY_MAX_BYTES);
    if (good && json_text(said(m), &text) == 0 && text.len > 0) {
        struct summary_record record = {
            m->order.tenant, m->order.digest, text.data, text.len,
            scheduler_plan(m->owner->scheduler)->config->summaries.ttl_s};
        keep(m->owner, &m->order, text.data, text.len);
        if (m->owner->store)
            summary_store_put(m->owner->store, &record);
    }
    buf_release(&text);
    done(m, spent);
}

static void on_fail(void *arg, const struct call_failure *failure)
{
    struct making *m = arg;
    log_write(LOG_WARN, "no summary was made", "reason", failure ? failure->message : "", NULL);
    done(m, 0);
}

static const struct call_sink sink = {
    .queued = on_queued, .start = on_start, .data = on_data, .end = on_end, .fail = on_fail};

static int write_body(const struct making *m, const char *model, int64_t most, struct buf *out)
{
    (void)buf_adds(out, "{\"model\":\"");
    (void)buf_add_json(out, model, strlen(model));
    (void)buf_addf(
        out, "\",\"max_tokens\":%" PRId64 ",\"messages\":[{\"role\":\"user\",\"content\":\"", most);
    (void)buf_add_json(out, INSTRUCTION, strlen(INSTRUCTION));
    (void)buf_adds(out, "\\n\\n");
    (void)buf_add_json(out, m->order.text.data, m->order.text.len);
    return buf_adds(out, "\"}]}");
}

static void ask_model(struct making *m)
{
    const struct config *c = scheduler_plan(m->owner->scheduler)->config;
    const struct config_provider *provider = NULL;
    const struct config_model *row = NULL;
    const char *name = NULL;
    struct call_failure f = {.status = 0};
    struct buf body;
    bool openai = c->summaries.model &&
                  config_route(c, CONFIG_OPENAI, c->summaries.model, &provider, &row, &name);
    m->endpoint = openai ? WIRE_CHAT : WIRE_MESSAGES;
    buf_init(&body, HTTP_MAX_BODY_BYTES);
    if (!c->summaries.model ||
        write_body(m, c->summaries.model, c->summaries.max_tokens, &body) < 0) {
        buf_release(&body);
        done(m, 0);
        return;
    }
    struct call_spec spec = {
        .endpoint = m->endpoint,
        .body = body.data,
        .body_len = body.len,
        .tenant = m->order.tenant,
        .weight = m->order.weight,
        .class = CLASS_BATCH,
        .max_wait_ms = c->summaries.timeout_ms,
        .caller_key = m->caller_key,
        .trim = "none",
        .never_shrink = true,
    };
    m->call = call_new(m->owner->scheduler, &spec, &sink, m, &f);
    if (m->call)
        call_start(m->call);
    else
        on_fail(m, &f);
}

static void on_stored(void *arg, const char *text, size_t len)
{
    struct making *m = arg;
    if (!m->owner) {
        making_free(m);
        return;
    }
    if (text && len > 0)
        keep(m->owner, &m->order, text, len);
    if (text && len > 0)
        done(m, 0);
    else
        ask_model(m);
}

static struct making *find_making(struct summaries *s, const struct summary_order *o)
{
    for (struct list *at = s->makings.next; at != &s->makings; at = at->next) {
        struct making *m = LIST_ITEM(at, struct making, link);
        if (is_for(o, m->order.digest, m->order.tenant))
            return m;
    }
    return NULL;
}

static struct making *making_new(struct summaries *s, const struct summary_order *o)
{
    struct making *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    *m = (struct making){.owner = s, .order = *o};
    list_init(&m->link);
    list_init(&m->waits);
    buf_init(&m->reply, UPSTREAM_MAX_BODY_BYTES);
    buf_init(&m->order.text, HTTP_MAX_BODY_BYTES);
    m->caller_key = o->caller_key ? strdup(o->caller_key) : NULL;
    if ((o->caller_key && !m->caller_key) ||
        buf_add(&m->order.text, o->text.data, o->text.len) < 0) {
        making_free(m);
        return NULL;
    }
    list_add_last(&s->makings, &m->link);
    return m;
}

void summaries_make(struct summaries *s, const struct summary_order *o, struct summary_wait *w)
{
    struct making *m = find_making(s, o);
    bool fresh = !m;
    if (fresh)
        m = making_new(s, o);
    if (!m) {
        w->fn(w->arg, 0);
        return;
    }
    list_add_last(&m->waits, &w->link);
    if (fresh && s->store)
        summary_store_get(s->store, m->order.tenant, m->order.digest, on_stored, m);
    else if (fresh)
        ask_model(m);
}

void summaries_forget(struct summary_wait *w)
{
    list_remove(&w->link);
}
