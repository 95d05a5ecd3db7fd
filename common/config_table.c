#include "common/config_table.h"

#include "common/config.h"
#include "common/config_cost.h"
#include "common/config_rows.h"
#include "common/config_text.h"
#include "common/limits.h"

_Static_assert(sizeof(enum config_format) == sizeof(int), "a choice is stored as int");
_Static_assert(sizeof(enum config_outage) == sizeof(int), "a choice is stored as int");
_Static_assert(sizeof(enum config_tool_mode) == sizeof(int), "a choice is stored as int");
_Static_assert(sizeof(enum config_algorithm) == sizeof(int), "a choice is stored as int");
_Static_assert(sizeof(enum config_durability) == sizeof(int), "a choice is stored as int");
_Static_assert(PROVIDER_NAME_BYTES + ACCOUNT_NAME_BYTES + MODEL_NAME_BYTES <= POOL_NAME_BYTES,
               "\"provider:account:pool\" and its NUL fit the name of a pool");

static const char *const formats[] = {
    [CONFIG_OPENAI] = "openai", [CONFIG_ANTHROPIC] = "anthropic", NULL};
static const char *const outages[] = {
    [CONFIG_LOCAL] = "local", [CONFIG_CLOSED] = "closed", [CONFIG_OPEN] = "open", NULL};
static const char *const algorithms[] = {
    [CONFIG_BUCKET] = "bucket", [CONFIG_SLIDING_WINDOW] = "sliding_window", NULL};
static const char *const durabilities[] = {[CONFIG_EVERYSEC] = "everysec",
                                           [CONFIG_ALWAYS] = "always",
                                           [CONFIG_REPLICATED] = "replicated",
                                           NULL};
static const char *const tool_modes[] = {[CONFIG_TOOLS_UNSET] = "default",
                                         [CONFIG_TOOLS_DROP] = "drop",
                                         [CONFIG_TOOLS_ANSWER] = "answer",
                                         [CONFIG_TOOLS_ERROR] = "error",
                                         NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"auto", "text", "json", NULL};

static const struct config_row redis_rows[] = {
    {.key = "url",
     .type = CONFIG_TEXT,
     AT(config, redis.url),
     .secret = true,
     .text = "",
     .most = 1024,
     .accept = config_text_redis,
     .unit = "URL",
     .help =
         "redis://[USER:PASSWORD@]HOST:PORT/DB, unix://PATH, redis+sentinel://HOST,HOST/MASTER or "
         "redis+cluster://HOST,HOST; empty: an own Redis in data_dir"},
    {.key = "on_outage",
     .type = CONFIG_CHOICE,
     AT(config, redis.on_outage),
     .choices = outages,
     .value = CONFIG_LOCAL,
     .help = "without Redis: admit a local share, refuse (closed), or admit all (open)"},
    INTEGER(config, redis.max_instances, "max_instances", RANGE(1, 1000, 4), "processes",
            "that share this Redis at most, workers counted; a local share is 0.5 / this"),
    INTEGER(config, redis.command_timeout_ms, "command_timeout_ms", RANGE(10, 60000, 2000), "ms",
            "a command without an answer for so long drops the connection"),
};

static const struct config_row key_rows[] = {
    {.key = "key",
     .type = CONFIG_SECRET,
     AT(config_key, sha256),
     .least = CONFIG_KEY_MIN_BYTES,
     .most = 512,
     .secret = true,
     .accept = config_text_line,
     .optional = true,
     .help = "an access key; only its SHA-256 is kept"},
    {.key = "sha256",
     .type = CONFIG_TEXT,
     AT(config_key, sha256),
     .most = 64,
     .optional = true,
     .accept = config_text_sha256,
     .help = "the SHA-256 of an access key, instead of the key"},
    {.key = "tenant",
     .type = CONFIG_TEXT,
     AT(config_key, tenant),
     .text = "default",
     .most = TENANT_NAME_BYTES - 1,
     .accept = config_text_name,
     .help = "whose requests come with this key"},
    {.key = "scopes",
     .type = CONFIG_TEXT,
     AT(config_key, scopes),
     .optional = true,
     .most = 64,
     .accept = config_text_scopes,
     .help = "of proxy, jobs, permits, stats, admin, parted by commas; left out: all"},
    CONFIG_BUDGET_ROWS(config_key),
};
static const struct config_section key_section = {
    .path = "auth.keys[]", .size = sizeof(struct config_key), COUNT(key_rows), key_rows};

