#include "scheduler/prompt/count_text.h"

#include "common/json_byte.h"
#include "common/limits.h"
#include "common/utf8.h"
#include "scheduler/provider/wire_content.h"

#include <string.h>

/* Half a token for each byte while nothing was counted: few texts have more. */
static uint64_t at_density(const struct count_budget *b, size_t bytes)
{
    if (b->bytes == 0)
        return (bytes + 1) / 2;
    return (uint64_t)((double)bytes * (double)b->tokens / (double)b->bytes * 8 / 7) + 1;
}

static void add(struct count_sum *s, const char *bytes, size_t len)
{
    struct count_budget *b = s->budget;
    size_t now = b && b->left < len ? utf8_floor(bytes, len, b->left) : len;
    size_t tokens = tokenizer_count(s->tokenizer, bytes, now);
    s->text += tokens;
    if (!b)
        return;
    b->left -= now;
    b->bytes += now;
    b->tokens += tokens;
    if (now < len) {
        b->rough++;
        s->text += at_density(b, len - now);
    }
}

void count_sum_scratch(struct count_sum *s)
{
    if (s->scratch->len > 0)
        add(s, s->scratch->data, s->scratch->len);
    /* One huge text must not keep its memory for ever. */
    if (s->scratch->room > (size_t)MIB)
        buf_release(s->scratch);
    buf_clear(s->scratch);
}

void count_sum_string(struct count_sum *s, struct json_span string)
{
    struct json_span inside = json_inside(string);
    if (inside.len == 0)
        return;
    if (!memchr(inside.at, '\\', inside.len)) {
        add(s, inside.at, inside.len);
        return;
    }
    buf_clear(s->scratch);
    if (json_text(string, s->scratch) == 0)
        count_sum_scratch(s);
    else
        add(s, inside.at, inside.len);
}

/* Copies all but the blanks between tokens. */
static void add_compact(struct buf *out, struct json_span value)
{
    const char *p = value.at, *end = p + value.len;
    while (p < end) {
        const char *from = p;
        while (p < end && !json_is_blank(*p)) {
            if (*p != '"') {
                p++;
                continue;
            }
            for (p++; p < end && *p != '"'; p++)
                p += *p == '\\' && p + 1 < end;
            p += p < end;
        }
        buf_add(out, from, (size_t)(p - from));
        p = json_skip_blanks(p, end);
    }
}

void count_sum_json(struct count_sum *s, struct json_span value)
{
    if (!value.at)
        return;
    buf_clear(s->scratch);
    add_compact(s->scratch, value);
    if (s->scratch->failed == 0)
        count_sum_scratch(s);
    else
        add(s, value.at, value.len);
}

/* ---- content */

static void on_text(void *arg, struct json_span string)
{
    count_sum_string(arg, string);
}

static void on_json(void *arg, struct json_span value)
{
    count_sum_json(arg, value);
}

/* The base64 of an image: in a data: URL, in Anthropic's source, or none when it is elsewhere. */
static struct json_span image_data(struct json_span block)
{
    struct json_span source = json_get(block, "source"), url = json_get(block, "image_url");
    if (json_equals(json_get(source, "type"), "base64"))
        return json_inside(json_get(source, "data"));
    if (json_kind(url) == JSON_OBJ)
        url = json_get(url, "url");
    struct json_span text = json_inside(url);
    const char *comma =
        text.len > 5 && memcmp(text.at, "data:", 5) == 0 ? memchr(text.at, ',', text.len) : NULL;
    if (!comma)
        return (struct json_span){0};
    return (struct json_span){comma + 1, text.len - (size_t)(comma + 1 - text.at)};
}

static void on_image(void *arg, struct json_span block)
{
    struct count_sum *s = arg;
    struct json_span data = image_data(block), url = json_get(block, "image_url");
    struct json_span detail = json_get(block, "detail");
    if (!detail.at)
        detail = json_get(url, "detail");
    struct image_size size;
    bool known = data.at && image_size_of_base64(data.at, data.len, &size);
    s->flat +=
        (uint64_t)count_image(s->family->image, known ? &size : NULL, json_equals(detail, "low"));
}

void count_sum_content(struct count_sum *s, struct json_span value)
{
    const struct wire_content_sink sink = {s, on_text, on_json, on_image};
    struct wire_content c = {.sink = &sink};
    wire_content_add(&c, value);
    int64_t files = c.file_bytes / WIRE_FILE_BYTES_PER_TOKEN;
    if (files < c.files * WIRE_FILE_MIN_TOKENS)
        files = c.files * WIRE_FILE_MIN_TOKENS;
    int64_t sound = c.audio_ms / WIRE_AUDIO_MS_PER_TOKEN;
    int64_t opaque = c.opaque_bytes * WIRE_OPAQUE_TOKENS / WIRE_OPAQUE_CHARS;
    s->flat += (uint64_t)(files + sound + opaque);
}
