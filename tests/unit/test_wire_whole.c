/* Whether an answer came to its own end. */
#include "scheduler/provider/wire_whole.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct sample {
    enum wire_endpoint endpoint;
    bool streamed, whole;
    const char *text;
};

#define CHOICE(index, reason)                                                                      \
    "{\"index\":" index ",\"message\":{\"content\":\"x\"},\"finish_reason\":" reason "}"
#define DELTA(index, reason)                                                                       \
    "data: {\"choices\":[{\"index\":" index ",\"delta\":{},\"finish_reason\":" reason "}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define MESSAGE(type, reason)                                                                      \
    "{\"content\":[{\"type\":\"" type "\"}],\"stop_reason\":\"" reason "\"}"
#define STARTS(type)                                                                               \
    "event: content_block_start\n"                                                                 \
    "data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"" type "\"}}\n\n"
#define STOPS(reason)                                                                              \
    "event: message_delta\n"                                                                       \
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason "\"}}\n\n"            \
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define RESPONSE(status, item)                                                                     \
    "{\"status\":\"" status "\",\"output\":[{\"type\":\"reasoning\"},{\"type\":\"" item "\"}]}"

static const struct sample samples[] = {
    {WIRE_CHAT, false, true, "{\"choices\":[" CHOICE("0", "\"stop\"") "]}"},
    {WIRE_CHAT, false, false, "{\"choices\":[" CHOICE("0", "\"length\"") "]}"},
    {WIRE_CHAT, false, false, "{\"choices\":[" CHOICE("0", "null") "]}"},
    {WIRE_CHAT, false, false, "{\"choices\":[]}"},
    {WIRE_CHAT, false, false, "{\"error\":{}}"},
    {WIRE_CHAT, false, false, "{\"choices\":["},
    {WIRE_CHAT, false, true,
     "{\"choices\":[" CHOICE("0", "\"stop\"") "," CHOICE("1", "\"stop\"") "]}"},
    {WIRE_CHAT, false, false,
     "{\"choices\":[" CHOICE("0", "\"stop\"") "," CHOICE("1", "\"tool_calls\"") "]}"},
    {WIRE_CHAT, false, false,
     "{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"tool_calls\":[{}]}}]}"},
    {WIRE_CHAT, true, true, DELTA("0", "null") DELTA("0", "\"stop\"") DONE},
    {WIRE_CHAT, true, false, DELTA("0", "null") DELTA("0", "\"stop\"")},
    {WIRE_CHAT, true, false, DELTA("0", "\"stop\"") "data: [DONE]\n"},
    {WIRE_CHAT, true, false, DELTA("0", "null") DONE},
    {WIRE_CHAT, true, false, DELTA("1", "null") DELTA("0", "\"stop\"") DONE},
    {WIRE_CHAT, true, true, DELTA("1", "\"stop\"") DELTA("0", "\"stop\"") DONE},
    {WIRE_CHAT, true, false, DELTA("0", "\"content_filter\"") DONE},
    {WIRE_CHAT, true, false, DELTA("0", "\"stop\"") "data: {\"error\":{\"code\":1}}\n\n" DONE},
    {WIRE_COMPLETIONS, false, true, "{\"choices\":[" CHOICE("0", "\"stop\"") "]}"},
    {WIRE_MESSAGES, false, true, MESSAGE("text", "end_turn")},
    {WIRE_MESSAGES, false, true, MESSAGE("text", "stop_sequence")},
    {WIRE_MESSAGES, false, false, MESSAGE("text", "max_tokens")},
    {WIRE_MESSAGES, false, false, MESSAGE("tool_use", "end_turn")},
    {WIRE_MESSAGES, true, true, STARTS("text") STOPS("end_turn")},
    {WIRE_MESSAGES, true, false, STARTS("text")},
    {WIRE_MESSAGES, true, false, STARTS("tool_use") STOPS("end_turn")},
    {WIRE_MESSAGES, true, false, STARTS("text") STOPS("tool_use")},
    {WIRE_MESSAGES, true, false, "event: error\ndata: {\"type\":\"error\"}\n\n" STOPS("end_turn")},
    {WIRE_RESPONSES, false, true, RESPONSE("completed", "message")},
    {WIRE_RESPONSES, false, false, RESPONSE("completed", "function_call")},
    {WIRE_RESPONSES, false, false, RESPONSE("incomplete", "message")},
    {WIRE_RESPONSES, false, false, RESPONSE("in_progress", "message")},
    {WIRE_RESPONSES, true, true,
     "data: {\"type\":\"response.completed\",\"response\":" RESPONSE("completed",
                                                                     "message") "}\n\n"},
    {WIRE_RESPONSES, true, false, "data: {\"type\":\"response.created\"}\n\n"},
    {WIRE_EMBEDDINGS, false, true, "{\"data\":[{}]}"},
    {WIRE_EMBEDDINGS, false, false, "{\"data\":[]}"},
};

static void only_what_came_to_its_end_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *s = &samples[i];
        if (wire_is_whole(s->endpoint, s->streamed, s->text, strlen(s->text)) != s->whole)
            fail_msg("sample %zu is %sto be whole: %s", i, s->whole ? "" : "not ", s->text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_came_to_its_end_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
