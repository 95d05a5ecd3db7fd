#include "tests/support/chaos_proxy.h"

#include "common/clock.h"
#include "common/list.h"
#include "common/rand.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum way { UP, DOWN }; /* to the server, to the client */

struct piece {
    struct list link;
    struct evbuffer *bytes;
    int64_t due_ms;
};

struct joint;

struct pipe {
    struct joint *joint;
    enum way way;
    struct bufferevent *from, *to;
    struct list pieces;
    size_t held;
    int64_t last_due_ms, gap_until_ms;
    struct event *on_due;
    bool ended; /* the sender has closed */
};

/* A client and its connection to the server. */
struct joint {
    struct list link;
    struct chaos_proxy *proxy;
    struct bufferevent *ends[2]; /* DOWN: the client, UP: the server */
    struct pipe pipes[2];
    int64_t left; /* bytes until it is reset; -1: never */
};

struct control {
    struct list link;
    struct chaos_proxy *proxy;
    struct bufferevent *line;
};

struct address {
    struct sockaddr_storage at;
    socklen_t len;
};

struct chaos_proxy {
    struct event_base *base;
    struct evconnlistener *front, *control;
    struct address back;
    char place[CHAOS_PLACE_BYTES];
    char paths[2][108]; /* of sockets, to be removed; "" none */
    struct rand rand;
    struct list joints, controls;
    int64_t latency_ms, jitter_ms, slice, gap_ms, reset_after;
    bool stalled[2], refuses;
    int64_t accepted, refused, ended, passed[2];
};

static bool read_place(const char *text, struct address *ret)
{
    *ret = (struct address){.len = 0};
    if (strncmp(text, "unix:", 5) == 0) {
        struct sockaddr_un *un = (struct sockaddr_un *)&ret->at;
        un->sun_family = AF_UNIX;
        ret->len = sizeof(*un);
        return (size_t)snprintf(un->sun_path, sizeof(un->sun_path), "%s", text + 5) <
               sizeof(un->sun_path);
    }
    /* A port of 0 is refused by evutil_parse_sockaddr_port(), none at all is taken for 0. */
    char plain[CHAOS_PLACE_BYTES];
    size_t text_len = strlen(text);
    bool any_port = text_len > 2 && strcmp(text + text_len - 2, ":0") == 0;
    (void)snprintf(plain, sizeof(plain), "%.*s", (int)(any_port ? text_len - 2 : text_len), text);
    int len = sizeof(ret->at);
    bool good = evutil_parse_sockaddr_port(plain, (struct sockaddr *)&ret->at, &len) == 0;
    ret->len = (socklen_t)len;
    return good;
}

static void joint_end(struct joint *j, bool reset)
{
    static const struct linger at_once = {.l_onoff = 1};
    j->proxy->ended++;
    list_remove(&j->link);
    for (int i = 0; i < 2; i++) {
        struct pipe *p = &j->pipes[i];
        while (!list_is_empty(&p->pieces)) {
            struct piece *piece = LIST_ITEM(p->pieces.next, struct piece, link);
            list_remove(&piece->link);
            evbuffer_free(piece->bytes);
            free(piece);
        }
        if (p->on_due)
            event_free(p->on_due);
        if (reset && j->ends[i])
            (void)setsockopt(bufferevent_getfd(j->ends[i]), SOL_SOCKET, SO_LINGER, &at_once,
                             sizeof(at_once));
        if (j->ends[i])
            bufferevent_free(j->ends[i]);
    }
    free(j);
}

static void arm(struct event *timer, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    (void)event_add(timer, &tv);
}

/* Passes one slice on. False when the joint has ended by it. */
static bool pass(struct pipe *p, struct piece *piece)
{
    struct joint *j = p->joint;
    struct chaos_proxy *proxy = j->proxy;
    size_t len = evbuffer_get_length(piece->bytes);
    if (proxy->slice > 0 && len > (size_t)proxy->slice)
        len = (size_t)proxy->slice;
    if (j->left >= 0 && (int64_t)len > j->left)
        len = (size_t)j->left;
    (void)evbuffer_remove_buffer(piece->bytes, bufferevent_get_output(p->to), len);
    p->held -= len;
    proxy->passed[p->way] += (int64_t)len;
    if (j->left >= 0 && (j->left -= (int64_t)len) == 0) {
        /* What passed before must be on its way, as the reset overtakes what is not. */
        (void)evbuffer_write(bufferevent_get_output(p->to), bufferevent_getfd(p->to));
        joint_end(j, true);
        return false;
    }
    if (evbuffer_get_length(piece->bytes) == 0) {
        list_remove(&piece->link);
        evbuffer_free(piece->bytes);
        free(piece);
    }
    if (proxy->slice > 0)
        p->gap_until_ms = clock_mono_ms() + proxy->gap_ms;
    return true;
}