static const struct config_row auth_rows[] = {
    {.key = "keys",
     .type = CONFIG_LIST,
     LIST_AT(config, auth.keys, auth.key_count),
     .of = &key_section,
     .help = "who may call; none: open, and then only on a loopback address"},
    {.key = "trust_tenant_header",
     .type = CONFIG_BOOL,
     AT(config, auth.trust_tenant_header),
     .value = false,
     .help = "callers may name another tenant in x-sluice-tenant"},
};

#define CAP(type_, field, name, from, to, what)                                                    \
    {                                                                                              \
        .key = (name), .type = CONFIG_INTEGER, AT(type_, tool_calls.field), .optional = true,      \
        .least = (from), .most = (to), .value = CONFIG_ABSENT, .unit = "calls", .help = (what)     \
    }
/* The caps of a model and of a tenant; the least holds, and a request's header may lower it. */
#define TOOL_CALL_ROWS(type_)                                                                      \
    {                                                                                              \
        CAP(type_, max_per_response, "max_calls_per_response", 0, TOOL_CAP_MAX, "of one answer"),  \
            CAP(type_, max_per_turn, "max_calls_per_turn", 0, TOOL_CAP_MAX,                        \
                "since the last message of the user"),                                             \
            CAP(type_, max_per_session, "max_calls_per_session", 0, TOOL_CAP_MAX,                  \
                "of a conversation"),                                                              \
            CAP(type_, max_iterations, "max_iterations", 1, 25,                                    \
                "rounds of calls and results in a turn"),                                          \
            CAP(type_, max_identical, "max_identical_calls", 1, TOOL_CAP_MAX,                      \
                "of one tool with the same arguments in a turn"),                                  \
        {                                                                                          \
            .key = "mode", .type = CONFIG_CHOICE, AT(type_, tool_calls.mode),                      \
            .choices = tool_modes, .value = CONFIG_TOOLS_UNSET,                                    \
            .help = "surplus calls: drop them, answer them with an error, or refuse the request"   \
        }                                                                                          \
    }
static const struct config_row model_tool_rows[] = TOOL_CALL_ROWS(config_model);
static const struct config_section model_tool_section = {
    .path = "providers[].models[].tool_calls", .size = 0, COUNT(model_tool_rows), model_tool_rows};
static const struct config_row tenant_tool_rows[] = TOOL_CALL_ROWS(config_tenant);
static const struct config_section tenant_tool_section = {
    .path = "tenants[].tool_calls", .size = 0, COUNT(tenant_tool_rows), tenant_tool_rows};
#define OWN_LIMIT(name, per, what)                                                                 \
    {                                                                                              \
        .key = #name, .type = CONFIG_INTEGER, AT(config_tenant, limits.name), .optional = true,    \
        .least = 1, .most = CONFIG_MAX_LIMIT, .value = CONFIG_ABSENT, .unit = (per),               \
        .help = (what)                                                                             \
    }

#define TRIM_ROW(type_)                                                                            \
    {                                                                                              \
        .key = "trim", .type = CONFIG_TEXT, AT(type_, trim), .optional = true,                     \
        .most = TRIM_NAME_BYTES - 1, .accept = config_text_name,                                   \
        .help = "cut its requests by this preset or policy; none: never; left out: only to fit"    \
    }

