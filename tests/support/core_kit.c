#include "tests/support/core_kit.h"

#include "common/config.h"
#include "storage/redis_address.h"
#include "storage/redis_reply.h"

#include <event2/event.h>
#include <hiredis.h>

#define COMMAND_MS 2000
#define ALIVE_MS   30000

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

int core_kit_setup(void **state)
{
    static const struct timeval often = {.tv_usec = 2000};
    struct core_kit *k = calloc(1, sizeof(*k));
    assert_non_null(k);
    *state = k;
    if (redis_fixture_start(&k->redis, NULL) != 0)
        return -1;
    k->base = event_base_new();
    assert_non_null(k->base);
    k->tick = event_new(k->base, -1, EV_PERSIST, on_tick, NULL);
    assert_int_equal(event_add(k->tick, &often), 0);
    k->provider = fake_provider_new(k->base);
    (void)strcpy(k->instance, "i1");
    return 0;
}

void core_kit_step(struct core_kit *k)
{
    (void)event_base_loop(k->base, EVLOOP_ONCE);
}

static void on_redis(void *arg, bool up, const char *reason)
{
    struct core_kit *k = arg;
    (void)reason;
    k->up = up;
    if (k->scheduler)
        scheduler_connected(k->scheduler, up);
}

static void on_channel(void *arg, bool up, const char *reason)
{
    struct core_kit *k = arg;
    (void)reason;
    k->channel_up = up;
    if (!up || !k->jobs)
        return;
    scheduler_channel_back(k->scheduler);
    jobs_channel_back(k->jobs);
}

static void on_message(void *arg, const char *channel, const char *payload, size_t len)
{
    struct core_kit *k = arg;
    (void)len;
    if (strcmp(channel, KEY_EVENTS) == 0)
        jobs_event(k->jobs, payload);
    else if (strcmp(channel, KEY_ANSWERS_PURGE) == 0)
        answers_purged(k->answers, payload);
    else
        scheduler_message(k->scheduler, payload);
}

struct config *core_kit_config(struct core_kit *k, const char *limits, const char *more)
{
    char text[2048];
    struct config *c = NULL;
    struct error e = {.text = ""};
    (void)snprintf(
        text, sizeof(text),
        "providers:\n"
        "  - {name: p, format: openai, base_url: \"%s/v1\", api_key: sk-of-the-service,\n"
        "     profile: generic, max_attempts: 3, models: [{name: m, %s}]}\n%s",
        k->url ? k->url : fake_provider_url(k->provider), limits, more ? more : "");
    if (config_parse("test", text, strlen(text), &c, &e) < 0)
        fail_msg("%s", e.text);
    return c;
}

static bool configured(struct core_kit *k)
{
    size_t at = 0;
    struct pool_view *v = scheduler_next_pool(k->scheduler, &at);
    return v && pool_agent_pool(v->agent)->configured;
}

void core_kit_start(struct core_kit *k, const char *limits, const char *more)
{
    struct redis_address address;
    struct error e = {.text = ""};
    assert_int_equal(redis_address_parse(k->redis.url, &address, &e), 0);
    k->link = redis_link_new(k->base, &address, on_redis, k, &e);
    k->channel = redis_link_subscriber(k->base, &address, on_channel, k, &e);
    assert_non_null(k->link);
    assert_non_null(k->channel);
    struct pool_store_options store = {
        .link = k->link, .instance = k->instance, .timeout_ms = COMMAND_MS, .alive_ms = ALIVE_MS};
    struct scheduler_options options = {.base = k->base, .instance = k->instance, .seed = 1};
    options.store = k->store = pool_store_new(&store, &e);
    options.jobs = k->job_store = job_store_new(k->link, COMMAND_MS);
    options.calibrations = k->calibrations = calibration_store_new(k->link, COMMAND_MS);
    options.http = k->http = http_client_new(k->base);
    k->answer_store = answer_store_new(k->link, COMMAND_MS);
    options.answers = k->answers = answers_new(k->base, k->answer_store, 1);
    options.embedder = k->embedder = embedder_new(k->base);
    k->joint_board = joint_board_new();
    options.joint_calls = k->joint_calls = joint_calls_new(k->base, k->joint_board);
    k->scheduler = scheduler_new(&options, core_kit_config(k, limits, more));
    k->jobs = jobs_new(k->scheduler);
    jobs_use_board(k->jobs, k->joint_board);
    redis_link_on_message(k->channel, on_message, k);
    struct key mine = key_instance_channel(k->instance);
    assert_int_equal(redis_link_subscribe(k->channel, mine.text), 0);
    assert_int_equal(redis_link_subscribe(k->channel, KEY_EVENTS), 0);
    assert_int_equal(redis_link_subscribe(k->channel, KEY_ANSWERS_PURGE), 0);
    CORE_UNTIL(k, k->up && k->channel_up && configured(k));
}