static void push(struct pipe *p)
{
    const struct chaos_proxy *proxy = p->joint->proxy;
    while (!proxy->stalled[p->way] && !list_is_empty(&p->pieces)) {
        struct piece *piece = LIST_ITEM(p->pieces.next, struct piece, link);
        int64_t at_ms = piece->due_ms > p->gap_until_ms ? piece->due_ms : p->gap_until_ms;
        int64_t left_ms = at_ms - clock_mono_ms();
        if (left_ms > 0) {
            arm(p->on_due, left_ms);
            return;
        }
        if (!pass(p, piece))
            return;
    }
    if (p->held < CHAOS_MAX_HELD)
        (void)bufferevent_enable(p->from, EV_READ);
    if (p->ended && list_is_empty(&p->pieces) &&
        evbuffer_get_length(bufferevent_get_output(p->to)) == 0)
        joint_end(p->joint, false);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    push(arg);
}

static void take(struct pipe *p)
{
    struct chaos_proxy *proxy = p->joint->proxy;
    struct piece *piece = calloc(1, sizeof(*piece));
    if (!piece || !(piece->bytes = evbuffer_new())) {
        free(piece);
        joint_end(p->joint, true);
        return;
    }
    (void)bufferevent_read_buffer(p->from, piece->bytes);
    int64_t late_ms = proxy->latency_ms;
    if (proxy->jitter_ms > 0)
        late_ms += (int64_t)rand_below(&proxy->rand, proxy->jitter_ms + 1);
    piece->due_ms = clock_mono_ms() + late_ms;
    if (piece->due_ms < p->last_due_ms)
        piece->due_ms = p->last_due_ms;
    p->last_due_ms = piece->due_ms;
    p->held += evbuffer_get_length(piece->bytes);
    list_add_last(&p->pieces, &piece->link);
    if (p->held >= CHAOS_MAX_HELD)
        (void)bufferevent_disable(p->from, EV_READ);
    push(p);
}

static void on_read(struct bufferevent *from, void *arg)
{
    struct joint *j = arg;
    take(&j->pipes[from == j->ends[DOWN] ? UP : DOWN]);
}

/* What could not leave at once has left. */
static void on_written(struct bufferevent *to, void *arg)
{
    struct joint *j = arg;
    push(&j->pipes[to == j->ends[UP] ? UP : DOWN]);
}

static void on_event(struct bufferevent *from, short what, void *arg)
{
    struct joint *j = arg;
    struct pipe *p = &j->pipes[from == j->ends[DOWN] ? UP : DOWN];
    if (what & BEV_EVENT_CONNECTED)
        return;
    if (what & BEV_EVENT_ERROR) {
        joint_end(j, true);
        return;
    }
    p->ended = true;
    push(p);
}

static void no_delay(evutil_socket_t fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on unix sockets */
}

static bool open_pipe(struct joint *j, enum way way)
{
    struct pipe *p = &j->pipes[way];
    p->joint = j;
    p->way = way;
    p->from = j->ends[way == UP ? DOWN : UP];
    p->to = j->ends[way];
    p->on_due = evtimer_new(j->proxy->base, on_due, p);
    if (!p->on_due || !p->from)
        return false;
    bufferevent_setcb(p->from, on_read, on_written, on_event, j);
    return bufferevent_enable(p->from, EV_READ | EV_WRITE) == 0;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int len,
                      void *arg)
{
    struct chaos_proxy *proxy = arg;
    (void)l, (void)from, (void)len;
    proxy->accepted++;
    struct joint *j = proxy->refuses ? NULL : calloc(1, sizeof(*j));
    if (!j) {
        proxy->refused++;
        (void)close(fd);
        return;
    }
    j->proxy = proxy;
    j->left = proxy->reset_after > 0 ? proxy->reset_after : -1;
    list_add_last(&proxy->joints, &j->link);
    list_init(&j->pipes[UP].pieces);
    list_init(&j->pipes[DOWN].pieces);
    j->ends[DOWN] = bufferevent_socket_new(proxy->base, fd, BEV_OPT_CLOSE_ON_FREE);
    j->ends[UP] = bufferevent_socket_new(proxy->base, -1, BEV_OPT_CLOSE_ON_FREE);
    no_delay(fd);
    if (!open_pipe(j, UP) || !open_pipe(j, DOWN) ||
        bufferevent_socket_connect(j->ends[UP], (struct sockaddr *)&proxy->back.at,
                                   (int)proxy->back.len) < 0) {
        joint_end(j, true);
        return;
    }
    no_delay(bufferevent_getfd(j->ends[UP]));
}

