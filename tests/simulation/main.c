/*
 * A deterministic simulation of the scheduler: see tests/simulation/world.h.
 *
 *   simulation_scheduler               SIM_SEEDS seeds of SIM_EVENTS events from TEST_SEED on
 *   simulation_scheduler --seed N      one seed, and what it did
 *   simulation_scheduler --trace N     one seed, every event as a line of JSON
 *   simulation_scheduler --hash N      the hash of its trace
 */
#include "common/log.h"
#include "tests/simulation/world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2

#if defined(__SANITIZE_ADDRESS__)
#define DEFAULT_SEEDS 60
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DEFAULT_SEEDS 60
#endif
#endif
#ifndef DEFAULT_SEEDS
#define DEFAULT_SEEDS 1000
#endif
#define QUICK_SEEDS    20
#define LONG_FACTOR    20
#define DEFAULT_EVENTS 10000

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t events_of_run(void)
{
    return number_from("SIM_EVENTS", DEFAULT_EVENTS);
}

static uint64_t seeds_of_run(void)
{
    uint64_t n = DEFAULT_SEEDS;
    if (getenv("TEST_QUICK"))
        n = QUICK_SEEDS;
    if (getenv("TEST_LONG"))
        n *= LONG_FACTOR;
    return number_from("SIM_SEEDS", n);
}

static void tell(uint64_t seed, const struct world_result *r)
{
    (void)printf("seed %" PRIu64 ": %" PRIu64 " events, %" PRIu64 " grants, %" PRIu64
                 " requests (%" PRIu64 " judged, %" PRIu64 " late, %" PRIu64 " local), %" PRIu64
                 " jobs, %" PRIu64 " answers, %" PRIu64 " failures, %" PRIu64
                 " faults, trace %016" PRIx64 "\n",
                 seed, r->events, r->grants, r->requests, r->judged, r->late, r->local, r->jobs,
                 r->answers, r->failures, r->faults, r->hash);
}

static int run_one(uint64_t seed, FILE *trace)
{
    struct world_result r;
    world_run(seed, events_of_run(), trace, &r);
    if (trace)
        return r.broken[0] != '\0';
    tell(seed, &r);
    if (r.broken[0])
        (void)printf("%s\n", r.broken);
    return r.broken[0] != '\0';
}

static int tell_hash(uint64_t seed)
{
    struct world_result r;
    world_run(seed, events_of_run(), NULL, &r);
    (void)printf("%016" PRIx64 "\n", r.hash);
    return 0;
}

/* ---- the same seed, the same trace: twice in this process and once in another */

static bool hash_elsewhere(uint64_t seed, char ret[32])
{
    char path[256], command[400];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0)
        return false;
    path[n] = '\0';
    (void)snprintf(command, sizeof(command), "'%s' --hash %" PRIu64, path, seed);
    FILE *out = popen(command, "r");
    bool ok = out && fgets(ret, 32, out) != NULL;
    if (out)
        (void)pclose(out);
    return ok;
}

static int check_repeats(uint64_t first)
{
    int bad = 0;
    for (uint64_t seed = first; seed < first + 3; seed++) {
        struct world_result a, b;
        char elsewhere[32] = "", here[32];
        world_run(seed, events_of_run(), NULL, &a);
        world_run(seed, events_of_run(), NULL, &b);
        (void)snprintf(here, sizeof(here), "%016" PRIx64 "\n", a.hash);
        if (a.hash == b.hash && hash_elsewhere(seed, elsewhere) && strcmp(here, elsewhere) == 0)
            continue;
        (void)printf("seed %" PRIu64 " is not the same twice: %016" PRIx64 " %016" PRIx64 " %s\n",
                     seed, a.hash, b.hash, elsewhere);
        bad = 1;
    }
    return bad;
}

/* ---- many seeds */

static void add(struct world_result *sum, const struct world_result *r)
{
    sum->events += r->events;
    sum->grants += r->grants;
    sum->requests += r->requests;
    sum->judged += r->judged;
    sum->late += r->late;
    sum->local += r->local;
    sum->jobs += r->jobs;
    sum->answers += r->answers;
    sum->failures += r->failures;
    sum->faults += r->faults;
}

static int work(uint64_t first, uint64_t seeds, uint64_t worker, int to)
{
    struct world_result sum = {.hash = 0};
    for (uint64_t i = worker; i < seeds; i += WORKERS) {
        struct world_result r;
        world_run(first + i, events_of_run(), NULL, &r);
        add(&sum, &r);
        if (!r.broken[0])
            continue;
        (void)printf("FAILED %s\n       again: simulation_scheduler --seed %" PRIu64 "\n", r.broken,
                     first + i);
        (void)fflush(stdout);
        sum.hash++;
    }
    return write(to, &sum, sizeof(sum)) == (ssize_t)sizeof(sum) ? 0 : 1;
}

static int run_many(uint64_t first, uint64_t seeds)
{
    struct world_result sum = {.hash = 0};
    pid_t pids[WORKERS];
    int ends[2], bad = 0;
    if (pipe(ends) < 0)
        return 1;
    (void)printf("seeds %" PRIu64 " to %" PRIu64 " (TEST_SEED), %" PRIu64 " events each\n", first,
                 first + seeds - 1, events_of_run());
    (void)fflush(stdout);
    for (uint64_t k = 0; k < WORKERS; k++) {
        pids[k] = fork();
        if (pids[k] == 0)
            exit(work(first, seeds, k, ends[1]));
    }
    (void)close(ends[1]);
    for (size_t k = 0; k < WORKERS; k++) {
        struct world_result part;
        int status = 1;
        if (read(ends[0], &part, sizeof(part)) == (ssize_t)sizeof(part)) {
            add(&sum, &part);
            sum.hash += part.hash;
        }
        if (pids[k] < 0 || waitpid(pids[k], &status, 0) < 0 || status != 0)
            bad = 1;
    }
    (void)close(ends[0]);
    (void)printf("%" PRIu64 " seeds, %" PRIu64 " failed: %" PRIu64 " events, %" PRIu64
                 " grants, %" PRIu64 " requests (%" PRIu64 " judged, %" PRIu64 " late, %" PRIu64
                 " local), %" PRIu64 " jobs, %" PRIu64 " answers, %" PRIu64 " failures, %" PRIu64
                 " faults\n",
                 seeds, sum.hash, sum.events, sum.grants, sum.requests, sum.judged, sum.late,
                 sum.local, sum.jobs, sum.answers, sum.failures, sum.faults);
    return bad || sum.hash > 0;
}

int main(int argc, char **argv)
{
    uint64_t first = number_from("TEST_SEED", 1);
    log_setup(getenv("SIM_LOG") ? LOG_DEBUG : LOG_ERROR, LOG_TEXT);
    if (argc == 3) {
        uint64_t seed = strtoull(argv[2], NULL, 10);
        if (strcmp(argv[1], "--seed") == 0)
            return run_one(seed, NULL);
        if (strcmp(argv[1], "--trace") == 0)
            return run_one(seed, stdout);
        if (strcmp(argv[1], "--hash") == 0)
            return tell_hash(seed);
    }
    if (argc != 1) {
        (void)fprintf(stderr, "usage: %s [--seed N | --trace N | --hash N]\n", argv[0]);
        return 2;
    }
    return run_many(first, seeds_of_run()) | check_repeats(first);
}
