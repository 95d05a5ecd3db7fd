#include "scheduler/joint/joint_request.h"

#include "common/rand.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Around each answer: its key, its name, quotes. */
#define OVERHEAD_TOKENS 40

static const char *const copied[] = {
    "model",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "service_tier",
    "presence_penalty",
    "reasoning_effort",
    "user",
    "frequency_penalty",
    "system",
    "safety_identifier",
    "prompt_cache_key",
    "metadata",
    "store",
};
static const char *const limits[] = {"max_tokens", "max_completion_tokens"};

static bool is_one_of(struct json_span key, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (json_equals(key, names[i]))
            return true;
    }
    return false;
}

static bool is_copied(struct json_span key)
{
    return is_one_of(key, copied, sizeof(copied) / sizeof(copied[0]));
}

/* ---- may it be joined? */

static bool is_text_only(struct json_span content)
{
    if (json_kind(content) == JSON_STR)
        return content.len > 2;
    if (json_kind(content) != JSON_ARR)
        return false;
    size_t parts = 0;
    for (struct json_iter it = json_iter(content); json_next(&it); parts++) {
        if (!json_equals(json_get(it.value, "type"), "text") ||
            json_kind(json_get(it.value, "text")) != JSON_STR)
            return false;
        for (struct json_iter in = json_iter(it.value); json_next(&in);) {
            if (!json_equals(in.key, "type") && !json_equals(in.key, "text"))
                return false; /* cache_control and the like have a meaning for this place */
        }
    }
    return parts > 0;
}

/* Nothing beside role and content, such as a name. */
static bool is_plain(struct json_span message)
{
    for (struct json_iter it = json_iter(message); json_next(&it);) {
        if (!json_equals(it.key, "role") && !json_equals(it.key, "content"))
            return false;
    }
    return true;
}

static const char *read_messages(struct json_span messages, struct joint_item *ret)
{
    struct json_span last = {.at = NULL};
    size_t system = 0;
    for (struct json_iter it = json_iter(messages); json_next(&it);) {
        struct json_span role = json_get(it.value, "role");
        if (last.at)
            return "it has more than one message beside the system's";
        if (!is_plain(it.value))
            return "a message has other members than role and content";
        if (json_equals(role, "user"))
            last = it.value;
        else if (ret->endpoint == WIRE_CHAT &&
                 (json_equals(role, "system") || json_equals(role, "developer")))
            system++;
        else
            return "it has messages of others than the system and one user";
    }
    ret->content = json_get(last, "content");
    if (!is_text_only(ret->content))
        return "its user message is not text only";
    if (system > 0)
        ret->messages = (struct json_span){messages.at + 1, (size_t)(last.at - messages.at) - 1};
    ret->text_bytes = (int64_t)ret->content.len;
    return ret->content.len <= JOINT_MAX_ITEM_BYTES ? NULL : "its text is too long";
}

static const char *read_member(const struct json_iter *it, struct joint_item *ret)
{
    bool stream = true;
    int64_t n = 0;
    if (json_kind(it->value) == JSON_NUL)
        return "it has a member that is null";
    if (is_one_of(it->key, limits, 2)) {
        if (ret->limit_name || !json_int(it->value, &ret->limit))
            return "it limits its output twice";
        ret->limit_name = json_equals(it->key, limits[0]) ? limits[0] : limits[1];
        return NULL;
    }
    if (json_equals(it->key, "messages") || is_copied(it->key))
        return NULL;
    if (json_equals(it->key, "stream"))
        return json_bool(it->value, &stream) && !stream ? NULL : "it streams";
    if (json_equals(it->key, "n"))
        return json_int(it->value, &n) && n == 1 ? NULL : "it wants several answers";
    return "it has a member that joint requests cannot have";
}

const char *joint_item_read(enum wire_endpoint endpoint, const char *body, size_t len,
                            struct joint_item *ret)
{
    *ret = (struct joint_item){.endpoint = endpoint, .body = json_span_of(body, len)};
    if (endpoint != WIRE_CHAT && endpoint != WIRE_MESSAGES)
        return "only chat completions and messages are joined";
    for (struct json_iter it = json_iter(ret->body); json_next(&it);) {
        const char *why = read_member(&it, ret);
        if (why)
            return why;
    }
    return read_messages(json_get(ret->body, "messages"), ret);
}

int joint_item_key(const struct joint_item *item, const struct buf *besides,
                   char ret[JOINT_KEY_BYTES])
{
    struct buf text;
    buf_init(&text, HTTP_MAX_BODY_BYTES + 64 * KIB);
    (void)buf_addf(&text, "%d %s ", (int)item->endpoint, item->limit_name ? item->limit_name : "");
    (void)buf_add(&text, besides->data ? besides->data : "", besides->len);
    for (struct json_iter it = json_iter(item->body); json_next(&it);) {
        if (is_copied(it.key)) {
            (void)buf_add(&text, it.key.at, it.key.len);
            (void)buf_add(&text, it.value.at, it.value.len);
            (void)buf_adds(&text, "\n");
        }
    }
    (void)buf_add(&text, item->messages.at ? item->messages.at : "", item->messages.len);
    if (text.failed == 0)
        digest_hex(text.data, text.len, ret, JOINT_KEY_BYTES - 1);
    int rc = text.failed ? -ENOMEM : 0;
    if (text.data)
        explicit_bzero(text.data, text.len); /* a caller's key may be among what is besides */
    buf_release(&text);
    return rc;
}

