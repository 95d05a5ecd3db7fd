#include "scheduler/http_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

struct entry {
    struct http_watch *watch;
    struct event read, write;
    bool reading, writing; /* registered with the loop */
    bool wants_read;
    bool opened; /* lives until http_watch_close() */
};

struct http_watch {
    struct event_base *base;
    http_watch_fn fn;
    void *arg;
    struct entry **entries; /* by descriptor */
    int room;
};

struct http_watch *http_watch_new(struct event_base *base, http_watch_fn fn, void *arg)
{
    struct http_watch *w = calloc(1, sizeof(*w));
    if (w)
        *w = (struct http_watch){.base = base, .fn = fn, .arg = arg};
    return w;
}

static struct entry *find(const struct http_watch *w, int fd)
{
    return fd >= 0 && fd < w->room ? w->entries[fd] : NULL;
}

static void drop(struct http_watch *w, int fd)
{
    struct entry *entry = find(w, fd);
    if (!entry)
        return;
    event_del(&entry->read);
    event_del(&entry->write);
    free(entry);
    w->entries[fd] = NULL;
}

void http_watch_free(struct http_watch *w)
{
    if (!w)
        return;
    for (int fd = 0; fd < w->room; fd++)
        drop(w, fd);
    free(w->entries);
    free(w);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct entry *entry = arg;
    if (entry->wants_read) {
        entry->watch->fn(entry->watch->arg, fd, true, false);
        return;
    }
    /* Closed or chattering between two requests: left registered it would fire for ever. */
    event_del(&entry->read);
    entry->reading = false;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct entry *entry = arg;
    entry->watch->fn(entry->watch->arg, fd, false, true);
}

static int grow(struct http_watch *w, int fd)
{
    if (fd < w->room)
        return 0;
    if (fd >= HTTP_WATCH_MAX_FD)
        return -EMFILE;
    int room = w->room ? w->room : 64;
    while (room <= fd)
        room *= 2;
    struct entry **entries = realloc(w->entries, (size_t)room * sizeof(struct entry *));
    if (!entries)
        return -ENOMEM;
    memset(entries + w->room, 0, (size_t)(room - w->room) * sizeof(struct entry *));
    w->entries = entries;
    w->room = room;
    return 0;
}

static int add(struct http_watch *w, int fd, bool opened)
{
    int rc = grow(w, fd);
    if (rc < 0)
        return rc;
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    entry->watch = w;
    entry->opened = opened;
    event_assign(&entry->read, w->base, fd, EV_READ | EV_PERSIST, on_readable, entry);
    event_assign(&entry->write, w->base, fd, EV_WRITE | EV_PERSIST, on_writable, entry);
    w->entries[fd] = entry;
    return 0;
}

int http_watch_open(struct http_watch *w, int fd)
{
    drop(w, fd); /* a number that was closed without a word is a new socket now */
    return add(w, fd, true);
}

/* The entry of fd; one that was never opened here is made on its first wish. */
static int entry_for(struct http_watch *w, int fd, struct entry **ret_entry)
{
    int rc = find(w, fd) ? 0 : add(w, fd, false);
    if (rc == 0)
        *ret_entry = find(w, fd);
    return rc;
}

int http_watch_want(struct http_watch *w, int fd, bool readable, bool writable)
{
    struct entry *entry = find(w, fd);
    if (!readable && !writable && (!entry || !entry->opened)) {
        drop(w, fd);
        return 0;
    }
    int rc = entry_for(w, fd, &entry);
    if (rc < 0)
        return rc;
    entry->wants_read = readable;
    if (readable && !entry->reading) {
        if (event_add(&entry->read, NULL) != 0)
            return -ENOMEM;
        entry->reading = true;
    }
    if (writable != entry->writing) {
        if ((writable ? event_add(&entry->write, NULL) : event_del(&entry->write)) != 0)
            return -ENOMEM;
        entry->writing = writable;
    }
    return 0;
}

void http_watch_close(struct http_watch *w, int fd)
{
    drop(w, fd);
}
