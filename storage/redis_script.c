#include "storage/redis_script.h"

#include "common/clock.h"
#include "common/limits.h"

#include "lua_embedded.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHA1_HEX_BYTES  41
#define HEAD_ARGS       3 /* EVALSHA, the digest, the number of keys */
#define NUMBER_BYTES    12
#define CLUSTER_REPEATS 3

static const struct {
    const char *name;
    const unsigned char *text;
} scripts[SCRIPT_COUNT] = {
    [SCRIPT_CONFIGURE] = {"configure", lua_configure_lua},
    [SCRIPT_SUBMIT] = {"submit", lua_submit_lua},
    [SCRIPT_DISPATCH] = {"dispatch", lua_dispatch_lua},
    [SCRIPT_SETTLE] = {"settle", lua_settle_lua},
    [SCRIPT_CANCEL] = {"cancel", lua_cancel_lua},
    [SCRIPT_REAP] = {"reap", lua_reap_lua},
    [SCRIPT_HEARTBEAT] = {"heartbeat", lua_heartbeat_lua},
    [SCRIPT_PEEK] = {"peek", lua_peek_lua},
    [SCRIPT_ACCRUE] = {"accrue", lua_accrue_lua},
    [SCRIPT_CHARGE] = {"charge", lua_charge_lua},
    [SCRIPT_SESSION_BEGIN] = {"session_begin", lua_session_begin_lua},
    [SCRIPT_SESSION_COMMIT] = {"session_commit", lua_session_commit_lua},
    [SCRIPT_SESSION_END] = {"session_end", lua_session_end_lua},
    [SCRIPT_SESSION_READ] = {"session_read", lua_session_read_lua},
    [SCRIPT_PERMIT] = {"permit", lua_permit_lua},
    [SCRIPT_PROBE] = {"probe", lua_probe_lua},
    [SCRIPT_GROUP] = {"group", lua_group_lua},
    [SCRIPT_RIDE] = {"ride", lua_ride_lua},
    [SCRIPT_WEBHOOK] = {"webhook", lua_webhook_lua},
    [SCRIPT_WEBHOOK_OWED] = {"webhook_owed", lua_webhook_owed_lua},
    [SCRIPT_HISTORY] = {"history", lua_history_lua},
    [SCRIPT_TALLY] = {"tally", lua_tally_lua},
    [SCRIPT_COST] = {"cost", lua_cost_lua},
    [SCRIPT_SETTINGS] = {"settings", lua_settings_lua},
};

/* One call and, behind the struct, the copies of its arguments. */
struct call {
    struct redis_scripts *owner;
    struct call *prev, *next; /* of all calls without an answer */
    struct call *next_waiting;
    enum script which;
    redis_reply_fn fn; /* NULL once answered, or when nobody wants to know */
    void *arg;
    int64_t deadline_ms, begun_us;
    size_t bytes;
    int repeats;
    char nkeys[NUMBER_BYTES];
    int argc; /* with HEAD_ARGS */
    const char **argv;
    size_t *lens;
};

struct script_state {
    char sha1[SHA1_HEX_BYTES];
    int loading; /* answers of SCRIPT LOAD to come */
    enum redis_status loaded;
    struct call *waiting, **waiting_end; /* for the load */
    struct redis_scripts *owner;         /* found again from the load's callback */
};

struct redis_scripts {
    struct redis_link *link;
    struct call *calls;
    size_t held_bytes;
    size_t outstanding; /* callbacks that the connection still owes us */
    bool closed;
    struct redis_latency latency;
    struct script_state states[SCRIPT_COUNT];
};

const char *redis_script_text(enum script which)
{
    return (const char *)scripts[which].text;
}

const struct redis_latency *redis_scripts_latency(const struct redis_scripts *s)
{
    return &s->latency;
}

const char *redis_script_name(enum script which)
{
    return scripts[which].name;
}

