#include "storage/redis_server.h"

#include "common/limits.h"
#include "storage/redis_check.h"
#include "storage/redis_protocol.h"
#include "storage/redis_reply.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/redis_probe.h"
#include "tests/support/wait_loop.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char top[64];  /* made by mkdtemp */
    char dir[256]; /* a data_dir in it, not made yet */
    struct event_base *base;
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    *state = p;
    if (!p)
        return -1;
    (void)strcpy(p->top, "/tmp/sluice-server-XXXXXX");
    if (!mkdtemp(p->top))
        return -1;
    (void)snprintf(p->dir, sizeof(p->dir), "%s/data", p->top);
    p->base = event_base_new();
    return p->base ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    struct place *p = *state;
    event_base_free(p->base);
    (void)nftw(p->top, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(p);
    return 0;
}

static struct redis_server *start(struct place *p)
{
    struct error e = {""};
    const struct redis_server_options options = {.data_dir = p->dir};
    struct redis_server *s = redis_server_start(p->base, &options, &e);
    if (!s)
        fail_msg("%s", e.text);
    return s;
}

static void assert_refused(struct place *p, const char *binary, const char *reason)
{
    struct error e = {""};
    const struct redis_server_options options = {.data_dir = p->dir, .binary = binary};
    assert_null(redis_server_start(p->base, &options, &e));
    if (!strstr(e.text, reason))
        fail_msg("'%s' does not say '%s'", e.text, reason);
}

static void connect_probe(struct redis_server *s, struct redis_probe *probe)
{
    assert_true(redis_probe_open(probe, redis_server_url(s)));
    assert_true(redis_probe_wait_up(probe));
}

static mode_t mode_of(const struct place *p, const char *name)
{
    char path[512];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/%s", p->dir, name);
    if (stat(path, &st))
        fail_msg("%s: %s", path, strerror(errno));
    return st.st_mode & 0777;
}

