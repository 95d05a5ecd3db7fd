/*
 * settings_json: the settings of a model as the API tells them.
 */
#ifndef API_SETTINGS_JSON_H
#define API_SETTINGS_JSON_H

#include "scheduler/settings.h"

#include <jansson.h>

/* Seed, configuration, what is saved, and what comes of them, each value with its source. model: a
 * row's name, or one that a row serves. NULL: no memory. */
json_t *settings_json(const struct settings *s, const struct config_provider *provider,
                      const char *model);
/* All rows, and what is saved besides for models that they serve. */
json_t *settings_json_list(const struct settings *s, const struct config *c);

#endif
