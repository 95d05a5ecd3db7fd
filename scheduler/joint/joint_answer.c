#include "scheduler/joint/joint_answer.h"

#include "scheduler/batch/share_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading */

static struct json_span first_of(struct json_span list)
{
    struct json_iter it = json_iter(list);
    return json_next(&it) ? it.value : (struct json_span){.at = NULL};
}

/* OpenAI: a text that holds the object. */
static bool take_chat(struct joint_answer *a)
{
    struct error e;
    struct json_span choice = first_of(json_get(a->reply, "choices"));
    if (!json_equals(json_get(choice, "finish_reason"), "stop"))
        return false;
    return json_text(json_get(json_get(choice, "message"), "content"), &a->text) == 0 &&
           a->text.len > 0 && json_scan_check(a->text.data, a->text.len, &e) == 0;
}

/* Anthropic: the input of the tool that had to be called. */
static bool take_messages(struct joint_answer *a)
{
    struct json_span input = {.at = NULL};
    if (!json_equals(json_get(a->reply, "stop_reason"), "tool_use"))
        return false;
    for (struct json_iter it = json_iter(json_get(a->reply, "content")); json_next(&it);) {
        if (json_equals(json_get(it.value, "type"), "tool_use") &&
            json_equals(json_get(it.value, "name"), JOINT_TOOL))
            input = json_get(it.value, "input");
    }
    return json_kind(input) == JSON_OBJ && buf_add(&a->text, input.at, input.len) == 0;
}

/* How often a name stands in the answers, wherever: in another's text it is a leak. */
static size_t mentions(const struct buf *text, const char *name)
{
    size_t n = 0;
    for (const char *at = text->data; (at = strstr(at, name)); at += JOINT_NAME_DIGITS)
        n++;
    return n;
}

/* "r1" to "rCOUNT". */
static bool is_answer_key(struct json_span key, size_t count)
{
    char name[8];
    for (size_t i = 1; i <= count; i++) {
        (void)snprintf(name, sizeof(name), "r%zu", i);
        if (json_equals(key, name))
            return true;
    }
    return false;
}

static void take_item(struct joint_answer *a, const struct joint_names *names,
                      struct json_span value)
{
    struct json_span id = json_get(value, "id"), text = json_get(value, "answer");
    for (size_t i = 0; i < a->count; i++) {
        bool its = json_equals(id, names->name[i]) && mentions(&a->text, names->name[i]) == 1;
        if (!its || json_kind(text) != JSON_STR || text.len <= 2)
            continue;
        a->item[i] = text;
        a->good++;
    }
}

void joint_answer_read(enum wire_endpoint endpoint, const char *body, size_t len,
                       const struct joint_names *names, size_t count, struct joint_answer *ret)
{
    struct error e;
    *ret = (struct joint_answer){.endpoint = endpoint, .count = count};
    buf_init(&ret->text, UPSTREAM_MAX_BODY_BYTES);
    if (json_scan_check(body, len, &e) < 0)
        return;
    ret->reply = json_span_of(body, len);
    if (!(endpoint == WIRE_CHAT ? take_chat(ret) : take_messages(ret)))
        return;
    struct json_span answers = json_span_of(ret->text.data, ret->text.len);
    if (json_kind(answers) != JSON_OBJ)
        return;
    for (struct json_iter it = json_iter(answers); json_next(&it);) {
        if (is_answer_key(it.key, count))
            take_item(ret, names, it.value);
    }
}

void joint_answer_release(struct joint_answer *a)
{
    buf_release(&a->text);
}

/* ---- what each is to pay */

/* What was fresh and what was cached are parted for themselves, so that nobody has more cached than
 * his input. */