static bool is_ended(pid_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

struct verdict {
    bool done;
    enum redis_verdict verdict;
    struct redis_facts facts;
};

static void on_facts(void *arg, enum redis_status status, const struct redis_facts *facts)
{
    struct verdict *v = arg;
    assert_int_equal(status, REDIS_OK);
    v->facts = *facts;
    v->verdict = redis_facts_judge(facts, NULL);
    v->done = true;
}

static bool is_judged(void *arg)
{
    return ((struct verdict *)arg)->done;
}

/* Asks the server under test with the means of the fixture. */
static struct redis_fixture asker(const struct place *p)
{
    struct redis_fixture f = {.pid = 0};
    (void)snprintf(f.socket, sizeof(f.socket), "%.90s/redis.sock", p->dir);
    return f;
}

static bool has_appendfsync(const struct place *p, const char *value)
{
    struct redis_fixture f = asker(p);
    struct redisReply *reply = redis_fixture_ask(&f, REDIS_ARGS("CONFIG", "GET", "appendfsync"));
    const char *text = reply_text(reply_field(reply, "appendfsync"), NULL);
    bool same = text && strcmp(text, value) == 0;
    redis_reply_free(reply);
    return same;
}

static void it_is_private_and_safe(void **state)
{
    struct place *p = *state;
    struct redis_probe probe;
    struct verdict v = {.done = false};
    struct redis_server *s = start(p);
    connect_probe(s, &probe);
    assert_int_equal(redis_check(probe.link, 5000, on_facts, &v), 0);
    assert_true(wait_loop(probe.base, is_judged, &v));
    assert_int_equal(v.verdict, REDIS_SAFE);
    assert_true(v.facts.version >= REDIS_LEAST_VERSION);

    assert_int_equal(mode_of(p, "."), 0700);
    assert_int_equal(mode_of(p, "redis.sock"), 0700);
    assert_int_equal(mode_of(p, "redis.log"), 0600);
    assert_int_equal(mode_of(p, "appendonlydir"), 0700);
    struct redis_fixture f = asker(p);
    assert_int_equal(redis_fixture_info(&f, "process_id"), redis_server_pid(s));
    assert_int_equal(redis_fixture_info(&f, "tcp_port"), 0);
    assert_true(has_appendfsync(p, "everysec"));
    redis_probe_close(&probe);

    pid_t pid = redis_server_pid(s);
    assert_false(redis_server_adopted(s));
    redis_server_stop(s);
    assert_true(is_ended(pid));
    redis_server_stop(NULL);
}

struct restart {
    struct redis_server *server;
    pid_t old;
};

static bool is_restarted(void *arg)
{
    struct restart *r = arg;
    pid_t pid = redis_server_pid(r->server);
    return pid != 0 && pid != r->old;
}

static void kill_and_wait(struct place *p, struct redis_server *s)
{
    struct restart r = {s, redis_server_pid(s)};
    assert_int_equal(kill(r.old, SIGKILL), 0);
    assert_true(wait_loop(p->base, is_restarted, &r));
    assert_true(is_ended(r.old));
}

static void a_killed_server_is_started_again_with_its_data(void **state)
{
    struct place *p = *state;
    struct redis_probe probe;
    struct redis_server *s = start(p);
    connect_probe(s, &probe);
    for (int i = 1; i <= 4; i++) {
        assert_int_equal(redis_probe_call(&probe, REDIS_ARGS("INCR", "n")).number, i);
        kill_and_wait(p, s);
        assert_true(redis_probe_wait_down(&probe));
        assert_true(redis_probe_wait_up(&probe));
    }
    assert_int_equal(redis_probe_call(&probe, REDIS_ARGS("GET", "n")).number, 4);
    redis_probe_close(&probe);
    redis_server_stop(s);
}

static void data_outlives_a_stop(void **state)
{
    struct place *p = *state;
    struct redis_probe probe;
    for (int i = 1; i <= 2; i++) {
        struct redis_server *s = start(p);
        connect_probe(s, &probe);
        assert_int_equal(redis_probe_call(&probe, REDIS_ARGS("INCR", "n")).number, i);
        redis_probe_close(&probe);
        redis_server_stop(s);
    }
}

/* An instance that starts a server and dies without a word. */
static pid_t start_and_die(const char *dir)
{
    int ends[2];
    pid_t server = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        const struct redis_server_options options = {.data_dir = dir};
        struct redis_server *s = redis_server_start(event_base_new(), &options, NULL);
        server = s ? redis_server_pid(s) : -1;
        (void)!write(ends[1], &server, sizeof(server));
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(read(ends[0], &server, sizeof(server)), sizeof(server));
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return server;
}

static void the_server_of_a_killed_instance_is_adopted_and_supervised(void **state)
{
    struct place *p = *state;
    pid_t orphan = start_and_die(p->dir);
    assert_true(orphan > 0);
    struct redis_server *s = start(p);
    assert_int_equal(redis_server_pid(s), orphan);
    assert_true(redis_server_adopted(s));

    struct restart r = {s, orphan};
    assert_int_equal(kill(orphan, SIGKILL), 0);
    assert_true(wait_loop(p->base, is_restarted, &r));
    assert_false(redis_server_adopted(s));
    redis_server_stop(s);
}

static void an_adopted_server_is_stopped_too(void **state)
{
    struct place *p = *state;
    pid_t orphan = start_and_die(p->dir);
    struct redis_server *s = start(p);
    assert_int_equal(redis_server_pid(s), orphan);
    redis_server_stop(s);
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/redis.sock", p->dir);
    assert_int_equal(access(path, F_OK), -1);
}

static void an_adopted_server_gets_the_durability_that_is_asked_for_now(void **state)
{
    struct place *p = *state;
    pid_t orphan = start_and_die(p->dir);
    const struct redis_server_options always = {.data_dir = p->dir, .fsync_always = true};
    assert_true(has_appendfsync(p, "everysec"));
    struct redis_server *s = redis_server_start(p->base, &always, NULL);
    assert_non_null(s);
    assert_int_equal(redis_server_pid(s), orphan);
    assert_true(has_appendfsync(p, "always"));
    redis_server_stop(s);
}

static void a_second_instance_is_refused_while_the_first_lives(void **state)
{
    struct place *p = *state;
    char pid[32];
    struct redis_server *s = start(p);
    (void)snprintf(pid, sizeof(pid), "another sluice (pid %d)", (int)getpid());
    assert_refused(p, NULL, pid);
    redis_server_stop(s);
    s = start(p);
    redis_server_stop(s);
}

static void a_path_may_be_as_long_as_a_socket_allows(void **state)
{
    struct place *p = *state;
    char name[128];
    size_t longest = 107 - strlen("/redis.sock"), len = strlen(p->top) + 1;
    memset(name, 'd', sizeof(name));
    (void)snprintf(p->dir, sizeof(p->dir), "%s/%.*s", p->top, (int)(longest - len), name);
    assert_int_equal(strlen(p->dir), longest);
    struct redis_server *s = start(p);
    redis_server_stop(s);
    (void)snprintf(p->dir, sizeof(p->dir), "%s/%.*s", p->top, (int)(longest - len + 1), name);
    assert_refused(p, NULL, "too long for a socket: 97 bytes, at most 96");
}

static void a_path_may_hold_any_byte(void **state)
{
    struct place *p = *state;
    struct redis_probe probe;
    (void)snprintf(p->dir, sizeof(p->dir), "%s/a \"b\" %%20?#@\\\n'\xc3\xa9", p->top);
    struct redis_server *s = start(p);
    connect_probe(s, &probe);
    assert_int_equal(redis_probe_call(&probe, REDIS_ARGS("SET", "k", "v")).status, REDIS_OK);
    redis_probe_close(&probe);
    redis_server_stop(s);
    assert_int_equal(mode_of(p, "appendonlydir"), 0700);
}

static void what_hinders_the_start_is_said(void **state)
{
    struct place *p = *state;
    assert_refused(p, "/nonexistent/redis-server", "not installed");
    assert_refused(p, "/bin/false", "exit code 1");

    char log[512];
    (void)snprintf(log, sizeof(log), "%s/redis.sock", p->dir);
    assert_int_equal(mkdir(log, 0700), 0); /* in the way of the socket */
    assert_refused(p, NULL, "Unix socket");
    assert_int_equal(rmdir(log), 0);

    assert_int_equal(chmod(p->dir, 0770), 0);
    assert_refused(p, NULL, "writable by others");
    (void)snprintf(p->dir, sizeof(p->dir), "%s/a/b", p->top);
    assert_refused(p, NULL, "cannot be created");
    (void)snprintf(p->dir, sizeof(p->dir), "/dev/null");
    assert_refused(p, NULL, "no directory");
}

/* redis-server hides its environment, so a script that prints its own stands in for it. */
static void the_environment_is_not_passed_on(void **state)
{
    struct place *p = *state;
    char script[512], log[512], bytes[4096] = "";
    (void)snprintf(script, sizeof(script), "%s/printer", p->top);
    FILE *file = fopen(script, "we");
    assert_non_null(file);
    (void)fprintf(file, "#!/bin/sh\nexport\necho printed\nexit 1\n");
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(script, 0700), 0);

    assert_int_equal(setenv("OPENAI_API_KEY", "sk-secret", 1), 0);
    assert_refused(p, script, "printed");
    (void)unsetenv("OPENAI_API_KEY");
    (void)snprintf(log, sizeof(log), "%s/redis.log", p->dir);
    file = fopen(log, "re");
    assert_non_null(file);
    assert_true(fread(bytes, 1, sizeof(bytes) - 1, file) > 0);
    (void)fclose(file);
    assert_null(strstr(bytes, "sk-secret"));
}

