/*
 * config: the configuration file, read whole, checked, and then never changed.
 *
 * YAML by libyaml. A key is one row of a table (name, type, range, default, unit, help), so
 * that loading, the error messages and the example file cannot disagree. An unknown key, a
 * wrong type, a value out of range or a limit that can never act is an error with file, line
 * and column, the reason, and the nearest known key. ${NAME} is read from the environment
 * and ${file:PATH} from a file, inside any string value; an unset variable is an error,
 * except in api_key of a provider, where it (or an empty one) means "absent". A file without
 * `providers` takes them from the environment; a provider without `models` has one row "*"
 * without limits.
 *
 *   ownership  struct config is one allocation tree; config_free() frees it and wipes
 *              secrets. A reload makes a new one beside it.
 *   threads    none; read-only after config_load().
 */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include "common/error.h"
#include "common/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_ABSENT (-1) /* a limit that is not set */

enum config_format { CONFIG_OPENAI, CONFIG_ANTHROPIC }; /* same order as enum wire_format */
enum config_outage { CONFIG_LOCAL, CONFIG_CLOSED, CONFIG_OPEN };
enum config_tool_mode {
    CONFIG_TOOLS_UNSET,
    CONFIG_TOOLS_DROP,
    CONFIG_TOOLS_ANSWER,
    CONFIG_TOOLS_ERROR
};
enum config_algorithm { CONFIG_BUCKET, CONFIG_SLIDING_WINDOW };
enum config_durability { CONFIG_EVERYSEC, CONFIG_ALWAYS, CONFIG_REPLICATED };

struct config_limits { /* per minute, per day, or at once; CONFIG_ABSENT when not set */
    int64_t rpm, tpm, itpm, otpm, rpd, tpd;
    int64_t max_parallel_requests;
    enum config_algorithm algorithm; /* of all of them, the daily ones too */
};

struct config_tool_calls { /* caps, CONFIG_ABSENT when not set; see scheduler/prompt/tool_cap.h */
    int64_t max_per_response, max_per_turn, max_per_session;
    int64_t max_iterations, max_identical;
    enum config_tool_mode mode; /* unset: drop */
};

/* US dollars for a million tokens, as they were written; input and output NULL: not given. */
struct config_price {
    char *input, *output;
    char *cached_input, *cache_write; /* NULL: as input */
};

struct config_model {
    char *name;           /* exact, or a pattern with one '*' at its end */
    char *upstream_model; /* what the provider calls it; NULL: as the request does */
    char **fallbacks;     /* models of the format that may answer instead, in this order */
    size_t fallback_count;
    char *pool; /* the limit group; defaults to name. "PROVIDER:POOL" fits POOL_NAME_BYTES */
    struct config_limits limits;   /* the same in all rows of a pool: stated once is enough */
    int64_t context_window;        /* tokens; absent: not checked */
    int64_t max_output_tokens;     /* the model's own maximum */
    int64_t default_output_tokens; /* reserved when a request names no maximum; default 1024 */
    double chars_per_token;        /* 0: the family's default */
    struct config_tool_calls tool_calls;
    char *trim;                /* how requests are trimmed: a name; NULL: only to fit */
    int64_t min_output_tokens; /* shrinking goes no lower; default 256 */
    struct config_price price;
};

/* A way of trimming with a name; CONFIG_ABSENT: as the preset, or the strategies' default. */
struct config_trim {
    char *name;
    char *preset; /* what it starts from; NULL: from nothing */
    char **strategies;
    size_t strategy_count; /* 0: those of the preset */
    int64_t max_context_tokens, max_messages, max_age_s, keep_turns, max_tool_result_chars;
    int64_t reset_threshold;
};

/* One account of a provider: each has pools of its own. */
struct config_account {
    char *name;                  /* "default": the one of a provider's api_key */
    char *api_key;               /* secret */
    struct config_limits limits; /* in place of the rows' own, for each of its pools */
};