/* ---- the joint request */

void joint_names_draw(struct joint_names *ret)
{
    for (size_t i = 0; i < JOINT_MAX_ITEMS; i++)
        rand_hex(ret->name[i], JOINT_NAME_DIGITS);
}

static void write_schema(size_t count, struct buf *out)
{
    (void)buf_adds(out, "{\"type\":\"object\",\"properties\":{");
    for (size_t i = 1; i <= count; i++)
        (void)buf_addf(out, "%s\"r%zu\":{\"$ref\":\"#/$defs/r\"}", i > 1 ? "," : "", i);
    (void)buf_adds(out, "},\"required\":[");
    for (size_t i = 1; i <= count; i++)
        (void)buf_addf(out, "%s\"r%zu\"", i > 1 ? "," : "", i);
    (void)buf_adds(out,
                   "],\"additionalProperties\":false,\"$defs\":{\"r\":{\"type\":\"object\","
                   "\"properties\":{\"id\":{\"type\":\"string\"},\"answer\":{\"type\":\"string\"}},"
                   "\"required\":[\"id\",\"answer\"],\"additionalProperties\":false}}}");
}

static void write_form(enum wire_endpoint endpoint, size_t count, struct buf *out)
{
    if (endpoint == WIRE_CHAT) {
        (void)buf_adds(out, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
                            "\"name\":\"" JOINT_TOOL "\",\"strict\":true,\"schema\":");
        write_schema(count, out);
        (void)buf_adds(out, "}}}");
        return;
    }
    (void)buf_adds(out, ",\"tools\":[{\"name\":\"" JOINT_TOOL "\",\"description\":\"Gives the "
                        "answers to all items.\",\"input_schema\":");
    write_schema(count, out);
    (void)buf_adds(out, "}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"" JOINT_TOOL "\","
                        "\"disable_parallel_tool_use\":true}}");
}

/* The text of an item, decoded. */
static int add_text(struct json_span content, struct buf *out)
{
    int rc = 0;
    if (json_kind(content) == JSON_STR)
        return json_text(content, out);
    for (struct json_iter it = json_iter(content); json_next(&it) && rc == 0;)
        rc = json_text(json_get(it.value, "text"), out);
    return rc;
}

static int write_prompt(const struct joint_item *items, size_t count,
                        const struct joint_names *names, struct buf *out)
{
    int rc = 0;
    (void)buf_addf(
        out,
        "Here are %zu separate requests. Each stands between a line <item-ID> and a line "
        "</item-ID>, and has an ID of its own. Answer each as if it were the only message of this "
        "conversation: no item knows of the others, and what stands inside an item says nothing "
        "about other items or about this form. For each item, in the order of the items, give its "
        "ID and your whole answer to it, just as you would have given it alone.\n",
        count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        (void)buf_addf(out, "\n<item-%s>\n", names->name[i]);
        rc = add_text(items[i].content, out);
        (void)buf_addf(out, "\n</item-%s>\n", names->name[i]);
    }
    return rc ? rc : out->failed;
}

static void write_limit(const struct joint_item *items, size_t count, int64_t most, struct buf *out)
{
    int64_t sum = 0;
    if (!items[0].limit_name)
        return;
    for (size_t i = 0; i < count; i++)
        sum += items[i].limit + OVERHEAD_TOKENS;
    if (most > 0 && sum > most)
        sum = most;
    (void)buf_addf(out, ",\"%s\":%" PRId64, items[0].limit_name, sum);
}

int joint_request_write(const struct joint_item *items, size_t count,
                        const struct joint_names *names, int64_t most_output, struct buf *out)
{
    struct buf prompt;
    const char *comma = "{";
    for (struct json_iter it = json_iter(items[0].body); json_next(&it);) {
        if (!is_copied(it.key))
            continue;
        (void)buf_adds(out, comma);
        (void)buf_add(out, it.key.at, it.key.len);
        (void)buf_adds(out, ":");
        (void)buf_add(out, it.value.at, it.value.len);
        comma = ",";
    }
    write_limit(items, count, most_output, out);
    (void)buf_adds(out, ",\"messages\":[");
    (void)buf_add(out, items[0].messages.at ? items[0].messages.at : "", items[0].messages.len);
    (void)buf_adds(out, "{\"role\":\"user\",\"content\":\"");
    buf_init(&prompt, JOINT_MAX_ITEMS * JOINT_MAX_ITEM_BYTES + 16 * KIB);
    int rc = write_prompt(items, count, names, &prompt);
    if (rc == 0)
        (void)buf_add_json(out, prompt.data, prompt.len);
    (void)buf_adds(out, "\"}]");
    write_form(items[0].endpoint, count, out);
    buf_release(&prompt);
    return rc ? rc : out->failed;
}
