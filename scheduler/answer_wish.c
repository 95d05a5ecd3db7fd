#include "scheduler/answer_wish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_S 2147483648 /* RFC 9111, section 1.2.2: a number above this counts as this */

/* delta-seconds, or the same in quotes. -1: it is none. */
static int64_t seconds(const char *text, size_t len)
{
    int64_t n = 0;
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        n = n < MOST_S ? n * 10 + (text[i] - '0') : MOST_S;
    }
    return len > 0 ? n : -1;
}

static bool is_named(const char *text, size_t len, const char *name)
{
    return len == strlen(name) && strncasecmp(text, name, len) == 0;
}

static void read_directive(const char *text, size_t len, struct answer_wish *w)
{
    const char *equals = memchr(text, '=', len);
    size_t name = equals ? (size_t)(equals - text) : len;
    int64_t n = equals ? seconds(equals + 1, len - name - 1) : -1;
    if (is_named(text, name, "no-store")) {
        w->no_store = true;
    } else if (is_named(text, name, "no-cache")) {
        w->no_cache = true;
    } else if (is_named(text, name, "max-age")) {
        n = n < 0 ? 0 : n;
        if (!w->has_max_age || n < w->max_age_s)
            w->max_age_s = n;
        w->has_max_age = true;
    } else if (is_named(text, name, "min-fresh")) {
        n = n < 0 ? MOST_S : n;
        if (n > w->min_fresh_s)
            w->min_fresh_s = n;
    }
}

static void read_control(const char *control, struct answer_wish *w)
{
    static const char blank[] = " \t";
    while (*control) {
        control += strspn(control, " \t,");
        size_t len = strcspn(control, ",");
        size_t used = len;
        while (used > 0 && strchr(blank, control[used - 1]))
            used--;
        if (used > 0)
            read_directive(control, used, w);
        control += len;
    }
}

int answer_wish_read(const char *asked, const char *control, struct answer_wish *ret,
                     struct error *e)
{
    *ret = (struct answer_wish){.mode = ANSWER_AUTO};
    if (control)
        read_control(control, ret);
    if (!asked)
        return 0;
    if (strcmp(asked, "on") == 0)
        ret->mode = ANSWER_ON;
    else if (strcmp(asked, "off") == 0)
        ret->mode = ANSWER_OFF;
    else if (strcmp(asked, "no-store") == 0)
        ret->no_store = true;
    else
        return error_set(e, -EINVAL, "x-sluice-cache is '%.40s'; it must be on, off or no-store.",
                         asked);
    return 0;
}

bool answer_wish_takes(const struct answer_wish *w, int64_t age_ms, int64_t left_ms)
{
    if (w->no_cache || w->mode == ANSWER_OFF || left_ms <= 0)
        return false;
    if (w->has_max_age && age_ms > w->max_age_s * 1000)
        return false;
    return left_ms >= w->min_fresh_s * 1000;
}
