#include "limiter/hint_text.h"

#include <stddef.h>
#include <string.h>

#define SECOND_MS 1000
#define MINUTE_MS 60000
#define HOUR_MS   3600000
#define DAY_MS    86400000

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits up to most; more of them say no more than that. NULL when there is none. */
static const char *read_digits(const char *text, int64_t most, int64_t *ret)
{
    int64_t value = 0;
    if (!is_digit(*text))
        return NULL;
    for (; is_digit(*text); text++) {
        if (value <= most)
            value = value * 10 + (*text - '0');
    }
    *ret = value < most ? value : most;
    return text;
}

bool hint_number(const char *text, int64_t *ret)
{
    text = skip_blanks(text);
    bool negative = *text == '-';
    text = read_digits(text + negative, HINT_MAX_AMOUNT, ret);
    if (!text)
        return false;
    if (*text == '.') {
        int64_t fraction;
        text = read_digits(text + 1, SECOND_MS, &fraction);
        if (!text)
            return false;
    }
    if (negative)
        *ret = -*ret;
    return *skip_blanks(text) == '\0';
}

/* A decimal in thousandths, rounded up. */
static const char *read_thousandths(const char *text, int64_t *ret)
{
    int64_t whole, scale = 100, sum;
    bool more = false;
    text = read_digits(text, HINT_MAX_MS, &whole);
    if (!text)
        return NULL;
    sum = whole * 1000;
    if (*text == '.' && is_digit(text[1])) {
        for (text++; is_digit(*text); text++, scale /= 10) {
            sum += (*text - '0') * scale;
            more |= scale == 0 && *text != '0';
        }
    }
    *ret = sum + more;
    return text;
}

static const struct {
    const char *name;
    int64_t us;
} units[] = {
    /* The longer names first: "ms" begins with "m". */
    {"ms", 1000},
    {"us", 1},
    {"\xc2\xb5s", 1}, /* as Go writes it, with the micro sign */
    {"\xce\xbcs", 1},
    {"ns", 0},
    {"s", INT64_C(1000) * SECOND_MS},
    {"m", INT64_C(1000) * MINUTE_MS},
    {"h", INT64_C(1000) * HOUR_MS},
    {"d", INT64_C(1000) * DAY_MS},
};

static int64_t bounded(int64_t ms)
{
    if (ms < 0)
        return 0;
    return ms < HINT_MAX_MS ? ms : HINT_MAX_MS;
}

/* thousandths of a unit of us as ms, rounded up and cut. */
static int64_t part_ms(int64_t thousandths, int64_t unit_us)
{
    if (unit_us == 0)
        return thousandths > 0;
    if (thousandths / 1000 > HINT_MAX_MS * 1000 / unit_us)
        return HINT_MAX_MS;
    /* Both halves apart, as their product may not fit. */
    int64_t whole_us = thousandths / 1000 * unit_us;
    int64_t rest_us = (thousandths % 1000 * unit_us + 999) / 1000;
    return (whole_us + rest_us + 999) / 1000;
}

static const char *read_unit(const char *text, int64_t *ret_us)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t len = strlen(units[i].name);
        if (strncmp(text, units[i].name, len) == 0) {
            *ret_us = units[i].us;
            return text + len;
        }
    }
    return NULL;
}

bool hint_duration(const char *text, int64_t *ret_ms)
{
    int64_t sum = 0, value, unit_us;
    text = skip_blanks(text);
    for (size_t parts = 0;; parts++) {
        const char *behind = read_thousandths(text, &value);
        if (!behind)
            return false;
        const char *next = read_unit(behind, &unit_us);
        if (!next) {
            /* Only a number that stands alone goes without its unit. */
            *ret_ms = bounded(value);
            return parts == 0 && *skip_blanks(behind) == '\0';
        }
        sum = bounded(sum + part_ms(value, unit_us));
        text = next;
        if (*skip_blanks(text) == '\0')
            break;
    }
    *ret_ms = sum;
    return true;
}

/* ---- dates */

static const char *read_fixed(const char *text, int digits, int64_t *ret)
{
    int64_t value = 0;
    for (; digits > 0; digits--, text++) {
        if (!is_digit(*text))
            return NULL;
        value = value * 10 + (*text - '0');
    }
    *ret = value;
    return text;
}

/* Days since 1970 of a date in the Gregorian calendar: years begin in March, so that the leap
 * day is the last one, and 153 days are five months. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400, of_era = year % 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Seconds east of Greenwich. */
static const char *read_offset(const char *text, int64_t *ret_s)
{
    int64_t hours, minutes;
    if (*text == 'Z' || *text == 'z') {
        *ret_s = 0;
        return text + 1;
    }
    if (*text != '+' && *text != '-')
        return NULL;
    int64_t sign = *text == '-' ? -1 : 1;
    text = read_fixed(text + 1, 2, &hours);
    if (!text || *text != ':')
        return NULL;
    text = read_fixed(text + 1, 2, &minutes);
    *ret_s = sign * (hours * 3600 + minutes * 60);
    return text;
}

bool hint_rfc3339(const char *text, int64_t now_wall_ms, int64_t *ret_ms)
{
    static const char marks[] = "--T::"; /* behind each field but the last */
    static const int digits[] = {4, 2, 2, 2, 2};
    int64_t field[5], thousandths, offset_s;
    text = skip_blanks(text);
    for (size_t i = 0; i < 5; i++) {
        text = read_fixed(text, digits[i], &field[i]);
        if (!text || (*text != marks[i] && !(marks[i] == 'T' && (*text == 't' || *text == ' '))))
            return false;
        text++;
    }
    text = is_digit(*text) ? read_thousandths(text, &thousandths) : NULL;
    text = text ? read_offset(text, &offset_s) : NULL;
    if (!text || *skip_blanks(text) != '\0' || thousandths > 61000 || field[1] < 1 || field[1] > 12)
        return false;
    int64_t seconds =
        days_of(field[0], field[1], field[2]) * 86400 + field[3] * 3600 + field[4] * 60 - offset_s;
    *ret_ms = bounded(seconds * 1000 + thousandths - now_wall_ms);
    return true;
}

bool hint_epoch_ms(const char *text, int64_t now_wall_ms, int64_t *ret_ms)
{
    int64_t at_ms;
    text = skip_blanks(text);
    text = read_digits(text, INT64_C(1) << 52, &at_ms);
    if (!text || *skip_blanks(text) != '\0')
        return false;
    *ret_ms = bounded(at_ms - now_wall_ms);
    return true;
}
