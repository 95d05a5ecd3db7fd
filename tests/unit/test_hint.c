/* Golden header sets of each provider (tests/fixtures/hints), and the odd ends of their forms. */
#include "limiter/hint.h"

#include "limiter/hint_field.h"
#include "limiter/hint_text.h"

#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS    INT64_C(1767225600000) /* 2026-01-01 00:00:00 UTC */
#define MAX_LINES 40

struct fixture {
    char lines[MAX_LINES][200];
    size_t count;
    char values[2][200]; /* of the last two */
    size_t asked;
};

static const char *header_of(void *arg, const char *name)
{
    struct fixture *f = arg;
    size_t len = strlen(name);
    for (size_t i = 0; i < f->count; i++) {
        if (strncmp(f->lines[i], name, len) == 0 && strncmp(f->lines[i] + len, ": ", 2) == 0) {
            char *value = f->values[f->asked++ % 2];
            (void)snprintf(value, sizeof(f->values[0]), "%s", f->lines[i] + len + 2);
            return value;
        }
    }
    return NULL;
}

static void load(const char *path, struct fixture *f)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    f->count = 0;
    while (f->count < MAX_LINES && fgets(f->lines[f->count], sizeof(f->lines[0]), file)) {
        f->lines[f->count][strcspn(f->lines[f->count], "\n")] = '\0';
        f->count++;
    }
    (void)fclose(file);
}

static const char *setting(const struct fixture *f, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < f->count; i++)
        if (strncmp(f->lines[i], name, len) == 0 && f->lines[i][len] == ' ')
            return f->lines[i] + len + 1;
    return "";
}

static enum hint_dialect dialect_of(const char *name)
{
    int d = 0;
    while (d < HINT_DIALECTS && strcmp(hint_dialect_name((enum hint_dialect)d), name) != 0)
        d++;
    return (enum hint_dialect)d;
}

static void check_fixture(const char *path)
{
    static struct fixture f;
    struct hints got;
    size_t seen = 0;
    load(path, &f);
    struct hint_source source = {header_of, &f};
    hints_read(dialect_of(setting(&f, "dialect")), &source, strtoll(setting(&f, "now"), NULL, 10),
               &got);
    for (size_t i = 0; i < f.count; i++) {
        if (strncmp(f.lines[i], "= ", 2) != 0)
            continue;
        char line[200] = "nothing";
        if (seen < got.count) {
            const struct hint *h = &got.list[seen++];
            (void)snprintf(line, sizeof(line), "= %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64,
                           h->dim, h->limit, h->remaining - h->debt, h->reset_ms, h->grain);
        }
        if (strcmp(line, f.lines[i]) != 0)
            fail_msg("%s: wanted \"%s\", got \"%s\"", path, f.lines[i], line);
    }
    if (seen != got.count)
        fail_msg("%s: %zu hints, wanted %zu", path, got.count, seen);
}

static void every_golden_set_of_headers_is_read(void **state)
{
    (void)state;
    const char *root = getenv("SLUICE_SOURCE");
    char folder[400], path[700];
    int files = 0;
    (void)snprintf(folder, sizeof(folder), "%s/tests/fixtures/hints", root ? root : ".");
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        check_fixture(path);
        files++;
    }
    (void)closedir(dir);
    assert_true(files >= 16);
}

