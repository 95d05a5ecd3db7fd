#include "scheduler/gauge.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/list.h"
#include "common/log.h"
#include "common/map.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What OpenAI's limiter takes: a quarter of the characters, and a frame for each message. */
#define CHARS_PER_TOKEN  4
#define TOKENS_PER_FRAME 4

struct gauge_model {
    struct gauge *gauge;
    char *provider, *model;
    char *key;                    /* of the map: both names */
    struct calibration now, base; /* base: as this instance and the store last agreed */
    struct list dirty;            /* to be told to the store */
    bool asked;                   /* the store's answer is on its way */
};

struct gauge {
    struct event_base *base;
    struct calibration_store *store;
    struct event *sync;
    struct counter *counter;
    struct anchors *anchors;
    struct map models;
    struct list dirty;
    struct gauge_model rest; /* of all models past the most that are kept apart */
    uint64_t seed;
    bool stopped;
};

const char *gauge_method_name(enum gauge_method m)
{
    static const char *const names[] = {
#define X(name) #name,
        GAUGE_METHODS(X)
#undef X
    };
    return names[m];
}

/* ---- with the store */

static void on_sync(evutil_socket_t fd, short what, void *arg);

int gauge_new(const struct gauge_options *options, struct gauge **ret)
{
    struct gauge *g = calloc(1, sizeof(*g));
    if (!g)
        return -ENOMEM;
    g->base = options->base;
    g->store = options->store;
    g->seed = options->seed;
    map_init(&g->models, options->seed);
    list_init(&g->dirty);
    list_init(&g->rest.dirty);
    g->rest.gauge = g;
    calibration_init(&g->rest.now, count_family("")->reserve);
    g->sync = evtimer_new(options->base, on_sync, g);
    if (!g->sync || counter_new(options->seed, &g->counter) < 0 || anchors_new(&g->anchors) < 0) {
        gauge_free(g);
        return -ENOMEM;
    }
    *ret = g;
    return 0;
}

static void model_free(struct gauge_model *m)
{
    list_remove(&m->dirty);
    free(m->provider);
    free(m->model);
    free(m->key);
    free(m);
}

void gauge_free(struct gauge *g)
{
    size_t at = 0;
    if (!g)
        return;
    for (struct gauge_model *m = map_next(&g->models, &at); m; m = map_next(&g->models, &at))
        model_free(m);
    map_release(&g->models);
    counter_free(g->counter);
    anchors_free(g->anchors);
    if (g->sync)
        event_free(g->sync);
    free(g);
}

static void on_stored(void *arg, enum redis_status status, const char *text)
{
    struct gauge_model *m = arg;
    struct calibration stored = m->base;
    char line[CALIBRATION_TEXT_BYTES];
    m->asked = false;
    if (status != REDIS_OK)
        return; /* it stays as it is, and is told with the next change */
    bool news = m->now.colds > m->base.colds || m->now.anchors > m->base.anchors;
    if (text && !calibration_read(text, &stored))
        log_write(LOG_WARN, "a calibration in Redis cannot be read; it is written anew", "model",
                  m->model, NULL);
    m->now = m->base = calibration_merge(&m->base, &m->now, &stored);
    if (!news)
        return;
    calibration_write(&m->now, line);
    calibration_store_put(m->gauge->store, m->provider, m->model, line);
}

static void ask(struct gauge_model *m)
{
    if (!m->gauge->store || m->asked)
        return;
    m->asked = true;
    calibration_store_get(m->gauge->store, m->provider, m->model, on_stored, m);
}

static void sync_all(struct gauge *g)
{
    while (!list_is_empty(&g->dirty)) {
        struct gauge_model *m = LIST_ITEM(g->dirty.next, struct gauge_model, dirty);
        list_remove(&m->dirty);
        ask(m);
    }
}

static void on_sync(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    sync_all(arg);
}