/* ---- commands */

static void end_all(struct chaos_proxy *p, bool reset)
{
    while (!list_is_empty(&p->joints))
        joint_end(LIST_ITEM(p->joints.next, struct joint, link), reset);
}

/* Pushing may end the joint, so the next one is looked up first. */
static void push_all(struct chaos_proxy *p)
{
    for (int way = UP; way <= DOWN; way++) {
        for (struct list *at = p->joints.next, *next; at != &p->joints; at = next) {
            next = at->next;
            push(&LIST_ITEM(at, struct joint, link)->pipes[way]);
        }
    }
}

static bool stall(struct chaos_proxy *p, const char *which)
{
    bool both = strcmp(which, "both") == 0, up = strcmp(which, "up") == 0;
    bool down = strcmp(which, "down") == 0;
    if (!both && !up && !down && strcmp(which, "off") != 0)
        return false;
    p->stalled[UP] = both || up;
    p->stalled[DOWN] = both || down;
    push_all(p);
    return true;
}

static bool refuse(struct chaos_proxy *p, const char *which)
{
    if (strcmp(which, "on") != 0 && strcmp(which, "off") != 0)
        return false;
    p->refuses = strcmp(which, "on") == 0;
    return true;
}

static void calm(struct chaos_proxy *p)
{
    p->latency_ms = p->jitter_ms = p->slice = p->gap_ms = p->reset_after = 0;
    p->refuses = p->stalled[UP] = p->stalled[DOWN] = false;
    push_all(p);
}

static void status(const struct chaos_proxy *p, char *answer)
{
    size_t open = 0;
    for (const struct list *at = p->joints.next; at != &p->joints; at = at->next)
        open++;
    (void)snprintf(answer, CHAOS_LINE_BYTES,
                   "{\"open\":%zu,\"accepted\":%" PRId64 ",\"refused\":%" PRId64
                   ",\"ended\":%" PRId64 ",\"up\":%" PRId64 ",\"down\":%" PRId64 "}",
                   open, p->accepted, p->refused, p->ended, p->passed[UP], p->passed[DOWN]);
}

/* What takes numbers: the first is needed. */
static bool tell_numbers(struct chaos_proxy *p, const char *word, int64_t a, int64_t b)
{
    if (a < 0 || b < -1)
        return false;
    if (strcmp(word, "latency") == 0) {
        p->latency_ms = a;
        p->jitter_ms = b < 0 ? 0 : b;
    } else if (strcmp(word, "slice") == 0) {
        p->slice = a;
        p->gap_ms = b < 0 ? 1 : b;
    } else if (strcmp(word, "reset-after") == 0 && b < 0) {
        p->reset_after = a;
    } else {
        return false;
    }
    return true;
}

bool chaos_proxy_tell(struct chaos_proxy *p, const char *command, char *answer)
{
    char word[16] = "", which[8] = "", more[2] = "";
    int64_t a = -1, b = -1;
    bool good = true;
    (void)snprintf(answer, CHAOS_LINE_BYTES, "ok");
    int numbers = sscanf(command, "%15s %" SCNd64 " %" SCNd64 " %1s", word, &a, &b, more);
    int words = sscanf(command, "%15s %7s %1s", word, which, more);
    if (words == 1 && strcmp(word, "status") == 0)
        status(p, answer);
    else if (words == 1 && strcmp(word, "calm") == 0)
        calm(p);
    else if (words == 1 && (strcmp(word, "cut") == 0 || strcmp(word, "reset") == 0))
        end_all(p, *word == 'r');
    else if (words == 2 && strcmp(word, "stall") == 0)
        good = stall(p, which);
    else if (words == 2 && strcmp(word, "refuse") == 0)
        good = refuse(p, which);
    else
        good = (numbers == 2 || numbers == 3) && tell_numbers(p, word, a, b);
    if (!good)
        (void)snprintf(answer, CHAOS_LINE_BYTES, "error: no such command: %.100s", command);
    return good;
}

