/*
 * Any header values in any dialect: every number that comes out is in its range.
 *
 * The first byte picks the dialect; the rest is cut at line feeds, and each header that is asked
 * for gets the next line.
 */
#include "limiter/hint.h"
#include "limiter/hint_text.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1767225600000)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct lines {
    char *at, *end;
};

static const char *next_line(void *arg, const char *name)
{
    struct lines *l = arg;
    (void)name;
    if (l->at >= l->end)
        return NULL;
    char *line = l->at;
    char *end = memchr(line, '\n', (size_t)(l->end - line));
    if (!end)
        end = l->end;
    *end = '\0';
    l->at = end + 1;
    return line;
}

static void check(const struct hint *h)
{
    if (!memchr(h->dim, '\0', sizeof(h->dim)) || h->limit < -1 || h->limit == 0 ||
        h->limit > HINT_MAX_AMOUNT || h->remaining < -1 || h->remaining > HINT_MAX_AMOUNT ||
        h->reset_ms < -1 || h->reset_ms > HINT_MAX_MS || h->grain < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct hints h;
    if (len == 0)
        return 0;
    char *text = malloc(len);
    if (!text)
        return 0;
    memcpy(text, bytes + 1, len - 1);
    text[len - 1] = '\0';
    struct lines lines = {text, text + len - 1};
    struct hint_source source = {next_line, &lines};
    hints_read((enum hint_dialect)(bytes[0] % HINT_DIALECTS), &source, NOW_MS, &h);
    if (h.count > HINT_MAX)
        abort();
    for (size_t i = 0; i < h.count; i++)
        check(&h.list[i]);
    free(text);
    return 0;
}
