/*
 * error: how a function of ours says what went wrong.
 *
 *   could it be done   0, or a negative errno
 *   what was decided   an enum of the module
 *   text for people    a caller's struct error, written only on failure
 */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

#define ERROR_TEXT_BYTES 320

#define MUST_CHECK      __attribute__((warn_unused_result))
#define PRINTF_AT(f, a) __attribute__((format(printf, f, a)))

struct error {
    char text[ERROR_TEXT_BYTES]; /* one sentence, no newline; "" when nothing failed */
};

/* Formats e->text (cut at ERROR_TEXT_BYTES - 1) and returns code, so that
 * `return error_set(e, -EINVAL, ...)` is one line. e may be NULL. */
int error_set(struct error *e, int code, const char *format, ...) PRINTF_AT(3, 4);

#endif
