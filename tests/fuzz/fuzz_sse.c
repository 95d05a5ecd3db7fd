/*
 * Differential: any slicing of a stream gives the same events as the whole stream, and
 * the raw bytes handed out are a prefix of it.
 *
 * The first two bytes of the input seed the slicing; the rest is the stream.
 */
#include "tests/support/sse_log.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static size_t next_slice(void *arg)
{
    uint32_t *seed = arg;
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return 1 + (*seed >> 28);
}

static size_t one(void *arg)
{
    (void)arg;
    return 1;
}

static void check(const struct sse_log *whole, const char *text, size_t len, sse_slice_fn slice,
                  void *arg)
{
    struct sse_log log;
    (void)sse_log_read(&log, text, len, slice, arg);
    if (!sse_log_equal(&log, whole))
        abort();
    sse_log_release(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2)
        return 0;
    uint32_t seed = (uint32_t)bytes[0] << 8 | bytes[1];
    const char *text = (const char *)bytes + 2;
    len -= 2;

    struct sse_log whole;
    (void)sse_log_read(&whole, text, len, NULL, NULL);
    if (whole.raw.len > len || (whole.raw.len && memcmp(whole.raw.data, text, whole.raw.len) != 0))
        abort();
    check(&whole, text, len, next_slice, &seed);
    check(&whole, text, len, one, NULL);
    sse_log_release(&whole);
    return 0;
}
