/*
 * limits: every named maximum of the service, in one place.
 *
 * Each has a test at the limit and one past it. A limit that an operator may
 * change is the default of a configuration key and says so.
 */
#ifndef COMMON_LIMITS_H
#define COMMON_LIMITS_H

#include <stdint.h>

#define KIB (1024L)
#define MIB (1024L * 1024)

/* HTTP, towards clients */
#define HTTP_MAX_BODY_BYTES     (32 * MIB) /* request body; `http.max_body_bytes` */
#define HTTP_MAX_HEADER_BYTES   (16 * KIB) /* all header lines of a request */
#define HTTP_MAX_HEADERS        100        /* header lines of a request */
#define HTTP_MAX_URI_BYTES      (8 * KIB)
#define HTTP_READ_AHEAD_BYTES   (64 * KIB)  /* unread input kept while a reply is open */
#define HTTP_STREAM_HIGH_BYTES  (256 * KIB) /* queued output that pauses the provider */
#define HTTP_STREAM_LOW_BYTES   (64 * KIB)  /* and that resumes it */
#define HTTP_MAX_CONNECTIONS    10000       /* `http.max_connections` */
#define HTTP_BACKLOG            1024
#define HTTP_REPLY_HEADER_BYTES (16 * KIB) /* header lines of an answer, ours not counted */
#define HTTP_LINGER_BYTES       (64 * MIB) /* read and dropped after a refusal, */
#define HTTP_LINGER_MS          5000       /* for at most this long */
#define HTTP_HEADER_MS          20000      /* defaults of struct server_options */
#define HTTP_IDLE_MS            75000
#define HTTP_BODY_MS            30000 /* for each HTTP_BODY_STEP_BYTES of a request body */
#define HTTP_BODY_STEP_BYTES    (64 * KIB)
#define HTTP_WRITE_MS           30000 /* a client that takes nothing for this long is cut */
#define HTTP_ACCEPT_PAUSE_MS    200   /* after an accept that failed, such as by EMFILE */

/* Provider side */
#define UPSTREAM_MAX_BODY_BYTES           (64 * MIB) /* reply that is collected whole */
#define UPSTREAM_MAX_HEADER_BYTES         (64 * KIB)
#define UPSTREAM_MAX_STREAM_BYTES         (1024 * MIB)
#define SSE_MAX_EVENT_BYTES               (16 * MIB)
#define UPSTREAM_MAX_URL_BYTES            (16 * KIB)
#define UPSTREAM_MAX_REQUEST_HEADERS      128        /* header lines of one request */
#define UPSTREAM_MAX_REQUEST_HEADER_BYTES (64 * KIB) /* and their bytes */
#define UPSTREAM_MAX_IDLE_CONNECTIONS     1024       /* kept alive, over all providers */
#define UPSTREAM_MAX_IDLE_TRANSFERS       256        /* ended ones kept for reuse */

/* Provider formats */
#define WIRE_MAX_TOKENS         1000000000 /* max_tokens of a request: sums stay inside int64 */
#define WIRE_MAX_CHOICES        128        /* n and best_of */
#define WIRE_MAX_ERROR_BYTES    (64 * KIB) /* of an error body, read to classify it */
#define WIRE_MAX_RETRY_AFTER_MS (INT64_C(32) * 24 * 3600 * 1000) /* a month: spend limits */

/* Tool calls */
#define TOOL_FILTER_MAX_CHOICES WIRE_MAX_CHOICES /* of a streamed answer */
#define TOOL_FILTER_WAIT_BYTES  (4 * MIB)        /* of a stream, for calls to be whole */
#define TOOL_FILTER_MAX_BLOCKS  256     /* calls and thoughts taken out of one streamed answer */
#define TOOL_CAP_MAX            1000000 /* any cap of calls */
#define TOOL_CAP_HEADER_BYTES   256

/* Configuration */
#define CONFIG_MAX_FILE_BYTES  (1 * MIB)
#define CONFIG_MAX_VALUE_BYTES (4 * KIB) /* one text value, with its variables filled in */
#define CONFIG_MAX_DEPTH       8         /* lists and maps inside each other */
#define CONFIG_MAX_KEYS        64        /* keys of one map */
#define CONFIG_MAX_ROWS        4096      /* entries of one list */
#define CONFIG_MAX_LIMIT       INT64_C(10000000000) /* any limit; keeps amount x ticks below 2^53 */
#define CONFIG_MAX_ROUTES      32                   /* keys and deployments that serve one model */
#define CONFIG_MAX_FALLBACKS   8                    /* of one row */
#define CONFIG_KEY_MIN_BYTES   16                   /* of an access key in plain text */

