#include "scheduler/settings.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 5000

struct entries {
    struct settings_entry *items;
    size_t count, room;
};

struct settings {
    struct settings_store *store;
    struct event *look;
    struct entries now, fresh; /* fresh: a load that is under way */
    int64_t version;
    void (*changed)(void *arg);
    void *arg;
    bool up, known, loading;
    bool again; /* what is being loaded is out of date already */
};

static struct settings_entry *add(struct entries *list)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 8;
        struct settings_entry *more = realloc(list->items, room * sizeof(*more));
        if (!more)
            return NULL;
        list->items = more;
        list->room = room;
    }
    return &list->items[list->count++];
}

static void release(struct entries *list)
{
    free(list->items);
    *list = (struct entries){.items = NULL};
}

/* ---- records: {"saved_ms":N,"values":{…}} */

static bool set_names(struct settings_entry *e, const char *name)
{
    const char *slash = strchr(name, '/');
    size_t len = slash ? (size_t)(slash - name) : 0;
    if (!slash || len == 0 || len >= sizeof(e->provider) || !slash[1] ||
        strlen(slash + 1) >= sizeof(e->model))
        return false;
    memcpy(e->provider, name, len);
    e->provider[len] = '\0';
    (void)snprintf(e->model, sizeof(e->model), "%s", slash + 1);
    return true;
}

static bool read_record(const char *name, const char *record, struct settings_entry *ret)
{
    struct error e;
    int64_t unused = 0;
    size_t len = strlen(record);
    *ret = (struct settings_entry){.saved_ms = 0};
    if (!set_names(ret, name) || json_scan_check(record, len, &e) < 0)
        return false;
    struct json_span whole = json_span_of(record, len);
    return json_int(json_get(whole, "saved_ms"), &ret->saved_ms) &&
           settings_values_read(json_get(whole, "values"), &ret->values, &unused, &e) == 0;
}

static int write_record(const struct settings_entry *e, struct buf *out)
{
    (void)buf_addf(out, "{\"saved_ms\":%" PRId64 ",\"values\":{", e->saved_ms);
    int rc = settings_values_write(&e->values, out);
    return rc < 0 ? rc : buf_adds(out, "}}");
}

/* ---- loading */

static void on_loaded(void *arg, enum redis_status status, const char *name, int64_t version,
                      const char *record)
{
    struct settings *s = arg;
    if (name) {
        struct settings_entry e, *place = NULL;
        if (record && s->fresh.count < SETTINGS_MAX_ENTRIES && read_record(name, record, &e))
            place = add(&s->fresh);
        if (place) {
            *place = e;
            place->version = version;
        } else {
            log_write(LOG_WARN, "a saved setting was left out", "name", name, NULL);
        }
        return;
    }
    s->loading = false;
    if (s->again) {
        release(&s->fresh);
        settings_load(s);
        return;
    }
    bool same = status == REDIS_OK && s->known && s->version == version;
    if (status == REDIS_OK) {
        release(&s->now);
        s->now = s->fresh;
        s->fresh = (struct entries){.items = NULL};
        s->known = true;
        s->version = version;
    } else {
        log_write(LOG_WARN, "saved settings could not be read", "redis", redis_status_name(status),
                  NULL);
    }
    release(&s->fresh);
    if (!same)
        s->changed(s->arg);
}

/* One load at a time: a change that is told meanwhile asks for another one. */
void settings_load(struct settings *s)
{
    s->again = s->loading;
    if (s->loading || !s->up)
        return;
    s->loading = settings_store_load(s->store, on_loaded, s) == 0;
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    settings_load(arg);
}

struct settings *settings_new(struct event_base *base, struct redis_link *link,
                              void (*changed)(void *arg), void *arg)
{
    struct timeval tv = {.tv_sec = SETTINGS_LOOK_MS / 1000};
    struct settings *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->changed = changed;
    s->arg = arg;
    s->store = settings_store_new(link, TIMEOUT_MS);
    s->look = event_new(base, -1, EV_PERSIST, on_look, s);
    if (!s->store || !s->look || evtimer_add(s->look, &tv) < 0) {
        settings_free(s);
        return NULL;
    }
    return s;
}

void settings_free(struct settings *s)
{
    if (!s)
        return;
    if (s->look)
        event_free(s->look);
    settings_store_free(s->store);
    release(&s->now);
    release(&s->fresh);
    free(s);
}

void settings_connected(struct settings *s, bool up)
{
    s->up = up;
    settings_load(s);
}

/* ---- looking */

bool settings_is_known(const struct settings *s)
{
    return s->known;
}

int64_t settings_version(const struct settings *s)
{
    return s->version;
}

