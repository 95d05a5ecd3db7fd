#include "scheduler/joint/joint_calls.h"

#include "common/clock.h"
#include "common/list.h"
#include "scheduler/call_embed.h"
#include "scheduler/call_given.h"
#include "scheduler/joint/joint_answer.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct joint_calls {
    struct event_base *base;
    struct joint_board *board;
    struct list crowds;
    bool stopped;
};

struct crowd;

struct member {
    struct crowd *crowd;
    struct call *call; /* NULL: it left, or was answered */
    struct joint_item item;
};

/* Gathers, waits in the queue, runs. */
struct crowd {
    struct list link;
    struct joint_calls *owner;
    struct joint_kind *kind;
    struct joint_terms terms;
    struct member *member[JOINT_MAX_ITEMS];
    size_t count, most;
    struct event *timer;
    int64_t due_ms;
    bool sent, queued; /* to the queue; and it waits there */
    bool giving;       /* its members are told: who leaves is only noted */
    struct call *call;
    struct joint_names names;
    const char *reply; /* the call's, until its end */
    size_t reply_len;
};

struct joint_calls *joint_calls_new(struct event_base *base, struct joint_board *board)
{
    struct joint_calls *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    j->base = base;
    j->board = board;
    list_init(&j->crowds);
    return j;
}

static void crowd_free(struct crowd *k)
{
    list_remove(&k->link);
    joint_board_drop(k->kind);
    for (size_t i = 0; i < k->count; i++)
        free(k->member[i]);
    event_free(k->timer);
    free(k);
}

void joint_calls_stop(struct joint_calls *j)
{
    if (!j || j->stopped)
        return;
    j->stopped = true;
    for (struct list *at = j->crowds.next; at != &j->crowds; at = at->next) {
        struct crowd *k = LIST_ITEM(at, struct crowd, link);
        event_del(k->timer);
        if (k->call)
            call_cancel(k->call);
        k->call = NULL;
    }
}

void joint_calls_free(struct joint_calls *j)
{
    if (!j)
        return;
    joint_calls_stop(j);
    while (!list_is_empty(&j->crowds))
        crowd_free(LIST_ITEM(j->crowds.next, struct crowd, link));
    free(j);
}

static void arm(struct crowd *k, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    evtimer_add(k->timer, &tv);
}

/* ---- the answer, to each */

/* Alone, and not to be joined again. */
static void send_alone(struct member *m)
{
    struct call *c = m->call;
    m->call = NULL;
    if (c)
        call_part(c);
}

static void tell(struct crowd *k, struct member *m, const struct buf *text,
                 const struct wire_usage *share)
{
    call_given_by(m->call, k->call, k->count, share);
    call_given_start(m->call, 200, "application/json", COUNT_batched);
    if (m->call)
        call_given_data(m->call, text->data, text->len);
    struct call *c = m->call;
    m->call = NULL;
    if (c)
        call_given_end(c, share);
}

static void count(struct crowd *k, size_t good)
{
    struct pool_stats *stats = pool_agent_stats(call_pool(k->call)->agent);
    int64_t items = (int64_t)k->count, alone = items - (int64_t)good;
    pool_stats_add(stats, COUNT_joint_requests, 1);
    pool_stats_add(stats, COUNT_joint_items, items);
    pool_stats_add(stats, COUNT_joint_alone, alone);
    k->kind->requests++;
    k->kind->items += items;
    k->kind->alone += alone;
    joint_breaker_note(&k->kind->breaker, k->terms.settings.most, items, alone);
}

