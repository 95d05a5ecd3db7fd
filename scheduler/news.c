#include "scheduler/news.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void news_answer(struct news *n, const struct wire_answer *answer, int status)
{
    n->answered = true;
    n->good = answer->failure == WIRE_OK && status < 400;
    n->answer = *answer;
    for (size_t i = 0; i < answer->hints.count; i++)
        hints_add(&n->hints, &answer->hints.list[i]);
}

/* A cut item would say something else. */
__attribute__((format(printf, 2, 3))) static void add(char *out, const char *format, ...)
{
    char item[128];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(item, sizeof(item), format, args);
    va_end(args);
    size_t used = strlen(out);
    if (n > 0 && (size_t)n < sizeof(item) && used + (size_t)n < STORE_NEWS_BYTES)
        memcpy(out + used, item, (size_t)n + 1);
}

static void add_verdict(const struct news *n, char *out)
{
    const struct wire_answer *a = &n->answer;
    switch (a->failure) {
    case WIRE_RATE:
        add(out, "refused %s rate;", a->dimension[0] ? a->dimension : "*");
        break;
    case WIRE_RAMP:
        add(out, "refused * ramp;");
        break;
    case WIRE_OVERLOAD:
        add(out, "overload;");
        break;
    case WIRE_QUOTA:
        add(out, "money %s %" PRId64 ";", a->reason[0] ? a->reason : "quota", a->retry_after_ms);
        break;
    default:
        if (n->good)
            add(out, "good;");
        break;
    }
}

void news_text(const struct news *n, char out[STORE_NEWS_BYTES])
{
    out[0] = '\0';
    for (size_t i = 0; i < n->hints.count; i++) {
        const struct hint *h = &n->hints.list[i];
        add(out, "limit %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 ";", h->dim, h->limit,
            h->remaining, h->grain, h->debt);
    }
    if (n->answered)
        add_verdict(n, out);
}
