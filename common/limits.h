/*
 * limits: every named maximum of the service, in one place.
 *
 * Each has a test at the limit and one past it. A limit that an operator may
 * change is the default of a configuration key and says so.
 */
#ifndef COMMON_LIMITS_H
#define COMMON_LIMITS_H

#define KIB (1024L)
#define MIB (1024L * 1024)

/* HTTP, towards clients */
#define HTTP_MAX_BODY_BYTES    (32 * MIB) /* request body; `http.max_body_bytes` */
#define HTTP_MAX_HEADER_BYTES  (16 * KIB) /* all header lines of a request */
#define HTTP_MAX_HEADERS       100        /* header lines of a request */
#define HTTP_MAX_URI_BYTES     (8 * KIB)
#define HTTP_READ_AHEAD_BYTES  (64 * KIB)  /* unread input kept while a reply is open */
#define HTTP_STREAM_HIGH_BYTES (256 * KIB) /* queued output that pauses the provider */
#define HTTP_STREAM_LOW_BYTES  (64 * KIB)  /* and that resumes it */
#define HTTP_MAX_CONNECTIONS   10000       /* `http.max_connections` */
#define HTTP_BACKLOG           1024

/* Provider side */
#define UPSTREAM_MAX_BODY_BYTES   (64 * MIB) /* reply that is collected whole */
#define UPSTREAM_MAX_HEADER_BYTES (64 * KIB)
#define UPSTREAM_MAX_STREAM_BYTES (1024 * MIB)
#define SSE_MAX_EVENT_BYTES       (16 * MIB)

/* JSON */
#define JSON_MAX_DEPTH 64

/* Tokens */
#define TOKENIZER_MAX_PIECE_BYTES (256 * KIB) /* a word or run that is merged as a whole */
#define TOKENS_MAX_FILE_BYTES     (64 * MIB)  /* one input of `sluice tokens` */
#define TOKENS_MAX_REPORT_BYTES   (64 * MIB)  /* its --json; more than ARG_MAX allows */

/* Redis */
#define REDIS_MAX_PENDING     65536 /* commands without an answer */
#define REDIS_MAX_REPLY_BYTES (128 * MIB)

/* Queue */
#define POOL_MAX_DIMS          8 /* dimensions of one pool */
#define POOL_NAME_BYTES        128
#define TENANT_NAME_BYTES      64
#define TICKET_ID_BYTES        48     /* job_ + 8 hex of the pool + 24 hex */
#define QUEUE_MAX_DEPTH        100000 /* tickets waiting in a pool; `queue.max_depth` */
#define DISPATCH_MAX_GRANTS    16     /* grants of one script call */
#define BYPASS_MAX_SCAN        16     /* tenants looked at past a held head */
#define JOB_MAX_METADATA_BYTES (16 * KIB)
#define IDEMPOTENCY_KEY_BYTES  255
#define REQUEST_ID_BYTES       128

#endif