static const struct config_row tenant_rows[] = {
    {.key = "name",
     .type = CONFIG_TEXT,
     AT(config_tenant, name),
     .required = true,
     .most = TENANT_NAME_BYTES - 1,
     .accept = config_text_name,
     .help = "name of the tenant"},
    INTEGER(config_tenant, weight, "weight", RANGE(1, 1000, 1), "",
            "share of a full queue, against the other tenants' weights"),
    {.key = "tool_calls",
     .type = CONFIG_SECTION,
     .of = &tenant_tool_section,
     .help = "caps of tool calls, as a model has them; the least holds"},
    {.key = "webhook",
     .type = CONFIG_SECTION,
     .of = &config_table_tenant_webhook,
     .help = "its own URL and secret, before those of webhooks"},
    OWN_LIMIT(rpm, "requests/minute", "its own limit in each pool, beside the pool's"),
    OWN_LIMIT(tpm, "tokens/minute", "the same for input and output tokens together"),
    OWN_LIMIT(itpm, "tokens/minute", "for input tokens"),
    OWN_LIMIT(otpm, "tokens/minute", "for output tokens"),
    OWN_LIMIT(rpd, "requests/day", "for requests"),
    OWN_LIMIT(tpd, "tokens/day", "for input and output tokens together"),
    OWN_LIMIT(max_parallel_requests, "requests", "of it that run at once in a pool"),
    {.key = "max_share",
     .type = CONFIG_NUMBER,
     AT(config_tenant, max_share),
     .least_number = 0,
     .most_number = 1,
     .help = "of each limit of a pool, 0.25 for a quarter; 0: all of it"},
    {.key = "max_queue",
     .type = CONFIG_INTEGER,
     AT(config_tenant, max_queue),
     .optional = true,
     .least = 1,
     .most = QUEUE_MAX_DEPTH,
     .value = CONFIG_ABSENT,
     .unit = "requests",
     .help = "of it that wait in a pool; one more is refused with 429"},
    TRIM_ROW(config_tenant),
    CONFIG_BUDGET_ROWS(config_tenant),
};
static const struct config_section tenant_section = {
    .path = "tenants[]", .size = sizeof(struct config_tenant), COUNT(tenant_rows), tenant_rows};

#define LIMIT(type_, name, per, what)                                                              \
    {                                                                                              \
        .key = #name, .type = CONFIG_INTEGER, AT(type_, limits.name), .optional = true,            \
        .least = 1, .most = CONFIG_MAX_LIMIT, .value = CONFIG_ABSENT, .unit = (per),               \
        .help = (what)                                                                             \
    }

#define LIMITS(type_)                                                                              \
    LIMIT(type_, rpm, "requests/minute", "requests"),                                              \
        LIMIT(type_, tpm, "tokens/minute", "input and output tokens together"),                    \
        LIMIT(type_, itpm, "tokens/minute", "input tokens"),                                       \
        LIMIT(type_, otpm, "tokens/minute", "output tokens"),                                      \
        LIMIT(type_, rpd, "requests/day", "requests"),                                             \
        LIMIT(type_, tpd, "tokens/day", "input and output tokens together"),                       \
        LIMIT(type_, max_parallel_requests, "requests", "requests that run at once")

static const struct config_row model_rows[] = {
    {.key = "name",
     .type = CONFIG_TEXT,
     AT(config_model, name),
     .required = true,
     .most = MODEL_NAME_BYTES - 1,
     .accept = config_text_pattern,
     .help = "a model, or many with * at the end"},
    {.key = "pool",
     .type = CONFIG_TEXT,
     AT(config_model, pool),
     .optional = true,
     .most = MODEL_NAME_BYTES - 1,
     .accept = config_text_pattern,
     .computed = "name",
     .help = "models of one pool share their limits; state them once"},
    {.key = "upstream_model",
     .type = CONFIG_TEXT,
     AT(config_model, upstream_model),
     .optional = true,
     .most = MODEL_NAME_BYTES - 1,
     .accept = config_text_name,
     .help = "what this provider calls the model; left out: as the request does"},
    {.key = "fallbacks",
     .type = CONFIG_NAMES,
     LIST_AT(config_model, fallbacks, fallback_count),
     .most = MODEL_NAME_BYTES + PROVIDER_NAME_BYTES,
     .optional = true,
     .accept = config_text_name,
     .help = "models that may answer when this one cannot, in this order"},
    LIMITS(config_model),
    {.key = "algorithm",
     .type = CONFIG_CHOICE,
     AT(config_model, limits.algorithm),
     .choices = algorithms,
     .value = CONFIG_BUCKET,
     .help = "sliding_window for a provider that counts one: no burst above a limit in any minute"},
    {.key = "context_window",
     .type = CONFIG_INTEGER,
     AT(config_model, context_window),
     .optional = true,
     .least = 1,
     .most = CONFIG_MAX_LIMIT,
     .value = CONFIG_ABSENT,
     .unit = "tokens",
     .help = "largest input and output together; left out: not checked"},
    {.key = "max_output_tokens",
     .type = CONFIG_INTEGER,
     AT(config_model, max_output_tokens),
     .optional = true,
     .least = 1,
     .most = CONFIG_MAX_LIMIT,
     .value = CONFIG_ABSENT,
     .unit = "tokens",
     .help = "largest answer of the model; left out: not checked"},
    INTEGER(config_model, default_output_tokens, "default_output_tokens",
            RANGE(1, CONFIG_MAX_LIMIT, 1024), "tokens", "reserved when a request names no maximum"),
    {.key = "chars_per_token",
     .type = CONFIG_NUMBER,
     AT(config_model, chars_per_token),
     .least_number = 0,
     .most_number = 16,
     .unit = "characters",
     .help = "for estimates; 0: the model family's own"},
    {.key = "tool_calls",
     .type = CONFIG_SECTION,
     .of = &model_tool_section,
     .help = "caps of tool calls; left out: none"},
    TRIM_ROW(config_model),
    INTEGER(config_model, min_output_tokens, "min_output_tokens", RANGE(1, CONFIG_MAX_LIMIT, 256),
            "tokens", "a request that does not fit is never left with fewer to answer"),
    {.key = "price",
     .type = CONFIG_SECTION,
     .of = &config_cost_price,
     .help = "what it costs; left out: as the built-in table has it"},
};
const struct config_section config_table_model = {.path = "providers[].models[]",
                                                  .size = sizeof(struct config_model),
                                                  COUNT(model_rows),
                                                  model_rows};

