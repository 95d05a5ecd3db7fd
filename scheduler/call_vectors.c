#include "scheduler/call_vectors.h"

#include "common/clock.h"
#include "common/json_edit.h"
#include "scheduler/batch/embed_input.h"
#include "scheduler/call_answers.h"
#include "scheduler/call_vectors_internal.h"
#include "scheduler/vector.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Outlives its call when that leaves before Redis has answered. */
struct vector_look {
    struct vectors *vectors; /* NULL: nobody waits */
    size_t count;
    size_t slots[]; /* that were asked for */
};

/* ---- inputs */

static struct vector_slot *slot_for(struct vectors *v, struct map *seen, const char *key)
{
    struct vector_slot *s = map_get(seen, key);
    if (s)
        return s;
    s = &v->slots[v->slot_count];
    (void)snprintf(s->key, sizeof(s->key), "%s", key);
    if (map_put(seen, s->key, s) < 0)
        return NULL;
    v->slot_count++;
    return s;
}

static int write_keys(struct vectors *v, const struct embed_inputs *in)
{
    struct map seen;
    struct buf text;
    int rc = 0;
    map_init(&seen, (uint64_t)(uintptr_t)v);
    buf_init(&text, VECTORS_MAX_REQUEST_BYTES + KIB);
    for (size_t i = 0; i < in->count && rc == 0; i++) {
        const struct embed_input *input = &in->list[i];
        char key[DIGEST_HEX_BYTES];
        size_t before = v->slot_count;
        buf_clear(&text);
        (void)buf_adds(&text, v->base);
        rc = buf_add(&text, input->text.at, input->text.len);
        if (rc < 0)
            break;
        digest_hex(text.data, text.len, key, DIGEST_HEX_BYTES - 1);
        struct vector_slot *s = slot_for(v, &seen, key);
        rc = s ? 0 : -ENOMEM;
        if (v->slot_count > before) {
            s->first = i;
            s->tokens = input->tokens;
        }
        v->slot_of[i] = s ? (uint32_t)(s - v->slots) : 0;
    }
    map_release(&seen);
    buf_release(&text);
    return rc;
}

static int read_inputs(struct vectors *v)
{
    struct embed_inputs in;
    const struct call *c = v->call;
    int rc = embed_inputs_read(c->request.body, c->estimate.input, VECTORS_MAX_INPUTS, &in);
    if (rc < 0)
        return rc;
    v->input_count = in.count;
    v->slots = calloc(in.count, sizeof(*v->slots));
    v->slot_of = calloc(in.count, sizeof(*v->slot_of));
    rc = v->slots && v->slot_of ? write_keys(v, &in) : -ENOMEM;
    embed_inputs_release(&in);
    return rc;
}

static void on_timer(evutil_socket_t fd, short what, void *arg);

/* NULL: it is nothing that is kept for each input. */
static struct vectors *vectors_new(struct answers *a, struct call *c)
{
    struct vectors *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    *v = (struct vectors){.owner = a, .call = c, .keeps = !c->spec.cache.no_store};
    list_init(&v->link);
    buf_init(&v->out, UPSTREAM_MAX_BODY_BYTES);
    v->timer = evtimer_new(a->base, on_timer, v);
    v->vector_bytes = embed_vector_bytes(c->request.body);
    (void)snprintf(v->head.tenant, sizeof(v->head.tenant), "%s", c->spec.tenant);
    (void)snprintf(v->head.model, sizeof(v->head.model), "%s", c->model);
    if (!v->timer || !call_inputs_key(c, v->base) || read_inputs(v) < 0) {
        call_vectors_free(v);
        return NULL;
    }
    list_add_last(&a->vectors, &v->link);
    return v;
}

void call_vectors_free(struct vectors *v)
{
    if (!v)
        return;
    if (v->look)
        v->look->vectors = NULL;
    if (v->timer)
        event_free(v->timer);
    for (size_t i = 0; i < v->slot_count; i++)
        answer_drop(v->slots[i].kept);
    list_remove(&v->link);
    buf_release(&v->out);
    free(v->slots);
    free(v->slot_of);
    free(v);
}

