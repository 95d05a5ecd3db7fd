#include "api/simulate/simulate.h"

#include "api/simulate/sim_core.h"
#include "common/clock.h"
#include "common/limits.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#define BACKLOG       4096
#define IDLE_SECONDS  3600 /* a stalled answer must outlast the timeouts under test */
#define HEADERS_BYTES (64 * KIB)
#define RATE_UNIT_MS  60000

int64_t sim_now_us(void)
{
    return clock_mono_us();
}

/* ---- scopes */

static int64_t capacity_of(const struct sim_options *o, enum sim_dim dim, int64_t limit)
{
    if (dim != SIM_RPM || o->request_slice_ms == 0)
        return limit;
    int64_t capacity = limit * o->request_slice_ms / RATE_UNIT_MS;
    return capacity > 0 ? capacity : 1;
}

static void apply_rule(const struct sim *sim, struct sim_scope *scope, const struct sim_rule *rule,
                       int64_t now_us)
{
    const struct sim_options *o = &sim->options;
    for (enum sim_dim d = 0; d < SIM_RATE_DIMS; d++) {
        struct sim_limit *l = &scope->limits[d];
        int64_t limit = rule->limits[d];
        int64_t capacity = capacity_of(o, d, limit);
        if (l->limit != limit || l->algorithm != o->algorithm || l->capacity != capacity)
            sim_limit_set(l, o->algorithm, limit, capacity, now_us);
    }
    scope->concurrency = rule->limits[SIM_CONCURRENCY];
}

void sim_apply_rules(struct sim *sim, int64_t now_us)
{
    for (size_t i = 0; i < sim->scope_count; i++)
        apply_rule(sim, &sim->scopes[i], sim->scope_rules[i], now_us);
}

struct sim_scope *sim_scope_of(struct sim *sim, const struct sim_rule *rule, const char *name,
                               int64_t now_us)
{
    size_t i = 0;
    while (i < sim->scope_count && strncmp(sim->scopes[i].name, name, SIM_NAME_BYTES - 1) != 0)
        i++;
    if (i == SIM_MAX_SCOPES)
        i--; /* one scope for all that came too late */
    if (i == sim->scope_count) {
        sim_scope_init(&sim->scopes[i], name);
        sim->scope_count++;
    }
    if (sim->scope_rules[i] != rule) {
        sim->scope_rules[i] = rule;
        apply_rule(sim, &sim->scopes[i], rule, now_us);
    }
    return &sim->scopes[i];
}

/* ---- routes */

static void send_models(struct sim *sim, struct evhttp_request *http)
{
    struct buf out;
    buf_init(&out, SIM_MAX_REPLY_BYTES);
    (void)buf_adds(&out, "{\"object\":\"list\",\"data\":[");
    for (int i = 0; i < sim->options.model_count; i++) {
        (void)buf_adds(&out, i ? ",{" : "{");
        sim_reply_pair(&out, "id", sim->options.models[i]);
        (void)buf_adds(&out, ",\"object\":\"model\",\"created\":1700000000,"
                             "\"owned_by\":\"simulated\"}");
    }
    (void)buf_adds(&out, "]}");
    sim_send_json(http, out.failed ? 500 : 200, out.data, out.len);
    buf_release(&out);
}

static void send_wrong_route(struct evhttp_request *http, int status, const char *path)
{
    bool anthropic = strncmp(path, "/v1/messages", 12) == 0;
    struct sim_refusal r;
    struct buf out;
    buf_init(&out, KIB);
    if (anthropic)
        (void)sim_refuse(&r, NULL, NULL, status == 405 ? "Method Not Allowed" : "Not Found");
    else
        (void)sim_refuse(&r, status == 405 ? "method_not_supported" : "unknown_url", NULL,
                         "Invalid method or URL (%.100s)", path);
    r.type = anthropic ? "not_found_error" : "invalid_request_error";
    sim_error_body(anthropic ? SIM_PROFILE_ANTHROPIC : SIM_PROFILE_OPENAI, &r, "req_none", &out);
    sim_send_json(http, status, out.data, out.len);
    buf_release(&out);
}

