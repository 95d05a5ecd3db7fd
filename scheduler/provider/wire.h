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
#include "limiter/hint.h"
#include "scheduler/provider/wire_text.h"

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

/* What a scheduler wants to know of a request body.
 *
 * What is counted is what is billed as input: the text of messages, blocks and tool calls, and
 * tool definitions and answer schemas as compact JSON. A member that is not known and stands
 * inside a message or a block counts as text, for dialects add such members and an estimate
 * may be too high but not too low; one beside the messages (metadata, user) does not count.
 * Images, audio and files are never text: their base64 would be a hundred times too much. */
struct wire_request {
    struct json_span body;  /* the whole object */
    struct json_span model; /* with quotes */
    struct json_span stream_options;
    bool stream;
    int64_t max_output_tokens; /* max_tokens, max_completion_tokens, max_output_tokens; -1 absent */
    int64_t choices;           /* n or best_of, times the prompts of a completion: at least 1 */
    int64_t input_bytes;       /* text.bytes + schema.bytes */
    struct wire_text text;     /* decoded text that is billed as input */
    struct wire_text schema;   /* tool definitions and schemas of the answer */
    int64_t token_ids;         /* input that came as token numbers; in no byte count */
    int64_t messages;          /* messages, input items or inputs; 1 for a plain string */
    int64_t tools;             /* tool definitions */
    int64_t images;            /* of any detail */
    int64_t images_low;        /* of these, with "detail": "low" */
    int64_t audio_ms;          /* sound, by the size of its base64: at least as long as it is */
    int64_t files;             /* documents whose text is not in the body */
    int64_t file_bytes;        /* their size, where they stand in the body */
    int64_t opaque_bytes;      /* base64 of encrypted reasoning */
    bool usage_asked;          /* stream_options.include_usage is true */
    bool remote_history; /* previous_response_id, conversation: there is more input than this */
};

/* 0; -EINVAL with e naming the field, what was found and what is wanted; -E2BIG too deep.
 * A model that is missing or no string, messages that are missing or no array, a negative or
 * fractional max_tokens, or one above WIRE_MAX_TOKENS, n < 1 or > WIRE_MAX_CHOICES, and a field
 * of these that stands twice (the provider might read the other one) are errors. null is absent. */
int wire_request_read(enum wire_endpoint endpoint, const char *body, size_t len,
                      struct wire_request *ret, struct error *e) MUST_CHECK;

/* The bytes to send when the stream's usage was not asked for but is wanted here
 * (OpenAI chat and completions): the body with stream_options.include_usage set, all
 * other bytes as they were. -ENOTSUP when the endpoint has no such option or the request
 * does not stream (nothing is written then; other endpoints always tell). */
int wire_request_ask_usage(enum wire_endpoint endpoint, const struct wire_request *r,
                           struct buf *out) MUST_CHECK;

/* The body with another model name (valid UTF-8), all other bytes as they were. */
int wire_request_set_model(const struct wire_request *r, const char *model,
                           struct buf *out) MUST_CHECK;

/* The body with at most so many tokens of output asked for, whatever the endpoint calls them; one
 * that asked for fewer by one of its names keeps that. All other bytes as they were. wire_output.c
 */
int wire_request_set_output(enum wire_endpoint endpoint, const struct wire_request *r,
                            int64_t tokens, struct buf *out) MUST_CHECK;
/* Of the output, what a request sets apart for thinking: less is refused. 0: nothing. */
int64_t wire_request_thinking(enum wire_endpoint endpoint, const struct wire_request *r);
/* The body without a member (each that has this name); the others as they were, the white space
 * between them left out. */
int wire_request_drop(const struct wire_request *r, const char *name, struct buf *out) MUST_CHECK;

/* ---- token estimate, until counts are exact: weights of words, numbers and marks by model
 * family, plus overheads per message, tool and image. Errs on the high side: it is what
 * is reserved. chars_per_token > 0 replaces the weights (not the overheads). At least 1. */
