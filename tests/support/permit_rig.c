#include "tests/support/permit_rig.h"

void permit_rig_on_told(void *arg, const struct permit_record *r,
                        const struct call_failure *failure)
{
    struct permit_told *t = arg;
    t->calls++;
    t->found = r != NULL;
    assert_true(!r == !!failure);
    if (failure) {
        t->failure = *failure;
        return;
    }
    (void)snprintf(t->id, sizeof(t->id), "%s", r->id);
    (void)snprintf(t->settlement, sizeof(t->settlement), "%s", r->settlement);
    t->status = r->status;
    t->left_ms = r->left_ms;
    t->ttl_ms = r->ttl_ms;
}

struct permit_rig permit_rig_begin(void **state, const char *limits)
{
    struct permit_rig r = {.k = *state};
    core_kit_start(r.k, limits, NULL);
    r.all = permits_new(r.k->scheduler);
    assert_non_null(r.all);
    return r;
}

/* What is still on its way must be answered before the rest is torn down. */
void permit_rig_finish(struct permit_rig *r)
{
    CORE_UNTIL(r->k, scheduler_active(r->k->scheduler) == 0 && redis_link_pending(r->k->link) == 0);
    permits_free(r->all);
}

struct permit_ask permit_rig_asking(int64_t input, int64_t wait_ms, int64_t ttl_ms)
{
    struct permit_ask ask = {
        .call = {.endpoint = WIRE_CHAT,
                 .body = strdup("{\"model\":\"m\",\"messages\":[]}"),
                 .tenant = "default",
                 .weight = 1,
                 .class = CLASS_NORMAL,
                 .input_tokens = input,
                 .max_output_tokens = 100},
        .wait_ms = wait_ms,
        .ttl_ms = ttl_ms,
    };
    assert_non_null(ask.call.body);
    ask.call.body_len = strlen(ask.call.body);
    return ask;
}

struct permit *permit_rig_ask(struct permit_rig *r, struct permit_told *t, int64_t input,
                              int64_t wait_ms, int64_t ttl_ms)
{
    struct call_failure f;
    struct permit_ask ask = permit_rig_asking(input, wait_ms, ttl_ms);
    *t = (struct permit_told){.calls = 0};
    struct permit *p = permit_ask(r->all, &ask, permit_rig_on_told, t, &f);
    assert_non_null(p);
    assert_int_equal(t->calls, 0); /* not before the function has returned */
    return p;
}

struct permit_told permit_rig_take(struct permit_rig *r, int64_t input, int64_t wait_ms,
                                   int64_t ttl_ms)
{
    struct permit_told t;
    (void)permit_rig_ask(r, &t, input, wait_ms, ttl_ms);
    CORE_UNTIL(r->k, t.calls > 0);
    return t;
}

struct permit_who permit_rig_who(const struct permit_told *t)
{
    return (struct permit_who){.id = t->id, .tenant = "default"};
}

struct permit_told permit_rig_settle(struct permit_rig *r, const struct permit_who *w,
                                     const char *text)
{
    struct permit_told t = {.calls = 0};
    permit_settle(r->all, w, text, strlen(text), permit_rig_on_told, &t);
    CORE_UNTIL(r->k, t.calls > 0);
    return t;
}