struct config_provider {
    char *name;
    enum config_format format;
    char *base_url;   /* without a trailing slash */
    char *single_key; /* api_key: secret, NULL; it has become one of keys */
    struct config_account *keys;
    size_t key_count; /* 0: the caller's own key is passed on */
    char *profile;    /* cost and error rules: defaults to the format's name */
    struct config_model *models;
    size_t model_count;
    int64_t connect_ms, first_byte_ms, idle_ms;
    int64_t max_attempts; /* of one request, rate refusals not counted; default 4 */
};

struct config_webhook {
    char *url;    /* of events that name none; NULL: they are not sent */
    char *secret; /* "whsec_…", several parted by blanks: all sign; NULL: none */
};

struct config_tenant {
    char *name;
    int64_t weight; /* 1..1000, default 1 */
    struct config_tool_calls tool_calls;
    char *trim; /* goes before the model's; NULL: none of its own */
    /* Its own, in each pool, beside the pool's; algorithm is not used. */
    struct config_limits limits;
    double max_share;              /* of each limit of a pool; 0: not limited */
    int64_t max_queue;             /* requests that wait in a pool; CONFIG_ABSENT */
    struct config_webhook webhook; /* goes before that of all, each part for itself */
    char *max_budget;              /* US dollars; NULL: no budget */
    char *budget_duration;         /* common/period.h; NULL: for ever */
};

struct config_key {
    char *sha256; /* 64 hex digits; a plain `key:` is hashed while loading and wiped */
    char *tenant; /* default: "default" */
    char *scopes; /* "proxy,jobs"; NULL: all */
    char *max_budget, *budget_duration; /* as a tenant has them */
};

/* Chat requests that ask to be joined under this name. */
struct config_chat_group {
    char *name;
    int64_t max_items, wait_ms;
};

struct config {
    char *path; /* NULL: made from the environment */
    struct {
        char *certificate, *key; /* files, PEM; NULL: the listener is plain */
    } tls;
    char *listen, *data_dir;
    struct {
        char *url; /* "": embedded */
        enum config_outage on_outage;
        int64_t max_instances;      /* that may ever run at once; 1..1000, default 4 */
        int64_t command_timeout_ms; /* default 2000 */
    } redis;
    struct {
        struct config_key *keys;
        size_t key_count;
        bool trust_tenant_header;
    } auth;
    struct config_tenant *tenants;
    size_t tenant_count;
    struct config_trim *trims;
    size_t trim_count;
    struct {
        char *model;        /* that summarises for the strategy `summarize`; NULL: none does */
        int64_t timeout_ms; /* a request waits so long for a summary; default 20000 */
        int64_t ttl_s;      /* summaries are kept; default 86400 */
        int64_t max_tokens; /* of a summary; default 1024 */
    } summaries;
    struct {
        bool enabled;            /* answers that would be the same again are kept; default false */
        bool redis;              /* there as well; default false */
        int64_t memory_bytes;    /* of all, in each instance; default 64 MiB */
        int64_t max_entry_bytes; /* of one; default 256 KiB */
        int64_t ttl_s;           /* default 3600 */
    } cache;
    struct {
        char *alert_usd; /* in a calendar month, over all; "0": none. Default 100 */
        struct config_price default_price;
    } costs;
    struct config_provider *providers;
    size_t provider_count;
    struct {
        int64_t max_body_bytes, max_connections, header_timeout_ms, idle_timeout_ms;
        int64_t heartbeat_ms; /* SSE comment while a stream waits; default 15000 */
        bool start_traces;    /* for calls without a traceparent */
    } http;
    struct {
        int64_t max_wait_ms;     /* default of x-sluice-max-wait-ms: 600000 */
        int64_t max_depth;       /* tickets waiting in one pool: 100000 */
        int64_t bypass_permille; /* 250 */
        int64_t batch_permille;  /* 800 */
        int64_t lease_ms;        /* 15000 */
        int64_t headroom_ms;     /* refill kept unspent, for jitter towards the provider: 1000 */
        int64_t aging_ms;        /* a job without a deadline counts as due after this: 600000 */
    } queue;
    struct {
        int64_t result_ttl_s; /* finished jobs are kept: 86400 */
        int64_t call_ttl_s;   /* finished proxied calls: 300 */
        int64_t max_running;  /* durable jobs this instance runs at once: 256 */
        enum config_durability durability;
        int64_t replicas;     /* that must have an accepted job, with replicated: 1 */
        int64_t replicate_ms; /* how long they may take: 1000 */
    } jobs;
    struct {
        int64_t ttl_s;        /* a conversation is kept so long after its last use: 86400 */
        int64_t max_messages; /* of one that is kept here */
        int64_t max_bytes;    /* as well */
    } sessions;
    struct {
        struct {
            bool enabled;
            int64_t max_items, wait_ms; /* of a group that is not listed: 8, 100 */
            struct config_chat_group *groups;
            size_t group_count;
        } chat;
        struct {
            bool enabled;
            int64_t wait_ms;
            int64_t max_inputs, max_tokens; /* CONFIG_ABSENT: by the provider's profile */
        } embeddings;
    } batcher;
    struct {
        struct config_webhook all;
        bool allow_private;       /* URLs may lead to private and local addresses */
        int64_t timeout_ms;       /* of one attempt: 15000 */
        int64_t first_retry_ms;   /* the others are multiples of it: 5000 */
        int64_t max_in_flight;    /* of this instance: 32 */
        int64_t max_per_endpoint; /* of all instances: 4 */
        int64_t kept_s;           /* deliveries that have ended: 259200 */
    } webhooks;
    struct {
        int64_t provider_poll_ms; /* 60000 */
        int64_t output_ttl_s;     /* 0: for ever; 30 days */
        int64_t max_files;        /* of a tenant: 1000 */
        int64_t max_bytes;        /* in them: 10 GB */
    } batches;
    struct {
        int64_t history_every_ms; /* 10000 */
    } stats;
    struct {
        char *level;  /* debug info warn error */
        char *format; /* auto text json */
    } log;
    int64_t drain_timeout_ms; /* SIGTERM: running requests may go on this long; 600000 */
};