void call_vectors_purged(struct answers *a, const char *tenant, const char *model)
{
    for (struct list *at = a->vectors.next; at != &a->vectors; at = at->next) {
        struct vectors *v = LIST_ITEM(at, struct vectors, link);
        if ((*tenant && strcmp(tenant, v->head.tenant) != 0) ||
            (*model && strcmp(model, v->head.model) != 0))
            continue;
        v->keeps = false;
        v->purged = true;
    }
}

/* ---- what is kept */

static void count_kept(struct vectors *v)
{
    v->kept_slots = v->kept_inputs = 0;
    for (size_t i = 0; i < v->slot_count; i++)
        v->kept_slots += v->slots[i].kept != NULL;
    for (size_t i = 0; i < v->input_count; i++)
        v->kept_inputs += v->slots[v->slot_of[i]].kept != NULL;
    v->call->shared.inputs_kept = v->kept_inputs;
}

static void take(struct vectors *v, struct vector_slot *s, struct answer *found)
{
    struct vector known;
    int64_t now_ms = clock_wall_ms();
    if (answer_wish_takes(&v->call->spec.cache, now_ms - found->head.stored_ms,
                          found->head.until_ms - now_ms) &&
        vector_read(found->bytes, found->len, &known))
        s->kept = answer_use(found);
}

static void look_in_memory(struct vectors *v)
{
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < v->slot_count; i++) {
        struct answer *found = answer_cache_get(&v->owner->cache, v->slots[i].key, now_ms);
        if (found)
            take(v, &v->slots[i], found);
    }
    count_kept(v);
}

size_t vectors_most_stored(const struct vectors *v)
{
    int64_t most = VECTORS_LOOK_BYTES / v->vector_bytes;
    if (most < 1)
        return 1;
    return most < VECTORS_LOOK_INPUTS ? (size_t)most : VECTORS_LOOK_INPUTS;
}

/* ---- what is missing */

static bool is_cut(void *arg, size_t index, const struct json_iter *item)
{
    const struct vectors *v = arg;
    const struct vector_slot *s = &v->slots[v->slot_of[index]];
    (void)item;
    return s->kept || s->first != index;
}

static int cut_inputs(struct vectors *v, struct json_span body, struct buf *out)
{
    struct json_edits edits;
    buf_init(out, HTTP_MAX_BODY_BYTES + KIB);
    json_edits_init(&edits, body.at, body.len);
    json_edit_cut(&edits, json_get(body, "input"), is_cut, v);
    int rc = json_edits_apply(&edits, out);
    json_edits_release(&edits);
    return rc;
}

/* Both the body that came, which a batch is made of, and the one that would be sent. */
static int cut_bodies(struct vectors *v)
{
    struct call *c = v->call;
    struct buf came, sent;
    struct error e;
    struct wire_request request;
    bool differs = c->sent.len > 0;
    buf_init(&sent, KIB);
    int rc = cut_inputs(v, json_span_of(c->spec.body, c->spec.body_len), &came);
    if (rc == 0 && differs)
        rc = cut_inputs(v, c->request.body, &sent);
    if (rc == 0 && !differs)
        rc = wire_request_read(c->spec.endpoint, came.data, came.len, &request, &e);
    if (rc == 0 && differs)
        rc = call_replace_body(c, &sent);
    else
        buf_release(&sent);
    if (rc == 0) {
        c->request = differs ? c->request : request;
        free(c->spec.body);
        c->spec.body_len = came.len;
        c->spec.body = buf_take(&came);
    }
    buf_release(&came);
    return rc;
}

static void forget_kept(struct vectors *v)
{
    for (size_t i = 0; i < v->slot_count; i++) {
        answer_drop(v->slots[i].kept);
        v->slots[i].kept = NULL;
    }
    count_kept(v);
}

/* Its cost is that of what is sent. Without memory to cut it is sent as it came, and not kept. */
static void cut(struct vectors *v)
{
    struct call *c = v->call;
    if (v->slot_count - v->kept_slots == v->input_count)
        return;
    if (cut_bodies(v) < 0) {
        forget_kept(v);
        v->uncut = true;
        v->keeps = false;
        return;
    }
    call_release_cost(c);
    call_measure(c);
    call_price(c);
    call_reserve_cost(c);
}

