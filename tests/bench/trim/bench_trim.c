/*
 * bench_trim: what trimming saves and what it costs.
 *
 *   bench_trim [FILE]
 *
 * Plays conversations as agents send them, one request for every message that the model is to
 * answer, and prints a table by strategy and preset: tokens of all requests before and after,
 * microseconds for each, how much of a request was already in the one before it (what provider
 * caches live from), and how often the outcome was illegal. Then the time of one request of 200
 * messages and 100,000 tokens: cold, and again with the counts remembered.
 *
 * FILE has one request body on each line; without it conversations are made.
 */
#include "common/clock.h"
#include "common/file.h"
#include "common/limits.h"
#include "scheduler/prompt/trim.h"
#include "scheduler/prompt/validate.h"
#include "tests/support/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MADE_TALKS  12
#define MADE_TURNS  30
#define SPEED_RUNS  25
#define SPEED_TURNS 34 /* six messages each */

static const struct {
    const char *name, *policy;
} policies[] = {
    {"window", "{\"stages\":[\"window\"]}"},
    {"tool_results", "{\"stages\":[\"tool_results\"]}"},
    {"tool_results, 3 steps", "{\"stages\":[\"tool_results\"],\"keep_steps\":3}"},
    {"truncate", "{\"stages\":[\"truncate\"]}"},
    {"deletion to 8,000", "{\"stages\":[\"deletion\"],\"max_context_tokens\":8000}"},
    {"selective", "{\"stages\":[\"selective\"]}"},
    {"relevant", "{\"stages\":[\"relevant\"]}"},
    {"reset at 8,000", "{\"stages\":[\"reset\"],\"reset_threshold\":8000}"},
    {"preset conservative", "{\"preset\":\"conservative\"}"},
    {"preset balanced", "{\"preset\":\"balanced\"}"},
    {"preset aggressive", "{\"preset\":\"aggressive\"}"},
};
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

struct row {
    int64_t requests, before, after, us, shared_bytes, bytes, illegal;
};

struct bench {
    struct counter *counter;
    struct trim_policy policy;
    struct row rows[POLICIES];
    struct buf body, last;
};

static void give_up(const char *what)
{
    (void)fprintf(stderr, "bench_trim: %s\n", what);
    exit(1);
}

static size_t common_prefix(const struct buf *a, const char *b, size_t len)
{
    size_t n = 0;
    while (n < a->len && n < len && a->data[n] == b[n])
        n++;
    return n;
}

static void check(struct row *row, enum wire_endpoint endpoint, const char *body, size_t len)
{
    struct transcript t;
    struct validate_fault f;
    if (json_scan_check(body, len, NULL) < 0 ||
        transcript_read(endpoint, body, len, &t, NULL) < 0) {
        row->illegal++;
        return;
    }
    row->illegal += validate_body(&t, &f) < 0;
    transcript_release(&t);
}

static void send(struct bench *b, enum wire_endpoint endpoint, struct row *row)
{
    struct trim_result r;
    struct trim_input in = {.counter = b->counter,
                            .endpoint = endpoint,
                            .body = b->body.data,
                            .len = b->body.len,
                            .policy = &b->policy};
    int64_t start_us = clock_mono_us();
    if (trim(&in, &r, NULL) < 0)
        give_up("a request could not be trimmed");
    row->us += clock_mono_us() - start_us;
    row->requests++;
    row->before += r.before.tokens;
    row->after += r.after.tokens;
    const char *body = r.body.len ? r.body.data : b->body.data;
    size_t len = r.body.len ? r.body.len : b->body.len;
    check(row, endpoint, body, len);
    row->shared_bytes += (int64_t)common_prefix(&b->last, body, len);
    row->bytes += (int64_t)b->last.len;
    buf_clear(&b->last);
    if (buf_add(&b->last, body, len) < 0)
        give_up("out of memory");
    trim_result_release(&r);
}

/* Every request of a conversation: up to each message that asks for an answer. */
static void play(struct bench *b, const struct transcript *t, struct row *row)
{
    const char *end = t->body.at + t->body.len, *tail = t->list.at + t->list.len - 1;
    buf_clear(&b->last);
    for (uint32_t i = 0; i < t->count; i++) {
        bool asks = t->messages[i].role == ROLE_USER || t->messages[i].role == ROLE_TOOL;
        bool more = i + 1 < t->count && t->messages[i + 1].role == ROLE_TOOL;
        if (!asks || more)
            continue;
        const char *stop = t->messages[i].span.at + t->messages[i].span.len;
        buf_clear(&b->body);
        (void)buf_add(&b->body, t->body.at, (size_t)(stop - t->body.at));
        if (buf_add(&b->body, tail, (size_t)(end - tail)) < 0)
            give_up("out of memory");
        send(b, t->endpoint, row);
    }
}

static void play_all(struct bench *b, const char *body, size_t len)
{
    struct transcript t;
    struct error e = {""};
    enum wire_endpoint endpoint;
    if (json_scan_check(body, len, &e) < 0 ||
        !transcript_endpoint(json_span_of(body, len), &endpoint) ||
        transcript_read(endpoint, body, len, &t, &e) < 0)
        give_up(e.text[0] ? e.text : "a line is no request");
    for (size_t i = 0; i < POLICIES; i++) {
        struct json_span policy = json_span_of(policies[i].policy, strlen(policies[i].policy));
        if (trim_policy_read(policy, &b->policy, &e) < 0)
            give_up(e.text);
        play(b, &t, &b->rows[i]);
    }
    transcript_release(&t);
}

