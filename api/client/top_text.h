/*
 * top_text: one picture of `sluice top`, made of two answers of GET /v1/stats.
 *
 * Nothing is asked and nothing is written but to the buffer: the same frame gives the same text.
 * Rates are what changed between the answers; members that are missing are shown as "-".
 *
 *   units      gap_ms between the answers; sizes in columns and rows of the terminal
 *   ownership  all is borrowed.
 *   errors     in out->failed (no memory, or larger than the buffer may become).
 */
#ifndef API_CLIENT_TOP_TEXT_H
#define API_CLIENT_TOP_TEXT_H

#include "api/client/terminal.h"

#include "common/buf.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

enum top_view { TOP_POOLS, TOP_TENANTS, TOP_MODELS, TOP_INSTANCES, TOP_VIEWS };
enum top_sort { TOP_BY_NAME, TOP_BY_WAITING, TOP_BY_RUNNING, TOP_BY_RATE, TOP_SORTS };

struct top_frame {
    const json_t *now, *before; /* NULL: nothing was answered yet; there is no earlier one */
    int64_t gap_ms;
    const char *url;
    const char *trouble; /* why the picture is old; NULL: it is not */
    int columns, rows;   /* 0: without a maximum */
    int scroll;          /* lines of the view that are left out above */
    enum top_view view;
    enum top_sort sort;
    bool utf8;
    bool paused;
    bool keys; /* tells the keys; else all views stand one below the other */
};

/* Returns how many lines the view has, so that a caller can bound its scrolling. */
int top_text(const struct top_frame *f, const struct terminal *term, struct buf *out);

#endif