static void go_on(struct vectors *v)
{
    struct call *c = v->call;
    size_t next = 0;
    cut(v);
    for (size_t i = 0; i < v->slot_count; i++)
        v->slots[i].sent = v->slots[i].kept ? SIZE_MAX : next++;
    v->owner->stats.partial += v->kept_inputs > 0;
    v->owner->stats.inputs_kept += (int64_t)v->kept_inputs;
    v->owner->stats.inputs_sent += (int64_t)next;
    c->shared.word = v->kept_inputs > 0 ? "partial" : "miss";
    c->spec.no_fallback = c->spec.no_fallback || (v->kept_inputs > 0 && c->row->fallback_count > 0);
    vectors_watch(v);
}

bool call_vectors_may_share(const struct call *c)
{
    const struct vectors *v = c->shared.vectors;
    return v && (int64_t)(v->slot_count - v->kept_slots) * v->vector_bytes <= FLIGHT_MAX_BYTES / 2;
}

/* ---- waiting */

static void on_left(void *arg)
{
    struct vectors *v = arg;
    event_del(v->timer);
}

static const struct call_giver giver = {.left = on_left};

static void part(struct vectors *v)
{
    if (v->look)
        v->look->vectors = NULL;
    v->look = NULL;
    event_del(v->timer);
    go_on(v);
    call_part(v->call);
}

/* All is kept, or Redis does not answer in time. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct vectors *v = arg;
    (void)fd;
    (void)what;
    if (v->kept_slots == v->slot_count)
        vectors_give(v);
    else
        part(v);
}

static void on_looked(void *arg, const struct answer_found *found, const char *stamp)
{
    struct vector_look *look = arg;
    struct vectors *v = look->vectors;
    if (v)
        v->look = NULL;
    if (!v || !found || v->call->state != CALL_JOINED) {
        free(look); /* without memory the timer lets it go on */
        return;
    }
    if (stamp && v->keeps)
        (void)snprintf(v->stamp, sizeof(v->stamp), "%s", stamp);
    for (size_t i = 0; !v->purged && i < look->count; i++) {
        struct vector_slot *s = &v->slots[look->slots[i]];
        struct answer_head head = v->head;
        (void)snprintf(head.key, sizeof(head.key), "%s", s->key);
        struct answer *answer =
            found[i].bytes ? answers_read(v->owner, v->call->plan->config, &head, &found[i]) : NULL;
        if (answer)
            take(v, s, answer);
        v->from_redis |= s->kept != NULL;
        answer_drop(answer);
    }
    free(look);
    count_kept(v);
    if (v->kept_slots == v->slot_count)
        vectors_give(v);
    else
        part(v);
}

static bool look_in_redis(struct vectors *v)
{
    struct timeval patience = {.tv_usec = ANSWER_LOOK_MS * 1000};
    size_t most = vectors_most_stored(v), missing = v->slot_count - v->kept_slots;
    const char *digests[VECTORS_LOOK_INPUTS];
    struct vector_look *look;
    most = missing < most ? missing : most;
    look = calloc(1, sizeof(*look) + most * sizeof(look->slots[0]));
    if (!look)
        return false;
    for (size_t i = 0; i < v->slot_count && look->count < most; i++) {
        if (v->slots[i].kept)
            continue;
        digests[look->count] = v->slots[i].key;
        look->slots[look->count++] = i;
    }
    struct answer_names names = {
        .tenant = v->head.tenant, .model = v->head.model, .digests = digests, .count = look->count};
    look->vectors = v;
    v->look = look;
    call_release_cost(v->call); /* until it goes its own way */
    call_join(v->call, "cached", &giver, v);
    evtimer_add(v->timer, &patience);
    answer_store_get(v->owner->store, &names, on_looked, look);
    return true;
}

bool call_take_vectors(struct call *c)
{
    struct answers *a = scheduler_options(c->sched)->answers;
    if (c->spec.endpoint != WIRE_EMBEDDINGS || c->request.stream || !call_may_have_answer(c))
        return false;
    struct vectors *v = vectors_new(a, c);
    c->shared.vectors = v;
    c->shared.word = v ? "miss" : "bypass";
    if (!v)
        return false;
    c->shared.inputs = v->input_count;
    if (!c->spec.cache.no_cache)
        look_in_memory(v);
    if (v->kept_slots == v->slot_count) {
        call_release_cost(c);
        call_join(c, "cached", &giver, v);
        event_active(v->timer, EV_TIMEOUT, 0);
        return true;
    }
    if (call_may_look(c) && look_in_redis(v))
        return true;
    go_on(v);
    return false;
}
