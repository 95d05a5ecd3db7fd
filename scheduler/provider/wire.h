/*
 * wire: the formats that clients and providers speak, read and written without I/O.
 *
 * A wire format (OpenAI, Anthropic) has endpoints; what differs between them is data in
 * one table row and a few pure functions here. Bodies are read in place (json_scan): what
 * is not understood passes through untouched.
 *
 *   ownership  spans and strings borrow from the body unless said otherwise.
 *   threads    none.
 *   sources    OpenAI API reference and error-codes guide, Anthropic API reference
 *              (messages, errors, rate limits), both as of 2026.
 */
#ifndef SCHEDULER_PROVIDER_WIRE_H
#define SCHEDULER_PROVIDER_WIRE_H

#include "common/buf.h"
#include "common/json_scan.h"

#include <stdbool.h>
#include <stdint.h>

enum wire_format { WIRE_OPENAI, WIRE_ANTHROPIC, WIRE_FORMAT_COUNT };

enum wire_endpoint {
    WIRE_CHAT,        /* POST /v1/chat/completions */
    WIRE_COMPLETIONS, /* POST /v1/completions */
    WIRE_RESPONSES,   /* POST /v1/responses */
    WIRE_EMBEDDINGS,  /* POST /v1/embeddings */
    WIRE_MESSAGES,    /* POST /v1/messages */
    WIRE_ENDPOINT_COUNT,
};

enum wire_format wire_format_of(enum wire_endpoint endpoint);
const char *wire_path(enum wire_endpoint endpoint); /* "/v1/chat/completions" */
bool wire_endpoint_find(const char *path, enum wire_endpoint *ret);
/* The path below a provider's base_url: OpenAI's ends in /v1, Anthropic's does not.
 * ("/chat/completions", "/v1/messages") */
const char *wire_upstream_path(enum wire_endpoint endpoint);

/* ---- requests */

/* What a scheduler wants to know of a request body. */
struct wire_request {
    struct json_span body;  /* the whole object */
    struct json_span model; /* with quotes */
    bool stream;
    int64_t max_output_tokens; /* max_tokens, max_completion_tokens, max_output_tokens; -1 absent */
    int64_t choices;           /* n, best_of: at least 1 */
    int64_t input_bytes;       /* decoded bytes of all text that is billed as input */
    int64_t messages;          /* messages, input items or inputs; 1 for a plain string */
    int64_t tools;             /* tool definitions; their bytes are in input_bytes */
    int64_t images;
    bool usage_asked; /* stream_options.include_usage is true */
};

/* 0; -EINVAL with e naming the field, what was found and what is wanted; -E2BIG too deep.
 * A model that is missing or no string, messages that are missing or no array, negative or
 * fractional max_tokens, n < 1 or > 128 are errors. */
int wire_request_read(enum wire_endpoint endpoint, const char *body, size_t len,
                      struct wire_request *ret, struct error *e) MUST_CHECK;

/* The bytes to send when the stream's usage was not asked for but is wanted here
 * (OpenAI chat and completions): the body with stream_options.include_usage set, all
 * other bytes as they were. -ENOTSUP when the endpoint has no such option (nothing is
 * written then; other endpoints always tell). */
int wire_request_ask_usage(enum wire_endpoint endpoint, const struct wire_request *r,
                           struct buf *out) MUST_CHECK;

/* The body with another model name, all other bytes as they were. */
int wire_request_set_model(const struct wire_request *r, const char *model,
                           struct buf *out) MUST_CHECK;

/* ---- token estimate, until counts are exact: characters per token by format and model
 * family, plus overheads per message, tool and image. Errs on the high side: it is what
 * is reserved. chars_per_token <= 0 takes the family's default. */
int64_t wire_estimate_input(enum wire_endpoint endpoint, const struct wire_request *r,
                            const char *model, double chars_per_token);

/* ---- answers */

struct wire_usage {
    bool known;
    int64_t input;       /* all input tokens, cached ones included */
    int64_t cache_read;  /* of these, read from a cache */
    int64_t cache_write; /* of these, written to a cache */
    int64_t output;
};

/* From a whole 2xx body. usage.known is false when there is none. */
void wire_usage_read(enum wire_endpoint endpoint, const char *body, size_t len,
                     struct wire_usage *ret);

/* A streamed answer, watched event by event. */
struct wire_stream {
    enum wire_endpoint endpoint;
    bool hide_usage; /* drop the chunk that only our own include_usage brought */
    struct wire_usage usage;
    bool finished;    /* the format's own end was seen ([DONE], message_stop, response.completed) */
    bool failed;      /* an error event was seen inside the stream */
    bool output_seen; /* content reached the caller: never retried after this */
};

void wire_stream_init(struct wire_stream *s, enum wire_endpoint endpoint, bool hide_usage);

enum wire_verdict { WIRE_PASS, WIRE_DROP, WIRE_FAIL };
/* Looks at one event (its name and data). WIRE_FAIL: an error event; it is to be classified
 * by wire_classify() when nothing was passed on yet, else passed on. */
enum wire_verdict wire_stream_event(struct wire_stream *s, const char *name, const char *data,
                                    size_t len);
/* The error event that ends a stream which the provider cut, in the endpoint's dialect. */
int wire_stream_error(enum wire_endpoint endpoint, const char *message, struct buf *out);

/* ---- errors */

/* An error body in the dialect of the format. type NULL: from the status. code may be NULL. */
int wire_error(enum wire_format format, int status, const char *type, const char *code,
               const char *param, const char *message, struct buf *out);

enum wire_failure {
    WIRE_OK,
    WIRE_RATE,       /* a per-minute or per-day limit: wait and repeat */
    WIRE_LIMIT_SIZE, /* larger than the limit can ever hold: never repeat */
    WIRE_RAMP,       /* grew too fast */
    WIRE_QUOTA,      /* money: do not repeat, open the circuit */
    WIRE_AUTH,       /* 401, 403: the key is wrong */
    WIRE_OVERLOAD,   /* 503, 529, 498: the provider is full */
    WIRE_SERVER,     /* 5xx, 408, 409: repeat with backoff */
    WIRE_CLIENT,     /* any other 4xx: the caller's own fault, passed on */
};
const char *wire_failure_name(enum wire_failure f);
bool wire_failure_may_retry(enum wire_failure f);

typedef const char *(*wire_header_fn)(void *arg, const char *name);

struct wire_answer {
    enum wire_failure failure;
    int64_t retry_after_ms; /* -1: not told */
    char dimension[8]; /* limit the text names: "rpm", "tpm", "itpm", "otpm", "rpd"; "" unknown */
};

/* Classifies an answer by status, headers (retry-after-ms, retry-after in seconds or as a
 * date against now_wall_ms, x-should-retry) and error body. */
void wire_classify(enum wire_format format, int status, wire_header_fn header, void *arg,
                   const char *body, size_t len, int64_t now_wall_ms, struct wire_answer *ret);

#endif
