#include "tests/simulation/loop.h"

#include "common/clock.h"

#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TIMER_LATE_US 800 /* a timer never fires on the microsecond */

static struct loop *current;

struct event {
    struct happening happening;
    event_callback_fn fn;
    void *arg;
    bool pending;
};

/* ---- the queue: a binary heap */

static bool before(const struct happening *a, const struct happening *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void put(struct happening *h, size_t place)
{
    current->queue[place - 1] = h;
    h->place = place;
}

static void sift_up(struct happening *h, size_t place)
{
    while (place > 1 && before(h, current->queue[place / 2 - 1])) {
        put(current->queue[place / 2 - 1], place);
        place /= 2;
    }
    put(h, place);
}

static void sift_down(struct happening *h, size_t place)
{
    size_t child;
    while ((child = 2 * place) <= current->count) {
        if (child < current->count && before(current->queue[child], current->queue[child - 1]))
            child++;
        if (!before(current->queue[child - 1], h))
            break;
        put(current->queue[child - 1], place);
        place = child;
    }
    put(h, place);
}

static void insert(struct happening *h)
{
    if (current->count == current->room) {
        current->room = current->room ? current->room * 2 : 1024;
        current->queue = realloc(current->queue, current->room * sizeof(*current->queue));
        assert(current->queue);
    }
    h->order = ++current->made;
    sift_up(h, ++current->count);
}

void happening_init(struct happening *h, struct event_base *process, happen_fn fn, void *arg)
{
    *h = (struct happening){.process = process, .fn = fn, .arg = arg};
    list_init(&h->link);
}

void happening_drop(struct happening *h)
{
    list_remove(&h->link);
    if (h->place == 0)
        return;
    size_t place = h->place;
    struct happening *last = current->queue[--current->count];
    h->place = 0;
    if (last == h)
        return;
    if (place > 1 && before(last, current->queue[place / 2 - 1]))
        sift_up(last, place);
    else
        sift_down(last, place);
}

void happening_at(struct happening *h, int64_t at_us)
{
    happening_drop(h);
    h->at_us = at_us > current->now_us ? at_us : current->now_us;
    insert(h);
}

void loop_later(struct event_base *process, int64_t in_us, happen_fn fn, void *arg)
{
    struct happening *h = malloc(sizeof(*h));
    assert(h);
    happening_init(h, process, fn, arg);
    h->once = true;
    happening_at(h, current->now_us + in_us);
}

bool loop_step(struct loop *l)
{
    while (l->count > 0) {
        struct happening *h = l->queue[0];
        l->now_us = h->at_us;
        happening_drop(h);
        if (h->process && h->process->paused && !h->process->dead) {
            list_add_last(&h->process->held, &h->link);
            continue;
        }
        happen_fn fn = h->fn;
        void *arg = h->arg;
        l->running = h->process;
        if (h->once)
            free(h);
        l->happened++;
        fn(arg);
        return true;
    }
    return false;
}

void loop_start(struct loop *l, uint64_t seed)
{
    *l = (struct loop){.now_us = INT64_C(1000000000), .seed = seed};
    l->hash = UINT64_C(0xcbf29ce484222325);
    rand_seed(&l->rand, seed);
    rand_seed(&l->ids, seed ^ UINT64_C(0x5bd1e995));
    current = l;
}

/* What still waits belongs to nobody any more, but for the loop's own. */
void loop_stop(struct loop *l)
{
    while (l->count > 0) {
        struct happening *h = l->queue[0];
        happening_drop(h);
        if (h->once)
            free(h);
    }
    free(l->queue);
    current = NULL;
}

int64_t loop_now_us(void)
{
    return current->now_us;
}

struct loop *loop_current(void)
{
    return current;
}

/* ---- processes */

void process_init(struct event_base *p, int number)
{
    *p = (struct event_base){.number = number};
    list_init(&p->held);
}

void process_pause(struct event_base *p)
{
    p->paused = true;
}

void process_wake(struct event_base *p)
{
    p->paused = false;
    while (!list_is_empty(&p->held)) {
        struct happening *h = LIST_ITEM(p->held.next, struct happening, link);
        happening_at(h, current->now_us);
    }
}

/* ---- chance */

int64_t chance_below(int64_t n)
{
    return rand_below(&current->rand, n);
}

int64_t chance_between(int64_t least, int64_t most)
{
    return least + chance_below(most - least + 1);
}

bool chance_permille(int64_t permille)
{
    return chance_below(1000) < permille;
}

int64_t chance_latency_us(int64_t most_us)
{
    int64_t us = chance_between(100, 2000);
    if (chance_permille(30))
        us = chance_between(2000, most_us);
    return us < most_us ? us : most_us;
}

/* ---- trace */

static void mix(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < len; i++)
        current->hash = (current->hash ^ at[i]) * UINT64_C(0x100000001b3);
}

