/*
 * json_scan against jansson: both must accept the same texts, and read the same from them.
 *
 * Where they differ on purpose:
 *   depth      ours ends at JSON_MAX_DEPTH, jansson's at 2048
 *   numbers    jansson refuses integers past int64 and reals past double; the grammar does not
 *   \u0000     jansson refuses it by default, hence JSON_ALLOW_NUL, and in keys always
 *   NUL bytes  jansson loses one that stands behind a number and accepts "0\0"; ours never does
 *   surrogates a lone one in an escape is refused by jansson; the grammar has no such rule
 */
#include "common/json_scan.h"
#include "common/limits.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void compare(struct json_span ours, const json_t *theirs);

static void compare_text(struct json_span ours, const char *text, size_t len)
{
    struct buf out;
    buf_init(&out, 64 * MIB);
    CHECK(json_text(ours, &out) == 0);
    CHECK(out.len == len && (len == 0 || memcmp(out.data, text, len) == 0));
    if (strlen(text) == len)
        CHECK(json_equals(ours, text));
    buf_release(&out);
}

static void compare_number(struct json_span ours, const json_t *theirs)
{
    int64_t whole;
    double real;
    CHECK(json_int(ours, &whole) == json_is_integer(theirs));
    if (json_is_integer(theirs))
        CHECK(whole == json_integer_value(theirs));
    else if (ours.len <= JSON_NUMBER_BYTES)
        CHECK(json_double(ours, &real) &&
              memcmp(&real, &(double){json_real_value(theirs)}, sizeof(real)) == 0);
}

static void compare_array(struct json_span ours, const json_t *theirs)
{
    struct json_iter it = json_iter(ours);
    for (size_t i = 0; i < json_array_size(theirs); i++) {
        CHECK(json_next(&it));
        compare(it.value, json_array_get(theirs, i));
    }
    CHECK(!json_next(&it));
}

/* jansson keeps the last of several members with one name, so ours may have more. */
static void compare_object(struct json_span ours, json_t *theirs)
{
    const char *key;
    json_t *value;
    json_object_foreach(theirs, key, value) compare(json_get(ours, key), value);
    size_t count = 0;
    for (struct json_iter it = json_iter(ours); json_next(&it);)
        count++;
    CHECK(count >= json_object_size(theirs));
}

static void compare(struct json_span ours, const json_t *theirs)
{
    bool truth;
    switch (json_kind(ours)) {
    case JSON_OBJ:
        CHECK(json_is_object(theirs));
        compare_object(ours, (json_t *)(uintptr_t)theirs);
        break;
    case JSON_ARR:
        CHECK(json_is_array(theirs));
        compare_array(ours, theirs);
        break;
    case JSON_STR:
        CHECK(json_is_string(theirs));
        compare_text(ours, json_string_value(theirs), json_string_length(theirs));
        break;
    case JSON_NUM:
        CHECK(json_is_number(theirs));
        compare_number(ours, theirs);
        break;
    case JSON_BOOL:
        CHECK(json_bool(ours, &truth) && truth == json_is_true(theirs));
        break;
    default:
        CHECK(json_kind(ours) == JSON_NUL && json_is_null(theirs));
    }
}

/* Whether a refusal by jansson is one of the differences above. */
static bool may_refuse(const json_error_t *e)
{
    switch (json_error_code(e)) {
    case json_error_numeric_overflow:
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return true;
    case json_error_invalid_syntax:
        /* No code of its own: "invalid Unicode '\\uD800'". */
        return strstr(e->text, "invalid Unicode") != NULL;
    default:
        return false;
    }
}

/* The readers must stay inside a text that was refused, too. */
static void read_anyway(const char *text, size_t len)
{
    struct json_span all = json_span_of(text, len);
    int64_t whole;
    struct buf out;
    buf_init(&out, 64 * MIB);
    for (struct json_iter it = json_iter(all); json_next(&it);) {
        (void)json_get(it.value, "a");
        (void)json_int(it.value, &whole);
        int rc = json_text(it.value, &out);
        CHECK(rc == 0 || rc == -EINVAL);
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const char *text = (const char *)bytes;
    struct error e;
    json_error_t theirs_error;
    int rc = json_scan_check(text, len, &e);
    read_anyway(text, len);
    json_t *theirs = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &theirs_error);
    if (rc == 0 && theirs)
        compare(json_span_of(text, len), theirs);
    else if (rc == 0)
        CHECK(may_refuse(&theirs_error));
    else
        CHECK(!theirs || rc == -E2BIG || memchr(text, '\0', len));
    json_decref(theirs);
    return 0;
}