static void on_request(struct evhttp_request *http, void *arg)
{
    struct sim *sim = arg;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
    const char *path = uri ? evhttp_uri_get_path(uri) : "/";
    enum evhttp_cmd_type method = evhttp_request_get_command(http);
    int endpoint = sim_endpoint_find(path);

    if (strncmp(path, "/sim/", 5) == 0)
        sim_admin(sim, http, path + 5);
    else if (endpoint >= 0 && method == EVHTTP_REQ_POST)
        sim_call_start(sim, http, (enum sim_endpoint)endpoint);
    else if (sim_batch_route(sim, http, path))
        return;
    else if (strcmp(path, "/v1/models") == 0 && method == EVHTTP_REQ_GET)
        send_models(sim, http);
    else
        send_wrong_route(http, endpoint >= 0 ? 405 : 404, path);
}

/* ---- start and end */

/* evutil_parse_sockaddr_port() refuses port 0, so the port is read here. */
static int parse_address(const char *where, struct sockaddr_storage *address, int *len)
{
    char host[SIM_NAME_BYTES];
    char *end;
    const char *colon = strrchr(where, ':');
    if (!colon || (size_t)(colon - where) >= sizeof(host))
        return -EINVAL;
    (void)snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
    long port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end || port < 0 || port > 65535 ||
        evutil_parse_sockaddr_port(host, (struct sockaddr *)address, len) < 0)
        return -EINVAL;
    /* The port stands at the same place for both families. */
    ((struct sockaddr_in *)address)->sin_port = htons((uint16_t)port);
    return 0;
}

static int listen_on(struct sim *sim, struct error *e)
{
    struct sockaddr_storage address;
    int len = sizeof(address);
    const char *where = sim->options.listen;
    if (parse_address(where, &address, &len) < 0)
        return error_set(e, -EINVAL, "cannot read the address %s", where);
    struct evconnlistener *listener = evconnlistener_new_bind(
        sim->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
        BACKLOG, (struct sockaddr *)&address, len);
    if (!listener)
        return error_set(e, -errno, "cannot listen on %s: %s", where, strerror(errno));
    /* Linux hands this option down to every accepted socket. */
    int on = 1;
    evutil_socket_t fd = evconnlistener_get_fd(listener);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    socklen_t size = sizeof(address);
    if (!evhttp_bind_listener(sim->http, listener)) {
        evconnlistener_free(listener);
        return error_set(e, -ENOMEM, "cannot listen on %s", where);
    }
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return error_set(e, -errno, "cannot read the bound address: %s", strerror(errno));
    unsigned port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    (void)snprintf(sim->url, sizeof(sim->url), "http://%.*s:%u", (int)(strrchr(where, ':') - where),
                   where, port);
    return 0;
}

struct sim *sim_new(struct event_base *base, const struct sim_options *options, struct error *e)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    if (!sim || sim_ledger_init(&sim->ledger) < 0) {
        (void)error_set(e, -ENOMEM, "out of memory");
        free(sim);
        return NULL;
    }
    sim->base = base;
    sim->options = *options;
    rand_seed(&sim->rand, options->seed);
    sim->scopes = calloc(SIM_MAX_SCOPES, sizeof(*sim->scopes));
    sim->http = evhttp_new(base);
    if (!sim->scopes || !sim->http) {
        (void)error_set(e, -ENOMEM, "out of memory");
        sim_free(sim);
        return NULL;
    }
    evhttp_set_max_body_size(sim->http, SIM_MAX_BODY_BYTES);
    evhttp_set_max_headers_size(sim->http, HEADERS_BYTES);
    evhttp_set_timeout(sim->http, IDLE_SECONDS);
    evhttp_set_gencb(sim->http, on_request, sim);
    if (listen_on(sim, e) < 0) {
        sim_free(sim);
        return NULL;
    }
    return sim;
}

void sim_free(struct sim *sim)
{
    if (!sim)
        return;
    while (sim->calls)
        sim_call_free(sim->calls);
    if (sim->http)
        evhttp_free(sim->http);
    for (size_t i = 0; i < sim->scope_count; i++)
        sim_scope_release(&sim->scopes[i]);
    free(sim->scopes);
    sim_script_clear(&sim->script);
    sim_batches_free(sim->batches);
    sim_ledger_release(&sim->ledger);
    free(sim);
}

const char *sim_url(const struct sim *sim)
{
    return sim->url;
}