static bool sha1_hex(const char *text, char *hex)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL) || len != 20)
        return false;
    for (unsigned i = 0; i < len; i++)
        (void)snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    return true;
}

struct redis_scripts *redis_scripts_new(struct redis_link *link)
{
    struct redis_scripts *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->link = link;
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        struct script_state *state = &s->states[i];
        state->owner = s;
        state->waiting_end = &state->waiting;
        if (!sha1_hex(redis_script_text((enum script)i), state->sha1)) {
            free(s);
            return NULL;
        }
    }
    return s;
}

static void free_when_unused(struct redis_scripts *s)
{
    if (s->closed && s->outstanding == 0 && !s->calls)
        free(s);
}

/* Answers and frees; the last act on a call. */
static void call_end(struct call *call, enum redis_status status, const struct redisReply *reply)
{
    struct redis_scripts *s = call->owner;
    if (call->prev)
        call->prev->next = call->next;
    else
        s->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    s->held_bytes -= call->bytes;

    redis_reply_fn fn = call->fn;
    void *arg = call->arg;
    free(call);
    if (fn)
        fn(arg, status, reply);
}

static void on_call(void *arg, enum redis_status status, const struct redisReply *reply);

static void call_send(struct call *call)
{
    struct redis_scripts *s = call->owner;
    int64_t left_ms = call->deadline_ms - clock_mono_ms();
    s->outstanding++;
    const struct redis_args args = {call->argc, call->argv, call->lens};
    redis_link_command(s->link, &args, (int)left_ms, on_call, call);
}

/* The list is cut off first: what is repeated here may meet NOSCRIPT again and the answers
 * may make calls that do. */
static void on_load(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct script_state *state = arg;
    struct redis_scripts *s = state->owner;
    s->outstanding--;
    /* One node of a cluster that holds it now is enough: calls to the others find out. */
    if (state->loaded != REDIS_OK)
        state->loaded = status;
    if (--state->loading > 0)
        return;
    struct call *call = state->waiting;
    state->waiting = NULL;
    state->waiting_end = &state->waiting;
    status = state->loaded;

    int64_t now_ms = clock_mono_ms();
    enum redis_status failure = status == REDIS_LOST ? REDIS_DOWN : status;
    while (call) {
        struct call *next = call->next_waiting;
        if (s->closed)
            call_end(call, REDIS_LOST, NULL);
        else if (status != REDIS_OK)
            call_end(call, failure, reply);
        else if (call->deadline_ms <= now_ms)
            call_end(call, REDIS_DOWN, NULL);
        else
            call_send(call);
        call = next;
    }
    free_when_unused(s);
}

static void wait_for_load(struct call *call)
{
    struct redis_scripts *s = call->owner;
    struct script_state *state = &s->states[call->which];
    call->repeats++;
    call->next_waiting = NULL;
    *state->waiting_end = call;
    state->waiting_end = &call->next_waiting;
    if (state->loading > 0)
        return;

    const struct redis_args *args = REDIS_ARGS("SCRIPT", "LOAD", redis_script_text(call->which));
    int64_t left_ms = call->deadline_ms - clock_mono_ms();
    while (redis_link_master(s->link, (size_t)state->loading))
        state->loading++;
    state->loaded = REDIS_DOWN;
    s->outstanding += (size_t)state->loading;
    for (size_t i = 0, n = (size_t)state->loading; i < n; i++)
        redis_command(redis_link_master(s->link, i), args, (int)left_ms, on_load, state);
}

static void on_call(void *arg, enum redis_status status, const struct redisReply *reply)
{
    struct call *call = arg;
    struct redis_scripts *s = call->owner;
    s->outstanding--;
    if (status == REDIS_OK)
        redis_latency_add(&s->latency, clock_mono_us() - call->begun_us);
    int most = redis_link_is_cluster(s->link) ? CLUSTER_REPEATS : 1;
    if (status == REDIS_NOSCRIPT && call->repeats < most && !s->closed)
        wait_for_load(call);
    else
        call_end(call, status, reply);
    free_when_unused(s);
}

