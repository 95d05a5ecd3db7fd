#include "common/money.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DECIMALS 9

int money_parse(const char *text, int64_t *ret_nano)
{
    int64_t value = 0;
    size_t whole = strspn(text, "0123456789");
    const char *decimals = text[whole] == '.' ? text + whole + 1 : "";
    size_t count = strspn(decimals, "0123456789");
    if (whole == 0 || (text[whole] == '.' && count == 0) || count > DECIMALS ||
        (text[whole] != '\0' && (text[whole] != '.' || decimals[count] != '\0')))
        return -EINVAL;
    for (size_t i = 0; i < whole; i++) {
        value = value * 10 + (text[i] - '0');
        if (value > MONEY_MAX / MONEY_DOLLAR)
            return -ERANGE;
    }
    for (size_t i = 0; i < DECIMALS; i++)
        value = value * 10 + (i < count ? decimals[i] - '0' : 0);
    if (value > MONEY_MAX)
        return -ERANGE;
    *ret_nano = value;
    return 0;
}

const char *money_text(int64_t nano, char out[MONEY_TEXT_BYTES])
{
    uint64_t size = nano < 0 ? (uint64_t) - (nano + 1) + 1 : (uint64_t)nano;
    uint64_t dollar = (uint64_t)MONEY_DOLLAR;
    int n = snprintf(out, MONEY_TEXT_BYTES, "%s%" PRIu64 ".%09" PRIu64, nano < 0 ? "-" : "",
                     size / dollar, size % dollar);
    for (int keep = DECIMALS - 2; keep > 0 && n > 0 && out[n - 1] == '0'; keep--)
        out[--n] = '\0';
    return out;
}

int64_t money_of_pico(int64_t pico)
{
    return pico / 1000 + (pico % 1000 >= 500);
}

int64_t money_add(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

double money_dollars(int64_t nano)
{
    return (double)nano / (double)MONEY_DOLLAR;
}
