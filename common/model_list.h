/*
 * model_list: the models that somebody may use: names, or patterns with '*' at the end, each
 * behind a blank. An empty list (or NULL) allows all.
 */
#ifndef COMMON_MODEL_LIST_H
#define COMMON_MODEL_LIST_H

#include <stdbool.h>

bool model_list_allows(const char *list, const char *model);

#endif
