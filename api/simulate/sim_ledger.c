#include "api/simulate/sim_ledger.h"

#include "api/simulate/sim_request.h"
#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const outcome_names[SIM_OUTCOMES] = {
    [SIM_RUNNING] = "running",
    [SIM_ANSWERED] = "answered",
    [SIM_REFUSED] = "refused",
    [SIM_INVALID] = "invalid",
    [SIM_UNAUTHORIZED] = "unauthorized",
    [SIM_FAILED] = "failed",
    [SIM_BROKEN] = "broken",
    [SIM_GONE] = "gone",
};

const char *sim_outcome_name(enum sim_outcome outcome)
{
    return outcome_names[outcome];
}

static void tally_init(struct sim_tally *t, const char *name)
{
    *t = (struct sim_tally){.calls = 0};
    (void)snprintf(t->name, sizeof(t->name), "%s", name);
    sim_log_init(&t->requests, SIM_MINUTE_US);
    sim_log_init(&t->charged, SIM_MINUTE_US);
    sim_log_init(&t->input, SIM_MINUTE_US);
    sim_log_init(&t->output, SIM_MINUTE_US);
}

static void tally_release(struct sim_tally *t)
{
    sim_log_release(&t->requests);
    sim_log_release(&t->charged);
    sim_log_release(&t->input);
    sim_log_release(&t->output);
}

int sim_ledger_init(struct sim_ledger *ledger)
{
    *ledger = (struct sim_ledger){.first_us = -1};
    tally_init(&ledger->total, "total");
    ledger->models = calloc(SIM_MAX_SCOPES, sizeof(*ledger->models));
    ledger->keys = calloc(SIM_MAX_SCOPES, sizeof(*ledger->keys));
    ledger->calls = calloc(SIM_MAX_CALLS_KEPT, sizeof(*ledger->calls));
    if (ledger->models && ledger->keys && ledger->calls)
        return 0;
    sim_ledger_release(ledger);
    return -ENOMEM;
}

void sim_ledger_release(struct sim_ledger *ledger)
{
    tally_release(&ledger->total);
    for (size_t i = 0; i < ledger->model_count; i++)
        tally_release(&ledger->models[i]);
    for (size_t i = 0; i < ledger->key_count; i++)
        tally_release(&ledger->keys[i]);
    free(ledger->models);
    free(ledger->keys);
    free(ledger->calls);
    *ledger = (struct sim_ledger){.first_us = -1};
}

static void tally_reset(struct sim_tally *t)
{
    char name[SIM_NAME_BYTES];
    int64_t in_flight = t->in_flight;
    memcpy(name, t->name, sizeof(name));
    tally_release(t);
    tally_init(t, name);
    t->in_flight = t->peak_in_flight = in_flight;
}

void sim_ledger_reset(struct sim_ledger *ledger)
{
    tally_reset(&ledger->total);
    for (size_t i = 0; i < ledger->model_count; i++)
        tally_reset(&ledger->models[i]);
    for (size_t i = 0; i < ledger->key_count; i++)
        tally_reset(&ledger->keys[i]);
    memset(ledger->calls, 0, SIM_MAX_CALLS_KEPT * sizeof(*ledger->calls));
    ledger->first_us = -1;
}

static struct sim_tally *find(struct sim_tally *table, size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++)
        if (strncmp(table[i].name, name, sizeof(table[i].name) - 1) == 0)
            return &table[i];
    if (*count == SIM_MAX_SCOPES)
        return &table[SIM_MAX_SCOPES - 1];
    tally_init(&table[*count], *count == SIM_MAX_SCOPES - 1 ? "others" : name);
    return &table[(*count)++];
}

struct sim_tallies sim_ledger_tallies(struct sim_ledger *ledger, const char *model,
                                      const char *key_name)
{
    struct sim_tallies t = {.each = {&ledger->total}, .count = 1};
    if (model)
        t.each[t.count++] = find(ledger->models, &ledger->model_count, model);
    t.each[t.count++] = find(ledger->keys, &ledger->key_count, key_name);
    for (size_t i = 0; i < t.count; i++)
        t.each[i]->calls++;
    return t;
}

struct sim_call_record *sim_ledger_call(struct sim_ledger *ledger, int64_t now_us)
{
    if (ledger->first_us < 0)
        ledger->first_us = now_us;
    ledger->last_us = now_us;
    int64_t seq = ++ledger->last_seq;
    struct sim_call_record *record = &ledger->calls[seq % SIM_MAX_CALLS_KEPT];
    *record = (struct sim_call_record){.seq = seq, .time_ms = clock_wall_ms()};
    return record;
}

