/* chaosproxy FRONT BACK CONTROL [SEED]: tests/support/chaos_proxy.h as a program. It prints where
 * it listens, takes commands at the unix socket CONTROL, and ends with its standard input. */
#include "tests/support/chaos_proxy.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    char bytes[64];
    (void)what;
    if (read(fd, bytes, sizeof(bytes)) <= 0)
        (void)event_base_loopexit(arg, NULL);
}

static void on_stop(evutil_socket_t signal_number, short what, void *arg)
{
    (void)signal_number, (void)what;
    (void)event_base_loopexit(arg, NULL);
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5) {
        (void)fprintf(stderr, "usage: chaosproxy FRONT BACK CONTROL [SEED]\n");
        return 2;
    }
    struct event_base *base = event_base_new();
    (void)signal(SIGPIPE, SIG_IGN);
    uint64_t seed = argc == 5 ? strtoull(argv[4], NULL, 10) : 1;
    struct chaos_proxy *p = base ? chaos_proxy_new(base, argv[1], argv[2], seed) : NULL;
    if (!p || chaos_proxy_listen(p, argv[3])) {
        chaos_proxy_free(p);
        return 1;
    }
    struct event *input = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, base);
    struct event *term = evsignal_new(base, SIGTERM, on_stop, base);
    if (!input || !term || evsignal_add(term, NULL))
        return 1;
    /* Fails for /dev/null and files, which cannot be waited for: then only a signal ends it. */
    (void)event_add(input, NULL);
    (void)printf("chaosproxy on %s\n", chaos_proxy_place(p));
    (void)fflush(stdout);
    (void)event_base_dispatch(base);
    event_free(input);
    event_free(term);
    chaos_proxy_free(p);
    event_base_free(base);
    return 0;
}
