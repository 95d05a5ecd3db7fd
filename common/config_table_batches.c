#include "common/config_table.h"

#include "common/config.h"
#include "common/config_rows.h"
#include "common/limits.h"

static const struct config_row batches_rows[] = {
    INTEGER(config, batches.provider_poll_ms, "provider_poll_ms", RANGE(10, HOUR_MS, 60000), "ms",
            "a batch that was handed to its provider is looked at at least so often"),
    INTEGER(config, batches.output_ttl_s, "output_ttl_s", RANGE(0, 31536000, 2592000), "s",
            "output and error files are kept so long; 0: until they are deleted"),
    INTEGER(config, batches.max_files, "max_files", RANGE(1, 100000, 1000), "files",
            "of one tenant, results included"),
    INTEGER(config, batches.max_bytes, "max_bytes", RANGE(1, INT64_C(1000000000000), 10000000000),
            "bytes", "in the files of one tenant, results included"),
};
const struct config_section config_table_batches = {
    .path = "batches", .size = 0, COUNT(batches_rows), batches_rows};