static const struct config_row account_rows[] = {
    {.key = "name",
     .type = CONFIG_TEXT,
     AT(config_account, name),
     .required = true,
     .most = ACCOUNT_NAME_BYTES - 1,
     .accept = config_text_provider,
     .help = "name of the key, in its pools' names"},
    {.key = "api_key",
     .type = CONFIG_TEXT,
     AT(config_account, api_key),
     .required = true,
     .least = 1,
     .secret = true,
     .most = 1024,
     .accept = config_text_line,
     .help = "of one account or deployment"},
    LIMITS(config_account),
};
static const struct config_section account_section = {.path = "providers[].keys[]",
                                                      .size = sizeof(struct config_account),
                                                      COUNT(account_rows),
                                                      account_rows};

static const struct config_row provider_rows[] = {
    {.key = "name",
     .type = CONFIG_TEXT,
     AT(config_provider, name),
     .required = true,
     .most = PROVIDER_NAME_BYTES - 1,
     .accept = config_text_provider,
     .help = "name of the provider; name/model asks for it"},
    {.key = "format",
     .type = CONFIG_CHOICE,
     AT(config_provider, format),
     .required = true,
     .choices = formats,
     .help = "the API it speaks"},
    {.key = "base_url",
     .type = CONFIG_TEXT,
     AT(config_provider, base_url),
     .optional = true,
     .most = 1024,
     .accept = config_text_url,
     .computed = "the format's own provider",
     .unit = "URL",
     .help = "as in the SDKs: with /v1 for openai, without for anthropic"},
    {.key = "api_key",
     .type = CONFIG_TEXT,
     AT(config_provider, single_key),
     .optional = true,
     .secret = true,
     .most = 1024,
     .accept = config_text_line,
     .help = "left out, or from a variable that is not set: the caller's key is passed on"},
    {.key = "keys",
     .type = CONFIG_LIST,
     LIST_AT(config_provider, keys, key_count),
     .of = &account_section,
     .optional = true,
     .help = "instead of api_key, several: each has pools of its own, with the models' limits"},
    {.key = "profile",
     .type = CONFIG_TEXT,
     AT(config_provider, profile),
     .optional = true,
     .most = PROVIDER_NAME_BYTES - 1,
     .accept = config_text_name,
     .computed = "format",
     .help = "rules for cost, headers and errors"},
    INTEGER(config_provider, connect_ms, "connect_ms", RANGE(100, 300000, 5000), "ms",
            "to connect, TLS included"),
    INTEGER(config_provider, first_byte_ms, "first_byte_ms", RANGE(100, HOUR_MS, 600000), "ms",
            "from the request to the first byte of its answer"),
    INTEGER(config_provider, idle_ms, "idle_ms", RANGE(100, HOUR_MS, 300000), "ms",
            "longest gap inside an answer"),
    INTEGER(config_provider, max_attempts, "max_attempts", RANGE(1, 20, 4), "",
            "of one request; refusals for its rate are not counted"),
    {.key = "models",
     .type = CONFIG_LIST,
     LIST_AT(config_provider, models, model_count),
     .of = &config_table_model,
     .computed = "one \"*\" without limits",
     .help = "models and their limits; an exact name wins, then the longest pattern"},
};
static const struct config_section provider_section = {.path = "providers[]",
                                                       .size = sizeof(struct config_provider),
                                                       COUNT(provider_rows),
                                                       provider_rows};

