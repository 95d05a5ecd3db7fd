#include "common/config.h"
#include "common/config_table.h"
#include "common/limits.h"

static const struct config_row rows[] = {
    {.key = "enabled",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct config, cache.enabled),
     .help = ("answers to requests that would be answered the same again (temperature 0, a seed, "
              "embeddings) are kept and shared; else only those with x-sluice-cache: on")},
    {.key = "memory_bytes",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct config, cache.memory_bytes),
     .least = 0,
     .most = 1024 * 1024 * MIB,
     .value = 64 * MIB,
     .unit = "bytes",
     .help = "of all kept answers, in each instance; the least used go first"},
    {.key = "max_entry_bytes",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct config, cache.max_entry_bytes),
     .least = KIB,
     .most = ANSWER_MAX_BYTES,
     .value = 256 * KIB,
     .unit = "bytes",
     .help = "a larger answer is not kept"},
    {.key = "ttl_s",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct config, cache.ttl_s),
     .least = 1,
     .most = 31536000,
     .value = 3600,
     .unit = "s",
     .help = "answers are kept so long"},
    {.key = "redis",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct config, cache.redis),
     .help = "they are kept there as well, for all instances and over restarts"},
};

const struct config_section config_table_cache = {
    .path = "cache", .size = 0, .row_count = sizeof(rows) / sizeof(rows[0]), .rows = rows};
