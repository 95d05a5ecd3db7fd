#include "common/config.h"
#include "common/config_table.h"
#include "common/config_text.h"
#include "common/limits.h"

#define COUNT(rows)     (sizeof(rows) / sizeof((rows)[0]))
#define AT(type, field) .offset = offsetof(struct type, field)

static const struct config_row chat_group_rows[] = {
    {.key = "name",
     .type = CONFIG_TEXT,
     AT(config_chat_group, name),
     .required = true,
     .most = BATCH_GROUP_BYTES,
     .accept = config_text_name,
     .help = "as x-sluice-batch, or batchable of a job, names it"},
    {.key = "max_items",
     .type = CONFIG_INTEGER,
     AT(config_chat_group, max_items),
     .least = 2,
     .most = JOINT_MAX_ITEMS,
     .value = 8,
     .unit = "items",
     .help = "of one joint request"},
    {.key = "wait_ms",
     .type = CONFIG_INTEGER,
     AT(config_chat_group, wait_ms),
     .least = 0,
     .most = 10000,
     .value = 100,
     .unit = "ms",
     .help = "the first item waits so long for others"},
};
static const struct config_section chat_group_section = {.path = "batcher.chat.groups[]",
                                                         .size = sizeof(struct config_chat_group),
                                                         .row_count = COUNT(chat_group_rows),
                                                         .rows = chat_group_rows};

static const struct config_row chat_rows[] = {
    {.key = "enabled",
     .type = CONFIG_BOOL,
     AT(config, batcher.chat.enabled),
     .value = 1,
     .help = "chat requests that ask for it are joined; false: each goes alone"},
    {.key = "max_items",
     .type = CONFIG_INTEGER,
     AT(config, batcher.chat.max_items),
     .least = 2,
     .most = JOINT_MAX_ITEMS,
     .value = 8,
     .unit = "items",
     .help = "of one joint request"},
    {.key = "wait_ms",
     .type = CONFIG_INTEGER,
     AT(config, batcher.chat.wait_ms),
     .least = 0,
     .most = 100,
     .value = 100,
     .unit = "ms",
     .help = "the first item waits so long for others"},
    {.key = "groups",
     .type = CONFIG_LIST,
     AT(config, batcher.chat.groups),
     .count_offset = offsetof(struct config, batcher.chat.group_count),
     .of = &chat_group_section,
     .help = "groups with a size and a wait of their own"},
};
static const struct config_section chat_section = {
    .path = "batcher.chat", .size = 0, .row_count = COUNT(chat_rows), .rows = chat_rows};

static const struct config_row embeddings_rows[] = {
    {.key = "enabled",
     .type = CONFIG_BOOL,
     AT(config, batcher.embeddings.enabled),
     .value = 1,
     .help = "small requests for embeddings go out as one; false: each goes alone"},
    {.key = "wait_ms",
     .type = CONFIG_INTEGER,
     AT(config, batcher.embeddings.wait_ms),
     .least = 0,
     .most = 1000,
     .value = 5,
     .unit = "ms",
     .help = "the first one waits so long for others"},
    {.key = "max_inputs",
     .type = CONFIG_INTEGER,
     AT(config, batcher.embeddings.max_inputs),
     .optional = true,
     .least = 1,
     .most = EMBED_MAX_INPUTS,
     .value = CONFIG_ABSENT,
     .unit = "inputs",
     .help = "of one request; left out: as the provider's profile has it"},
    {.key = "max_tokens",
     .type = CONFIG_INTEGER,
     AT(config, batcher.embeddings.max_tokens),
     .optional = true,
     .least = 1,
     .most = CONFIG_MAX_LIMIT,
     .value = CONFIG_ABSENT,
     .unit = "tokens",
     .help = "of one request; left out: as the provider's profile has it"},
};
static const struct config_section embeddings_section = {.path = "batcher.embeddings",
                                                         .size = 0,
                                                         .row_count = COUNT(embeddings_rows),
                                                         .rows = embeddings_rows};

static const struct config_row batcher_rows[] = {
    {.key = "embeddings",
     .type = CONFIG_SECTION,
     .of = &embeddings_section,
     .help = "small requests for embeddings that go out as one"},
    {.key = "chat",
     .type = CONFIG_SECTION,
     .of = &chat_section,
     .help = "small chat requests that go out as one"},
};

const struct config_section config_table_batcher = {
    .path = "batcher", .size = 0, .row_count = COUNT(batcher_rows), .rows = batcher_rows};