static const struct config_row http_rows[] = {
    INTEGER(config, http.max_body_bytes, "max_body_bytes",
            RANGE(KIB, 1024 * MIB, HTTP_MAX_BODY_BYTES), "bytes",
            "larger request bodies are answered 413"),
    INTEGER(config, http.max_connections, "max_connections",
            RANGE(1, 1000000, HTTP_MAX_CONNECTIONS), "connections", "of clients, at once"),
    INTEGER(config, http.header_timeout_ms, "header_timeout_ms", RANGE(100, 600000, 15000), "ms",
            "from the connection to a whole request head"),
    INTEGER(config, http.idle_timeout_ms, "idle_timeout_ms", RANGE(100, HOUR_MS, 75000), "ms",
            "a kept connection without a request"),
    INTEGER(config, http.heartbeat_ms, "heartbeat_ms", RANGE(100, 600000, 15000), "ms",
            "a comment keeps a stream alive that waits in the queue"),
    {.key = "start_traces",
     .type = CONFIG_BOOL,
     AT(config, http.start_traces),
     .value = false,
     .help = "a call without a traceparent gets a trace of its own on its way to the provider"},
};

static const struct config_row queue_rows[] = {
    INTEGER(config, queue.max_wait_ms, "max_wait_ms", RANGE(0, DAY_MS, 600000), "ms",
            "how long a call may wait; x-sluice-max-wait-ms overrides it"),
    INTEGER(config, queue.max_depth, "max_depth", RANGE(1, 10000000, QUEUE_MAX_DEPTH), "requests",
            "waiting in one pool; further ones are answered 503"),
    INTEGER(config, queue.bypass_permille, "bypass_permille", RANGE(0, 1000, 250), "permille",
            "of the budget, for small requests that pass a held large one"),
    INTEGER(config, queue.batch_permille, "batch_permille", RANGE(1, 1000, 800), "permille",
            "of max_parallel_requests, for the class batch: the rest is left to other requests"),
    INTEGER(config, queue.lease_ms, "lease_ms", RANGE(1000, 600000, 15000), "ms",
            "an instance that is silent for so long loses its running requests"),
    INTEGER(config, queue.headroom_ms, "headroom_ms", RANGE(0, 30000, 1000), "ms",
            "of refill is never spent: room for jitter on the way to the provider"),
    INTEGER(config, queue.aging_ms, "aging_ms", RANGE(0, DAY_MS, 600000), "ms",
            "a request without a deadline counts as due after this"),
};

static const struct config_row jobs_rows[] = {
    INTEGER(config, jobs.result_ttl_s, "result_ttl_s", RANGE(1, 31536000, 86400), "s",
            "finished jobs are kept so long"),
    INTEGER(config, jobs.call_ttl_s, "call_ttl_s", RANGE(1, 86400, 300), "s",
            "finished calls are remembered so long"),
    INTEGER(config, jobs.max_running, "max_running", RANGE(1, 100000, 256), "jobs",
            "at once in this instance"),
    {.key = "durability",
     .type = CONFIG_CHOICE,
     AT(config, jobs.durability),
     .choices = durabilities,
     .value = CONFIG_EVERYSEC,
     .help = "when a job counts as stored: within 2 s, on disk, or on a replica"},
    INTEGER(config, jobs.replicas, "replicas", RANGE(1, 10, 1), "servers",
            "that must have an accepted job, with durability replicated: all that there are"),
    INTEGER(config, jobs.replicate_ms, "replicate_ms", RANGE(10, 60000, 1000), "ms",
            "that they may take; then the submit is answered 503"),
};

static const struct config_row sessions_rows[] = {
    INTEGER(config, sessions.ttl_s, "ttl_s", RANGE(1, 31536000, 86400), "s",
            "a conversation is remembered so long after its last use"),
    INTEGER(config, sessions.max_messages, "max_messages", RANGE(2, 20000, SESSION_MAX_MESSAGES),
            "messages", "of a conversation that is kept here"),
    INTEGER(config, sessions.max_bytes, "max_bytes", RANGE(KIB, 32 * MIB, SESSION_MAX_BYTES),
            "bytes", "of all its messages together"),
};