void gauge_stop(struct gauge *g)
{
    g->stopped = true;
    event_del(g->sync);
    sync_all(g);
}

static void changed(struct gauge_model *m)
{
    struct gauge *g = m->gauge;
    struct timeval soon = {.tv_sec = GAUGE_SYNC_MS / 1000};
    if (!g->store || g->stopped || m == &g->rest || !list_is_empty(&m->dirty))
        return;
    list_add_last(&g->dirty, &m->dirty);
    if (!evtimer_pending(g->sync, NULL))
        evtimer_add(g->sync, &soon);
}

/* ---- models */

static struct gauge_model *model_new(struct gauge *g, const char *provider, const char *model,
                                     const char *key)
{
    const struct count_family *family = count_family(model);
    struct gauge_model *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    *m = (struct gauge_model){
        .gauge = g, .provider = strdup(provider), .model = strdup(model), .key = strdup(key)};
    list_init(&m->dirty);
    calibration_init(&m->now, (int64_t)family->reserve * 1000 / family->ratio);
    m->base = m->now;
    if (!m->provider || !m->model || !m->key || map_put(&g->models, m->key, m) < 0) {
        model_free(m);
        return NULL;
    }
    ask(m);
    return m;
}

static struct gauge_model *find(struct gauge *g, const char *provider, const char *model)
{
    char key[PROVIDER_NAME_BYTES + 256 + 2];
    int n = snprintf(key, sizeof(key), "%s\n%s", provider, model);
    if (n < 0 || (size_t)n >= sizeof(key))
        return &g->rest;
    struct gauge_model *m = map_get(&g->models, key);
    if (!m && g->models.count < GAUGE_MAX_MODELS && !g->stopped)
        m = model_new(g, provider, model, key);
    return m ? m : &g->rest;
}

struct counter *gauge_counter(struct gauge *g)
{
    return g->counter;
}

void gauge_prepare(struct gauge *g, const char *model)
{
    struct count_model counted;
    char name[MODEL_NAME_BYTES];
    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(model, "*"), model);
    if (counter_model(g->counter, name, &counted) < 0)
        log_write(LOG_WARN, "no memory for a vocabulary; it is tried again when it is needed",
                  "model", model, NULL);
}

/* ---- reading */

static struct content_hash name_hash(const struct gauge *g, const struct gauge_ask *ask)
{
    struct content_hash h = content_hash(ask->tenant, strlen(ask->tenant), g->seed);
    h = content_hash(ask->provider, strlen(ask->provider), h.low);
    h = content_hash(ask->model, strlen(ask->model), h.low);
    return content_hash(ask->session ? ask->session : "", ask->session ? strlen(ask->session) : 0,
                        h.low);
}

/* The bill of the longest beginning of this conversation that is remembered. */
static void find_anchor(struct gauge *g, const struct gauge_ask *ask, const struct transcript *t,
                        struct gauge_reading *r)
{
    int64_t now_ms = clock_mono_ms();
    struct content_hash names = name_hash(g, ask);
    struct content_hash h = anchor_begin(t, names.high);
    for (uint32_t i = 0; i < t->count; i++) {
        struct calibration_anchor found;
        h = anchor_step(h, t, i);
        if (anchors_find(g->anchors, h, now_ms, &found))
            r->anchor = found;
    }
    r->whole = h;
    r->has_whole = t->count > 0;
    r->session = names;
    r->has_session = ask->session != NULL;
    struct calibration_anchor last = {0};
    if (r->anchor.billed == 0 && r->has_session && anchors_find(g->anchors, names, now_ms, &last) &&
        r->counted > last.counted / 2)
        r->anchor = last;
    if (r->anchor.billed == 0 && ask->stored.billed > 0 && r->counted > ask->stored.counted / 2)
        r->anchor = ask->stored;
}

