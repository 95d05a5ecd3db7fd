#include "common/log.h"

#include "common/clock.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 8192

static enum log_level least_level = LOG_INFO;
static bool as_json = true;

struct line {
    char text[LINE_BYTES];
    size_t len;
};

static const char *const names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level least, enum log_format format)
{
    least_level = least;
    as_json = format == LOG_AUTO ? !isatty(STDERR_FILENO) : format == LOG_JSON;
}

bool log_enabled(enum log_level level)
{
    return level >= least_level;
}

/* Room for the closing brace and newline is kept back from every append. */
static void add(struct line *line, const char *text, size_t len)
{
    size_t room = sizeof(line->text) - 4 - line->len;
    if (len > room)
        len = room;
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void add_escaped(struct line *line, const char *value)
{
    for (size_t i = 0; value[i] && i < LOG_VALUE_BYTES; i++) {
        unsigned char c = (unsigned char)value[i];
        char escape[8];
        if (c == '"' || c == '\\')
            add(line, escape, (size_t)snprintf(escape, sizeof(escape), "\\%c", c));
        else if (c < 0x20 || c == 0x7f)
            add(line, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", c));
        else
            add(line, value + i, 1);
    }
}

static void add_field(struct line *line, const char *key, const char *value)
{
    add(line, as_json ? ",\"" : " ", as_json ? 2 : 1);
    add(line, key, strlen(key));
    add(line, as_json ? "\":\"" : "=\"", as_json ? 3 : 2);
    add_escaped(line, value ? value : "");
    add(line, "\"", 1);
}

static void add_head(struct line *line, enum log_level level, const char *message)
{
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    char stamp[32], head[128];

    gmtime_r(&seconds, &utc);
    (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    int n =
        snprintf(head, sizeof(head),
                 as_json ? "{\"ts\":\"%s.%03dZ\",\"level\":\"%s\",\"msg\":\"" : "%s.%03dZ %-5s ",
                 stamp, (int)(now_ms % 1000), names[level]);
    add(line, head, (size_t)n);
    add_escaped(line, message);
    if (as_json)
        add(line, "\"", 1);
}

void log_write(enum log_level level, const char *message, ...)
{
    if (!log_enabled(level))
        return;

    struct line line = {.len = 0};
    va_list args;
    add_head(&line, level, message);
    va_start(args, message);
    for (const char *key = va_arg(args, const char *); key; key = va_arg(args, const char *))
        add_field(&line, key, va_arg(args, const char *));
    va_end(args);

    if (as_json)
        line.text[line.len++] = '}';
    line.text[line.len++] = '\n';
    /* A log that cannot be written has nobody left to tell. */
    (void)!write(STDERR_FILENO, line.text, line.len);
}

const char *log_number(char *buffer, long long value)
{
    (void)snprintf(buffer, LOG_NUMBER_BYTES, "%lld", value);
    return buffer;
}
