/*
 * bench_limiter: what a decision costs Redis, beside a bare PING and SET.
 *
 *   bench_limiter SOCKET [ROUNDS]
 *
 * One connection, one command at a time, in rounds: each round runs PING, SET, submit on the
 * fast path and settle one after the other, so that what else the machine does falls on all of
 * them. The medians over the rounds are told:
 *
 *   script   µs of the command itself (INFO commandstats)
 *   cpu      µs of the server's CPU for it, with reading, parsing and answering (INFO cpu)
 *   trip     µs from the question to the answer
 *
 * The pool has rpm and tpm and is never short; tickets are calls, as a proxied request makes them.
 */
#include "common/clock.h"
#include "storage/redis_script.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#define KEY        "sluice:{bench:default:model}:b"
#define BATCH      400
#define MAX_ROUNDS 1000

enum kind { PING, SET, SUBMIT, SETTLE, KINDS };
static const char *const names[KINDS] = {"ping", "set", "submit", "settle"};
static const char *const commands[KINDS] = {"ping", "set", "evalsha", "evalsha"};

struct sample {
    double script_us, cpu_us, trip_us;
};

struct bench {
    redisContext *redis;
    char sha[SCRIPT_COUNT][41];
    struct sample samples[KINDS][MAX_ROUNDS];
};

static void fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_limiter: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static redisReply *run(struct bench *b, int argc, const char **argv)
{
    redisReply *r = redisCommandArgv(b->redis, argc, argv, NULL);
    if (!r || r->type == REDIS_REPLY_ERROR)
        fail(argv[0], r ? r->str : b->redis->errstr);
    return r;
}

static void do_ping(struct bench *b, int ticket)
{
    const char *argv[] = {"PING"};
    (void)ticket;
    freeReplyObject(run(b, 1, argv));
}

static void do_set(struct bench *b, int ticket)
{
    char key[32];
    (void)snprintf(key, sizeof(key), "bench:%d", ticket);
    const char *argv[] = {"SET", key, "a value of some thirty bytes..", "PX", "60000"};
    freeReplyObject(run(b, 5, argv));
}

/* The result's first word must be the one that the figures are about. */
static void expect(redisReply *r, const char *word)
{
    const redisReply *result =
        r->type == REDIS_REPLY_ARRAY && r->elements > 0 ? r->element[0] : NULL;
    if (!result || result->elements == 0 || strcmp(result->element[0]->str, word) != 0)
        fail("another result than", word);
    freeReplyObject(r);
}

static void do_submit(struct bench *b, int ticket)
{
    char id[48];
    (void)snprintf(id, sizeof(id), "job_0123abcd%024d", ticket);
    const char *argv[] = {"EVALSHA",
                          b->sha[SCRIPT_SUBMIT],
                          "1",
                          KEY,
                          "0123456789abcdef",
                          "16",
                          "rpm,tpm",
                          id,
                          "call",
                          "1",
                          "7:default",
                          "1",
                          "1,1500",
                          "1500",
                          "0",
                          "600000",
                          "20000"};
    expect(run(b, sizeof(argv) / sizeof(argv[0]), argv), "granted");
}

static void do_settle(struct bench *b, int ticket)
{
    char id[48];
    (void)snprintf(id, sizeof(id), "job_0123abcd%024d", ticket);
    const char *argv[] = {"EVALSHA",
                          b->sha[SCRIPT_SETTLE],
                          "1",
                          KEY,
                          "0123456789abcdef",
                          "16",
                          "rpm,tpm",
                          id,
                          "1",
                          "done",
                          "0",
                          "1",
                          "1,1480",
                          "1480",
                          ""};
    expect(run(b, sizeof(argv) / sizeof(argv[0]), argv), "settled");
}

static void (*const actions[KINDS])(struct bench *, int) = {do_ping, do_set, do_submit, do_settle};

/* A number behind a name in INFO; 0 when it is not told. */
static double info_number(const char *info, const char *name)
{
    const char *at = strstr(info, name);
    return at ? strtod(at + strlen(name), NULL) : 0;
}

static char *info(struct bench *b, const char *section)
{
    const char *argv[] = {"INFO", section};
    redisReply *r = run(b, 2, argv);
    char *text = strdup(r->str);
    freeReplyObject(r);
    if (!text)
        fail("INFO", "no memory");
    return text;
}