/* ---- control socket */

static void control_end(struct control *c)
{
    list_remove(&c->link);
    bufferevent_free(c->line);
    free(c);
}

static void on_line(struct bufferevent *line, void *arg)
{
    struct control *c = arg;
    struct evbuffer *in = bufferevent_get_input(line);
    char answer[CHAOS_LINE_BYTES];
    for (char *text; (text = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF)); free(text)) {
        (void)chaos_proxy_tell(c->proxy, text, answer);
        (void)evbuffer_add_printf(bufferevent_get_output(line), "%s\n", answer);
    }
    if (evbuffer_get_length(in) > CHAOS_LINE_BYTES)
        control_end(c);
}

static void on_line_event(struct bufferevent *line, short what, void *arg)
{
    (void)line, (void)what;
    control_end(arg);
}

static void on_control(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int len,
                       void *arg)
{
    struct chaos_proxy *p = arg;
    (void)l, (void)from, (void)len;
    struct control *c = calloc(1, sizeof(*c));
    if (c)
        c->line = bufferevent_socket_new(p->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!c || !c->line) {
        free(c);
        (void)close(fd);
        return;
    }
    c->proxy = p;
    list_add_last(&p->controls, &c->link);
    bufferevent_setcb(c->line, on_line, NULL, on_line_event, c);
    (void)bufferevent_enable(c->line, EV_READ | EV_WRITE);
}

static struct evconnlistener *listen_at(struct chaos_proxy *p, const char *place,
                                        evconnlistener_cb fn, char *path)
{
    struct address at;
    if (!read_place(place, &at))
        return NULL;
    if (at.at.ss_family == AF_UNIX) {
        (void)snprintf(path, 108, "%s", place + 5);
        (void)unlink(path);
    }
    mode_t before = umask(077);
    struct evconnlistener *l = evconnlistener_new_bind(
        p->base, fn, p, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC, -1,
        (struct sockaddr *)&at.at, (int)at.len);
    (void)umask(before);
    return l;
}

int chaos_proxy_listen(struct chaos_proxy *p, const char *path)
{
    char place[CHAOS_PLACE_BYTES];
    (void)snprintf(place, sizeof(place), "unix:%s", path);
    p->control = listen_at(p, place, on_control, p->paths[1]);
    if (!p->control)
        (void)fprintf(stderr, "chaosproxy: %s: %s\n", path, strerror(errno));
    return p->control ? 0 : -1;
}

/* ---- the whole */

static void note_place(struct chaos_proxy *p, const char *front)
{
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    (void)snprintf(p->place, sizeof(p->place), "%s", front);
    if (getsockname(evconnlistener_get_fd(p->front), (struct sockaddr *)&at, &len) == 0 &&
        at.sin_family == AF_INET) {
        char host[INET_ADDRSTRLEN] = "";
        (void)inet_ntop(AF_INET, &at.sin_addr, host, sizeof(host));
        (void)snprintf(p->place, sizeof(p->place), "%s:%d", host, ntohs(at.sin_port));
    }
}

struct chaos_proxy *chaos_proxy_new(struct event_base *base, const char *front, const char *back,
                                    uint64_t seed)
{
    struct chaos_proxy *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->base = base;
    list_init(&p->joints);
    list_init(&p->controls);
    rand_seed(&p->rand, seed);
    bool good = read_place(back, &p->back);
    p->front = good ? listen_at(p, front, on_accept, p->paths[0]) : NULL;
    if (!p->front) {
        (void)fprintf(stderr, "chaosproxy: %s -> %s: %s\n", front, back,
                      good ? strerror(errno) : "no such place");
        free(p);
        return NULL;
    }
    note_place(p, front);
    return p;
}

void chaos_proxy_free(struct chaos_proxy *p)
{
    if (!p)
        return;
    end_all(p, true);
    while (!list_is_empty(&p->controls))
        control_end(LIST_ITEM(p->controls.next, struct control, link));
    evconnlistener_free(p->front);
    if (p->control)
        evconnlistener_free(p->control);
    for (int i = 0; i < 2; i++)
        if (p->paths[i][0])
            (void)unlink(p->paths[i]);
    free(p);
}

const char *chaos_proxy_place(const struct chaos_proxy *p)
{
    return p->place;
}
