#include "scheduler/call_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void call_told(struct call *c, const struct wire_answer *answer)
{
    struct call_told *told = &c->told;
    told->answered = true;
    told->failure = answer->failure;
    told->retry_after_ms = answer->retry_after_ms;
    memcpy(told->dimension, answer->dimension, sizeof(told->dimension));
    memcpy(told->reason, answer->reason, sizeof(told->reason));
    for (size_t i = 0; i < answer->hints.count; i++)
        hints_add(&told->hints, &answer->hints.list[i]);
}

/* An item that does not fit is left out whole: a cut one would say something else. */
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

static const char *refused_dim(const struct call_told *told)
{
    return told->dimension[0] ? told->dimension : "*";
}

static void add_verdict(const struct call_told *told, bool good, char *out)
{
    switch (told->failure) {
    case WIRE_RATE:
        add(out, "refused %s rate;", refused_dim(told));
        break;
    case WIRE_RAMP:
        add(out, "refused * ramp;");
        break;
    case WIRE_OVERLOAD:
        add(out, "overload;");
        break;
    case WIRE_QUOTA:
        add(out, "money %s %" PRId64 ";", told->reason[0] ? told->reason : "quota",
            told->retry_after_ms);
        break;
    default:
        if (good)
            add(out, "good;");
        break;
    }
}

void call_news(const struct call *c, char out[STORE_NEWS_BYTES])
{
    out[0] = '\0';
    if (c->outcome.unsent)
        return;
    for (size_t i = 0; i < c->told.hints.count; i++) {
        const struct hint *h = &c->told.hints.list[i];
        add(out, "limit %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 ";", h->dim, h->limit,
            h->remaining, h->grain, h->debt);
    }
    if (c->told.answered)
        add_verdict(&c->told, c->told.failure == WIRE_OK && c->status < 400, out);
}

void call_refuse_circuit(const struct call *c, const struct store_turn *turn,
                         struct call_failure *ret)
{
    call_failure_set(ret, 429, "provider_circuit_open",
                     "The account at %s has no budget left: the provider answered '%s'. Nothing is "
                     "sent to it now; one request tries again in %" PRId64 " s.",
                     c->provider->name, turn->detail, (turn->detail_number + 999) / 1000);
    ret->retry_after_ms = turn->detail_number;
}