static void play_made(struct bench *b)
{
    static const enum wire_endpoint endpoints[] = {WIRE_CHAT, WIRE_RESPONSES, WIRE_MESSAGES};
    for (uint64_t i = 0; i < MADE_TALKS; i++) {
        struct talk k;
        struct buf body;
        talk_init(&k, endpoints[i % 3], 100 + i);
        talk_system(&k, "You help customers of an airline. Use the tools.");
        talk_random(&k, MADE_TURNS, 1500);
        buf_init(&body, (size_t)HTTP_MAX_BODY_BYTES);
        talk_whole(&k, &body);
        play_all(b, body.data, body.len);
        buf_release(&body);
        talk_release(&k);
    }
}

static void play_file(struct bench *b, const char *path)
{
    struct buf lines;
    buf_init(&lines, (size_t)TOKENS_MAX_FILE_BYTES);
    if (file_append(path, &lines) < 0 || lines.len == 0)
        give_up("the file cannot be read");
    for (char *line = lines.data; *line;) {
        size_t len = strcspn(line, "\n");
        if (len > 0)
            play_all(b, line, len);
        line += len + (line[len] == '\n');
    }
    buf_release(&lines);
}

static void print_rows(const struct bench *b)
{
    printf("| strategy | requests | tokens before | after | saved | same prefix | us each | "
           "illegal |\n|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < POLICIES; i++) {
        const struct row *r = &b->rows[i];
        printf("| %s | %lld | %lld | %lld | %.1f %% | %.0f %% | %.0f | %lld |\n", policies[i].name,
               (long long)r->requests, (long long)r->before, (long long)r->after,
               r->before ? 100.0 * (double)(r->before - r->after) / (double)r->before : 0,
               r->bytes ? 100.0 * (double)r->shared_bytes / (double)r->bytes : 0,
               r->requests ? (double)r->us / (double)r->requests : 0, (long long)r->illegal);
    }
}

/* ---- speed of one large request */

static void make_large(uint64_t seed, struct buf *body)
{
    struct talk k;
    talk_init(&k, WIRE_CHAT, seed);
    talk_system(&k, "You help customers of an airline. Use the tools.");
    for (int turn = 0; turn < SPEED_TURNS && k.count < 200; turn++) {
        char *text = talk_words(&k, 3200);
        talk_user(&k, text);
        for (int i = 0; i < 2; i++) {
            char *result = talk_words(&k, 3200);
            talk_call(&k, "search", result);
            free(result);
        }
        talk_answer(&k, text);
        free(text);
    }
    talk_whole(&k, body);
    talk_release(&k);
}

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int64_t once(struct bench *b, const struct buf *body, struct trim_size *ret_before)
{
    struct trim_result r;
    struct trim_input in = {.counter = b->counter,
                            .endpoint = WIRE_CHAT,
                            .body = body->data,
                            .len = body->len,
                            .policy = &b->policy};
    int64_t start_us = clock_mono_us();
    if (trim(&in, &r, NULL) < 0)
        give_up("a request could not be trimmed");
    int64_t us = clock_mono_us() - start_us;
    *ret_before = r.before;
    trim_result_release(&r);
    return us;
}

static void print_speed(struct bench *b, const char *preset)
{
    int64_t cold[SPEED_RUNS], warm[SPEED_RUNS];
    struct trim_size before = {0};
    if (!trim_policy_preset(preset, &b->policy))
        give_up("no such preset");
    for (uint64_t i = 0; i < SPEED_RUNS; i++) {
        struct buf body;
        buf_init(&body, (size_t)HTTP_MAX_BODY_BYTES);
        make_large(1000 * strlen(preset) + i, &body);
        cold[i] = once(b, &body, &before);
        warm[i] = once(b, &body, &before);
        buf_release(&body);
    }
    qsort(cold, SPEED_RUNS, sizeof(cold[0]), by_size);
    qsort(warm, SPEED_RUNS, sizeof(warm[0]), by_size);
    printf("%-12s %u messages, %lld tokens: cold %.2f ms, remembered %.2f ms (medians of %d; "
           "slowest %.2f and %.2f)\n",
           preset, before.messages, (long long)before.tokens, (double)cold[SPEED_RUNS / 2] / 1000,
           (double)warm[SPEED_RUNS / 2] / 1000, SPEED_RUNS, (double)cold[SPEED_RUNS - 1] / 1000,
           (double)warm[SPEED_RUNS - 1] / 1000);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    buf_init(&b.body, (size_t)HTTP_MAX_BODY_BYTES);
    buf_init(&b.last, (size_t)HTTP_MAX_BODY_BYTES);
    if (argc > 2 || counter_new(1, &b.counter) < 0) {
        (void)fprintf(stderr, "usage: bench_trim [FILE]\n");
        return 2;
    }
    if (argc == 2)
        play_file(&b, argv[1]);
    else
        play_made(&b);
    print_rows(&b);
    printf("\n");
    print_speed(&b, "conservative");
    print_speed(&b, "balanced");
    print_speed(&b, "aggressive");
    int64_t illegal = 0;
    for (size_t i = 0; i < POLICIES; i++)
        illegal += b.rows[i].illegal;
    counter_free(b.counter);
    buf_release(&b.body);
    buf_release(&b.last);
    return illegal > 0;
}
