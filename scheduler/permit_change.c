#include "scheduler/permit_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "scheduler/news.h"
#include "scheduler/permit_result.h"
#include "scheduler/provider/wire_rules.h"
#include "scheduler/retry.h"
#include "scheduler/tally.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FINGERPRINT_BYTES 128
#define ROUNDS            2 /* a settle that came too late is looked at once more */

enum change { CHANGE_NONE, CHANGE_RENEW, CHANGE_RELEASE, CHANGE_SETTLE };

/* One request about a permit: look, change it, look again. */
struct work {
    struct permits *all;
    struct pool_view *pool;
    enum change change;
    char id[TICKET_ID_BYTES];
    char tenant[TENANT_NAME_BYTES + 1];
    int64_t ttl_ms;
    int rounds;
    struct permit_result result; /* spans are in text */
    char *text;
    struct wire_answer answer; /* judged of result, as usage and fingerprint are */
    struct wire_usage usage;
    struct permit_whose whose;
    char fingerprint[FINGERPRINT_BYTES];
    permit_fn fn;
    void *arg;
};

static void work_end(struct work *w, const struct permit_record *record,
                     const struct call_failure *failure)
{
    w->fn(w->arg, record, failure);
    if (w->pool)
        w->pool->users--;
    free(w->text);
    free(w);
}

static void fail(struct work *w, const struct call_failure *f)
{
    work_end(w, NULL, f);
}

static void not_found(struct work *w)
{
    struct call_failure f;
    call_failure_set(
        &f, 404, "permit_not_found",
        "There is no permit '%.60s' here: it never was, or it ended so long ago that "
        "it is no longer kept. Where the caller's own provider key was sent to get it, "
        "the same key must come with it.",
        w->id);
    fail(w, &f);
}

static void wrong_status(struct work *w, const struct permit_record *r)
{
    struct call_failure f;
    const char *verb = w->change == CHANGE_SETTLE    ? "settled"
                       : w->change == CHANGE_RELEASE ? "released"
                                                     : "renewed";
    switch (r->status) {
    case PERMIT_EXPIRED:
        call_failure_set(&f, 409, "permit_expired",
                         "The permit cannot be %s: it expired when its time (%" PRId64
                         " ms, ttl_ms or a renewal) was over. Its slot went to others then, and "
                         "what it reserved stays charged. Renew a permit that needs longer.",
                         verb, r->ttl_ms);
        break;
    case PERMIT_SETTLED:
        call_failure_set(&f, 409, "permit_settled",
                         "The permit cannot be %s: it was settled already%s. The first result "
                         "holds.",
                         verb, w->change == CHANGE_SETTLE ? ", with another result" : "");
        break;
    case PERMIT_RELEASED:
        call_failure_set(&f, 409, "permit_released",
                         "The permit cannot be %s: it was released, and what it reserved was given "
                         "back.",
                         verb);
        break;
    default:
        call_failure_set(&f, 409, "permit_waiting",
                         "The permit cannot be %s: it was not granted yet.", verb);
        break;
    }
    fail(w, &f);
}

/* ---- what the provider's answer teaches: all that a worker tells passes through here, as all that
 * a proxied call is told passes through call_reply.c. Before the settle, as a pause goes with it.
 */
static void learn(struct work *w, struct store_outcome *o, struct retry_plan *plan,
                  char news_room[STORE_NEWS_BYTES])
{
    struct news news = {.answered = false};
    struct hint_source headers = {permit_result_header, &w->result};
    const struct retry_case what = {
        .result = HTTP_DONE,
        .answer = w->answer,
        .attempts = 1,
        .max_attempts = 1, /* its worker decides whether to ask for another permit */
        .refusals = 1,
    };
    hints_read(w->pool->profile->dialect, &headers, clock_wall_ms(), &news.hints);
    news_answer(&news, &w->answer, w->result.status);
    news_text(&news, news_room);
    o->news = news_room;
    *plan = (struct retry_plan){.again = false};
    if (w->answer.failure == WIRE_OK)
        return;
    *plan = retry_decide(&what, scheduler_rand(w->all->scheduler));
    o->pause_dim = plan->pause_dim[0] ? plan->pause_dim : NULL;
    o->pause_ms = plan->pause_ms;
}

/* Once it took effect. */
static void count_release(struct work *w)
{
    struct pool_stats *stats = pool_agent_stats(w->pool->agent);
    pool_stats_add(stats, COUNT_permits_released, 1);
    pool_stats_add(stats, COUNT_cancelled, 1);
}

