/*
 * terminal: output for people: tables, colours, a progress bar.
 *
 * A stream that is a terminal gets titles, columns that line up and, unless NO_COLOR is set or
 * TERM is dumb, colours; any other gets the same cells parted by tabs, for cut and awk.
 * Texts of a service may hold anything: control bytes, which a terminal would obey, become '?'.
 *
 *   ownership  the structs are the caller's; texts are copied.
 *   errors     without memory a table stays short and table_print() says so.
 */
#ifndef API_CLIENT_TERMINAL_H
#define API_CLIENT_TERMINAL_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_DIM, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW };

struct terminal {
    FILE *out;
    bool rich; /* a terminal */
    bool coloured;
};

void terminal_init(struct terminal *t, FILE *out);
/* "" where there are no colours. COLOUR_NONE ends one. */
const char *terminal_colour(const struct terminal *t, enum colour c);
/* Of a job: green, red or yellow. */
enum colour terminal_status_colour(const char *status);

#define TABLE_MAX_COLUMNS 10

struct table_cell {
    char *text;
    enum colour colour;
};

struct table {
    const char *const *titles; /* kept */
    size_t columns;
    struct table_cell *cells;
    size_t count, room;
    bool failed;
};

/* A title that begins with '>' aligns its column to the right; the '>' is not shown. */
void table_init(struct table *t, const char *const *titles, size_t columns);
void table_add(struct table *t, const char *text); /* the next cell, row by row */
void table_add_coloured(struct table *t, const char *text, enum colour colour);
int table_print(const struct table *t, const struct terminal *term) MUST_CHECK; /* or -ENOMEM */
void table_release(struct table *t);

/* "850ms", "12.3s", "4m05s", "2h10m", "3d4h"; "-" below zero. */
#define DURATION_BYTES 24
const char *duration_text(int64_t ms, char out[DURATION_BYTES]);
/* "30,000". */
#define GROUPED_BYTES 32
const char *grouped_text(int64_t number, char out[GROUPED_BYTES]);

/* One line that is written over again, on a terminal only. */
struct progress {
    const struct terminal *term;
    bool shown;
};

void progress_show(struct progress *p, size_t done, size_t total, const char *note);
void progress_clear(struct progress *p); /* before anything else is written */

#endif