const struct settings_entry *settings_next(const struct settings *s, size_t *at)
{
    return s && *at < s->now.count ? &s->now.items[(*at)++] : NULL;
}

const struct settings_entry *settings_find(const struct settings *s, const char *provider,
                                           const char *model)
{
    const struct settings_entry *best = NULL;
    size_t at = 0, most = 0;
    for (const struct settings_entry *e; (e = settings_next(s, &at));) {
        size_t fit = strcmp(e->provider, provider) == 0 ? settings_fit(e->model, model) : 0;
        if (fit > most)
            best = e;
        most = fit > most ? fit : most;
    }
    return best;
}

const struct settings_entry *settings_exact(const struct settings *s, const char *provider,
                                            const char *model)
{
    size_t at = 0;
    const struct settings_entry *e;
    while ((e = settings_next(s, &at)) &&
           (strcmp(e->provider, provider) != 0 || strcmp(e->model, model) != 0))
        ;
    return e;
}

/* The limits of a pool are stated once: the first row of it with saved ones speaks for all. */
const struct settings_entry *settings_of_pool(const struct settings *s,
                                              const struct config_provider *p, const char *pool)
{
    for (size_t i = 0; i < p->model_count; i++) {
        if (strcmp(p->models[i].pool, pool) != 0)
            continue;
        const struct settings_entry *e = settings_exact(s, p->name, p->models[i].name);
        if (e && settings_values_any_limit(&e->values))
            return e;
    }
    return NULL;
}

struct config_limits settings_limits(const struct settings *s,
                                     const struct config_provider *provider,
                                     const struct config_model *row,
                                     const struct config_account *account)
{
    const struct settings_entry *e = settings_of_pool(s, provider, row->pool);
    struct config_model changed = *row;
    struct config_limits saved;
    if (!e)
        return config_limits_of(row, account);
    saved = e->values.limits;
    for (size_t i = 0; config_limit_name(i); i++) {
        if (*config_limit_at(&saved, i) != CONFIG_ABSENT)
            *config_limit_at(&changed.limits, i) = *config_limit_at(&saved, i);
    }
    return config_limits_of(&changed, account);
}

/* ---- changing */

struct change {
    struct settings *settings;
    struct settings_entry entry;
    bool removed;
    settings_done_fn fn;
    void *arg;
};

static void apply(struct settings *s, const struct change *c)
{
    struct entries *list = &s->now;
    size_t i = 0;
    while (i < list->count && (strcmp(list->items[i].provider, c->entry.provider) != 0 ||
                               strcmp(list->items[i].model, c->entry.model) != 0))
        i++;
    if (c->removed && i < list->count)
        list->items[i] = list->items[--list->count];
    else if (!c->removed && (i < list->count || add(list)))
        list->items[i] = c->entry;
    /* With a change between the two that is not known here, the load that follows tells of it. */
    if (c->entry.version == s->version + 1)
        s->version = c->entry.version;
    s->changed(s->arg);
}

static void on_written(void *arg, enum redis_status status, enum settings_change change,
                       int64_t version)
{
    struct change *c = arg;
    if (status == REDIS_OK && change == SETTINGS_DONE) {
        c->entry.version = version;
        apply(c->settings, c);
    }
    if (status == REDIS_OK || status == REDIS_LOST)
        settings_load(c->settings); /* sets aside what is being loaded */
    c->fn(c->arg, status, change, version);
    free(c);
}

static int write_change(struct settings *s, struct change *c, const char *name, int64_t expected)
{
    struct buf record;
    buf_init(&record, SETTINGS_RECORD_BYTES);
    int rc = c->removed ? 0 : write_record(&c->entry, &record);
    struct settings_write what = {
        .name = name, .record = c->removed ? NULL : record.data, .expected = expected};
    if (rc == 0)
        rc = settings_store_write(s->store, &what, on_written, c);
    buf_release(&record);
    return rc;
}

int settings_save(struct settings *s, const struct settings_edit *edit, settings_done_fn fn,
                  void *arg)
{
    char name[SETTINGS_NAME_BYTES];
    struct change *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    *c = (struct change){.settings = s, .removed = !edit->values, .fn = fn, .arg = arg};
    int n = snprintf(name, sizeof(name), "%s/%s", edit->provider, edit->model);
    int rc = n > 0 && (size_t)n < sizeof(name) && set_names(&c->entry, name) ? 0 : -EINVAL;
    if (edit->values)
        c->entry.values = *edit->values;
    c->entry.saved_ms = clock_wall_ms();
    if (rc == 0)
        rc = write_change(s, c, name, edit->expected);
    if (rc < 0)
        free(c);
    return rc;
}