/* JSON */
#define JSON_MAX_DEPTH    64
#define JSON_NUMBER_BYTES 512 /* text of a number that is read as a double */

/* Tokens */
#define TOKENIZER_MAX_PIECE_BYTES (256 * KIB) /* a word or run that is merged as a whole */
#define TRANSCRIPT_MAX_MESSAGES   20000       /* of a request that is trimmed */
#define TRANSCRIPT_MAX_BLOCKS     65536       /* and their texts, calls, results and media */
#define COUNT_MEMO_SETS           16384       /* remembered counts of messages: sets of 4 */
#define COUNT_MAX_FRESH_BYTES     (128 * KIB) /* of one call, counted to the token at once */
#define ANCHOR_SETS               4096        /* remembered bills of conversations: sets of 4 */
#define GAUGE_MAX_MODELS          1024        /* that are calibrated, each for itself */
#define TRIM_MAX_BODY_BYTES       (4 * MIB)   /* a larger request is not trimmed on its way */
#define SUMMARIES_MAX_KEPT        256         /* in memory; others are asked of Redis */
#define SUMMARY_MAX_BYTES         (64 * KIB)  /* of one */
#define SUMMARY_MAX_BLOCK_BYTES   (4 * KIB)   /* of a call or result that is summed up; texts 4 x */
#define TRIM_NAME_BYTES           48          /* of a preset or policy */
#define TRIM_MAX_POLICIES         64          /* trim_policies of the configuration */
#define COUNT_MAX_IMAGE_BYTES     (64 * KIB)  /* of an image, decoded to look for its size */
#define TOKENS_MAX_FILE_BYTES     (64 * MIB)  /* one input of `sluice tokens` */
#define TOKENS_MAX_REPORT_BYTES   (64 * MIB)  /* its --json; more than ARG_MAX allows */

/* Redis */
#define REDIS_MAX_PENDING      65536       /* commands without an answer */
#define REDIS_MAX_QUEUED_BYTES (128 * MIB) /* unsent commands; and kept script calls */
#define REDIS_MAX_REPLY_BYTES  (128 * MIB)
#define REDIS_MAX_CHANNELS     1024
#define REDIS_MAX_SEEDS        8         /* sentinels, or nodes to begin with, in a redis.url */
#define REDIS_MAX_NODES        64        /* nodes of a cluster that are known at once */
#define REDIS_MAX_LOG_BYTES    (4 * MIB) /* embedded server's log before it is rotated */

/* Queue */
#define POOL_MAX_DIMS           8         /* dimensions of one pool */
#define STORE_MAX_TENANTS_BYTES (4 * MIB) /* tenants' limits of a pool, as told to Redis */
#define POOL_NAME_BYTES         160       /* provider:account:pool */
#define PROVIDER_NAME_BYTES     32 /* with MODEL_NAME_BYTES, "provider:pool" fits a pool's name */
#define MODEL_NAME_BYTES        96 /* a model's name in the configuration, and a pool's */
#define ACCOUNT_NAME_BYTES      32 /* of a key in the configuration, inside a pool's name */
#define CALL_MAX_NOTES          8  /* failed attempts that a call or a job remembers */
#define TENANT_NAME_BYTES       64
#define TICKET_ID_BYTES         48     /* job_ + 8 hex of the pool + 24 hex */
#define QUEUE_MAX_DEPTH         100000 /* tickets waiting in a pool; `queue.max_depth` */
#define SHARE_MAX_DEPTH         10000  /* of those, in one instance while Redis is away */
#define DISPATCH_MAX_GRANTS     16     /* grants of one script call */
#define BYPASS_MAX_SCAN         16     /* flows looked at past a held head */
#define DISPATCH_MAX_DROPS      64     /* tickets past their deadline that one call takes out */
#define DISPATCH_MAX_DUE        64     /* delayed tickets that one call puts back */
#define REAP_MAX_LEASES         100    /* ended leases that one call takes back */
#define POOL_MAX_ENDED          16384  /* ended tickets that a pool in memory still knows */
#define WINDOW_MAX_ENTRIES      1024   /* of a sliding window's log; more are merged */
#define WINDOW_QUANTA           512    /* parts of a window that are told apart then */
#define FAIR_MAX_TOKENS         1000000000000 /* fair cost of one ticket */
#define JOB_MAX_LISTED          200000 /* jobs of a tenant in a pool that its list remembers */
#define JOB_MAX_METADATA_BYTES  (16 * KIB)
#define SESSION_NAME_BYTES      128 /* of x-sluice-session */
#define IDEMPOTENCY_KEY_BYTES   255
#define REQUEST_ID_BYTES        128
#define JOB_MAX_LINES           10000 /* of one NDJSON body */
#define GROUP_ID_BYTES          48    /* job_group_ + 24 hex */

