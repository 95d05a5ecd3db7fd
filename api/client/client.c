#include "api/client/client.h"

#include "common/buf.h"
#include "common/file.h"
#include "common/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#define DEFAULT_URL "http://127.0.0.1:8080"
#define CONNECT_MS  5000L

bool client_option(struct client_options *o, int id, const char *value)
{
    if (id == 'j')
        o->json = true;
    else if (id == CLIENT_OPT_URL)
        o->url = value;
    else if (id == CLIENT_OPT_KEY_FILE)
        o->key_file = value;
    else if (id == CLIENT_OPT_CA_FILE)
        o->ca_file = value;
    return id == 'j' || id == CLIENT_OPT_URL || id == CLIENT_OPT_KEY_FILE ||
           id == CLIENT_OPT_CA_FILE;
}

/* ---- where to, and with which key */

static int set_url(struct client *c, const char *url, struct error *e)
{
    if (!url || !*url)
        url = getenv("SLUICE_URL");
    if (!url || !*url)
        url = DEFAULT_URL;
    int n = snprintf(c->url, sizeof(c->url), "%s", url);
    bool known = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    if (!known || n < 0 || (size_t)n >= sizeof(c->url))
        return error_set(e, -EINVAL,
                         "\"%.200s\" is no URL of a service; it looks like " DEFAULT_URL, url);
    while (n > 0 && c->url[n - 1] == '/')
        c->url[--n] = '\0';
    return 0;
}

static int read_key(const char *path, char key[CLIENT_KEY_BYTES], struct error *e)
{
    size_t len = 0;
    const char *given = getenv("SLUICE_KEY");
    int rc = path ? file_read(path, key, CLIENT_KEY_BYTES, &len) : 0;
    if (rc < 0)
        return error_set(e, rc, "the key file %.200s cannot be read: %s", path, strerror(-rc));
    if (!path && given && (len = strlen(given)) < CLIENT_KEY_BYTES)
        memcpy(key, given, len + 1);
    while (len > 0 && len < CLIENT_KEY_BYTES && strchr(" \t\r\n", key[len - 1]))
        key[--len] = '\0';
    if (len >= CLIENT_KEY_BYTES || (path && len == 0))
        return error_set(e, -EINVAL, "%.200s holds no access key", path ? path : "SLUICE_KEY");
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)key[i] <= ' ' || key[i] == 0x7f)
            return error_set(e, -EINVAL, "the access key in %.200s holds a blank or a control byte",
                             path ? path : "SLUICE_KEY");
    }
    return 0;
}

static int add_header(struct client *c, const char *line)
{
    struct curl_slist *longer = curl_slist_append(c->headers, line);
    if (!longer)
        return -ENOMEM;
    c->headers = longer;
    return 0;
}

static int set_headers(struct client *c, const char *key)
{
    char line[CLIENT_KEY_BYTES + 32];
    /* libcurl would ask first ("Expect: 100-continue") before a large body, and wait a second. */
    int rc = add_header(c, "Expect:");
    if (rc == 0 && *key) {
        (void)snprintf(line, sizeof(line), "Authorization: Bearer %s", key);
        rc = add_header(c, line);
        explicit_bzero(line, sizeof(line));
    }
    return rc;
}