void joint_answer_share(const struct joint_answer *a, const struct wire_usage *bill,
                        const int64_t *text_bytes, struct wire_usage *ret)
{
    enum { FRESH, READ, WRITTEN, OUTPUT, NUMBERS };
    const int64_t total[NUMBERS] = {bill->input - bill->cache_read - bill->cache_write,
                                    bill->cache_read, bill->cache_write, bill->output};
    int64_t weight[2][JOINT_MAX_ITEMS], part[NUMBERS][JOINT_MAX_ITEMS];
    size_t n = 0;
    bool known = bill->known;
    for (size_t i = 0; i < a->count; i++) {
        ret[i] = (struct wire_usage){.known = false};
        if (!a->item[i].at)
            continue;
        weight[0][n] = text_bytes[i];
        weight[1][n++] = (int64_t)a->item[i].len;
    }
    for (size_t k = 0; k < NUMBERS; k++)
        known = known && share_out(total[k], weight[k == OUTPUT], n, part[k]) == 0;
    n = 0;
    for (size_t i = 0; known && i < a->count; i++) {
        if (!a->item[i].at)
            continue;
        ret[i] = (struct wire_usage){.known = true,
                                     .input = part[FRESH][n] + part[READ][n] + part[WRITTEN][n],
                                     .cache_read = part[READ][n],
                                     .cache_write = part[WRITTEN][n],
                                     .output = part[OUTPUT][n]};
        n++;
    }
}

/* ---- writing */

/* A member of the joint answer, as it is; nothing when it has none. */
static void copy(const struct joint_answer *a, const char *name, struct buf *out)
{
    struct json_span value = json_get(a->reply, name);
    if (!value.at)
        return;
    (void)buf_addf(out, ",\"%s\":", name);
    (void)buf_add(out, value.at, value.len);
}

/* Its own, so that nobody takes two answers for one. */
static void write_id(const struct joint_answer *a, size_t index, struct buf *out)
{
    struct json_span id = json_inside(json_get(a->reply, "id"));
    (void)buf_adds(out, "{\"id\":\"");
    (void)buf_add(out, id.at ? id.at : "joint", id.at ? id.len : 5);
    (void)buf_addf(out, "-%zu\"", index + 1);
}

static void write_chat(const struct joint_answer *a, size_t index, const struct wire_usage *u,
                       struct buf *out)
{
    write_id(a, index, out);
    (void)buf_adds(out, ",\"object\":\"chat.completion\"");
    copy(a, "created", out);
    copy(a, "model", out);
    (void)buf_adds(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                        "\"content\":");
    (void)buf_add(out, a->item[index].at, a->item[index].len);
    (void)buf_adds(out, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}]");
    if (u->known)
        (void)buf_addf(out,
                       ",\"usage\":{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64
                       ",\"total_tokens\":%" PRId64
                       ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRId64 "}}",
                       u->input, u->output, u->input + u->output, u->cache_read);
    copy(a, "service_tier", out);
    copy(a, "system_fingerprint", out);
    (void)buf_adds(out, "}");
}

static void write_message(const struct joint_answer *a, size_t index, const struct wire_usage *u,
                          struct buf *out)
{
    write_id(a, index, out);
    (void)buf_adds(out, ",\"type\":\"message\",\"role\":\"assistant\"");
    copy(a, "model", out);
    (void)buf_adds(out, ",\"content\":[{\"type\":\"text\",\"text\":");
    (void)buf_add(out, a->item[index].at, a->item[index].len);
    (void)buf_adds(out, "}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null");
    if (u->known)
        (void)buf_addf(
            out,
            ",\"usage\":{\"input_tokens\":%" PRId64 ",\"cache_creation_input_tokens\":%" PRId64
            ",\"cache_read_input_tokens\":%" PRId64 ",\"output_tokens\":%" PRId64 "}",
            u->input - u->cache_read - u->cache_write, u->cache_write, u->cache_read, u->output);
    (void)buf_adds(out, "}");
}

int joint_answer_write(const struct joint_answer *a, size_t index, const struct wire_usage *share,
                       struct buf *out)
{
    if (a->endpoint == WIRE_CHAT)
        write_chat(a, index, share, out);
    else
        write_message(a, index, share, out);
    return out->failed;
}
