/*
 * Everything that reads what a client or a provider sent: a request for any endpoint, an
 * answer's usage, an event of a stream, an error. The first byte picks the endpoint, the
 * second the status.
 */
#include "common/limits.h"
#include "scheduler/provider/wire.h"
#include "tests/support/format_rules.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define NOW_MS INT64_C(1798761599500)

static void read_edited(enum wire_endpoint endpoint, const struct buf *out,
                        const struct wire_request *before)
{
    struct wire_request after;
    struct error e;
    CHECK(wire_request_read(endpoint, out->data, out->len, &after, &e) == 0);
    CHECK(after.input_bytes == before->input_bytes && after.messages == before->messages);
    CHECK(after.max_output_tokens == before->max_output_tokens);
}

static void fuzz_request(enum wire_endpoint endpoint, const char *body, size_t len)
{
    struct wire_request r;
    struct error e;
    if (wire_request_read(endpoint, body, len, &r, &e) < 0)
        return;
    CHECK(r.input_bytes >= 0 && r.choices >= 1 && r.max_output_tokens >= -1);
    CHECK(r.images_low <= r.images && r.text.letters <= r.text.bytes);
    CHECK(wire_estimate_input(endpoint, &r, "gpt-4o", 0) >= 1);

    struct buf out;
    buf_init(&out, 64 * MIB);
    CHECK(wire_request_set_model(&r, "other", &out) == 0);
    read_edited(endpoint, &out, &r);
    buf_clear(&out);
    if (wire_request_ask_usage(endpoint, &r, &out) == 0)
        read_edited(endpoint, &out, &r);
    buf_release(&out);
}

/* The text itself serves as each header. */
static const char *header(void *arg, const char *name)
{
    (void)name;
    return arg;
}

static void fuzz_answer(enum wire_endpoint endpoint, int status, const char *body, size_t len)
{
    char text[64] = "";
    memcpy(text, body, len < sizeof(text) ? len : sizeof(text) - 1);
    struct wire_reply reply = {.status = status, .body = body, .len = len};
    for (int with_header = 0; with_header < 2; with_header++) {
        reply.header = with_header ? header : NULL;
        reply.arg = text;
        struct wire_answer a =
            wire_classify(format_rules(wire_format_of(endpoint)), &reply, NOW_MS);
        CHECK(a.retry_after_ms >= -1 && a.retry_after_ms <= WIRE_MAX_RETRY_AFTER_MS);
        CHECK(memchr(a.dimension, '\0', sizeof(a.dimension)));
        CHECK((unsigned)a.failure <= WIRE_CLIENT);
    }
    struct wire_usage usage;
    wire_usage_read(endpoint, body, len, &usage);
    CHECK(usage.cache_read >= 0 && usage.cache_write >= 0 && usage.output >= 0);
    CHECK(usage.input >= usage.cache_read + usage.cache_write);
}

/* One event a line, so that a stream's memory of earlier events is reached too. */
static void fuzz_stream(enum wire_endpoint endpoint, const char *text, size_t len)
{
    struct wire_stream s;
    wire_stream_init(&s, endpoint, true);
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t line = end ? (size_t)(end - text) : len;
        enum wire_verdict verdict = wire_stream_event(&s, "", text, line);
        CHECK(verdict != WIRE_FAIL || s.failed);
        CHECK(s.usage.input >= s.usage.cache_read + s.usage.cache_write);
        line += end != NULL;
        text += line;
        len -= line;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const int statuses[] = {200, 400, 401, 403, 404, 429, 498, 500, 503, 529};
    if (len < 2)
        return 0;
    enum wire_endpoint endpoint = (enum wire_endpoint)(bytes[0] % WIRE_ENDPOINT_COUNT);
    int status = statuses[bytes[1] % (sizeof(statuses) / sizeof(statuses[0]))];
    const char *text = (const char *)bytes + 2;
    len -= 2;
    fuzz_request(endpoint, text, len);
    fuzz_answer(endpoint, status, text, len);
    fuzz_stream(endpoint, text, len);
    return 0;
}
