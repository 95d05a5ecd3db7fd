#include "common/period.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DAY_S        INT64_C(86400)
#define FIRST_MONDAY (4 * DAY_S)
/* The Gregorian calendar repeats after this. */
#define ERA_YEARS 400
#define ERA_DAYS  146097

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int period_parse(const char *text, struct period *ret)
{
    static const struct {
        const char *name;
        int64_t seconds, months;
    } units[] = {{"s", 1, 0}, {"m", 60, 0}, {"h", 3600, 0}, {"d", DAY_S, 0}, {"mo", 0, 1}};
    size_t digits = strspn(text, "0123456789");
    int64_t count = 0;
    *ret = (struct period){.seconds = 0};
    if (!*text)
        return 0;
    if (digits == 0)
        return -EINVAL;
    for (size_t i = 0; i < digits && count <= PERIOD_MAX_SECONDS; i++)
        count = count * 10 + (text[i] - '0');
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(units[i].name, text + digits) != 0)
            continue;
        int64_t most = units[i].months ? PERIOD_MAX_MONTHS : PERIOD_MAX_SECONDS / units[i].seconds;
        if (count < 1 || count > most)
            return -ERANGE;
        *ret = (struct period){count * units[i].seconds, count * units[i].months};
        return 0;
    }
    return -EINVAL;
}

bool period_ends(const struct period *p)
{
    return p->seconds > 0 || p->months > 0;
}

/* Years begin in March here, so that the day that some years have more is the last of them. */
int64_t period_day_of(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = floor_div(y, ERA_YEARS);
    int64_t of_era = y - era * ERA_YEARS;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t in_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return era * ERA_DAYS + in_era - 719468;
}

void period_date_of(int64_t day, int64_t *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = day + 719468, era = floor_div(z, ERA_DAYS);
    int64_t in_era = z - era * ERA_DAYS;
    int64_t of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t of_year = in_era - (365 * of_era + of_era / 4 - of_era / 100);
    int64_t march = (5 * of_year + 2) / 153;
    *ret_day = (int)(of_year - (153 * march + 2) / 5 + 1);
    *ret_month = (int)(march < 10 ? march + 3 : march - 9);
    *ret_year = of_era + era * ERA_YEARS + (*ret_month <= 2);
}

const char *period_date_text(int64_t day, char out[PERIOD_DATE_BYTES])
{
    int64_t year;
    int month, of_month;
    period_date_of(day, &year, &month, &of_month);
    (void)snprintf(out, PERIOD_DATE_BYTES, "%04d-%02u-%02u", (int)(year % 1000000),
                   (unsigned)month % 100, (unsigned)of_month % 100);
    return out;
}

int period_date_parse(const char *text, int64_t *ret_day)
{
    static const char shape[] = "dddd-dd-dd";
    char again[PERIOD_DATE_BYTES];
    int year = 0, month = 0, day = 0;
    for (size_t i = 0; i < sizeof(shape); i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == 'd' ? !digit : text[i] != shape[i])
            return -EINVAL;
    }
    if (sscanf(text, "%4d-%2d-%2d", &year, &month, &day) != 3 || year < 1970 || month < 1 ||
        month > 12 || day < 1)
        return -EINVAL;
    int64_t found = period_day_of(year, month, day);
    if (strcmp(period_date_text(found, again), text) != 0)
        return -EINVAL; /* a day that its month has not */
    *ret_day = found;
    return 0;
}

/* The month that a period of months begins with, counted from January of the year 0. */
static int64_t first_month(const struct period *p, int64_t now_s)
{
    int64_t year;
    int month, day;
    period_date_of(floor_div(now_s, DAY_S), &year, &month, &day);
    return floor_div(year * 12 + month - 1, p->months) * p->months;
}

static int64_t month_start_s(int64_t months)
{
    int64_t year = floor_div(months, 12);
    return period_day_of(year, (int)(months - year * 12) + 1, 1) * DAY_S;
}

int64_t period_start_s(const struct period *p, int64_t now_s)
{
    if (p->months > 0)
        return month_start_s(first_month(p, now_s));
    if (p->seconds == 0)
        return 0;
    return FIRST_MONDAY + floor_div(now_s - FIRST_MONDAY, p->seconds) * p->seconds;
}

int64_t period_end_s(const struct period *p, int64_t now_s)
{
    if (p->months > 0)
        return month_start_s(first_month(p, now_s) + p->months);
    return p->seconds == 0 ? PERIOD_NO_END : period_start_s(p, now_s) + p->seconds;
}