static const struct config_row stats_rows[] = {
    INTEGER(config, stats.history_every_ms, "history_every_ms", RANGE(100, 60000, 10000), "ms",
            "each instance adds its numbers to the history so often"),
};

static const struct config_row log_rows[] = {
    {.key = "level",
     .type = CONFIG_WORD,
     AT(config, log.level),
     .choices = log_levels,
     .text = "info",
     .help = "least level that is written"},
    {.key = "format",
     .type = CONFIG_WORD,
     AT(config, log.format),
     .choices = log_formats,
     .text = "auto",
     .help = "auto: text on a terminal, else JSON"},
};

#define SECTION(name)                                                                              \
    static const struct config_section name##_section = {                                          \
        .path = #name, .size = 0, COUNT(name##_rows), name##_rows}

SECTION(redis);
SECTION(auth);
SECTION(http);
SECTION(queue);
SECTION(jobs);
SECTION(sessions);
SECTION(stats);
SECTION(log);

static const struct config_row rows[] = {
    {.key = "listen",
     .type = CONFIG_TEXT,
     AT(config, listen),
     .text = "127.0.0.1:8080",
     .most = 256,
     .accept = config_text_listen,
     .unit = "address:port",
     .help = "ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH; port 0 picks a free one"},
    {.key = "data_dir",
     .type = CONFIG_TEXT,
     AT(config, data_dir),
     .text = "./sluice-data",
     .most = 1024,
     .accept = config_text_line,
     .unit = "path",
     .help = "the embedded Redis lives here"},
    {.key = "redis", .type = CONFIG_SECTION, .of = &redis_section, .help = "the shared state"},
    {.key = "auth", .type = CONFIG_SECTION, .of = &auth_section, .help = "who may call"},
    {.key = "tenants",
     .type = CONFIG_LIST,
     LIST_AT(config, tenants, tenant_count),
     .of = &tenant_section,
     .help = "who shares the budget; a name not listed has weight 1"},
    {.key = "providers",
     .type = CONFIG_LIST,
     LIST_AT(config, providers, provider_count),
     .of = &provider_section,
     .computed = "from OPENAI_API_KEY and ANTHROPIC_API_KEY",
     .help = "where requests go"},
    {.key = "trim_policies",
     .type = CONFIG_LIST,
     LIST_AT(config, trims, trim_count),
     .of = &config_table_trim,
     .help = "ways of trimming beside the presets"},
    {.key = "summaries",
     .type = CONFIG_SECTION,
     .of = &config_table_summaries,
     .help = "made by a model, for trimming"},
    {.key = "cache",
     .type = CONFIG_SECTION,
     .of = &config_table_cache,
     .help = "the same request, one answer"},
    {.key = "tls",
     .type = CONFIG_SECTION,
     .of = &config_table_tls,
     .help = "of the listener; left out: it is plain"},
    {.key = "costs", .type = CONFIG_SECTION, .of = &config_cost_costs, .help = "in money"},
    {.key = "http", .type = CONFIG_SECTION, .of = &http_section, .help = "towards clients"},
    {.key = "queue", .type = CONFIG_SECTION, .of = &queue_section, .help = "waiting"},
    {.key = "jobs", .type = CONFIG_SECTION, .of = &jobs_section, .help = "durable jobs"},
    {.key = "sessions", .type = CONFIG_SECTION, .of = &sessions_section, .help = "conversations"},
    {.key = "batcher",
     .type = CONFIG_SECTION,
     .of = &config_table_batcher,
     .help = "requests that are joined"},
    {.key = "webhooks",
     .type = CONFIG_SECTION,
     .of = &config_table_webhooks,
     .help = "events sent when jobs and batches end"},
    {.key = "batches",
     .type = CONFIG_SECTION,
     .of = &config_table_batches,
     .help = "files of requests"},
    {.key = "stats", .type = CONFIG_SECTION, .of = &stats_section, .help = "numbers of the past"},
    {.key = "log", .type = CONFIG_SECTION, .of = &log_section, .help = "on stderr"},
    INTEGER(config, drain_timeout_ms, "drain_timeout_ms", RANGE(0, DAY_MS, 600000), "ms",
            "after SIGTERM, running requests may go on so long"),
};

const struct config_section config_table = {
    .path = "", .size = sizeof(struct config), COUNT(rows), rows};
