#include "tests/support/talk.h"

#include "common/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void give_up(const char *what)
{
    (void)fprintf(stderr, "talk: %s\n", what);
    abort();
}

static void take(struct talk *t, struct buf *json)
{
    char *text = json->failed ? NULL : buf_take(json);
    if (!text || t->count == TALK_MAX_MESSAGES)
        give_up("out of room");
    t->messages[t->count++] = text;
}

static struct buf start(void)
{
    struct buf b;
    buf_init(&b, (size_t)HTTP_MAX_BODY_BYTES);
    return b;
}

static void add_string(struct buf *b, const char *text)
{
    buf_adds(b, "\"");
    buf_add_json(b, text, strlen(text));
    buf_adds(b, "\"");
}

void talk_init(struct talk *t, enum wire_endpoint endpoint, uint64_t seed)
{
    *t = (struct talk){.endpoint = endpoint,
                       .model = endpoint == WIRE_MESSAGES ? "claude-sonnet-4-5" : "gpt-4o"};
    rand_seed(&t->rand, seed);
}

void talk_release(struct talk *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->messages[i]);
    free(t->system);
    free(t->tools);
    t->count = 0;
    t->system = t->tools = NULL;
}

/* ---- messages */

static void say(struct talk *t, const char *role, const char *text)
{
    struct buf b = start();
    buf_addf(&b, "{\"role\":\"%s\",\"content\":", role);
    bool list = t->endpoint != WIRE_CHAT && rand_below(&t->rand, 2) == 0;
    if (list)
        buf_adds(&b, t->endpoint == WIRE_MESSAGES ? "[{\"type\":\"text\",\"text\":"
                     : role[0] == 'a'             ? "[{\"type\":\"output_text\",\"text\":"
                                                  : "[{\"type\":\"input_text\",\"text\":");
    add_string(&b, text);
    buf_adds(&b, list ? "}]}" : "}");
    take(t, &b);
}

void talk_system(struct talk *t, const char *text)
{
    if (t->endpoint != WIRE_MESSAGES) {
        say(t, t->endpoint == WIRE_CHAT ? "system" : "developer", text);
        return;
    }
    free(t->system);
    t->system = strdup(text);
    if (!t->system)
        give_up("out of memory");
}

void talk_user(struct talk *t, const char *text)
{
    say(t, "user", text);
}

void talk_answer(struct talk *t, const char *text)
{
    say(t, "assistant", text);
}

void talk_raw(struct talk *t, const char *json)
{
    struct buf b = start();
    buf_adds(&b, json);
    take(t, &b);
}

/* ---- calls */

static void call_chat(struct talk *t, const char *tool, const char *const *results, size_t count)
{
    struct buf b = start();
    buf_adds(&b, "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[");
    for (size_t i = 0; i < count; i++)
        buf_addf(&b,
                 "%s{\"id\":\"call_%zu\",\"type\":\"function\",\"function\":{\"name\":\"%s\","
                 "\"arguments\":\"{\\\"query\\\":\\\"number %zu\\\"}\"}}",
                 i ? ", " : "", t->ids + i, tool, t->ids + i);
    buf_adds(&b, "]}");
    take(t, &b);
    for (size_t i = 0; i < count; i++) {
        struct buf r = start();
        buf_addf(&r, "{\"role\":\"tool\",\"tool_call_id\":\"call_%zu\",\"content\":", t->ids + i);
        add_string(&r, results[i]);
        buf_adds(&r, "}");
        take(t, &r);
    }
}

static void call_responses(struct talk *t, const char *tool, const char *const *results,
                           size_t count)
{
    if (t->thinks) {
        struct buf b = start();
        buf_addf(&b,
                 "{\"type\":\"reasoning\",\"id\":\"rs_%zu\",\"summary\":[],"
                 "\"encrypted_content\":\"QUFBQkJCQ0ND\"}",
                 t->ids);
        take(t, &b);
    }
    for (size_t i = 0; i < count; i++) {
        struct buf b = start();
        buf_addf(&b,
                 "{\"type\":\"function_call\",\"call_id\":\"call_%zu\",\"name\":\"%s\","
                 "\"arguments\":\"{\\\"query\\\":\\\"number %zu\\\"}\"}",
                 t->ids + i, tool, t->ids + i);
        take(t, &b);
    }
    for (size_t i = 0; i < count; i++) {
        struct buf b = start();
        buf_addf(&b, "{\"type\":\"function_call_output\",\"call_id\":\"call_%zu\",\"output\":",
                 t->ids + i);
        add_string(&b, results[i]);
        buf_adds(&b, "}");
        take(t, &b);
    }
}

