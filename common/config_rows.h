/*
 * config_rows: how the rows of the configuration's tables are written. Only for
 * common/config_table*.c and config_cost.*.
 */
#ifndef COMMON_CONFIG_ROWS_H
#define COMMON_CONFIG_ROWS_H

#include "common/config_table.h"

#define COUNT(rows)     (sizeof(rows) / sizeof((rows)[0]))
#define AT(type, field) .offset = offsetof(struct type, field)
#define LIST_AT(type, items, count)                                                                \
    .offset = offsetof(struct type, items), .count_offset = offsetof(struct type, count)

#define RANGE(from, to, fallback) .least = (from), .most = (to), .value = (fallback)
#define INTEGER(type_, field, name, range, per, what)                                              \
    {                                                                                              \
        .key = (name), .type = CONFIG_INTEGER, AT(type_, field), range, .unit = (per),             \
        .help = (what)                                                                             \
    }

#define HOUR_MS INT64_C(3600000)
#define DAY_MS  (24 * HOUR_MS)

#endif
