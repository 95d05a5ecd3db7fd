#include "api/simulate/sim_joint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OPEN       "\n<item-"
#define CLOSE      "\n</item-"
#define NAME_BYTES 64
#define MILLION    1000000

struct item {
    char name[NAME_BYTES];
    const char *text;
    size_t len;
};

bool sim_joint_is(const json_t *body)
{
    const json_t *schema = json_object_get(json_object_get(body, "response_format"), "json_schema");
    const json_t *choice = json_object_get(body, "tool_choice");
    const char *name = json_string_value(json_object_get(schema, "name"));
    const char *tool = json_string_value(json_object_get(choice, "name"));
    return (name && strcmp(name, "answers") == 0) || (tool && strcmp(tool, "answers") == 0);
}

static const char *prompt(const struct sim_reply *r)
{
    const json_t *messages = json_object_get(r->body, "messages");
    size_t count = json_array_size(messages);
    const json_t *last = count > 0 ? json_array_get(messages, count - 1) : NULL;
    const char *text = json_string_value(json_object_get(last, "content"));
    return text ? text : "";
}

/* The next item; NULL when there is none behind it. */
static const char *next_item(const char *at, struct item *ret)
{
    char close[NAME_BYTES + sizeof(CLOSE)];
    const char *open = strstr(at, OPEN);
    if (!open)
        return NULL;
    open += strlen(OPEN);
    size_t len = strcspn(open, ">\n");
    if (len >= NAME_BYTES || open[len] != '>' || open[len + 1] != '\n')
        return NULL;
    (void)snprintf(ret->name, sizeof(ret->name), "%.*s", (int)len, open);
    (void)snprintf(close, sizeof(close), CLOSE "%s", ret->name);
    ret->text = open + len + 2;
    const char *end = strstr(ret->text, close);
    if (!end)
        return NULL;
    ret->len = (size_t)(end - ret->text);
    return end + 1;
}

/* By the item, the call and the seed: the same again when it is written again. */
static int64_t dice(const struct sim_reply *r, const struct item *item)
{
    char text[NAME_BYTES + 64];
    int len = snprintf(text, sizeof(text), "%s %" PRIu64 " %" PRIu64, item->name, r->number,
                       r->joint_seed);
    uint64_t h = sim_hash(text, (size_t)len);
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    return (int64_t)(h % MILLION);
}

void sim_joint_text(const struct sim_reply *r, struct buf *out)
{
    struct item item;
    char before[NAME_BYTES] = ""; /* answered under its own name */
    int n = 0;
    const char *comma = "";
    (void)buf_adds(out, "{");
    for (const char *at = prompt(r); (at = next_item(at, &item));) {
        int64_t thrown = dice(r, &item);
        bool dropped = thrown < r->joint_drop;
        bool garbled = !dropped && thrown < r->joint_drop + r->joint_garble;
        n++;
        if (!dropped) {
            const char *name = !garbled ? item.name : *before ? before : item.name + 1;
            (void)buf_addf(out, "%s\"r%d\":{\"id\":\"%s\",\"answer\":\"echo%016" PRIx64 "\"}",
                           comma, n, name, sim_hash(item.text, item.len));
            comma = ",";
        }
        (void)snprintf(before, sizeof(before), "%s", dropped || garbled ? "" : item.name);
    }
    (void)buf_adds(out, "}");
}

int64_t sim_joint_tokens(const struct sim_reply *r)
{
    struct buf text;
    buf_init(&text, SIM_MAX_REPLY_BYTES);
    sim_joint_text(r, &text);
    int64_t tokens = sim_tokens(text.len, 4);
    buf_release(&text);
    return tokens;
}