static void call_messages(struct talk *t, const char *tool, const char *const *results,
                          size_t count)
{
    struct buf b = start(), r = start();
    buf_adds(&b, "{\"role\":\"assistant\",\"content\":[");
    if (t->thinks)
        buf_addf(&b,
                 "{\"type\":\"thinking\",\"thinking\":\"number %zu\",\"signature\":\"c2lnbg==\"},",
                 t->ids);
    buf_adds(&r, "{\"role\":\"user\",\"content\":[");
    for (size_t i = 0; i < count; i++) {
        buf_addf(&b,
                 "%s{\"type\":\"tool_use\",\"id\":\"call_%zu\",\"name\":\"%s\","
                 "\"input\":{\"query\":\"number %zu\"}}",
                 i ? ", " : "", t->ids + i, tool, t->ids + i);
        buf_addf(&r, "%s{\"type\":\"tool_result\",\"tool_use_id\":\"call_%zu\",\"content\":",
                 i ? ", " : "", t->ids + i);
        bool list = rand_below(&t->rand, 2) == 0;
        buf_adds(&r, list ? "[{\"type\":\"text\",\"text\":" : "");
        add_string(&r, results[i]);
        buf_adds(&r, list ? "}]}" : "}");
    }
    buf_adds(&b, "]}");
    buf_adds(&r, "]}");
    take(t, &b);
    take(t, &r);
}

void talk_calls(struct talk *t, const char *tool, const char *const *results, size_t count)
{
    if (t->endpoint == WIRE_CHAT)
        call_chat(t, tool, results, count);
    else if (t->endpoint == WIRE_RESPONSES)
        call_responses(t, tool, results, count);
    else
        call_messages(t, tool, results, count);
    t->ids += count;
}

void talk_call(struct talk *t, const char *tool, const char *result)
{
    talk_calls(t, tool, &result, 1);
}

/* ---- made up */

char *talk_words(struct talk *t, size_t bytes)
{
    static const char *const words[] = {
        "order",  "the",     "customer", "returned", "status", "of",       "a",
        "flight", "booking", "is",       "pending",  "price",  "shipment", "was",
        "\"id\"", "2024",    "17.50",    "\n",       "{",      "},",       "error:",
        "Größe",  "価格",    "naïve",    "👍",        "\\",     "search",   "results",
    };
    struct buf b = start();
    do {
        buf_adds(&b, words[rand_below(&t->rand, sizeof(words) / sizeof(words[0]))]);
        buf_adds(&b, " ");
    } while (b.len < bytes);
    buf_adds(&b, "end");
    char *text = buf_take(&b);
    if (!text)
        give_up("out of memory");
    return text;
}

static size_t below(struct talk *t, size_t n)
{
    return (size_t)rand_below(&t->rand, (int64_t)n);
}

static void random_calls(struct talk *t, size_t result_bytes)
{
    static const char *const tools[] = {"search", "read_file", "list_orders"};
    char *results[TALK_MAX_CALLS];
    size_t count = below(t, 3) == 0 ? 1 + below(t, 4) : 1;
    for (size_t i = 0; i < count; i++)
        results[i] = talk_words(t, 1 + below(t, result_bytes * 2));
    talk_calls(t, tools[below(t, 3)], (const char *const *)results, count);
    for (size_t i = 0; i < count; i++)
        free(results[i]);
}

void talk_random(struct talk *t, size_t turns, size_t result_bytes)
{
    for (size_t turn = 0; turn < turns; turn++) {
        char *question = talk_words(t, 10 + below(t, 150));
        char *answer = talk_words(t, 10 + below(t, 400));
        if (t->endpoint != WIRE_MESSAGES && below(t, 6) == 0)
            talk_system(t, "The rules have changed.");
        talk_user(t, question);
        for (size_t steps = below(t, 5); steps > 0; steps--)
            random_calls(t, result_bytes);
        talk_answer(t, answer);
        free(question);
        free(answer);
    }
}

/* ---- the request */

void talk_body(const struct talk *t, size_t from, size_t to, struct buf *out)
{
    buf_addf(out, "{\"model\":\"%s\"", t->model);
    if (t->endpoint == WIRE_MESSAGES)
        buf_adds(out, ", \"max_tokens\": 1000");
    if (t->system) {
        buf_adds(out, ",\"system\":");
        add_string(out, t->system);
    }
    if (t->tools)
        buf_addf(out, ",\"tools\":%s", t->tools);
    buf_adds(out, t->endpoint == WIRE_RESPONSES ? ",\n\"input\": [" : ",\n\"messages\": [");
    for (size_t i = from; i < to; i++)
        buf_addf(out, "%s%s", i > from ? ",\n " : "", t->messages[i]);
    buf_adds(out, "], \"temperature\":0.10}");
    if (out->failed)
        give_up("the request is too large");
}

void talk_whole(const struct talk *t, struct buf *out)
{
    talk_body(t, 0, t->count, out);
}