/* The reply is the answer of the call, which is in its end, or has failed: then there is none. */
static void answer(struct crowd *k)
{
    struct joint_answer a;
    struct wire_usage share[JOINT_MAX_ITEMS];
    int64_t bytes[JOINT_MAX_ITEMS];
    struct buf text;
    bool good = k->reply && call_status(k->call) < 400;
    joint_answer_read(k->member[0]->item.endpoint, good ? k->reply : "", good ? k->reply_len : 0,
                      &k->names, k->count, &a);
    for (size_t i = 0; i < k->count; i++)
        bytes[i] = k->member[i]->item.text_bytes;
    joint_answer_share(&a, call_usage(k->call), bytes, share);
    count(k, a.good);
    buf_init(&text, UPSTREAM_MAX_BODY_BYTES);
    k->giving = true;
    for (size_t i = 0; i < k->count; i++) {
        struct member *m = k->member[i];
        buf_clear(&text);
        if (!m->call)
            continue;
        if (a.item[i].at && joint_answer_write(&a, i, &share[i], &text) == 0)
            tell(k, m, &text, &share[i]);
        else
            send_alone(m);
    }
    buf_release(&text);
    joint_answer_release(&a);
    crowd_free(k);
}

/* ---- the joint call */

static void look_again(struct crowd *k)
{
    struct joint_calls *j = k->owner;
    for (struct list *at = j->crowds.next; at != &j->crowds; at = at->next) {
        struct crowd *other = LIST_ITEM(at, struct crowd, link);
        if (other->kind == k->kind && !other->sent && clock_mono_ms() >= other->due_ms)
            arm(other, 0);
    }
}

static void on_queued(void *arg, int64_t eta_ms, const char *binding)
{
    struct crowd *k = arg;
    (void)eta_ms;
    (void)binding;
    k->queued = true;
}

static void on_granted(void *arg)
{
    struct crowd *k = arg;
    k->queued = false;
    for (size_t i = 0; i < k->count; i++) {
        if (k->member[i]->call)
            call_given_sent(k->member[i]->call);
    }
    look_again(k);
}

static void on_requeued(void *arg)
{
    struct crowd *k = arg;
    k->queued = true;
    for (size_t i = 0; i < k->count; i++) {
        if (k->member[i]->call)
            call_given_waits(k->member[i]->call);
    }
}

static void on_start(void *arg)
{
    (void)arg;
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct crowd *k = arg;
    k->reply = bytes;
    k->reply_len = len;
}

static void on_end(void *arg)
{
    answer(arg);
}

static void on_fail(void *arg, const struct call_failure *failure)
{
    struct crowd *k = arg;
    (void)failure;
    k->reply = NULL;
    look_again(k);
    answer(k);
}

static const struct call_sink sink = {
    .queued = on_queued,
    .start = on_start,
    .data = on_data,
    .end = on_end,
    .fail = on_fail,
    .granted = on_granted,
    .requeued = on_requeued,
};

/* The same for all of them: what one may wait, they may, as each still has its own patience. */
static int64_t longest_wait(const struct crowd *k)
{
    int64_t most = 1;
    for (size_t i = 0; i < k->count; i++) {
        int64_t ms = call_patience_ms(k->member[i]->call);
        most = ms > most ? ms : most;
    }
    return most;
}

static struct call *make_call(struct crowd *k)
{
    struct joint_item items[JOINT_MAX_ITEMS];
    struct call_likeness like;
    struct call_failure f;
    struct buf body;
    for (size_t i = 0; i < k->count; i++)
        items[i] = k->member[i]->item;
    joint_names_draw(&k->names);
    buf_init(&body, HTTP_MAX_BODY_BYTES);
    if (joint_request_write(items, k->count, &k->names, k->terms.most_output, &body) < 0) {
        buf_release(&body);
        return NULL;
    }
    call_liken(k->member[0]->call, false, &like);
    like.spec.body = body.data;
    like.spec.body_len = body.len;
    like.spec.max_wait_ms = longest_wait(k);
    like.spec.trim = "none";
    return call_new(call_scheduler(k->member[0]->call), &like.spec, &sink, k, &f);
}

static void part(struct crowd *k)
{
    k->giving = true;
    for (size_t i = 0; i < k->count; i++) {
        send_alone(k->member[i]);
        joint_breaker_note(&k->kind->breaker, k->terms.settings.most, 1, 0);
    }
    crowd_free(k);
}

