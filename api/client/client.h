/*
 * client: calls to a running service, for the commands that talk to one.
 *
 * Blocking, one call at a time, over one kept connection. An answer is JSON; what the service
 * refuses becomes one line of text. Proxies of the environment are not asked: the service is
 * usually on this machine, and its key must not travel elsewhere.
 *
 *   ownership  the struct is the caller's; client_release() wipes the key.
 *   threads    none.
 *   errors     -EAGAIN   not reachable, or a 502 or 503: another try may do
 *              -ENOENT   404
 *              -EACCES   401 or 403
 *              -EINVAL   another refusal: repeating it helps nobody
 *              -EPROTO   what answered is no Sluice
 *              -EFBIG    the answer is larger than CLIENT_MAX_REPLY_BYTES
 *              -ENOMEM
 */
#ifndef API_CLIENT_CLIENT_H
#define API_CLIENT_CLIENT_H

#include "common/args.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#define CLIENT_URL_BYTES  512
#define CLIENT_KEY_BYTES  1024
#define CLIENT_PATH_BYTES 512

/* What all such commands take: these rows stand in their tables of options. */
enum { CLIENT_OPT_URL = ARGS_NO_CHAR + 100, CLIENT_OPT_KEY_FILE, CLIENT_OPT_CA_FILE };
#define CLIENT_OPTIONS                                                                             \
    {'j', "json", NULL, "print JSON"},                                                             \
        {CLIENT_OPT_CA_FILE, "ca-file", "FILE",                                                    \
         "certificates to trust, of an https URL ($SLUICE_CA_FILE; else the system's)"},           \
        {CLIENT_OPT_URL, "url", "URL", "the service ($SLUICE_URL, or http://127.0.0.1:8080)"},     \
    {                                                                                              \
        CLIENT_OPT_KEY_FILE, "key-file", "FILE", "holds the access key (else $SLUICE_KEY)"         \
    }

struct client_options {
    const char *url;      /* NULL: the environment's, or the usual one */
    const char *key_file; /* NULL: $SLUICE_KEY, or none */
    const char *ca_file;  /* NULL: $SLUICE_CA_FILE, or the system's */
    bool json;
};

/* True when the option was one of CLIENT_OPTIONS. */
bool client_option(struct client_options *o, int id, const char *value);

struct client {
    void *curl, *headers;
    const char *ca_file;        /* borrowed; NULL: the system's */
    char url[CLIENT_URL_BYTES]; /* without a slash at its end */
};

/* -EINVAL for a URL or key that cannot be one, or a negative errno of the key's file. */
int client_init(struct client *c, const struct client_options *o, struct error *e) MUST_CHECK;
void client_release(struct client *c); /* accepts one that client_init() refused */

struct client_call {
    const char *method;
    const char *path; /* with its query: "/v1/jobs?limit=20" */
    const char *type; /* of the body; NULL: application/json */
    const char *body; /* NULL: none */
    size_t body_len;
    int timeout_ms; /* for all of it; 0: CLIENT_CALL_MS */
};

/* 0 and the answer's JSON, which is given; else *ret_json is untouched and e says it. */
int client_call(struct client *c, const struct client_call *call, json_t **ret_json,
                struct error *e) MUST_CHECK;

/* GET: a good answer goes to the stream as it is, of any size. Else as client_call(); part of it
 * may have been written then. */
int client_fetch(struct client *c, const char *path, FILE *out, struct error *e) MUST_CHECK;

#endif
