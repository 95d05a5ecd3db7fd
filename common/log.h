/*
 * log: one line per event on stderr, text on a terminal and JSON elsewhere.
 *
 * A line is a level, a short constant message and key=value fields:
 *
 *   log_write(LOG_WARN, "redis connection lost", "reason", reason, "retry_ms", "250", NULL);
 *
 * Values are escaped; a value is cut at LOG_VALUE_BYTES. Never pass a key, a
 * header value that may hold one, or a prompt: no function here can tell.
 * Logged once, where the decision to go on or to stop is made.
 *
 *   threads    one; the level and format are the process's only mutable globals.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>

#define LOG_VALUE_BYTES 512

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON };

void log_setup(enum log_level least, enum log_format format);

/* True when a line of this level would be written; guards costly arguments. */
bool log_enabled(enum log_level level);

/* Fields are pairs of (const char *key, const char *value), ended by NULL. A NULL
 * value is written as an empty one. */
void log_write(enum log_level level, const char *message, ...) __attribute__((sentinel));

/* "%lld" into a caller's buffer of LOG_NUMBER_BYTES, for a field's value. */
#define LOG_NUMBER_BYTES 24
const char *log_number(char *buffer, long long value);

#endif
