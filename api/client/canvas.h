/*
 * canvas: lines of bounded width and number, made of texts that may hold anything.
 *
 * What a terminal would obey instead of showing (control bytes in any form, marks that turn the
 * direction of writing) becomes '?'. Width is counted in columns: wide characters take two,
 * combining ones none. What does not fit is cut at the edge, never wrapped.
 *
 *   ownership  out is borrowed; failures stand in out->failed.
 *   threads    none.
 */
#ifndef API_CLIENT_CANVAS_H
#define API_CLIENT_CANVAS_H

#include "api/client/terminal.h"

#include "common/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct canvas {
    struct buf *out;
    const struct terminal *term; /* for its colours */
    int columns;                 /* 0: lines have no maximum */
    int skip, rows;              /* leave out so many lines, then keep at most rows; 0: all */
    bool utf8;                   /* else only ASCII is written */
    int used, line;              /* columns of this line; its number */
};

void canvas_put(struct canvas *c, enum colour colour, const char *text);
void canvas_putf(struct canvas *c, enum colour colour, const char *format, ...) PRINTF_AT(3, 4);
/* Exactly so many columns: blanks behind it, or cut with a mark that says so. */
void canvas_fit(struct canvas *c, enum colour colour, const char *text, int columns);
void canvas_fit_right(struct canvas *c, enum colour colour, const char *text, int columns);
/* How much of whole is there. Below zero is empty, above whole is full. */
void canvas_bar(struct canvas *c, enum colour colour, int columns, int64_t part, int64_t whole);
void canvas_end(struct canvas *c); /* of the line */

#endif
