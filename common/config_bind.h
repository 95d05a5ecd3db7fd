/*
 * config_bind: the table's rows between a YAML tree and a struct.
 */
#ifndef COMMON_CONFIG_BIND_H
#define COMMON_CONFIG_BIND_H

#include "common/config_table.h"
#include "common/yaml_tree.h"

/* Fills the zeroed struct at base with the section's defaults, then with what map says; map
 * NULL: defaults only. 0; -EINVAL, -E2BIG or -ENOMEM with e = "NAME:LINE:COLUMN: reason".
 * Whatever it returns, config_unbind() must be called once. */
int config_bind(const char *name, const struct yaml_tree *map, const struct config_section *section,
                void *base, struct error *e) MUST_CHECK;

/* Frees what the struct at base owns, wiping secrets; not base itself. */
void config_unbind(const struct config_section *section, void *base);

#endif