struct sim_call_record *sim_ledger_find(struct sim_ledger *ledger, int64_t seq)
{
    struct sim_call_record *record = &ledger->calls[seq % SIM_MAX_CALLS_KEPT];
    return record->seq == seq ? record : NULL;
}

void sim_tally_admitted(const struct sim_tallies *t, int64_t input, int64_t charged, int64_t now_us)
{
    for (size_t i = 0; i < t->count; i++) {
        struct sim_tally *tally = t->each[i];
        tally->admitted++;
        tally->input_tokens += input;
        tally->charged_tokens += charged;
        if (++tally->in_flight > tally->peak_in_flight)
            tally->peak_in_flight = tally->in_flight;
        sim_log_add(&tally->requests, 1, now_us);
        sim_log_add(&tally->input, input, now_us);
        sim_log_add(&tally->charged, charged, now_us);
    }
}

void sim_tally_output(const struct sim_tallies *t, int64_t tokens, int64_t charged, int64_t now_us)
{
    int64_t grid_us = now_us - now_us % SIM_OUTPUT_GRID_US;
    for (size_t i = 0; i < t->count; i++) {
        t->each[i]->output_tokens += tokens;
        t->each[i]->charged_tokens += charged;
        sim_log_add(&t->each[i]->output, tokens, grid_us);
        sim_log_add(&t->each[i]->charged, charged, grid_us);
    }
}

void sim_tally_refused(const struct sim_tallies *t, const struct sim_refused *why)
{
    for (size_t i = 0; i < t->count; i++) {
        t->each[i]->refused[why->dim]++;
        if (why->wait_us == SIM_NEVER)
            t->each[i]->too_large++;
    }
}

void sim_tally_ended(const struct sim_tallies *t, enum sim_outcome outcome, bool was_admitted)
{
    for (size_t i = 0; i < t->count; i++) {
        t->each[i]->outcomes[outcome]++;
        t->each[i]->in_flight -= was_admitted;
    }
}

static void set_int(json_t *object, const char *key, int64_t value)
{
    (void)json_object_set_new(object, key, json_integer(value));
}

static json_t *tally_json(const struct sim_tally *t)
{
    json_t *j = json_object(), *refused = json_object(), *peak = json_object();
    set_int(j, "calls", t->calls);
    set_int(j, "admitted", t->admitted);
    for (enum sim_outcome o = SIM_ANSWERED; o < SIM_OUTCOMES; o++)
        if (o != SIM_REFUSED)
            set_int(j, outcome_names[o], t->outcomes[o]);
    set_int(refused, "total", t->outcomes[SIM_REFUSED]);
    for (enum sim_dim d = 0; d < SIM_DIMS; d++)
        set_int(refused, sim_dim_name(d), t->refused[d]);
    set_int(refused, "too_large", t->too_large);
    (void)json_object_set_new(j, "refused", refused);
    set_int(j, "input_tokens", t->input_tokens);
    set_int(j, "output_tokens", t->output_tokens);
    set_int(j, "charged_tokens", t->charged_tokens);
    set_int(j, "in_flight", t->in_flight);
    set_int(j, "peak_in_flight", t->peak_in_flight);
    set_int(peak, "requests", t->requests.peak);
    set_int(peak, "charged_tokens", t->charged.peak);
    set_int(peak, "input_tokens", t->input.peak);
    set_int(peak, "output_tokens", t->output.peak);
    (void)json_object_set_new(j, "peak_60s", peak);
    return j;
}

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0.0;
}

static json_t *limit_json(struct sim_limit *l, int64_t now_us, int64_t last_us)
{
    json_t *j = json_object();
    int64_t offered = sim_limit_offered(l, now_us), to_last = sim_limit_offered(l, last_us);
    set_int(j, "limit", l->limit);
    (void)json_object_set_new(j, "algorithm", json_string(sim_algorithm_name(l->algorithm)));
    set_int(j, "capacity", l->capacity);
    set_int(j, "used", sim_limit_used(l, now_us));
    set_int(j, "remaining", sim_limit_remaining(l, now_us));
    set_int(j, "charged", l->charged);
    set_int(j, "peak_window", l->log.peak);
    set_int(j, "offered", offered);
    (void)json_object_set_new(j, "utilisation", json_real(share(l->charged, offered)));
    set_int(j, "offered_to_last_call", to_last);
    (void)json_object_set_new(j, "utilisation_to_last_call", json_real(share(l->charged, to_last)));
    return j;
}

