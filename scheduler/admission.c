#include "scheduler/admission.h"

#include "common/limits.h"
#include "scheduler/permit_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct probe {
    struct call *call; /* never started: it has read, routed and priced the request */
    int64_t max_wait_ms;
    struct call_failure unfit; /* the model takes it in no form; status 0: it does */
    struct store_ticket ticket;
    admission_fn fn;
    void *arg;
};

const char *admission_name(enum admission_decision d)
{
    static const char *const names[] = {"admit", "delay", "shrink", "refuse"};
    return (unsigned)d < sizeof(names) / sizeof(names[0]) ? names[d] : "?";
}

static void tell_request(const struct probe *p, struct admission *ret)
{
    const struct pool_view *pool = call_pool(p->call);
    const struct profile_estimate *e = call_estimate(p->call);
    const struct store_pool *store = pool_agent_pool(pool->agent);
    ret->binding = "";
    ret->pool = store->id;
    ret->model = call_model(p->call);
    ret->provider = call_provider(p->call)->name;
    ret->input_tokens = e->input;
    ret->output_tokens_reserved = pool->profile->reserves_max_output ? e->max_output : e->output;
    ret->limits = &store->limits;
    memcpy(ret->cost, p->ticket.cost, sizeof(ret->cost));
}

static void refuse(const struct probe *p, const struct store_pool *pool, struct admission *a,
                   const struct store_turn *turn)
{
    a->decision = ADMISSION_REFUSE;
    a->binding = turn->detail;
    if (turn->submit == SUBMIT_FULL) {
        a->binding = "max_depth";
        (void)snprintf(a->reason, sizeof(a->reason),
                       "The queue of %s is full: %" PRId64 " tickets wait in it (queue.max_depth).",
                       a->pool, turn->queued);
        return;
    }
    struct call_failure f;
    struct store_ticket t;
    call_ticket(p->call, &t);
    if (turn->submit == SUBMIT_TENANT_FULL) {
        a->binding = "tenant:max_queue";
        call_failure_tenant_full(&f, t.tenant, a->pool, turn);
    } else if (turn->submit == SUBMIT_CIRCUIT) {
        a->binding = "circuit";
        a->wait_ms = turn->detail_number;
        call_failure_circuit(&f, a->pool, turn);
    } else {
        call_failure_too_large(&f, t.tenant, pool, a->cost, turn);
    }
    (void)snprintf(a->reason, sizeof(a->reason), "%s", f.message);
}

static void decide(const struct probe *p, const struct store_pool *pool,
                   const struct store_turn *turn, struct admission *a)
{
    switch (turn->submit) {
    case SUBMIT_GRANTED:
        a->decision = ADMISSION_ADMIT;
        return;
    case SUBMIT_QUEUED:
        a->decision = ADMISSION_DELAY;
        a->wait_ms = turn->eta_ms;
        a->ahead = turn->ahead;
        a->binding = turn->detail;
        if (a->wait_ms <= p->max_wait_ms)
            return;
        a->decision = ADMISSION_REFUSE;
        (void)snprintf(a->reason, sizeof(a->reason),
                       "It would wait about %" PRId64 " ms, longer than the %" PRId64
                       " ms that it may.",
                       a->wait_ms, p->max_wait_ms);
        break;
    default:
        refuse(p, pool, a, turn);
        break;
    }
}

/* Before the queue has a say it is refused by the model's own limits, or is made smaller. */
static void tell_fit(const struct probe *p, struct admission *a)
{
    int64_t trimmed = call_trimmed(p->call), output = call_lowered_output(p->call);
    if (p->unfit.status != 0) {
        a->decision = ADMISSION_REFUSE;
        a->wait_ms = a->ahead = 0;
        a->binding = "";
        (void)snprintf(a->reason, sizeof(a->reason), "%s", p->unfit.message);
    }
    if (a->decision == ADMISSION_REFUSE || (trimmed == 0 && output < 0 && !call_is_shrunk(p->call)))
        return;
    a->decision = ADMISSION_SHRINK;
    a->cut_policy = call_cut_policy(p->call);
    a->trimmed_tokens = trimmed;
    a->max_output_tokens = output;
}

static void on_probed(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct probe *p = arg;
    struct call_failure f;
    struct admission a = {.max_output_tokens = -1, .reason = ""};
    if (turn->status != REDIS_OK) {
        permit_storage_failed(&f, turn->status);
        p->fn(p->arg, NULL, &f);
    } else {
        tell_request(p, &a);
        decide(p, pool, turn, &a);
        tell_fit(p, &a);
        p->fn(p->arg, &a, NULL);
    }
    call_discard(p->call);
    free(p);
}

/* A maximum that is told beside the request is part of it. What cannot be read is refused later. */
static int state_output(struct call_spec *spec)
{
    struct wire_request r;
    struct error e;
    struct buf changed;
    int64_t most = spec->max_output_tokens;
    spec->max_output_tokens = 0;
    if (most <= 0 || spec->endpoint == WIRE_EMBEDDINGS ||
        wire_request_read(spec->endpoint, spec->body, spec->body_len, &r, &e) < 0)
        return 0;
    buf_init(&changed, HTTP_MAX_BODY_BYTES + KIB);
    if (wire_request_set_output(spec->endpoint, &r, most, &changed) < 0) {
        buf_release(&changed);
        return -ENOMEM;
    }
    free(spec->body);
    spec->body_len = changed.len;
    spec->body = buf_take(&changed);
    return 0;
}

bool admission_check(struct scheduler *s, const struct call_spec *spec, admission_fn fn, void *arg,
                     struct call_failure *failure)
{
    static const struct call_sink no_sink; /* of a call that is never started */
    struct call_spec asked = *spec;
    struct probe *p = calloc(1, sizeof(*p));
    asked.for_permit = asked.input_tokens > 0;
    if (!p || (!asked.for_permit && state_output(&asked) < 0)) {
        free(asked.body);
        free(p);
        (void)call_fail_memory(failure);
        return false;
    }
    *p = (struct probe){.max_wait_ms = spec->max_wait_ms, .fn = fn, .arg = arg};
    asked.unfit = asked.for_permit ? NULL : &p->unfit;
    asked.unpaid = &p->unfit;
    p->call = call_new(s, &asked, &no_sink, NULL, failure);
    if (!p->call) {
        free(p);
        return false;
    }
    call_ticket(p->call, &p->ticket);
    pool_store_probe(scheduler_options(s)->store, pool_agent_pool(call_pool(p->call)->agent),
                     &p->ticket, on_probed, p);
    return true;
}
