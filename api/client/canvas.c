#include "api/client/canvas.h"

#include "common/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 1024 /* of canvas_putf() */
#define EIGHTHS    8

struct range {
    uint32_t first, last;
};

static bool is_among(uint32_t character, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (character >= ranges[i].first && character <= ranges[i].last)
            return true;
    }
    return false;
}
#define AMONG(character, ranges) is_among(character, ranges, sizeof(ranges) / sizeof((ranges)[0]))

/* Unicode 16.0, East Asian Width W and F, by blocks. wcwidth() knows more, but only what the
 * environment's locale has, and nothing in a test. */
static const struct range wide[] = {
    {0x1100, 0x115f},   {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
    {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
    {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd},
};
static const struct range combining[] = {
    {0x300, 0x36f}, {0x200b, 0x200d}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}};
/* C0, DEL and C1; line and paragraph separators; what turns the direction of writing, with which
 * a name could stand where another one is expected. */
static const struct range harmful[] = {
    {0, 0x1f},        {0x7f, 0x9f},     {0x61c, 0x61c},   {0x200e, 0x200f},   {0x2028, 0x202e},
    {0x2066, 0x2069}, {0xfff9, 0xfffb}, {0xfeff, 0xfeff}, {0xe0000, 0xe007f},
};

struct glyph {
    const char *bytes;
    size_t len; /* as it is written */
    int columns;
};

/* The next character of a text as it is shown; moves *text behind it. */
static struct glyph next_glyph(const char **text, const char *end, bool utf8)
{
    const char *at = *text;
    size_t len = 0;
    uint32_t character = utf8_next((const unsigned char *)at, (const unsigned char *)end, &len);
    bool broken = character == UTF8_REPLACEMENT && len != UTF8_REPLACEMENT_BYTES;
    *text = at + len;
    if (AMONG(character, harmful) || broken || (!utf8 && character >= 0x80))
        return (struct glyph){"?", 1, 1};
    int columns = AMONG(character, combining) ? 0 : AMONG(character, wide) ? 2 : 1;
    return (struct glyph){at, len, columns};
}

static int columns_of(const char *text, bool utf8)
{
    int columns = 0;
    for (const char *end = text + strlen(text); text < end;)
        columns += next_glyph(&text, end, utf8).columns;
    return columns;
}

static bool is_hidden(const struct canvas *c)
{
    return c->line < c->skip || (c->rows > 0 && c->line >= c->skip + c->rows);
}

/* At most so many columns of it; how many it took. */
static int put_within(struct canvas *c, enum colour colour, const char *text, int most)
{
    int taken = 0;
    const char *paint = colour && *text ? terminal_colour(c->term, colour) : "";
    if (c->columns > 0 && most > c->columns - c->used)
        most = c->columns - c->used;
    if (is_hidden(c))
        return 0;
    (void)buf_adds(c->out, paint);
    for (const char *end = text + strlen(text); text < end;) {
        struct glyph g = next_glyph(&text, end, c->utf8);
        if (taken + g.columns > most)
            break;
        (void)buf_add(c->out, g.bytes, g.len);
        taken += g.columns;
    }
    if (*paint)
        (void)buf_adds(c->out, terminal_colour(c->term, COLOUR_NONE));
    c->used += taken;
    return taken;
}

void canvas_put(struct canvas *c, enum colour colour, const char *text)
{
    (void)put_within(c, colour, text, INT32_MAX);
}

void canvas_putf(struct canvas *c, enum colour colour, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    canvas_put(c, colour, text);
}

static void put_blanks(struct canvas *c, int count)
{
    for (int i = 0; i < count; i++)
        (void)put_within(c, COLOUR_NONE, " ", 1);
}

void canvas_fit(struct canvas *c, enum colour colour, const char *text, int columns)
{
    int taken = 0;
    if (columns <= 0)
        return;
    if (columns_of(text, c->utf8) <= columns) {
        taken = put_within(c, colour, text, columns);
    } else {
        taken = put_within(c, colour, text, columns - 1);
        taken += put_within(c, colour, c->utf8 ? "\xe2\x80\xa6" : "~", 1);
    }
    put_blanks(c, columns - taken);
}

void canvas_fit_right(struct canvas *c, enum colour colour, const char *text, int columns)
{
    int width = columns_of(text, c->utf8);
    put_blanks(c, columns - width);
    canvas_fit(c, colour, text, width < columns ? width : columns);
}

void canvas_bar(struct canvas *c, enum colour colour, int columns, int64_t part, int64_t whole)
{
    /* Blocks that fill a cell by eighths, U+258F to U+2588: the last byte tells how far. */
    char text[512] = "";
    size_t used = 0;
    double share = whole > 0 ? (double)part / (double)whole : 0;
    if (columns > 80)
        columns = 80;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    int eighths = (int)(share * columns * EIGHTHS);
    for (int i = 0; i < columns; i++) {
        int here = eighths - i * EIGHTHS;
        if (!c->utf8)
            text[used++] = here >= EIGHTHS / 2 ? '#' : '.';
        else if (here <= 0)
            text[used++] = ' ';
        else
            used += (size_t)snprintf(text + used, sizeof(text) - used, "\xe2\x96%c",
                                     (char)(0x90 - (here > EIGHTHS ? EIGHTHS : here)));
    }
    text[used] = '\0';
    canvas_put(c, COLOUR_DIM, "[");
    canvas_put(c, colour, text);
    canvas_put(c, COLOUR_DIM, "]");
}

void canvas_end(struct canvas *c)
{
    if (!is_hidden(c))
        (void)buf_adds(c->out, "\n");
    c->line++;
    c->used = 0;
}
