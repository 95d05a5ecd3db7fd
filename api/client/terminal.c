#include "api/client/terminal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR_CELLS 30

void terminal_init(struct terminal *t, FILE *out)
{
    const char *plain = getenv("NO_COLOR"), *term = getenv("TERM");
    t->out = out;
    t->rich = isatty(fileno(out)) == 1;
    t->coloured = t->rich && !(plain && *plain) && term && strcmp(term, "dumb") != 0;
}

const char *terminal_colour(const struct terminal *t, enum colour c)
{
    static const char *const codes[] = {
        [COLOUR_NONE] = "\033[0m", [COLOUR_BOLD] = "\033[1m",   [COLOUR_DIM] = "\033[2m",
        [COLOUR_RED] = "\033[31m", [COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m",
    };
    return t->coloured ? codes[c] : "";
}

enum colour terminal_status_colour(const char *status)
{
    if (strcmp(status, "succeeded") == 0)
        return COLOUR_GREEN;
    if (strcmp(status, "failed") == 0 || strcmp(status, "expired") == 0)
        return COLOUR_RED;
    return strcmp(status, "cancelled") == 0 ? COLOUR_DIM : COLOUR_YELLOW;
}

/* ---- tables */

void table_init(struct table *t, const char *const *titles, size_t columns)
{
    *t = (struct table){.titles = titles, .columns = columns};
}

/* C0 and DEL, and C1 in UTF-8 (C2 80 to C2 9F), which some terminals obey too. */
static void defuse(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
        else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
    }
}

void table_add_coloured(struct table *t, const char *text, enum colour colour)
{
    if (t->count == t->room) {
        size_t room = t->room ? t->room * 2 : 64;
        struct table_cell *more = realloc(t->cells, room * sizeof(*more));
        if (!more) {
            t->failed = true;
            return;
        }
        t->cells = more;
        t->room = room;
    }
    char *copy = strdup(text);
    if (!copy) {
        t->failed = true;
        return;
    }
    defuse(copy);
    t->cells[t->count++] = (struct table_cell){copy, colour};
}

void table_add(struct table *t, const char *text)
{
    table_add_coloured(t, text, COLOUR_NONE);
}

/* Characters, not bytes: a continuation byte takes no column. */
static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void put_cell(const struct terminal *term, const struct table_cell *cell, int width,
                     bool right, bool last)
{
    int gap = width - width_of(cell->text);
    const char *colour = cell->colour ? terminal_colour(term, cell->colour) : "";
    const char *end = *colour ? terminal_colour(term, COLOUR_NONE) : "";
    (void)fprintf(term->out, "%*s%s%s%s%*s%s", right ? gap : 0, "", colour, cell->text, end,
                  right || last ? 0 : gap, "", last ? "\n" : "  ");
}

static const char *title_of(const struct table *t, size_t column)
{
    const char *title = t->titles[column];
    return title + (*title == '>');
}

static void print_rich(const struct table *t, const struct terminal *term)
{
    int widths[TABLE_MAX_COLUMNS] = {0};
    bool right[TABLE_MAX_COLUMNS] = {false};
    for (size_t c = 0; c < t->columns; c++) {
        widths[c] = width_of(title_of(t, c));
        right[c] = *t->titles[c] == '>';
    }
    for (size_t i = 0; i < t->count; i++) {
        int width = width_of(t->cells[i].text);
        if (width > widths[i % t->columns])
            widths[i % t->columns] = width;
    }
    for (size_t c = 0; c < t->columns; c++) {
        char title[64];
        (void)snprintf(title, sizeof(title), "%s", title_of(t, c));
        struct table_cell cell = {title, COLOUR_BOLD};
        put_cell(term, &cell, widths[c], right[c], c + 1 == t->columns);
    }
    for (size_t i = 0; i < t->count; i++) {
        size_t c = i % t->columns;
        put_cell(term, &t->cells[i], widths[c], right[c], c + 1 == t->columns);
    }
}

int table_print(const struct table *t, const struct terminal *term)
{
    if (t->failed)
        return -ENOMEM;
    if (term->rich) {
        print_rich(t, term);
        return 0;
    }
    for (size_t i = 0; i < t->count; i++)
        (void)fprintf(term->out, "%s%c", t->cells[i].text, (i + 1) % t->columns ? '\t' : '\n');
    return 0;
}

void table_release(struct table *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i].text);
    free(t->cells);
    table_init(t, t->titles, t->columns);
}

/* ---- numbers */

const char *duration_text(int64_t ms, char out[DURATION_BYTES])
{
    int64_t s = ms / 1000, m = s / 60, h = m / 60;
    if (ms < 0)
        (void)snprintf(out, DURATION_BYTES, "-");
    else if (ms < 1000)
        (void)snprintf(out, DURATION_BYTES, "%" PRId64 "ms", ms);
    else if (s < 60)
        (void)snprintf(out, DURATION_BYTES, "%" PRId64 ".%" PRId64 "s", s, ms / 100 % 10);
    else if (m < 60)
        (void)snprintf(out, DURATION_BYTES, "%" PRId64 "m%02" PRId64 "s", m, s % 60);
    else if (h < 48)
        (void)snprintf(out, DURATION_BYTES, "%" PRId64 "h%02" PRId64 "m", h, m % 60);
    else
        (void)snprintf(out, DURATION_BYTES, "%" PRId64 "d%" PRId64 "h", h / 24, h % 24);
    return out;
}

const char *grouped_text(int64_t number, char out[GROUPED_BYTES])
{
    char digits[24];
    size_t used = 0;
    int n = snprintf(digits, sizeof(digits), "%" PRId64, number);
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-')
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

/* ---- progress */

void progress_show(struct progress *p, size_t done, size_t total, const char *note)
{
    char bar[BAR_CELLS + 1];
    size_t full = total ? done * BAR_CELLS / total : 0;
    if (!p->term->rich || total == 0)
        return;
    memset(bar, '.', BAR_CELLS);
    memset(bar, '#', full < BAR_CELLS ? full : BAR_CELLS);
    bar[BAR_CELLS] = '\0';
    (void)fprintf(p->term->out, "\r[%s] %zu of %zu%s%s\033[K", bar, done, total, *note ? ", " : "",
                  note);
    (void)fflush(p->term->out);
    p->shown = true;
}

void progress_clear(struct progress *p)
{
    if (!p->shown)
        return;
    (void)fputs("\r\033[K", p->term->out);
    (void)fflush(p->term->out);
    p->shown = false;
}