static json_t *scope_json(struct sim_scope *s, int64_t now_us, int64_t last_us)
{
    json_t *j = json_object(), *limits = json_object();
    (void)json_object_set_new(j, "scope", json_string(s->name));
    set_int(j, "in_flight", s->in_flight);
    set_int(j, "peak_in_flight", s->peak_in_flight);
    set_int(j, "concurrency", s->concurrency);
    for (enum sim_dim d = 0; d < SIM_RATE_DIMS; d++)
        if (s->limits[d].limit > 0)
            (void)json_object_set_new(limits, sim_dim_name(d),
                                      limit_json(&s->limits[d], now_us, last_us));
    (void)json_object_set_new(j, "limits", limits);
    return j;
}

json_t *sim_ledger_json(struct sim_ledger *ledger, struct sim_scope *scopes, size_t scope_count,
                        int64_t now_us)
{
    json_t *j = tally_json(&ledger->total);
    json_t *models = json_object(), *keys = json_object(), *list = json_array();
    for (size_t i = 0; i < ledger->model_count; i++)
        (void)json_object_set_new(models, ledger->models[i].name, tally_json(&ledger->models[i]));
    for (size_t i = 0; i < ledger->key_count; i++)
        (void)json_object_set_new(keys, ledger->keys[i].name, tally_json(&ledger->keys[i]));
    for (size_t i = 0; i < scope_count; i++)
        (void)json_array_append_new(list, scope_json(&scopes[i], now_us, ledger->last_us));
    set_int(j, "elapsed_ms", ledger->first_us < 0 ? 0 : (now_us - ledger->first_us) / 1000);
    set_int(j, "last_seq", ledger->last_seq);
    (void)json_object_set_new(j, "models", models);
    (void)json_object_set_new(j, "keys", keys);
    (void)json_object_set_new(j, "scopes", list);
    return j;
}

static json_t *record_json(const struct sim_call_record *c)
{
    char key[24], body[24];
    (void)snprintf(key, sizeof(key), "%016llx", (unsigned long long)c->key);
    (void)snprintf(body, sizeof(body), "%016llx", (unsigned long long)c->body_hash);
    json_t *j = json_object();
    set_int(j, "seq", c->seq);
    set_int(j, "time_ms", c->time_ms);
    (void)json_object_set_new(j, "id", json_string(c->id));
    (void)json_object_set_new(j, "request_id", json_string(c->request_id));
    (void)json_object_set_new(j, "path",
                              json_string(sim_endpoint_path((enum sim_endpoint)c->endpoint)));
    (void)json_object_set_new(j, "model", json_string(c->model));
    (void)json_object_set_new(j, "key", json_string(c->key ? key : "none"));
    (void)json_object_set_new(j, "body_hash", json_string(body));
    (void)json_object_set_new(j, "stream", json_boolean(c->stream));
    set_int(j, "status", c->status);
    (void)json_object_set_new(j, "outcome", json_string(outcome_names[c->outcome]));
    set_int(j, "input_tokens", c->input_tokens);
    set_int(j, "output_tokens", c->output_tokens);
    set_int(j, "charged_tokens", c->charged_tokens);
    set_int(j, "duration_ms", c->duration_ms);
    return j;
}

json_t *sim_ledger_calls_json(struct sim_ledger *ledger, int64_t since)
{
    json_t *j = json_object(), *list = json_array();
    int64_t oldest = ledger->last_seq - SIM_MAX_CALLS_KEPT + 1;
    int64_t seq = since + 1 > oldest ? since + 1 : oldest;
    int64_t sent = since;
    seq = seq < 1 ? 1 : seq;
    for (int64_t n = 0; seq <= ledger->last_seq && n < SIM_MAX_CALLS_PAGE; n++, seq++) {
        const struct sim_call_record *record = sim_ledger_find(ledger, seq);
        if (record) /* a reset has emptied it otherwise */
            (void)json_array_append_new(list, record_json(record));
        sent = seq;
    }
    (void)json_object_set_new(j, "calls", list);
    set_int(j, "last_seq", sent);
    (void)json_object_set_new(j, "has_more", json_boolean(sent < ledger->last_seq));
    return j;
}
