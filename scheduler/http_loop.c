#include "scheduler/http_loop.h"

#include "common/limits.h"
#include "scheduler/http_watch.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

struct http_loop {
    struct http_watch *watch;
    CURLM *multi;
    CURLSH *share; /* TLS sessions: libcurl keeps them in each easy handle otherwise */
    struct event timer;
    void (*fn)(void *arg);
    void *arg;
    bool inside; /* libcurl is on the stack: it must not be called again */
    bool global; /* curl_global_init() was done */
};

bool http_loop_inside(const struct http_loop *l)
{
    return l->inside;
}

static void act(struct http_loop *l, curl_socket_t fd, int what)
{
    int running;
    l->inside = true;
    /* An error here is one of ours (a wrong handle); transfers report their own. */
    (void)curl_multi_socket_action(l->multi, fd, what, &running);
    l->inside = false;
    l->fn(l->arg);
}

static void on_socket(void *arg, int fd, bool readable, bool writable)
{
    act(arg, fd, (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- called by libcurl */

/* Made here so that children (redis-server) do not inherit provider connections, and so
 * that watching it cannot fail later for want of room: libcurl then gives up all
 * transfers, not this one. */
static curl_socket_t on_curl_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    struct http_loop *l = arg;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (http_watch_open(l->watch, fd) < 0) {
        (void)close(fd);
        return CURL_SOCKET_BAD;
    }
    return fd;
}

static int on_curl_close(void *arg, curl_socket_t fd)
{
    struct http_loop *l = arg;
    http_watch_close(l->watch, fd);
    return close(fd);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    (void)easy, (void)unused;
    struct http_loop *l = arg;
    bool readable = what == CURL_POLL_IN || what == CURL_POLL_INOUT;
    bool writable = what == CURL_POLL_OUT || what == CURL_POLL_INOUT;
    return http_watch_want(l->watch, fd, readable, writable) < 0 ? -1 : 0;
}

/* Only notes the time: libcurl must not be called from here. */
static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct http_loop *l = arg;
    (void)evtimer_del(&l->timer);
    if (timeout_ms < 0)
        return 0;
    if (timeout_ms == 0) {
        event_active(&l->timer, EV_TIMEOUT, 0);
        return 0;
    }
    struct timeval tv = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    return evtimer_add(&l->timer, &tv);
}

/* ---- handles */

bool http_loop_adopt(struct http_loop *l, CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_SHARE, l->share) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_curl_open) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, (void *)l) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_curl_close) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, (void *)l) == CURLE_OK;
}

bool http_loop_add(struct http_loop *l, CURL *easy)
{
    return curl_multi_add_handle(l->multi, easy) == CURLM_OK;
}

void http_loop_remove(struct http_loop *l, CURL *easy)
{
    (void)curl_multi_remove_handle(l->multi, easy); /* one that was never added is left alone */
}

CURLcode http_loop_unpause(struct http_loop *l, CURL *easy)
{
    l->inside = true;
    CURLcode code = curl_easy_pause(easy, CURLPAUSE_CONT);
    l->inside = false;
    return code;
}

bool http_loop_ended(struct http_loop *l, void **ret_private, CURLcode *ret_code)
{
    int left;
    const CURLMsg *message = curl_multi_info_read(l->multi, &left);
    char *private = NULL;
    if (!message || curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private) != CURLE_OK)
        return false;
    *ret_private = private;
    *ret_code = message->data.result;
    return true;
}

/* ---- the loop */

static bool set_multi(struct http_loop *l)
{
    CURLM *m = l->multi;
    return curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
           curl_multi_setopt(m, CURLMOPT_SOCKETDATA, (void *)l) == CURLM_OK &&
           curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
           curl_multi_setopt(m, CURLMOPT_TIMERDATA, (void *)l) == CURLM_OK &&
           curl_multi_setopt(m, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK &&
           curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, (long)UPSTREAM_MAX_IDLE_CONNECTIONS) ==
               CURLM_OK;
}

static bool open_libcurl(struct http_loop *l)
{
    l->global = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK; /* counted by libcurl */
    if (!l->global)
        return false;
    l->share = curl_share_init();
    l->multi = curl_multi_init();
    return l->share && l->multi &&
           curl_share_setopt(l->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK &&
           set_multi(l);
}

struct http_loop *http_loop_new(struct event_base *base, void (*fn)(void *arg), void *arg)
{
    struct http_loop *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->fn = fn;
    l->arg = arg;
    event_assign(&l->timer, base, -1, 0, on_timer, l);
    l->watch = http_watch_new(base, on_socket, l);
    if (!l->watch || !open_libcurl(l)) {
        http_loop_free(l);
        return NULL;
    }
    return l;
}

void http_loop_free(struct http_loop *l)
{
    if (!l)
        return;
    (void)curl_multi_cleanup(l->multi);
    (void)curl_share_cleanup(l->share);
    if (l->global)
        curl_global_cleanup();
    (void)event_del(&l->timer);
    http_watch_free(l->watch);
    free(l);
}