void trace(const char *what, const char *id, int64_t a, int64_t b)
{
    int64_t numbers[] = {current->now_us, a, b};
    mix(what, strlen(what));
    mix(id, strlen(id));
    mix(numbers, sizeof(numbers));
    if (current->trace)
        (void)fprintf(current->trace,
                      "{\"n\":%" PRIu64 ",\"us\":%" PRId64
                      ",\"what\":\"%s\",\"id\":\"%s\",\"a\":%" PRId64 ",\"b\":%" PRId64 "}\n",
                      current->happened, current->now_us - 1000000000, what, id, a, b);
}

void broken(const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    trace("BROKEN", text, 0, 0);
    if (current->broken[0])
        return;
    (void)snprintf(current->broken, sizeof(current->broken), "seed %" PRIu64 ", %.3f s: %s",
                   current->seed, (double)(current->now_us - 1000000000) / 1e6, text);
}

/* ---- what the code under test takes from libevent */

static void fire(void *arg)
{
    struct event *e = arg;
    e->pending = false;
    e->fn(-1, EV_TIMEOUT, e->arg);
}

struct event *event_new(struct event_base *base, evutil_socket_t fd, short events,
                        event_callback_fn fn, void *arg)
{
    struct event *e = calloc(1, sizeof(*e));
    assert(e && fd == -1 && events == 0);
    happening_init(&e->happening, base, fire, e);
    e->fn = fn;
    e->arg = arg;
    return e;
}

int event_add(struct event *e, const struct timeval *tv)
{
    int64_t us = (int64_t)tv->tv_sec * 1000000 + tv->tv_usec;
    happening_at(&e->happening, current->now_us + us + chance_below(TIMER_LATE_US));
    e->pending = true;
    return 0;
}

/* Of one that waits for its time, the run of now takes the place of that, as in libevent; one
 * that is active already is not run twice. */
void event_active(struct event *e, int what, short calls)
{
    (void)what;
    (void)calls;
    happening_at(&e->happening, current->now_us);
}

int event_del(struct event *e)
{
    happening_drop(&e->happening);
    e->pending = false;
    return 0;
}

void event_free(struct event *e)
{
    (void)event_del(e);
    free(e);
}

/* ---- clocks and ids */

int64_t clock_mono_us(void)
{
    return current->now_us;
}

int64_t clock_mono_ms(void)
{
    return current->now_us / 1000;
}

int64_t clock_wall_ms(void)
{
    int64_t shift_ms = current->running ? current->running->wall_shift_ms : 0;
    return INT64_C(1790000000000) + current->now_us / 1000 + shift_ms;
}

/* Linked in the place of rand_hex() (--wrap): ids come from the seed. */
void __wrap_rand_hex(char *text, size_t hex_digits);
void __wrap_rand_hex(char *text, size_t hex_digits)
{
    for (size_t i = 0; i < hex_digits; i++)
        text[i] = "0123456789abcdef"[rand_next(&current->ids) >> 60];
    text[hex_digits] = '\0';
}
