#include "common/config_table.h"

#include "common/config.h"
#include "common/config_rows.h"
#include "common/config_text.h"

static const struct config_row tls_rows[] = {
    {.key = "certificate",
     .type = CONFIG_TEXT,
     AT(config, tls.certificate),
     .optional = true,
     .most = 1024,
     .accept = config_text_line,
     .unit = "path",
     .help = "file (PEM) with the chain, the listener's own first; SIGHUP reads it again"},
    {.key = "key",
     .type = CONFIG_TEXT,
     AT(config, tls.key),
     .optional = true,
     .most = 1024,
     .accept = config_text_line,
     .unit = "path",
     .help = "file (PEM) with its key, without a passphrase"},
};
const struct config_section config_table_tls = {
    .path = "tls", .size = 0, COUNT(tls_rows), tls_rows};
