#include "api/supervisor.h"

#include "api/tcp_bind.h"
#include "common/clock.h"
#include "common/log.h"
#include "storage/redis_server.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEADY_MS        10000 /* a worker that lived longer is started again at once */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS  5000
#define LINE_BYTES       256

struct supervisor;

struct worker {
    struct supervisor *owner;
    pid_t pid; /* 0: not running */
    int out;   /* its standard output, until it has said that it listens; -1 none */
    struct event *said, *again;
    int64_t started_ms, backoff_ms;
    bool ready;
};

struct supervisor {
    struct event_base *base;
    const struct service_options *options;
    struct config *config;
    const char *scheme; /* of its address */
    struct redis_server *redis;
    char listen[TCP_ADDRESS_BYTES];
    int port_fd; /* holds the port while workers come and go; never listens */
    struct worker workers[SUPERVISOR_MAX_WORKERS];
    int count, ready;
    struct event *on_child, *on_term, *on_int, *on_hup;
    bool stopping, announced;
    int exit_code;
};

static void start_worker(struct worker *w);

/* ---- the port */

/* Binds without listening, so that port 0 is picked once and nobody takes it meanwhile. */
static int hold_port(struct supervisor *s, const char *address, struct error *e)
{
    if (strncmp(address, "unix:", 5) == 0)
        return error_set(e, -EINVAL, "--workers needs an address with a port, not %s", address);
    s->port_fd = tcp_bind(address, true, s->listen, e);
    return s->port_fd < 0 ? s->port_fd : 0;
}

/* ---- workers */

static void forget_output(struct worker *w)
{
    if (w->said)
        event_free(w->said);
    if (w->out >= 0)
        (void)close(w->out);
    w->said = NULL;
    w->out = -1;
}

/* The first line of a worker means that it listens. */
static void on_said(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    struct supervisor *s = w->owner;
    char line[LINE_BYTES];
    (void)what;
    ssize_t n = read(fd, line, sizeof(line));
    forget_output(w);
    if (n <= 0 || w->ready)
        return;
    w->ready = true;
    if (++s->ready < s->count || s->announced)
        return;
    s->announced = true;
    (void)printf("listening on %s://%s\n", s->scheme, s->listen);
    (void)fflush(stdout);
}

static void exec_worker(const struct supervisor *s, int out)
{
    const struct service_options *o = s->options;
    const char *argv[16] = {"sluice", "serve", "--listen", s->listen, "--reuse-port"};
    int n = 5;
    /* Between fork and exec only what is safe there. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (dup2(out, STDOUT_FILENO) < 0)
        _exit(EXIT_FAILURE);
    if (o->config_path) {
        argv[n++] = "--config";
        argv[n++] = o->config_path;
    }
    const char *url = s->redis ? redis_server_url(s->redis) : o->redis_url;
    if (url) {
        argv[n++] = "--redis-url";
        argv[n++] = url;
    }
    if (o->data_dir) {
        argv[n++] = "--data-dir";
        argv[n++] = o->data_dir;
    }
    if (o->allow_volatile)
        argv[n++] = "--allow-volatile";
    argv[n] = NULL;
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
    _exit(EXIT_FAILURE);
}

static void start_later(struct worker *w, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    evtimer_add(w->again, &tv);
}

static void start_worker(struct worker *w)
{
    struct supervisor *s = w->owner;
    int pipe_fds[2];
    w->started_ms = clock_mono_ms();
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        log_write(LOG_ERROR, "a worker could not be started", "reason", strerror(errno), NULL);
        start_later(w, BACKOFF_MOST_MS);
        return;
    }
    w->pid = fork();
    if (w->pid == 0)
        exec_worker(s, pipe_fds[1]);
    (void)close(pipe_fds[1]);
    w->out = pipe_fds[0];
    w->said = event_new(s->base, w->out, EV_READ, on_said, w);
    if (w->said)
        event_add(w->said, NULL);
    if (w->pid < 0) {
        w->pid = 0;
        forget_output(w);
        start_later(w, BACKOFF_MOST_MS);
    }
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    (void)fd;
    (void)what;
    if (!w->owner->stopping)
        start_worker(w);
}

static int running(const struct supervisor *s)
{
    int n = 0;
    for (int i = 0; i < s->count; i++)
        n += s->workers[i].pid > 0;
    return n;
}

static void ended(struct worker *w, int status)
{
    struct supervisor *s = w->owner;
    char pid[LOG_NUMBER_BYTES], code[LOG_NUMBER_BYTES];
    bool never_ready = !w->ready;
    (void)log_number(pid, w->pid);
    (void)log_number(code, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    w->pid = 0;
    w->ready = false;
    forget_output(w);
    if (s->stopping)
        return;
    s->ready--;
    if (never_ready && !s->announced) {
        /* It said why on its standard error; what is wrong for one is wrong for all. */
        s->ready++;
        s->exit_code = EXIT_FAILURE;
        s->stopping = true;
        return;
    }
    if (never_ready)
        s->ready++;
    bool steady = clock_mono_ms() - w->started_ms > STEADY_MS;
    int64_t wait = steady ? 0 : w->backoff_ms;
    w->backoff_ms = steady || wait == 0 ? BACKOFF_FIRST_MS : wait * 2;
    if (w->backoff_ms > BACKOFF_MOST_MS)
        w->backoff_ms = BACKOFF_MOST_MS;
    log_write(LOG_WARN, "a worker ended and is started again", "pid", pid, "code", code, NULL);
    start_later(w, wait);
}

