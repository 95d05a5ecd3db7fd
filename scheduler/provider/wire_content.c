#include "scheduler/provider/wire_content.h"

#include <stddef.h>
#include <string.h>

/* Sound is billed by its length, which is guessed from its size: WAV of at least 16 kHz with
 * 16 bit, anything else compressed to at least 32 kbit/s. */
#define WAV_BYTES_PER_MS        32
#define COMPRESSED_BYTES_PER_MS 4

static void add(struct wire_content *c, struct json_span value, int depth);

static int64_t base64_bytes(struct json_span string)
{
    return (int64_t)(json_inside(string).len / 4 * 3);
}

static void add_text(struct wire_content *c, struct json_span value)
{
    if (!c->sink)
        wire_text_add(&c->text, value);
    else if (json_kind(value) == JSON_STR)
        c->sink->text(c->sink->arg, value);
}

static void add_json(struct wire_content *c, struct json_span value)
{
    if (c->sink)
        c->sink->json(c->sink->arg, value);
    else
        wire_text_add_json(&c->text, value);
}

static struct json_span either(struct json_span first, struct json_span second)
{
    return first.at ? first : second;
}

/* ---- blocks whose content is no text */

static void add_image(struct wire_content *c, struct json_span block, int depth)
{
    (void)depth;
    struct json_span detail =
        either(json_get(json_get(block, "image_url"), "detail"), json_get(block, "detail"));
    if (c->sink)
        c->sink->image(c->sink->arg, block);
    c->images++;
    if (json_equals(detail, "low"))
        c->images_low++;
}

static void add_audio(struct wire_content *c, struct json_span block, int depth)
{
    (void)depth;
    struct json_span inner = either(json_get(block, "input_audio"), json_get(block, "audio"));
    int64_t bytes = base64_bytes(json_get(inner, "data"));
    bool wav = json_equals(json_get(inner, "format"), "wav");
    c->audio_ms += bytes / (wav ? WAV_BYTES_PER_MS : COMPRESSED_BYTES_PER_MS);
}

static void add_file(struct wire_content *c, struct json_span block, int depth)
{
    struct json_span source = json_get(block, "source"), data = json_get(source, "data");
    struct json_span type = json_get(source, "type");
    add_text(c, json_get(block, "title"));
    add_text(c, json_get(block, "context"));
    if (json_equals(type, "text")) {
        add_text(c, data);
        return;
    }
    if (json_equals(type, "content")) {
        add(c, json_get(source, "content"), depth + 1);
        return;
    }
    struct json_span file = either(json_get(block, "file"), block);
    c->files++;
    c->file_bytes += base64_bytes(either(data, json_get(file, "file_data")));
}

static void add_nothing(struct wire_content *c, struct json_span block, int depth)
{
    (void)c;
    (void)block;
    (void)depth;
}

typedef void (*block_fn)(struct wire_content *c, struct json_span block, int depth);

static const struct {
    const char *type;
    block_fn add;
} blocks[] = {
    {"image_url", add_image},
    {"input_image", add_image},
    {"image", add_image},
    {"computer_screenshot", add_image},
    {"image_generation_call", add_image},
    {"input_audio", add_audio},
    {"audio", add_audio},
    {"file", add_file},
    {"input_file", add_file},
    {"document", add_file},
    {"item_reference", add_nothing},
};

static block_fn block_handler(struct json_span type)
{
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        if (json_equals(type, blocks[i].type))
            return blocks[i].add;
    return NULL;
}

/* ---- members of messages and of all other blocks */

enum action { COUNT_WALK, COUNT_NONE, COUNT_JSON, COUNT_OPAQUE };

/* An assistant's call has its arguments as an object in "input" (Anthropic); cited text and
 * signatures come back from the caller but are not billed; the role is in the overhead per
 * message. */
#define MEMBER(name, action)                                                                       \
    {                                                                                              \
        name, sizeof(name) - 1, action                                                             \
    }
static const struct {
    const char *name;
    size_t len;
    enum action action;
} members[] = {
    MEMBER("type", COUNT_NONE),         MEMBER("role", COUNT_NONE),
    MEMBER("id", COUNT_NONE),           MEMBER("call_id", COUNT_NONE),
    MEMBER("tool_call_id", COUNT_NONE), MEMBER("tool_use_id", COUNT_NONE),
    MEMBER("item_id", COUNT_NONE),      MEMBER("status", COUNT_NONE),
    MEMBER("phase", COUNT_NONE),        MEMBER("cache_control", COUNT_NONE),
    MEMBER("signature", COUNT_NONE),    MEMBER("annotations", COUNT_NONE),
    MEMBER("citations", COUNT_NONE),    MEMBER("logprobs", COUNT_NONE),
    MEMBER("input", COUNT_JSON),        MEMBER("encrypted_content", COUNT_OPAQUE),
    MEMBER("data", COUNT_OPAQUE),
};

/* A name that is spelled with escapes is not found and counts as text: the high side. */
static enum action member_action(struct json_span key)
{
    struct json_span name = json_inside(key);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (members[i].len == name.len && memcmp(members[i].name, name.at, name.len) == 0)
            return members[i].action;
    return COUNT_WALK;
}

static void add_member(struct wire_content *c, enum action action, struct json_span value,
                       int depth)
{
    bool string = json_kind(value) == JSON_STR;
    if (action == COUNT_NONE)
        return;
    if (action == COUNT_JSON && !string)
        add_json(c, value);
    else if (action == COUNT_OPAQUE && string)
        c->opaque_bytes += (int64_t)json_inside(value).len;
    else
        add(c, value, depth);
}

static void add_block(struct wire_content *c, struct json_span block, int depth)
{
    block_fn handler = block_handler(json_get(block, "type"));
    if (handler) {
        handler(c, block, depth);
        return;
    }
    struct json_iter it = json_iter(block);
    while (json_next(&it))
        add_member(c, member_action(it.key), it.value, depth + 1);
}

static void add(struct wire_content *c, struct json_span value, int depth)
{
    enum json_kind kind = json_kind(value);
    if (kind == JSON_STR) {
        add_text(c, value);
    } else if (depth > WIRE_CONTENT_DEPTH) {
        add_json(c, value);
    } else if (kind == JSON_OBJ) {
        add_block(c, value, depth);
    } else if (kind == JSON_ARR) {
        struct json_iter it = json_iter(value);
        while (json_next(&it))
            add(c, it.value, depth + 1);
    }
}

void wire_content_add(struct wire_content *c, struct json_span value)
{
    add(c, value, 0);
}
