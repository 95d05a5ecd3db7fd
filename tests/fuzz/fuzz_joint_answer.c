/*
 * Any bytes as the answer to a joint request: whoever is answered has a text, is named once, and
 * gets an answer that is JSON; the shares add up to the bill.
 *
 * The first byte picks the endpoint and the number of items.
 */
#include "scheduler/joint/joint_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_item(const struct joint_answer *a, size_t i, const struct wire_usage *share)
{
    struct error e;
    struct buf out;
    buf_init(&out, 64 * MIB);
    if (a->item[i].len <= 2 || json_kind(a->item[i]) != JSON_STR || !share->known)
        abort();
    if (joint_answer_write(a, i, share, &out) == 0 && json_scan_check(out.data, out.len, &e) < 0)
        abort();
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const struct wire_usage bill = {
        .known = true, .input = 1000, .cache_read = 10, .cache_write = 5, .output = 77};
    struct wire_usage share[JOINT_MAX_ITEMS];
    struct joint_names names;
    struct joint_answer a;
    int64_t sizes[JOINT_MAX_ITEMS], input = 0, output = 0;
    if (len == 0)
        return 0;
    for (size_t i = 0; i < JOINT_MAX_ITEMS; i++) {
        (void)snprintf(names.name[i], sizeof(names.name[i]), "%012zx", i);
        sizes[i] = (int64_t)i;
    }
    size_t count = 1 + (bytes[0] >> 1) % JOINT_MAX_ITEMS, good = 0;
    char *text = malloc(len); /* no byte behind it may be read */
    if (!text)
        return 0;
    memcpy(text, bytes + 1, len - 1);
    joint_answer_read(bytes[0] & 1 ? WIRE_MESSAGES : WIRE_CHAT, text, len - 1, &names, count, &a);
    joint_answer_share(&a, &bill, sizes, share);
    for (size_t i = 0; i < count; i++) {
        if (!a.item[i].at)
            continue;
        good++;
        input += share[i].input;
        output += share[i].output;
        check_item(&a, i, &share[i]);
    }
    if (good != a.good || (good > 0 && (input != bill.input || output != bill.output)))
        abort();
    joint_answer_release(&a);
    free(text);
    return 0;
}