static void a_log_is_put_aside_only_past_its_maximum(void **state)
{
    struct place *p = *state;
    char log[512], old[520];
    (void)snprintf(log, sizeof(log), "%s/redis.log", p->dir);
    (void)snprintf(old, sizeof(old), "%s.1", log);
    assert_int_equal(mkdir(p->dir, 0700), 0);
    for (off_t past = 0; past <= 1; past++) {
        FILE *file = fopen(log, "we");
        assert_non_null(file);
        (void)fclose(file);
        assert_int_equal(truncate(log, REDIS_MAX_LOG_BYTES + past), 0);
        redis_server_stop(start(p));
        assert_int_equal(access(old, F_OK), past ? 0 : -1);
    }
}

#define SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER(it_is_private_and_safe),
        SERVER(a_killed_server_is_started_again_with_its_data),
        SERVER(data_outlives_a_stop),
        SERVER(the_server_of_a_killed_instance_is_adopted_and_supervised),
        SERVER(an_adopted_server_is_stopped_too),
        SERVER(an_adopted_server_gets_the_durability_that_is_asked_for_now),
        SERVER(a_second_instance_is_refused_while_the_first_lives),
        SERVER(a_path_may_be_as_long_as_a_socket_allows),
        SERVER(a_path_may_hold_any_byte),
        SERVER(what_hinders_the_start_is_said),
        SERVER(the_environment_is_not_passed_on),
        SERVER(a_log_is_put_aside_only_past_its_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