static char *add_word(struct call *call, int i, char *at, const char *word, size_t len)
{
    if (len > 0)
        memcpy(at, word, len);
    call->argv[i] = at;
    call->lens[i] = len;
    return at + len;
}

/* The first key and SCRIPT_GUARD. */
static char *add_guard(struct call *call, int i, char *at)
{
    size_t len = call->lens[HEAD_ARGS];
    memcpy(at, call->argv[HEAD_ARGS], len);
    memcpy(at + len, SCRIPT_GUARD, sizeof(SCRIPT_GUARD) - 1);
    call->argv[i] = at;
    call->lens[i] = len + sizeof(SCRIPT_GUARD) - 1;
    return at + call->lens[i];
}

/* One allocation: the struct, argv, lens, and the bytes of the arguments. */
static struct call *call_new(struct redis_scripts *s, const struct script_call *what)
{
    const struct redis_args *args = &what->args;
    bool guarded = what->nkeys > 0 && redis_link_is_cluster(s->link);
    size_t argc = (size_t)args->argc + HEAD_ARGS + guarded;
    size_t bytes = guarded ? redis_args_len(args, 0) + sizeof(SCRIPT_GUARD) : 0;
    for (int i = 0; i < args->argc; i++)
        bytes += redis_args_len(args, i);
    size_t total = sizeof(struct call) + argc * (sizeof(char *) + sizeof(size_t)) + bytes;
    if (total > (size_t)REDIS_MAX_QUEUED_BYTES - s->held_bytes)
        return NULL;
    struct call *call = malloc(total);
    if (!call)
        return NULL;

    *call = (struct call){.owner = s, .which = what->which, .argc = (int)argc, .bytes = total};
    call->argv = (const char **)(call + 1);
    call->lens = (size_t *)(call->argv + argc);
    (void)snprintf(call->nkeys, sizeof(call->nkeys), "%d", what->nkeys + guarded);
    const char *const head[HEAD_ARGS] = {"EVALSHA", s->states[what->which].sha1, call->nkeys};
    for (int i = 0; i < HEAD_ARGS; i++) {
        call->argv[i] = head[i];
        call->lens[i] = strlen(head[i]);
    }
    char *at = (char *)(call->lens + argc);
    int to = HEAD_ARGS;
    for (int i = 0; i < args->argc; i++) {
        if (guarded && i == what->nkeys)
            at = add_guard(call, to++, at);
        at = add_word(call, to++, at, args->argv[i], redis_args_len(args, i));
    }
    if (guarded && args->argc == what->nkeys)
        (void)add_guard(call, to, at);
    return call;
}

void redis_script_call(struct redis_scripts *s, const struct script_call *what, redis_reply_fn fn,
                       void *arg)
{
    assert((unsigned)what->which < SCRIPT_COUNT && what->nkeys <= what->args.argc);
    struct call *call = s->closed ? NULL : call_new(s, what);
    if (!call) {
        redis_link_refuse(s->link, s->closed ? REDIS_DOWN : REDIS_BUSY_LOCAL, fn, arg);
        return;
    }
    call->fn = fn;
    call->arg = arg;
    call->begun_us = clock_mono_us();
    call->deadline_ms = call->begun_us / 1000 + (what->deadline_ms > 0 ? what->deadline_ms : 1);
    call->next = s->calls;
    if (s->calls)
        s->calls->prev = call;
    s->calls = call;
    s->held_bytes += call->bytes;
    call_send(call);
}

/* The connection still holds pointers to the calls, so these stay until it answers. */
void redis_scripts_free(struct redis_scripts *s)
{
    if (!s)
        return;
    s->closed = true;
    for (struct call *call = s->calls; call; call = call->next) {
        redis_reply_fn fn = call->fn;
        call->fn = NULL;
        if (fn)
            fn(call->arg, REDIS_LOST, NULL);
    }
    free_when_unused(s);
}
