#include "common/config.h"
#include "common/config_table.h"
#include "common/limits.h"

#define COUNT(rows)     (sizeof(rows) / sizeof((rows)[0]))
#define AT(type, field) .offset = offsetof(struct type, field)

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
};

const struct config_section config_table_batcher = {
    .path = "batcher", .size = 0, .row_count = COUNT(batcher_rows), .rows = batcher_rows};