static void signal_all(struct supervisor *s, int number)
{
    for (int i = 0; i < s->count; i++) {
        if (s->workers[i].pid > 0)
            (void)kill(s->workers[i].pid, number);
    }
}

static void on_child(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    bool was_stopping = s->stopping;
    (void)fd;
    (void)what;
    for (int i = 0; i < s->count; i++) {
        int status = 0;
        if (s->workers[i].pid > 0 && waitpid(s->workers[i].pid, &status, WNOHANG) > 0)
            ended(&s->workers[i], status);
    }
    if (s->stopping && !was_stopping)
        signal_all(s, SIGTERM);
    if (s->stopping && running(s) == 0)
        event_base_loopexit(s->base, NULL);
}

/* ---- signals */

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    (void)fd;
    (void)what;
    s->stopping = true;
    signal_all(s, SIGTERM);
    if (running(s) == 0)
        event_base_loopexit(s->base, NULL);
}

/* Checked here first, so that either all workers take it or none. */
static void on_reload(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    struct config *fresh = NULL;
    struct error e;
    (void)fd;
    (void)what;
    if (s->options->config_path && config_load(s->options->config_path, &fresh, &e) < 0) {
        log_write(LOG_ERROR, "configuration not reloaded, the old one stays", "reason", e.text,
                  NULL);
        return;
    }
    config_free(fresh);
    signal_all(s, SIGHUP);
}

/* ---- the whole */

static int prepare(struct supervisor *s, struct error *e)
{
    const struct config *c = s->config;
    s->base = event_base_new();
    if (!s->base)
        return error_set(e, -ENOMEM, "out of memory");
    s->scheme = c->tls.certificate ? "https" : "http";
    int rc = hold_port(s, c->listen, e);
    if (rc < 0)
        return rc;
    if (!*c->redis.url && !s->options->redis_url) {
        struct redis_server_options o = {.data_dir = c->data_dir,
                                         .fsync_always = c->jobs.durability == CONFIG_ALWAYS};
        s->redis = redis_server_start(s->base, &o, e);
        if (!s->redis)
            return -EIO;
    }
    s->on_child = evsignal_new(s->base, SIGCHLD, on_child, s);
    s->on_term = evsignal_new(s->base, SIGTERM, on_stop, s);
    s->on_int = evsignal_new(s->base, SIGINT, on_stop, s);
    s->on_hup = evsignal_new(s->base, SIGHUP, on_reload, s);
    if (!s->on_child || !s->on_term || !s->on_int || !s->on_hup)
        return error_set(e, -ENOMEM, "out of memory");
    (void)evsignal_add(s->on_child, NULL);
    (void)evsignal_add(s->on_term, NULL);
    (void)evsignal_add(s->on_int, NULL);
    (void)evsignal_add(s->on_hup, NULL);
    for (int i = 0; i < s->count; i++) {
        s->workers[i] = (struct worker){.owner = s, .out = -1};
        s->workers[i].again = evtimer_new(s->base, on_again, &s->workers[i]);
        if (!s->workers[i].again)
            return error_set(e, -ENOMEM, "out of memory");
    }
    return 0;
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

static void release(struct supervisor *s)
{
    for (int i = 0; i < s->count; i++) {
        forget_output(&s->workers[i]);
        free_event(s->workers[i].again);
    }
    free_event(s->on_child);
    free_event(s->on_term);
    free_event(s->on_int);
    free_event(s->on_hup);
    redis_server_stop(s->redis);
    if (s->port_fd >= 0)
        (void)close(s->port_fd);
    if (s->base)
        event_base_free(s->base);
    config_free(s->config);
    free(s);
}

int supervisor_run(const struct service_options *options, struct config *config, int workers)
{
    struct supervisor *s = calloc(1, sizeof(*s));
    struct error e = {.text = "out of memory"};
    if (!s) {
        config_free(config);
        return EXIT_FAILURE;
    }
    s->options = options;
    s->config = config;
    s->count = workers;
    s->port_fd = -1;
    for (int i = 0; i < workers; i++)
        s->workers[i].out = -1;
    if (prepare(s, &e) < 0) {
        (void)fprintf(stderr, "sluice serve: %s\n", e.text);
        release(s);
        return EXIT_FAILURE;
    }
    for (int i = 0; i < workers; i++)
        start_worker(&s->workers[i]);
    event_base_dispatch(s->base);
    int code = s->exit_code;
    release(s);
    return code;
}