/* Batches of embeddings */
#define EMBED_MAX_INPUTS      2048      /* of one request to a provider */
#define EMBED_MAX_CALL_INPUTS 65536     /* of one call, which is sent in parts */
#define EMBED_BATCH_BYTES     (8 * MIB) /* of all inputs of a batch */
#define EMBED_ANSWER_BYTES    (UPSTREAM_MAX_BODY_BYTES / 8 * 7) /* expected of a batch */
#define EMBED_HELD_BYTES      (64 * MIB) /* of inputs in all batches that are not answered */
#define EMBED_MAX_KEYS        4096       /* kinds of requests for which a batch grows or waits */

/* Conversations */
#define SESSION_ID_BYTES        SESSION_NAME_BYTES
#define SESSION_MAX_LISTED      10000
#define SESSION_MAX_MESSAGES    2000      /* `sessions.max_messages` */
#define SESSION_MAX_BYTES       (4 * MIB) /* of all messages; `sessions.max_bytes` */
#define SESSION_MAX_SETUP_BYTES (1 * MIB) /* model, system, tools and metadata of one */
#define SESSION_MAX_WAITING     64        /* posts to one conversation that wait for each other */
#define SESSION_LEASE_MS        15000     /* of the one that runs, unless it is renewed */
#define SESSION_RENEW_MS        4000
#define SESSION_POLL_MS         100  /* how often one that waits asks whether it may go */
#define SESSION_WAITER_MS       5000 /* one that has not asked for so long is gone */
#define SESSION_PAGE_MAX        100
/* Files and batches */
#define FILE_MAX_BYTES        (200 * MIB)            /* of one, uploaded for a batch */
#define FILE_MAX_UPLOAD_BYTES (FILE_MAX_BYTES + MIB) /* with the form around it */
#define FILE_NAME_BYTES       256
#define UPLOAD_MAX_OPEN       16 /* uploads at once that go to the disk */
#define FILE_LEAST_EXPIRY_S   3600
#define FILE_MOST_EXPIRY_S    2592000
#define BATCH_MAX_LINES       50000
#define BATCH_MAX_ERRORS      100 /* of its file, told to the client */
#define BATCH_CUSTOM_ID_BYTES 512
#define BATCH_WINDOW          200 /* lines of a batch that wait or run at once */
#define BATCH_MAX_RUNNING     8   /* batches that one instance runs at once */
#define BATCH_MAX_RECORD      (64 * KIB)
#define BATCH_MAX_TALK_BYTES  (4 * MIB)    /* an answer of a provider's batch endpoint, and */
#define BATCH_MAX_FETCH_BYTES (2048 * MIB) /* of its results */

/* Kept answers, and requests that share one */
#define MODEL_NAME_MAX_BYTES      257       /* of a request, with its NUL */
#define ANSWER_MAX_REQUEST_BYTES  (1 * MIB) /* a larger one is neither kept nor shared */
#define ANSWER_MAX_MEMBERS        1024      /* of one object in it */
#define ANSWER_MAX_BYTES          (8 * MIB) /* of one that is kept; `cache.max_entry_bytes` */
#define ANSWER_MAX_STORED_BYTES   (1 * MIB) /* of one in Redis, whose connection others wait for */
#define ANSWER_LOOK_MS            100       /* that a request waits for Redis to find one */
#define VECTORS_MAX_INPUTS        2048      /* of a request whose inputs are kept one by one */
#define VECTORS_MAX_REQUEST_BYTES (4 * MIB) /* of its body */
#define VECTORS_LOOK_INPUTS       512       /* that it looks for in Redis, or puts there */
#define VECTORS_LOOK_BYTES        (4 * MIB) /* expected of these */
#define FLIGHT_MAX_BYTES          (8 * MIB) /* of an answer that several read */
#define FLIGHT_MAX_FAILURES       3         /* sent in vain, before all who wait are told */
#define FLIGHT_TURN               64        /* readers that are served in one turn of the loop */

