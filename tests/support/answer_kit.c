#include "tests/support/answer_kit.h"

const struct fake_step answer_plain[3] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", JSON_TYPE, ANSWER("stop"))},
    {.op = FAKE_CLOSE}};
const struct fake_step answer_stalls[4] = {
    {.op = FAKE_READ},
    {.op = FAKE_STALL},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", JSON_TYPE, ANSWER("stop"))},
    {.op = FAKE_CLOSE}};

void answer_begin(struct core_kit *k, struct core_call *c, const char *body,
                  const struct answer_call *wish)
{
    struct call_spec spec = {.endpoint = WIRE_CHAT,
                             .body = strdup(body),
                             .body_len = strlen(body),
                             .tenant = wish && wish->tenant ? wish->tenant : "default",
                             .weight = 1,
                             .class = wish ? wish->class : CLASS_NORMAL,
                             .max_wait_ms =
                                 wish && wish->max_wait_ms ? wish->max_wait_ms : CORE_WAIT_MS};
    if (wish) {
        spec.cache = wish->cache;
        spec.batch = wish->batch;
    }
    core_call_spec(k, c, &spec);
    assert_int_equal(c->queued + c->starts + c->ends + c->fails, 0);
}

void answer_ask(struct core_kit *k, struct core_call *c, const char *body,
                const struct answer_call *wish)
{
    *c = (struct core_call){.kit = k};
    answer_begin(k, c, body, wish);
    CORE_UNTIL(k, core_call_over(c));
    assert_int_equal(c->starts, 1);
    assert_int_equal(c->ends, 1);
}

void answer_settled(struct core_kit *k)
{
    CORE_UNTIL(k, core_running(k) == 0 && scheduler_active(k->scheduler) == 0);
}

char *answer_event(size_t len)
{
    static const char head[] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
                      tail[] = "\"}}]}\n\n";
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, 'x', len);
    memcpy(text, head, sizeof(head) - 1);
    memcpy(text + len - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
    return text;
}