static double cpu_us(struct bench *b)
{
    char *text = info(b, "cpu");
    double s = info_number(text, "used_cpu_sys_main_thread:") +
               info_number(text, "used_cpu_user_main_thread:");
    free(text);
    return s * 1e6;
}

static struct sample measure(struct bench *b, enum kind kind, int first)
{
    char name[48];
    const char *reset[] = {"CONFIG", "RESETSTAT"};
    freeReplyObject(run(b, 2, reset));
    double cpu = cpu_us(b);
    int64_t start_us = clock_mono_us();
    for (int i = 0; i < BATCH; i++)
        actions[kind](b, first + i);
    int64_t end_us = clock_mono_us();
    struct sample s = {.cpu_us = (cpu_us(b) - cpu) / BATCH,
                       .trip_us = (double)(end_us - start_us) / BATCH};
    char *text = info(b, "commandstats");
    (void)snprintf(name, sizeof(name), "cmdstat_%s:", commands[kind]);
    const char *line = strstr(text, name);
    s.script_us = line ? info_number(line, "usec_per_call=") : 0;
    free(text);
    return s;
}

static void load(struct bench *b)
{
    static const enum script used[] = {SCRIPT_CONFIGURE, SCRIPT_SUBMIT, SCRIPT_SETTLE};
    for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++) {
        const char *argv[] = {"SCRIPT", "LOAD", redis_script_text(used[i])};
        redisReply *r = run(b, 3, argv);
        (void)snprintf(b->sha[used[i]], sizeof(b->sha[0]), "%s", r->str);
        freeReplyObject(r);
    }
    const char *argv[] = {"EVALSHA",
                          b->sha[SCRIPT_CONFIGURE],
                          "1",
                          KEY,
                          "0123456789abcdef",
                          "full",
                          "100000",
                          "250",
                          "100000",
                          "15000",
                          "5",
                          "60000",
                          "rpm",
                          "1000000",
                          "60000",
                          "1",
                          "1000000",
                          "0",
                          "k",
                          "tpm",
                          "1000000000",
                          "60000",
                          "1",
                          "1000000000",
                          "0",
                          "r"};
    freeReplyObject(run(b, sizeof(argv) / sizeof(argv[0]), argv));
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the field that stands `offset` bytes into a sample. */
static double median(const struct sample *samples, int n, size_t offset)
{
    double values[MAX_ROUNDS];
    for (int i = 0; i < n; i++)
        memcpy(&values[i], (const char *)&samples[i] + offset, sizeof(double));
    qsort(values, (size_t)n, sizeof(double), ascending);
    return values[n / 2];
}

static void print(const struct bench *b, int rounds)
{
    struct sample m[KINDS];
    printf("%d rounds of %d calls each, medians of the rounds, us\n", rounds, BATCH);
    printf("%-8s %8s %8s %8s   %s\n", "", "script", "cpu", "trip", "cpu by ping, by set");
    for (int k = 0; k < KINDS; k++) {
        m[k].script_us = median(b->samples[k], rounds, offsetof(struct sample, script_us));
        m[k].cpu_us = median(b->samples[k], rounds, offsetof(struct sample, cpu_us));
        m[k].trip_us = median(b->samples[k], rounds, offsetof(struct sample, trip_us));
    }
    for (int k = 0; k < KINDS; k++)
        printf("%-8s %8.2f %8.2f %8.2f   %.2f, %.2f\n", names[k], m[k].script_us, m[k].cpu_us,
               m[k].trip_us, m[k].cpu_us / m[PING].cpu_us, m[k].cpu_us / m[SET].cpu_us);
}

int main(int argc, char **argv)
{
    static struct bench b;
    int rounds = argc > 2 ? atoi(argv[2]) : 100;
    if (argc < 2 || rounds < 1 || rounds > MAX_ROUNDS) {
        (void)fprintf(stderr, "usage: bench_limiter SOCKET [ROUNDS]\n");
        return 2;
    }
    b.redis = redisConnectUnix(argv[1]);
    if (!b.redis || b.redis->err)
        fail(argv[1], b.redis ? b.redis->errstr : "no memory");
    load(&b);
    for (int round = 0; round < rounds; round++) {
        for (int k = 0; k < KINDS; k++)
            b.samples[k][round] = measure(&b, (enum kind)k, round * BATCH);
    }
    print(&b, rounds);
    redisFree(b.redis);
    return 0;
}
