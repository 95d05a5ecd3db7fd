#include "common/config_table.h"

#include "common/config.h"
#include "common/config_rows.h"
#include "common/config_text.h"
#include "common/limits.h"

#define URL_ROW(type_, field, what)                                                                \
    {                                                                                              \
        .key = "url", .type = CONFIG_TEXT, AT(type_, field), .optional = true,                     \
        .most = WEBHOOK_MAX_URL_BYTES, .accept = config_text_webhook, .unit = "URL",               \
        .help = (what)                                                                             \
    }
#define SECRET_ROW(type_, field, what)                                                             \
    {                                                                                              \
        .key = "secret", .type = CONFIG_TEXT, AT(type_, field), .optional = true, .secret = true,  \
        .least = 1, .most = 1024, .accept = config_text_webhook_secret, .help = (what)             \
    }

static const struct config_row webhook_rows[] = {
    URL_ROW(config, webhooks.all.url,
            "gets the events of jobs and batches that name no other; left out: nobody does"),
    SECRET_ROW(config, webhooks.all.secret,
               "whsec_ and base64 of 24 to 64 bytes; several parted by blanks all sign; left out: "
               "no webhooks"),
    {.key = "allow_private",
     .type = CONFIG_BOOL,
     AT(config, webhooks.allow_private),
     .help = "whether a URL may lead to private, local and reserved addresses"},
    INTEGER(config, webhooks.timeout_ms, "timeout_ms", RANGE(100, 60000, 15000), "ms",
            "for one attempt, with its answer"),
    INTEGER(config, webhooks.first_retry_ms, "first_retry_ms", RANGE(1, 60000, 5000), "ms",
            "until the second attempt; ten in all, over 54421 times as long"),
    INTEGER(config, webhooks.max_in_flight, "max_in_flight", RANGE(1, 1000, 32), "deliveries",
            "on their way at once, of this instance"),
    INTEGER(config, webhooks.max_per_endpoint, "max_per_endpoint", RANGE(1, 100, 4), "deliveries",
            "on their way at once to one server of a tenant, of all instances"),
    INTEGER(config, webhooks.kept_s, "kept_s", RANGE(60, 2592000, 259200), "s",
            "deliveries that have ended are listed so long"),
};
const struct config_section config_table_webhooks = {
    .path = "webhooks", .size = 0, COUNT(webhook_rows), webhook_rows};

static const struct config_row tenant_webhook_rows[] = {
    URL_ROW(config_tenant, webhook.url,
            "gets the events that name no other; left out: as webhooks"),
    SECRET_ROW(config_tenant, webhook.secret, "signs them; left out: as webhooks"),
};
const struct config_section config_table_tenant_webhook = {
    .path = "tenants[].webhook", .size = 0, COUNT(tenant_webhook_rows), tenant_webhook_rows};