static void log_end(const struct work *w)
{
    char code[LOG_NUMBER_BYTES], in[LOG_NUMBER_BYTES], out[LOG_NUMBER_BYTES];
    bool settled = w->change == CHANGE_SETTLE;
    log_write(LOG_INFO, settled ? "permit settled" : "permit released", "permit", w->id, "tenant",
              w->tenant, "pool", pool_agent_pool(w->pool->agent)->id, "status",
              log_number(code, settled ? w->result.status : 0), "failure",
              settled ? wire_failure_name(w->answer.failure) : "", "tokens_in",
              log_number(in, w->usage.known ? w->usage.input : 0), "tokens_out",
              log_number(out, w->usage.known ? w->usage.output : 0), NULL);
}

static void count_settle(struct work *w)
{
    struct pool_stats *stats = pool_agent_stats(w->pool->agent);
    enum wire_failure failure = w->answer.failure;
    pool_stats_add(stats, COUNT_permits_settled, 1);
    pool_stats_add(stats, failure == WIRE_OK ? COUNT_succeeded : COUNT_failed, 1);
    if (w->result.status == 429 || failure == WIRE_RATE || failure == WIRE_RAMP)
        pool_stats_add(stats, COUNT_provider_429, 1);
    else if (w->result.status >= 500)
        pool_stats_add(stats, COUNT_provider_5xx, 1);
    struct tally_row *row =
        tally_of(scheduler_options(w->all->scheduler)->tally, TALLY_TENANT, w->tenant);
    tally_add(row, TALLY_requests, 1);
    tally_add(row, failure == WIRE_OK ? TALLY_succeeded : TALLY_failed, 1);
    if (!w->usage.known)
        return;
    tally_add(row, TALLY_tokens_input, w->usage.input);
    tally_add(row, TALLY_tokens_output, w->usage.output);
    quantile_add(&w->pool->output, w->usage.output);
    pool_stats_add(stats, COUNT_tokens_input, w->usage.input);
    pool_stats_add(stats, COUNT_tokens_output, w->usage.output);
    permit_count_cost(w->all->scheduler, &w->whose, &w->usage);
}

static enum wire_endpoint endpoint_of(const struct permit_record *r)
{
    enum wire_endpoint endpoint = WIRE_CHAT;
    (void)wire_endpoint_find(r->endpoint, &endpoint);
    return endpoint;
}

/* ---- look, change, look again */

static void look(struct work *w, int64_t extend_ms, pool_store_fn fn)
{
    permit_look(w->all, w->pool, w->id, extend_ms, fn, w);
}

static void storage_failed(struct work *w, enum redis_status status)
{
    struct call_failure f;
    permit_storage_failed(&f, status);
    fail(w, &f);
}

static void on_looked(void *arg, struct store_pool *pool, const struct store_turn *turn);

static void on_closed(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct work *w = arg;
    (void)pool;
    if (turn->status != REDIS_OK) {
        storage_failed(w, turn->status);
        return;
    }
    bool took = strcmp(turn->result, "settled") == 0;
    if (took && w->change == CHANGE_SETTLE)
        count_settle(w);
    else if (took)
        count_release(w);
    if (took)
        log_end(w);
    w->rounds++;
    look(w, 0, on_looked);
}

static void release(struct work *w)
{
    struct store_outcome o = {
        .id = w->id, .fence = 1, .state = TICKET_CANCELLED, .unsent = true, .fair_actual = -1};
    pool_agent_settle(w->pool->agent, &o, on_closed, w);
}

/* What the worker tells of the answer, judged; the fingerprint is of that. */
static void judge(struct work *w, const struct permit_record *r)
{
    const struct wire_usage *u = &w->usage;
    const struct wire_rules *rules = wire_rules_find(w->pool->profile->name);
    w->answer = permit_result_answer(&w->result, rules, endpoint_of(r), clock_wall_ms(), &w->usage);
    (void)snprintf(w->fingerprint, sizeof(w->fingerprint),
                   "%" PRId64 " %" PRId64 " %" PRId64 " %d %s", u->known ? u->input : -1,
                   u->known ? u->output : -1, u->known ? u->cache_read : -1, w->result.status,
                   wire_failure_name(w->answer.failure));
}

static void settle(struct work *w, const struct permit_record *r)
{
    struct retry_plan plan;
    char news[STORE_NEWS_BYTES];
    judge(w, r);
    const struct wire_usage *u = &w->usage;
    permit_whose_read(r, w->pool, &w->whose);
    struct store_field field = {"fp", w->fingerprint, strlen(w->fingerprint)};
    struct profile_usage used = {.input = u->input,
                                 .cache_read = u->cache_read,
                                 .output = u->output,
                                 .input_bytes = r->input_bytes};
    struct store_outcome o = {
        .id = w->id,
        .fence = 1, /* of the only grant that a permit ever has */
        .state = w->answer.failure == WIRE_OK ? TICKET_DONE : TICKET_FAILED,
        .fields = &field,
        .field_count = 1,
    };
    o.fair_actual = profile_actual(w->pool->profile, r->limits, &r->estimate,
                                   u->known ? &used : NULL, o.actual);
    learn(w, &o, &plan, news);
    pool_agent_settle(w->pool->agent, &o, on_closed, w);
}