/* Chat requests that are joined */
#define JOINT_MAX_ITEMS      16         /* of one joint request; `batcher.chat.max_items` */
#define JOINT_MAX_ITEM_BYTES (16 * KIB) /* of the text of one; a longer one goes alone */
#define JOINT_MAX_KEYS       1024       /* keys that a breaker remembers */
#define BATCH_GROUP_BYTES    64         /* name of a group: x-sluice-batch */

/* Webhooks */
#define WEBHOOK_MAX_URL_BYTES     2048
#define WEBHOOK_SECRET_PREFIX     "whsec_"
#define WEBHOOK_LEAST_SECRET      24 /* bytes of a secret, decoded: Standard Webhooks */
#define WEBHOOK_MAX_SECRET_BYTES  64
#define WEBHOOK_MAX_SECRETS       4
#define WEBHOOK_MAX_EVENTS        16         /* names in one `webhook` field */
#define WEBHOOK_MAX_FIELD_BYTES   (4 * KIB)  /* of the field, as it is kept with a job */
#define WEBHOOK_MAX_ANSWER_BYTES  (8 * KIB)  /* of a job's answer inside an event */
#define WEBHOOK_MAX_PAYLOAD_BYTES (32 * KIB) /* of an event; what is too much is left out */
#define WEBHOOK_MAX_REPLY_BYTES   (64 * KIB) /* of a receiver's answer, which is not kept */
#define WEBHOOK_MAX_WAITING       10000      /* deliveries of a tenant; further ones are dropped */
#define WEBHOOK_MAX_ENDED         1000       /* of a tenant that are kept, of each outcome */
#define WEBHOOK_MAX_TAKEN         16         /* of one script call */
#define WEBHOOK_MAX_OWED          32         /* ended jobs of a pool, of one script call */
#define WEBHOOK_ID_BYTES          96         /* msg_ and the id of its object */
/* Settings that are saved while the service runs */
#define SETTINGS_MAX_ENTRIES  1000
#define SETTINGS_RECORD_BYTES (2 * KIB) /* of one, as it is kept and as it is sent */
#define SETTINGS_NAME_BYTES   (PROVIDER_NAME_BYTES + MODEL_NAME_BYTES + 2) /* provider/model */

/* Permits */
#define PERMIT_LEAST_TTL_MS     1000     /* of one that is asked for or renewed */
#define PERMIT_MAX_TTL_MS       21600000 /* 6 h */
#define PERMIT_MAX_WAIT_MS      600000   /* that a client is kept waiting for one */
#define PERMIT_MAX_HEADERS      128      /* of the provider's answer, as a settle tells them */
#define PERMIT_MAX_HEADER_BYTES 512      /* of one that is looked at, decoded, with its NUL */

/* Commands that call the service */
#define CLIENT_MAX_REPLY_BYTES (256 * MIB)
#define CLIENT_MAX_INPUT_BYTES (1024 * MIB) /* of `sluice submit` */
#define CLIENT_CALL_MS         60000
#define CLIENT_FETCH_MS        3600000   /* a file of results */
#define CLIENT_BATCH_LINES     500       /* jobs of one call, and */
#define CLIENT_BATCH_BYTES     (4 * MIB) /* their bytes, unless a single one is larger */

/* Numbers */
#define METRICS_MAX_BYTES   (32 * MIB) /* of GET /metrics */
#define HISTORY_MAX_POINTS  2160       /* of one answer: 90 days of hours */
#define HISTORY_MAX_METRICS 32         /* of one answer */
#define HISTORY_MAX_SAMPLES 256        /* of one addition */
#define HISTORY_NAME_BYTES  48         /* of a metric, with its NUL */
#define STATS_MAX_TENANTS   128        /* told apart in numbers; more are "other" */
#define STATS_MAX_MODELS    64         /* as well */

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
