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

/* Simulated provider */
#define SIM_MAX_BODY_BYTES       (64 * MIB)
#define SIM_MAX_REPLY_BYTES      (128 * MIB)
#define SIM_MAX_OUTPUT_TOKENS    1000000
#define SIM_MAX_LOG_ENTRIES      (1 << 20) /* charges of one window, remembered one by one */
#define SIM_MAX_RULES            64
#define SIM_MAX_SCOPES           512   /* models and keys with limits or a ledger of their own */
#define SIM_MAX_CALLS_KEPT       16384 /* of GET /sim/calls */
#define SIM_MAX_CALLS_PAGE       1000
#define SIM_MAX_SCRIPT           10000 /* scripted replies that wait */
#define SIM_MAX_FAULTS           16
#define SIM_MAX_MODELS           64
#define SIM_MAX_TOOL_CALLS       64
#define SIM_MAX_CHOICES          16
#define SIM_MAX_EMBEDDING_INPUTS 2048
#define SIM_MAX_EMBEDDING_DIMS   3072

#endif