int client_init(struct client *c, const struct client_options *o, struct error *e)
{
    char key[CLIENT_KEY_BYTES] = "";
    *c = (struct client){.ca_file = o->ca_file ? o->ca_file : getenv("SLUICE_CA_FILE")};
    int rc = set_url(c, o->url, e);
    if (rc == 0)
        rc = read_key(o->key_file, key, e);
    if (rc < 0) {
        explicit_bzero(key, sizeof(key));
        return rc;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
        c->curl = curl_easy_init();
    rc = c->curl ? set_headers(c, key) : -ENOMEM;
    explicit_bzero(key, sizeof(key));
    return rc < 0 ? error_set(e, rc, "out of memory") : 0;
}

void client_release(struct client *c)
{
    for (struct curl_slist *line = c->headers; line; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    curl_slist_free_all(c->headers);
    if (c->curl) {
        curl_easy_cleanup(c->curl);
        curl_global_cleanup();
    }
    *c = (struct client){.curl = NULL};
}

/* ---- one call */

static size_t keep(char *bytes, size_t size, size_t count, void *arg)
{
    return buf_add(arg, bytes, size * count) == 0 ? size * count : 0;
}

/* OpenAI's shape, which Sluice's own routes use, and Anthropic's differ in nothing read here. */
static int refused(long status, const struct buf *body, struct error *e)
{
    int code = status == 404                    ? -ENOENT
               : status == 401 || status == 403 ? -EACCES
               : status == 502 || status == 503 ? -EAGAIN
                                                : -EINVAL;
    json_t *answer = body->len ? json_loadb(body->data, body->len, 0, NULL) : NULL;
    const json_t *error = json_object_get(answer, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    if (message)
        (void)error_set(e, code, "%s (HTTP %ld)", message, status);
    else
        code = error_set(e, -EPROTO, "HTTP %ld without a reason: is this a Sluice?", status);
    json_decref(answer);
    return code;
}

static int failed(const struct client *c, CURLcode code, const char *detail, const struct buf *body,
                  struct error *e)
{
    const char *reason = *detail ? detail : curl_easy_strerror(code);
    if (body->failed == -ENOSPC)
        return error_set(e, -EFBIG, "the answer is larger than %ld MiB; ask for less",
                         CLIENT_MAX_REPLY_BYTES / MIB);
    if (body->failed || code == CURLE_OUT_OF_MEMORY)
        return error_set(e, -ENOMEM, "out of memory");
    return error_set(e, -EAGAIN, "no answer from %.120s: %.100s%s", c->url, reason,
                     code == CURLE_COULDNT_CONNECT ? "; is `sluice serve` running there?" : "");
}

static int read_answer(long status, const struct buf *body, json_t **ret_json, struct error *e)
{
    if (status < 200 || status >= 300)
        return refused(status, body, e);
    json_t *answer = body->len ? json_loadb(body->data, body->len, 0, NULL) : NULL;
    if (!answer)
        return error_set(e, -EPROTO, "the answer is not JSON: is this a Sluice?");
    *ret_json = answer;
    return 0;
}

static void set_call(struct client *c, const struct client_call *call, const char *url,
                     struct curl_slist *lines)
{
    long timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : CLIENT_CALL_MS;
    curl_easy_reset(c->curl); /* keeps the connection */
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    if (c->ca_file && *c->ca_file)
        curl_easy_setopt(c->curl, CURLOPT_CAINFO, c->ca_file);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, lines);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, keep);
    if (call->body) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, call->body);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
    }
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, call->method);
}

int client_call(struct client *c, const struct client_call *call, json_t **ret_json,
                struct error *e)
{
    char url[CLIENT_URL_BYTES + CLIENT_PATH_BYTES], type[96], detail[CURL_ERROR_SIZE] = "";
    struct buf body;
    long status = 0;
    (void)snprintf(type, sizeof(type), "Content-Type: %s",
                   call->type ? call->type : "application/json");
    int n = snprintf(url, sizeof(url), "%s%s", c->url, call->path);
    struct curl_slist first = {.data = type, .next = c->headers};
    if (n < 0 || (size_t)n >= sizeof(url))
        return error_set(e, -EINVAL, "the request's path is too long");
    buf_init(&body, CLIENT_MAX_REPLY_BYTES);
    set_call(c, call, url, call->body ? &first : c->headers);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, detail);
    CURLcode code = curl_easy_perform(c->curl);
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
    int rc = code == CURLE_OK ? read_answer(status, &body, ret_json, e)
                              : failed(c, code, detail, &body, e);
    buf_release(&body);
    return rc;
}

/* ---- a file */

struct fetched {
    struct client *client;
    FILE *out;
    struct buf refusal;
};

static size_t pass_on(char *bytes, size_t size, size_t count, void *arg)
{
    struct fetched *f = arg;
    long status = 0;
    (void)curl_easy_getinfo(f->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status >= 300)
        return buf_add(&f->refusal, bytes, size * count) == 0 ? size * count : 0;
    return fwrite(bytes, size, count, f->out) == count ? size * count : 0;
}

int client_fetch(struct client *c, const char *path, FILE *out, struct error *e)
{
    char url[CLIENT_URL_BYTES + CLIENT_PATH_BYTES], detail[CURL_ERROR_SIZE] = "";
    struct fetched f = {.client = c, .out = out};
    const struct client_call call = {.method = "GET", .path = path, .timeout_ms = CLIENT_FETCH_MS};
    long status = 0;
    int n = snprintf(url, sizeof(url), "%s%s", c->url, path);
    if (n < 0 || (size_t)n >= sizeof(url))
        return error_set(e, -EINVAL, "the request's path is too long");
    buf_init(&f.refusal, MIB);
    set_call(c, &call, url, c->headers);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, pass_on);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &f);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, detail);
    CURLcode code = curl_easy_perform(c->curl);
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
    int rc = code != CURLE_OK                ? failed(c, code, detail, &f.refusal, e)
             : status < 200 || status >= 300 ? refused(status, &f.refusal, e)
                                             : 0;
    buf_release(&f.refusal);
    return rc;
}