int64_t wire_estimate_input(enum wire_endpoint endpoint, const struct wire_request *r,
                            const char *model, double chars_per_token);

/* ---- answers */

struct wire_usage {
    bool known;          /* the numbers are final; a cut stream may have filled some before */
    int64_t input;       /* all input tokens, cached ones included */
    int64_t cache_read;  /* of these, read from a cache */
    int64_t cache_write; /* of these, written to a cache */
    int64_t output;
};

/* From a whole 2xx body, or any other. usage.known is false when there is none. */
void wire_usage_read(enum wire_endpoint endpoint, const char *body, size_t len,
                     struct wire_usage *ret);

/* A streamed answer, watched event by event. */
struct wire_stream {
    enum wire_endpoint endpoint;
    bool hide_usage; /* drop the chunk that only our own include_usage brought */
    struct wire_usage usage;
    int64_t output_bytes; /* text, thinking and tool input so far; of messages only */
    bool finished;        /* the format's own end was seen ([DONE], message_stop, response.completed
                             or .incomplete) */
    bool failed;          /* an error event was seen inside the stream */
    bool output_seen;     /* content, a tool call, a refusal, reasoning or the reason of the stop
                             reached the caller: never retried after this */
};

void wire_stream_init(struct wire_stream *s, enum wire_endpoint endpoint, bool hide_usage);

enum wire_verdict { WIRE_PASS, WIRE_DROP, WIRE_FAIL };
/* Looks at one event (its name, "" or NULL when it has none, and its data). WIRE_FAIL: an error
 * event; it is to be classified by wire_classify() with status 200 and data as the body when
 * nothing was passed on yet, else passed on. */
enum wire_verdict wire_stream_event(struct wire_stream *s, const char *name, const char *data,
                                    size_t len);
/* The error event that ends a stream which the provider cut, in the endpoint's dialect:
 * whole lines of SSE. message is valid UTF-8. */
int wire_stream_error(enum wire_endpoint endpoint, const char *message, struct buf *out) MUST_CHECK;

/* ---- errors */

/* What an error body tells. message is valid UTF-8. */
struct wire_error {
    int status;
    const char *type; /* NULL: from the status */
    const char *code; /* may be NULL; OpenAI only, as param */
    const char *param;
    const char *message;
};
/* The body in the dialect of the format. */
int wire_error(enum wire_format format, const struct wire_error *error, struct buf *out) MUST_CHECK;
const char *wire_error_type(enum wire_format format, int status);

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
    bool may_retry;         /* wire_failure_may_retry(), unless x-should-retry says otherwise */
    int64_t retry_after_ms; /* 0..WIRE_MAX_RETRY_AFTER_MS; -1: not told */
    char dimension[8];  /* limit the text names: "rpm", "tpm", "itpm", "otpm", "rpd", "tpd"; "" */
    char reason[48];    /* the provider's own name for it ("insufficient_quota"); "" none */
    struct hints hints; /* limits that the body tells */
};

/* What came from the provider. */
struct wire_reply {
    int status;            /* 200 for an error event inside a stream */
    wire_header_fn header; /* by lower-case name, NULL when absent; may itself be NULL */
    void *arg;
    const char *body; /* whatever came: JSON or not, or nothing */
    size_t len;
};

/* Classifies an answer by status, headers (retry-after-ms, retry-after in seconds or as a
 * date against now_wall_ms, x-should-retry) and error body. A wait is taken from, in this
 * order: retry-after-ms, retry-after, the error's details, its text ("try again in 6.2s"), the
 * calendar (a spend limit ends with the month, Gemini's daily quota at midnight Pacific). */
struct wire_rules;
struct wire_answer wire_classify(const struct wire_rules *rules, const struct wire_reply *reply,
                                 int64_t now_wall_ms);

#endif
