/*
 * config_check: what no single key can say: names that clash, limits that can never act,
 * an open service on an open address.
 */
#ifndef COMMON_CONFIG_CHECK_H
#define COMMON_CONFIG_CHECK_H

#include "common/config.h"
#include "common/yaml_tree.h"

/* Fills the defaults that come from other keys (base_url, profile, pool, a provider's "*"
 * row) and gives all rows of a pool the limits that are stated once. 0 or -ENOMEM. */
int config_complete(struct config *c) MUST_CHECK;

/* root is the tree that c was read from, for lines and columns; NULL: without them. 0, or
 * -EINVAL with e = "NAME:LINE:COLUMN: reason". */
int config_check(const char *name, const struct yaml_tree *root, const struct config *c,
                 struct error *e) MUST_CHECK;

#endif
