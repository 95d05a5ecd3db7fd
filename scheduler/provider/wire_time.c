#include "scheduler/provider/wire_time.h"

#include "common/limits.h"

#include <math.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define SECOND_MS 1000
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    INT64_C(86400000)

static int64_t bounded_ms(double ms)
{
    if (ms <= 0)
        return 0;
    /* 6.2 s is 6200.000000000001 ms in binary: that is no reason to wait 6201. */
    double up = ceil(ms - 1e-6);
    return up < (double)WIRE_MAX_RETRY_AFTER_MS ? (int64_t)up : WIRE_MAX_RETRY_AFTER_MS;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Digits with at most one point between them. Bytes used, 0 when there is no number. A point
 * without a digit behind it is the end of a sentence. */
static size_t read_decimal(const char *text, size_t len, double *ret)
{
    double value = 0, scale = 1;
    size_t i = 0;
    while (i < len && is_digit(text[i]))
        value = value * 10 + (text[i++] - '0');
    if (i == 0)
        return 0;
    if (i + 1 < len && text[i] == '.' && is_digit(text[i + 1])) {
        i++;
        while (i < len && is_digit(text[i])) {
            scale /= 10;
            value += (text[i++] - '0') * scale;
        }
    }
    *ret = value;
    return i;
}

static const struct {
    const char *name;
    double ms;
} units[] = {
    {"ns", 1e-6},        {"us", 1e-3},          {"ms", 1},
    {"s", SECOND_MS},    {"m", MINUTE_MS},      {"h", HOUR_MS},
    {"d", DAY_MS},       {"sec", SECOND_MS},    {"second", SECOND_MS},
    {"min", MINUTE_MS},  {"minute", MINUTE_MS}, {"hour", HOUR_MS},
    {"day", DAY_MS},     {"secs", SECOND_MS},   {"seconds", SECOND_MS},
    {"mins", MINUTE_MS}, {"hours", HOUR_MS},    {"minutes", MINUTE_MS},
    {"milliseconds", 1}, {"days", DAY_MS},
};

/* The unit at text, perhaps behind a space. Bytes used, 0 when there is none. */
static size_t read_unit(const char *text, size_t len, double *ret_ms)
{
    size_t from = len > 0 && text[0] == ' ' ? 1 : 0, to = from;
    while (to < len && is_letter(text[to]))
        to++;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strlen(units[i].name) == to - from &&
            strncasecmp(units[i].name, text + from, to - from) == 0) {
            *ret_ms = units[i].ms;
            return to;
        }
    }
    return 0;
}

bool wire_duration(const char *text, size_t len, int64_t *ret_ms)
{
    double sum_ms = 0;
    bool any = false;
    for (size_t at = 0; at < len;) {
        double value, unit_ms;
        size_t digits = read_decimal(text + at, len - at, &value);
        size_t unit = digits ? read_unit(text + at + digits, len - at - digits, &unit_ms) : 0;
        if (unit == 0)
            break;
        sum_ms += value * unit_ms;
        any = true;
        at += digits + unit;
    }
    if (any)
        *ret_ms = bounded_ms(sum_ms);
    return any;
}

/* A whole text that is one number, with spaces around it at most. */
static bool read_number(const char *text, double *ret)
{
    text += strspn(text, " \t");
    bool negative = *text == '-';
    text += negative;
    size_t used = read_decimal(text, strlen(text), ret);
    if (used == 0 || text[used + strspn(text + used, " \t")] != '\0')
        return false;
    if (negative)
        *ret = -*ret;
    return true;
}

static bool read_date(const char *text, int64_t *ret_ms)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %d %H:%M:%S %Y",
    };
    text += strspn(text, " \t");
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        if (end && end[strspn(end, " \t")] == '\0') {
            *ret_ms = (int64_t)timegm(&tm) * SECOND_MS;
            return true;
        }
    }
    return false;
}

bool wire_retry_after(const char *text, int64_t now_wall_ms, int64_t *ret_ms)
{
    double seconds;
    int64_t date_ms;
    if (read_number(text, &seconds)) {
        *ret_ms = bounded_ms(seconds * SECOND_MS);
        return true;
    }
    if (!read_date(text, &date_ms))
        return false;
    *ret_ms = bounded_ms((double)(date_ms - now_wall_ms));
    return true;
}

bool wire_milliseconds(const char *text, int64_t *ret_ms)
{
    double ms;
    if (!read_number(text, &ms))
        return false;
    *ret_ms = bounded_ms(ms);
    return true;
}

int64_t wire_until_next_month_ms(int64_t now_wall_ms)
{
    time_t now = (time_t)(now_wall_ms / SECOND_MS);
    struct tm tm;
    if (!gmtime_r(&now, &tm))
        return DAY_MS;
    struct tm next = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1, .tm_mday = 1};
    return bounded_ms((double)((int64_t)timegm(&next) * SECOND_MS - now_wall_ms));
}

int64_t wire_until_pacific_midnight_ms(int64_t now_wall_ms)
{
    int64_t since_ms = (now_wall_ms - 8 * (int64_t)HOUR_MS) % DAY_MS;
    if (since_ms < 0)
        since_ms += DAY_MS;
    return DAY_MS - since_ms;
}