static void go(struct crowd *k)
{
    event_del(k->timer);
    k->sent = true;
    k->queued = true; /* until it is granted; nobody knows better yet */
    k->call = k->count > 1 ? make_call(k) : NULL;
    if (!k->call) {
        part(k);
        return;
    }
    for (size_t i = 0; i < k->count; i++)
        call_hand_over(k->member[i]->call);
    call_start(k->call);
}

/* ---- gathering */

static bool earlier_waits(const struct crowd *k)
{
    const struct joint_calls *j = k->owner;
    for (struct list *at = j->crowds.next; at != &j->crowds; at = at->next) {
        const struct crowd *other = LIST_ITEM(at, struct crowd, link);
        if (other->kind == k->kind && other->sent && other->queued)
            return true;
    }
    return false;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct crowd *k = arg;
    (void)fd;
    (void)what;
    if (!k->sent && (k->count == k->most || !earlier_waits(k)))
        go(k);
}

static void remove_member(struct crowd *k, struct member *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < k->count; i++) {
        if (k->member[i] != m)
            k->member[kept++] = k->member[i];
    }
    k->count = kept;
    free(m);
    if (k->count == 0)
        crowd_free(k);
}

static bool is_wanted(const struct crowd *k)
{
    for (size_t i = 0; i < k->count; i++) {
        if (k->member[i]->call)
            return true;
    }
    return false;
}

static void on_left(void *arg)
{
    struct member *m = arg;
    struct crowd *k = m->crowd;
    m->call = NULL;
    if (k->giving || k->owner->stopped)
        return;
    if (!k->sent) {
        remove_member(k, m);
    } else if (!is_wanted(k)) {
        call_cancel(k->call);
        k->queued = false;
        look_again(k);
        crowd_free(k);
    }
}

static const struct call_giver giver = {.left = on_left};

static struct crowd *find(struct joint_calls *j, const struct joint_kind *kind)
{
    for (struct list *at = j->crowds.next; at != &j->crowds; at = at->next) {
        struct crowd *k = LIST_ITEM(at, struct crowd, link);
        if (k->kind == kind && !k->sent && k->count < k->most)
            return k;
    }
    return NULL;
}

static struct crowd *crowd_new(struct joint_calls *j, struct joint_kind *kind,
                               const struct joint_terms *terms)
{
    struct crowd *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    *k = (struct crowd){.owner = j, .kind = kind, .terms = *terms};
    list_init(&k->link);
    k->most = (size_t)joint_breaker_size(&kind->breaker, terms->settings.most);
    k->timer = evtimer_new(j->base, on_timer, k);
    if (!k->timer) {
        free(k);
        return NULL;
    }
    joint_board_use(kind);
    k->due_ms = clock_mono_ms() + terms->settings.wait_ms;
    list_add_last(&j->crowds, &k->link);
    arm(k, terms->settings.wait_ms);
    return k;
}

bool joint_calls_take(struct joint_calls *j, struct call *c, const struct joint_terms *terms,
                      const struct joint_item *item)
{
    struct joint_kind *kind = j->stopped ? NULL : joint_board_kind(j->board, terms->key);
    if (!kind)
        return false;
    joint_board_note(kind, terms->group, call_model(c), terms->settings.most);
    if (joint_breaker_size(&kind->breaker, terms->settings.most) < 2) {
        joint_breaker_note(&kind->breaker, terms->settings.most, 1, 0);
        return false;
    }
    struct member *m = calloc(1, sizeof(*m));
    struct crowd *k = m ? find(j, kind) : NULL;
    if (m && !k)
        k = crowd_new(j, kind, terms);
    if (!k) {
        free(m);
        return false;
    }
    *m = (struct member){.crowd = k, .call = c, .item = *item};
    k->member[k->count++] = m;
    call_join(c, "batched", &giver, m);
    if (k->count == k->most)
        arm(k, 0); /* not from here: nothing may be told in this turn of the loop */
    return true;
}