static void numbers_are_whole_and_bounded(void **state)
{
    static const struct {
        const char *text;
        bool is_read;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {" 42\t", true, 42},
        {"-1", true, -1},
        {"59.75", true, 59},
        {"10000000000", true, HINT_MAX_AMOUNT},
        {"10000000001", true, HINT_MAX_AMOUNT},
        {"99999999999999999999999999", true, HINT_MAX_AMOUNT},
        {"", false, 0},
        {"-", false, 0},
        {"1 2", false, 0},
        {"1.", false, 0},
        {"1e3", false, 0},
        {"0x10", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 0;
        assert_int_equal(hint_number(cases[i].text, &value), cases[i].is_read);
        if (cases[i].is_read)
            assert_int_equal(value, cases[i].value);
    }
}

static void durations_are_gos_or_seconds(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: no duration */
    } cases[] = {
        {"6m0s", 360000},
        {"1s", 1000},
        {"120ms", 120},
        {"2m59.56s", 179560},
        {"1h0m0.001s", 3600001},
        {"1d2h", 93600000},
        {"10", 10000},
        {"0.5", 500},
        {"0s", 0},
        {"0", 0},
        {"1us", 1},
        {"1\xc2\xb5s", 1},
        {"999ns", 1},
        {"0ns", 0},
        {"1.0001s", 1001},
        {"9999999999999999s", HINT_MAX_MS},
        {"999999999d", HINT_MAX_MS},
        {"", -1},
        {"s", -1},
        {"1x", -1},
        {"1s2", -1},
        {"1s x", -1},
        {"-1s", -1},
        {"1..5s", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = -1;
        bool is_read = hint_duration(cases[i].text, &ms);
        if (is_read != (cases[i].ms >= 0) || (is_read && ms != cases[i].ms))
            fail_msg("\"%s\": %d %" PRId64, cases[i].text, is_read, ms);
    }
}

static void dates_are_rfc_3339(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: no date */
    } cases[] = {
        {"2026-01-01T00:00:00Z", 0},
        {"2026-01-01T00:00:01.5Z", 1500},
        {"2026-01-01 00:00:01z", 1000},
        {"2026-01-01T02:00:00+02:00", 0},
        {"2025-12-31T19:00:10-05:00", 10000},
        {"2026-02-01T00:00:00Z", INT64_C(31) * 86400000},
        {"2020-01-01T00:00:00Z", 0},
        {"2099-01-01T00:00:00Z", HINT_MAX_MS},
        {"2026-01-01T00:00:00", -1},
        {"2026-13-01T00:00:00Z", -1},
        {"2026-1-1T00:00:00Z", -1},
        {"2026-01-01T00:00Z", -1},
        {"tomorrow", -1},
        {"", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = -1;
        bool is_read = hint_rfc3339(cases[i].text, NOW_MS, &ms);
        if (is_read != (cases[i].ms >= 0) || (is_read && ms != cases[i].ms))
            fail_msg("\"%s\": %d %" PRId64, cases[i].text, is_read, ms);
    }
    /* The day after a leap day, and after none. */
    int64_t ms;
    assert_true(hint_rfc3339("2028-03-01T00:00:00Z", INT64_C(1835308800000), &ms));
    assert_int_equal(ms, 2 * INT64_C(86400000)); /* from 2028-02-28 */
    assert_true(hint_rfc3339("2100-03-01T00:00:00Z", INT64_C(4107456000000), &ms));
    assert_int_equal(ms, INT64_C(86400000)); /* from 2100-02-28 */
}

static void structured_fields_end_where_they_cannot_be_read(void **state)
{
    struct hint_item item;
    const char *at = "\"a\";q=1;x;w=60;k=tok;b=:aGk=:;qu=\"requests\" , \"b\";r=2 ,oops";
    (void)state;
    assert_true(hint_field_next(&at, &item));
    assert_int_equal(item.q, 1);
    assert_int_equal(item.w, 60);
    assert_int_equal(item.r, -1);
    assert_int_equal(item.unit_len, 8);
    assert_true(hint_field_next(&at, &item));
    assert_int_equal(item.r, 2);
    assert_null(item.unit);
    assert_false(hint_field_next(&at, &item));

    static const char *const broken[] = {"",
                                         "a;q=1",
                                         "\"a",
                                         "\"a\\\"\";q=1",
                                         "\"a\";=1",
                                         "\"a\";q=99999999999999999",
                                         "\"a\" \"b\"",
                                         "\"a\";qu=\"x"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        at = broken[i];
        assert_false(hint_field_next(&at, &item));
    }
}

static void no_more_hints_are_kept_than_there_are_dimensions(void **state)
{
    static const char *const dims[] = {"rpm", "tpm", "itpm", "otpm", "rpd", "tpd", "x"};
    struct hints h = {.count = 0};
    (void)state;
    for (size_t i = 0; i < HINT_MAX + 1; i++) {
        struct hint one = {.limit = 1, .remaining = 1, .reset_ms = 1};
        (void)snprintf(one.dim, sizeof(one.dim), "%s", dims[i]);
        hints_add(&h, &one);
    }
    assert_int_equal(h.count, HINT_MAX);
    assert_string_equal(h.list[HINT_MAX - 1].dim, "tpd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden_set_of_headers_is_read),
        cmocka_unit_test(numbers_are_whole_and_bounded),
        cmocka_unit_test(durations_are_gos_or_seconds),
        cmocka_unit_test(dates_are_rfc_3339),
        cmocka_unit_test(structured_fields_end_where_they_cannot_be_read),
        cmocka_unit_test(no_more_hints_are_kept_than_there_are_dimensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