static bool count_conversation(struct gauge *g, const struct gauge_ask *ask,
                               const struct count_model *m, struct gauge_reading *r)
{
    const struct wire_request *q = ask->request;
    struct transcript t;
    if (ask->endpoint == WIRE_COMPLETIONS || ask->endpoint == WIRE_EMBEDDINGS ||
        transcript_read(ask->endpoint, q->body.at, q->body.len, &t, NULL) < 0)
        return false;
    r->counted = count_transcript(g->counter, m, &t, NULL).total;
    find_anchor(g, ask, &t, r);
    transcript_release(&t);
    return true;
}

static bool count_plain(struct gauge *g, const struct gauge_ask *ask, const struct count_model *m,
                        struct gauge_reading *r)
{
    struct json_span body = ask->request->body;
    if (ask->endpoint != WIRE_COMPLETIONS && ask->endpoint != WIRE_EMBEDDINGS)
        return false;
    const char *member = ask->endpoint == WIRE_COMPLETIONS ? "prompt" : "input";
    struct count_size size = count_value(g->counter, m, json_get(body, member));
    r->counted = count_tokens(m, size) + ask->request->token_ids;
    size = count_value(g->counter, m, json_get(body, "suffix"));
    r->counted += ask->endpoint == WIRE_COMPLETIONS ? count_tokens(m, size) : 0;
    return true;
}

static bool has_media(const struct wire_request *q)
{
    return q->files > 0 || q->audio_ms > 0 || q->opaque_bytes > 0 || q->remote_history;
}

static void guess(const struct gauge_ask *ask, bool exact, struct gauge_reading *r)
{
    struct calibration_guess g = calibration_guess(&r->model->now, r->counted, &r->anchor);
    r->tokens = exact ? r->counted : g.tokens;
    r->reserved = g.reserved > r->tokens ? g.reserved : r->tokens;
    r->method = exact ? GAUGE_exact : r->anchor.billed > 0 ? GAUGE_anchored : GAUGE_estimated;
    const struct wire_request *q = ask->request;
    int64_t characters = (q->input_bytes + CHARS_PER_TOKEN - 1) / CHARS_PER_TOKEN +
                         (q->messages + 1) * TOKENS_PER_FRAME;
    if (ask->by_characters && r->reserved < characters)
        r->reserved = characters;
}

static void floor_one(struct gauge_reading *r)
{
    r->tokens = r->tokens > 1 ? r->tokens : 1;
    r->reserved = r->reserved > r->tokens ? r->reserved : r->tokens;
}

void gauge_read(struct gauge *g, const struct gauge_ask *ask, struct gauge_reading *ret)
{
    struct count_model m;
    struct gauge_reading r = {.method = GAUGE_estimated};
    uint64_t rough = counter_rough(g->counter);
    bool counted = ask->chars_per_token <= 0 && counter_model(g->counter, ask->model, &m) == 0;
    r.model = find(g, ask->provider, ask->model);
    counted = counted && (count_conversation(g, ask, &m, &r) || count_plain(g, ask, &m, &r));
    if (counted) {
        bool whole = counter_rough(g->counter) == rough;
        guess(ask, m.exact && whole && !has_media(ask->request), &r);
    } else {
        /* Nothing is learned of what was not counted. */
        r.model = NULL;
        r.tokens = r.reserved =
            wire_estimate_input(ask->endpoint, ask->request, ask->model, ask->chars_per_token);
    }
    floor_one(&r);
    *ret = r;
}

void gauge_learn(struct gauge *g, const struct gauge_reading *r, int64_t billed)
{
    if (!r->model || r->counted < 1 || billed < 1)
        return;
    struct calibration_anchor anchor = {.billed = billed, .counted = r->counted};
    calibration_learn(&r->model->now, r->counted, &r->anchor, billed);
    changed(r->model);
    if (r->has_whole)
        anchors_put(g->anchors, r->whole, clock_mono_ms(), &anchor);
    if (r->has_session)
        anchors_put(g->anchors, r->session, clock_mono_ms(), &anchor);
}
