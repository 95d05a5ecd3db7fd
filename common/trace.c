#include "common/trace.h"

#include "common/rand.h"

#include <stdio.h>
#include <string.h>

#define AT_ID    3
#define AT_SPAN  (AT_ID + TRACE_ID_DIGITS + 1)
#define AT_FLAGS (AT_SPAN + TRACE_SPAN_DIGITS + 1)
#define LENGTH   (AT_FLAGS + 2)
#define KNOWN    0x03U

static bool are_digits(const char *text, size_t n)
{
    return strspn(text, "0123456789abcdef") >= n; /* capital letters are not allowed */
}

static bool are_zeros(const char *text, size_t n)
{
    return strspn(text, "0") >= n;
}

static bool is_valid(const char *given)
{
    if (strlen(given) < LENGTH || given[2] != '-' || given[AT_SPAN - 1] != '-' ||
        given[AT_FLAGS - 1] != '-')
        return false;
    if (!are_digits(given, 2) || memcmp(given, "ff", 2) == 0 || !are_digits(given + AT_FLAGS, 2))
        return false;
    bool newer = memcmp(given, "00", 2) != 0;
    if (given[LENGTH] != '\0' && !(newer && given[LENGTH] == '-'))
        return false;
    return are_digits(given + AT_ID, TRACE_ID_DIGITS) &&
           !are_zeros(given + AT_ID, TRACE_ID_DIGITS) &&
           are_digits(given + AT_SPAN, TRACE_SPAN_DIGITS) &&
           !are_zeros(given + AT_SPAN, TRACE_SPAN_DIGITS);
}

static void take_span(struct trace *t)
{
    do
        rand_hex(t->span, TRACE_SPAN_DIGITS);
    while (are_zeros(t->span, TRACE_SPAN_DIGITS));
}

bool trace_read(const char *given, struct trace *ret)
{
    *ret = (struct trace){.id = ""};
    if (!given || !is_valid(given))
        return false;
    memcpy(ret->id, given + AT_ID, TRACE_ID_DIGITS);
    (void)sscanf(given + AT_FLAGS, "%2x", &ret->flags);
    ret->flags &= KNOWN;
    take_span(ret);
    return true;
}

void trace_start(struct trace *ret)
{
    *ret = (struct trace){.id = ""};
    do
        rand_hex(ret->id, TRACE_ID_DIGITS);
    while (are_zeros(ret->id, TRACE_ID_DIGITS));
    take_span(ret);
}

const char *trace_parent(const struct trace *t, char out[TRACE_PARENT_BYTES])
{
    out[0] = '\0';
    if (*t->id)
        (void)snprintf(out, TRACE_PARENT_BYTES, "00-%s-%s-%02x", t->id, t->span, t->flags & KNOWN);
    return out;
}