/* Reads and checks a file. 0; negative errno with e = "FILE:LINE:COLUMN: reason". */
int config_load(const char *path, struct config **ret, struct error *e) MUST_CHECK;
/* The same for text in memory; name stands for the file in messages. */
int config_parse(const char *name, const char *text, size_t len, struct config **ret,
                 struct error *e) MUST_CHECK;
/* No file at all: providers from OPENAI_API_KEY and ANTHROPIC_API_KEY (with *_BASE_URL),
 * -ENOENT when neither is set. */
int config_from_environment(struct config **ret, struct error *e) MUST_CHECK;
/* What the command line says instead of the file, before anything runs; NULL keeps. 0 or
 * -EINVAL, -ENOMEM: c is then only good for config_free(). */
int config_override(struct config *c, const char *listen, const char *data_dir,
                    struct error *e) MUST_CHECK;
void config_free(struct config *c); /* accepts NULL */

/* The provider and model row for a request: exact name over pattern, the longest pattern
 * over a shorter one, the first in the file of equals, among the providers of the format.
 * "provider/model" forces the provider when a provider of the format has that name (even if
 * a row is called so in full), and *ret_model then points behind the slash; else it is
 * model. False, with nothing written, when nothing matches. */
bool config_route(const struct config *c, enum config_format format, const char *model,
                  const struct config_provider **ret_provider, const struct config_model **ret_row,
                  const char **ret_model);

/* One way to serve a model. */
struct config_candidate {
    const struct config_provider *provider;
    const struct config_model *row;
    const struct config_account *account; /* NULL: the caller's own key */
};

/* All ways to serve a model, in the order of the file: each key of each provider whose row fits as
 * well as the one that config_route() finds. But for the bare "*", which does not say that a
 * provider has a model: there only the first counts. How many there are; CONFIG_MAX_ROUTES at
 * most, which config_load() sees to. *ret_model as above, unset with 0. */
size_t config_candidates(const struct config *c, enum config_format format, const char *model,
                         struct config_candidate ret[CONFIG_MAX_ROUTES], const char **ret_model);

/* The limits of a pool: of the row, where the account has none of its own. */
struct config_limits config_limits_of(const struct config_model *row,
                                      const struct config_account *account);
/* For loops over all limits: their names, NULL behind the last, and where they stand. */
const char *config_limit_name(size_t i);
int64_t *config_limit_at(struct config_limits *l, size_t i);

#endif