/* In the order of service_free(). */
static void stop(struct core_kit *k)
{
    jobs_stop(k->jobs);
    embedder_stop(k->embedder);
    joint_calls_stop(k->joint_calls);
    scheduler_stop(k->scheduler);
    redis_link_free(k->channel);
    redis_link_free(k->link);
    scheduler_connected(k->scheduler, false);
    jobs_free(k->jobs);
    http_client_free(k->http);
    embedder_free(k->embedder);
    joint_calls_free(k->joint_calls);
    joint_board_free(k->joint_board);
    scheduler_free(k->scheduler);
    answers_free(k->answers);
    answer_store_free(k->answer_store);
    pool_store_free(k->store);
    job_store_free(k->job_store);
    calibration_store_free(k->calibrations);
}

int core_kit_teardown(void **state)
{
    struct core_kit *k = *state;
    if (k->scheduler)
        stop(k);
    if (k->provider)
        fake_provider_free(k->provider);
    event_free(k->tick);
    event_base_free(k->base);
    redis_fixture_stop(&k->redis);
    free(k);
    return 0;
}

/* ---- what Redis holds */

int64_t core_running(struct core_kit *k)
{
    return redis_fixture_ask_int(&k->redis, REDIS_ARGS("ZCARD", CORE_PREFIX "inf"));
}

static int64_t ask_number(struct core_kit *k, const struct redis_args *args)
{
    struct redisReply *r = redis_fixture_ask(&k->redis, args);
    int64_t n = reply_int(r, -1);
    freeReplyObject(r);
    return n;
}

int64_t core_queued(struct core_kit *k)
{
    return ask_number(k, REDIS_ARGS("HGET", CORE_PREFIX "b", "nq"));
}

int64_t core_level(struct core_kit *k, const char *dim)
{
    char level[32];
    (void)snprintf(level, sizeof(level), "%s:L", dim);
    /* Dimensions of the kit are per minute: a token is 60,000 units of token x ms. */
    return ask_number(k, REDIS_ARGS("HGET", CORE_PREFIX "b", level)) / 60000;
}

int64_t core_field(struct core_kit *k, const char *id, const char *field)
{
    char key[128];
    (void)snprintf(key, sizeof(key), CORE_PREFIX "j:%s", id);
    return ask_number(k, REDIS_ARGS("HGET", key, field));
}

bool core_is(struct core_kit *k, const char *id, const char *state)
{
    char key[128];
    (void)snprintf(key, sizeof(key), CORE_PREFIX "j:%s", id);
    return redis_fixture_says(&k->redis, state, REDIS_ARGS("HGET", key, "st"));
}

/* ---- calls */

static void on_queued(void *arg, int64_t eta_ms, const char *binding)
{
    struct core_call *c = arg;
    (void)eta_ms, (void)binding;
    c->queued++;
}

static void on_start(void *arg)
{
    struct core_call *c = arg;
    c->starts++;
    c->status = call_status(c->call);
    const char *word = call_cache_word(c->call);
    (void)snprintf(c->decision, sizeof(c->decision), "%s", call_decision(c->call));
    (void)snprintf(c->cache, sizeof(c->cache), "%s", word ? word : "");
    c->inputs = call_cache_inputs(c->call, &c->inputs_kept);
    if (c->cancel_at_start)
        core_call_cancel(c);
}

static void on_data(void *arg, const char *bytes, size_t len)
{
    struct core_call *c = arg;
    for (size_t i = 0; i < len && c->len < sizeof(c->body) - 1; i++)
        c->body[c->len++] = bytes[i];
    c->pieces++;
    c->bytes += len;
    if (c->cancel_at_data)
        core_call_cancel(c);
    else if (c->pause_at_data)
        call_pause(c->call);
}

static void ended(struct core_call *c)
{
    c->attempts = call_attempts(c->call);
    c->call = NULL;
}

static void on_end(void *arg)
{
    struct core_call *c = arg;
    c->ends++;
    ended(c);
}

static void on_fail(void *arg, const struct call_failure *f)
{
    struct core_call *c = arg;
    c->fails++;
    if (f)
        c->failure = *f;
    ended(c);
}

static const struct call_sink sink = {
    .queued = on_queued, .start = on_start, .data = on_data, .end = on_end, .fail = on_fail};

void core_call_spec(struct core_kit *k, struct core_call *c, const struct call_spec *spec)
{
    c->kit = k;
    c->call = call_new(k->scheduler, spec, &sink, c, &c->failure);
    if (!c->call)
        fail_msg("refused: %s", c->failure.message);
    (void)snprintf(c->id, sizeof(c->id), "%s", call_id(c->call));
    call_start(c->call);
}

void core_call_begin(struct core_kit *k, struct core_call *c, const char *body, int64_t max_wait_ms)
{
    struct call_spec spec = {.endpoint = WIRE_CHAT,
                             .body = strdup(body),
                             .body_len = strlen(body),
                             .tenant = "default",
                             .weight = 1,
                             .class = CLASS_NORMAL,
                             .max_wait_ms = max_wait_ms};
    core_call_spec(k, c, &spec);
    assert_int_equal(c->queued + c->starts + c->ends + c->fails, 0);
}

void core_call_cancel(struct core_call *c)
{
    struct call *call = c->call;
    c->call = NULL;
    call_cancel(call);
}

bool core_call_over(const struct core_call *c)
{
    return c->ends + c->fails > 0;
}