/* Whether a permit that has ended ended by this very request, sent once more. */
static bool is_same_end(struct work *w, const struct permit_read *read)
{
    if (w->change == CHANGE_RELEASE)
        return read->record.status == PERMIT_RELEASED;
    if (w->change != CHANGE_SETTLE || read->record.status != PERMIT_SETTLED)
        return false;
    judge(w, &read->record);
    return strcmp(w->fingerprint, read->fingerprint) == 0;
}

static void on_looked(void *arg, struct store_pool *pool, const struct store_turn *turn)
{
    struct work *w = arg;
    struct permit_read read;
    (void)pool;
    if (turn->status != REDIS_OK) {
        storage_failed(w, turn->status);
        return;
    }
    if (!permit_read(turn, w->pool, w->id, w->tenant, &read)) {
        not_found(w);
        return;
    }
    bool open = read.record.status == PERMIT_GRANTED;
    if (w->change == CHANGE_NONE || is_same_end(w, &read) ||
        (w->change == CHANGE_RENEW && open && w->rounds > 0))
        work_end(w, &read.record, NULL);
    else if (!open || w->rounds == ROUNDS)
        wrong_status(w, &read.record);
    else if (!pool_agent_is_central(w->pool->agent))
        storage_failed(w, REDIS_DOWN); /* a settle would wait until Redis is told all else */
    else if (w->change == CHANGE_SETTLE)
        settle(w, &read.record);
    else if (w->change == CHANGE_RELEASE)
        release(w);
    else {
        w->rounds++;
        look(w, w->ttl_ms > 0 ? w->ttl_ms : read.record.ttl_ms, on_looked);
    }
}

/* NULL when there is no memory, or the id is none of ours: then fn was told. */
static struct work *begin(struct permits *all, const struct permit_who *who, enum change change,
                          permit_fn fn, void *arg)
{
    char hash[POOL_HASH_BYTES];
    struct call_failure f;
    struct work *w = calloc(1, sizeof(*w));
    if (!w) {
        (void)call_fail_memory(&f);
        fn(arg, NULL, &f);
        return NULL;
    }
    *w = (struct work){.all = all, .change = change, .fn = fn, .arg = arg};
    (void)snprintf(w->id, sizeof(w->id), "%s", who->id);
    (void)snprintf(w->tenant, sizeof(w->tenant), "%s", who->tenant);
    if (strlen(who->id) < TICKET_ID_BYTES && key_is_permit(who->id) && key_id_hash(who->id, hash))
        w->pool = scheduler_find_pool(all->scheduler, hash, who->caller_key);
    if (!w->pool) {
        not_found(w);
        return NULL;
    }
    w->pool->users++;
    return w;
}

static void start(struct work *w)
{
    if (w)
        look(w, 0, on_looked);
}

void permit_get(struct permits *all, const struct permit_who *who, permit_fn fn, void *arg)
{
    start(begin(all, who, CHANGE_NONE, fn, arg));
}

void permit_renew(struct permits *all, const struct permit_who *who, int64_t ttl_ms, permit_fn fn,
                  void *arg)
{
    struct work *w = begin(all, who, CHANGE_RENEW, fn, arg);
    if (w)
        w->ttl_ms = ttl_ms;
    start(w);
}

void permit_release(struct permits *all, const struct permit_who *who, permit_fn fn, void *arg)
{
    start(begin(all, who, CHANGE_RELEASE, fn, arg));
}

static void refuse_result(struct work *w, const struct error *e)
{
    struct call_failure f;
    if (e)
        call_failure_set(&f, 400, "invalid_value", "%s", e->text);
    else
        (void)call_fail_memory(&f);
    fail(w, &f);
}

void permit_settle(struct permits *all, const struct permit_who *who, const char *text, size_t len,
                   permit_fn fn, void *arg)
{
    struct error e;
    struct work *w = begin(all, who, CHANGE_SETTLE, fn, arg);
    if (!w)
        return;
    w->text = malloc(len + 1);
    if (!w->text) {
        refuse_result(w, NULL);
        return;
    }
    memcpy(w->text, text, len);
    w->text[len] = '\0';
    if (permit_result_read(w->text, len, &w->result, &e) < 0)
        refuse_result(w, &e);
    else
        start(w);
}
