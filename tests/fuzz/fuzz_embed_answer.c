/*
 * A provider's answer with vectors, cut up and put together again. The first byte says how many
 * inputs were sent, the second how many callers share it.
 */
#include "common/limits.h"
#include "scheduler/batch/embed_answer.h"

#include <stdint.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MOST 16

/* What is written can be read again, and holds the items in the new order. */
static void put_together(const struct embed_answer *answer, const struct json_span *items,
                         size_t count, const struct embed_usage *usage)
{
    struct json_span again[MOST];
    struct embed_answer back;
    struct buf all, out;
    buf_init(&all, MIB);
    buf_init(&out, 4 * MIB);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            (void)buf_adds(&all, ",");
        CHECK(embed_answer_item(items[count - 1 - i], i, &all) == 0);
    }
    CHECK(embed_answer_write(answer, &all, usage, &out) == 0);
    CHECK(embed_answer_read(out.data, out.len, count, again, &back) == 0);
    buf_release(&all);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct json_span items[MOST];
    struct embed_answer answer;
    struct embed_usage shares[MOST], sum = {.count = 0};
    int64_t weights[MOST];
    if (len < 2)
        return 0;
    size_t count = 1 + bytes[0] % MOST, callers = 1 + bytes[1] % MOST;
    if (embed_answer_read((const char *)bytes + 2, len - 2, count, items, &answer) < 0)
        return 0;
    for (size_t i = 0; i < callers; i++)
        weights[i] = (int64_t)(bytes[i % len]) * 7;
    CHECK(embed_usage_share(&answer.usage, weights, callers, shares) == 0);
    for (size_t i = 0; i < callers; i++)
        embed_usage_add(&sum, &shares[i]);
    for (size_t i = 0; i < answer.usage.count && callers > 0; i++)
        CHECK(embed_usage_of(&sum, answer.usage.of[i].name) >= 0);
    put_together(&answer, items, count, &shares[0]);
    return 0;
}
