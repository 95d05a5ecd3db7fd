/*
 * file: reads a file whole. For start-up and commands: it blocks.
 */
#ifndef COMMON_FILE_H
#define COMMON_FILE_H

#include "common/buf.h"

#include <stddef.h>

/* Reads path into bytes and ends it with a NUL that *ret_len leaves out. 0; -EFBIG when the
 * file does not fit into size - 1 bytes; else the errno of open(2) or read(2), negative.
 * What was read before a failure is wiped, since it may be a secret. */
int file_read(const char *path, char *bytes, size_t size, size_t *ret_len) MUST_CHECK;

/* Appends what path holds, or standard input when it is "-". 0; -EFBIG past the maximum of the
 * buffer; else the errno of open(2) or read(2), negative. */
int file_append(const char *path, struct buf *into) MUST_CHECK;

#endif
