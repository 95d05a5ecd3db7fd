/*
 * config_trim: the ways of trimming that a configuration knows by name.
 *
 * A name is a preset, an entry of trim_policies, or "none".
 */
#ifndef COMMON_CONFIG_TRIM_H
#define COMMON_CONFIG_TRIM_H

#include "common/config.h"
#include "common/yaml_tree.h"

/* The entry of that name; NULL when there is none (a preset has none). */
const struct config_trim *config_trim_find(const struct config *c, const char *name);
/* Whether requests may ask for it. */
bool config_trim_is_known(const struct config *c, const char *name);

/* For config_check(): names that clash or lead nowhere, policies that do nothing. */
int config_trim_check(const char *name, const struct yaml_tree *root, const struct config *c,
                      struct error *e) MUST_CHECK;

#endif
