/*
 * config_env: fills ${NAME} and ${file:PATH} into a text value.
 *
 * NAME is read from the environment, PATH (as it stands, relative to the working directory)
 * from a file, of which one last newline is dropped. "$${" stands for a plain "${". What was
 * filled in is not looked at again.
 */
#ifndef COMMON_CONFIG_ENV_H
#define COMMON_CONFIG_ENV_H

#include "common/error.h"

#include <stddef.h>

/* 0; -ENODATA when a variable is not set; else -EINVAL, -EFBIG or the errno of the file. e
 * says which variable or file, never what it holds. out is wiped on failure. */
int config_env_fill(const char *text, char *out, size_t size, struct error *e) MUST_CHECK;

#endif
