#include "scheduler/vector.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 64

int vector_envelope(const struct embed_answer *from, struct buf *out)
{
    struct buf none;
    struct embed_usage nothing = from->usage;
    for (size_t i = 0; i < nothing.count; i++)
        nothing.of[i].value = 0;
    buf_init(&none, LINE_BYTES);
    int rc = buf_adds(&none, "");
    if (rc == 0)
        rc = embed_answer_write(from, &none, &nothing, out);
    buf_release(&none);
    return rc;
}

int vector_write(struct json_span item, const struct buf *envelope, struct buf *out)
{
    struct json_span index = json_get(item, "index");
    size_t head = index.at ? (size_t)(index.at - item.at) : item.len;
    const char *behind = index.at ? index.at + index.len : item.at + item.len;
    size_t tail = item.len - (size_t)(behind - item.at);
    (void)buf_addf(out, "%zu %zu %d\n", head, tail, index.at != NULL);
    (void)buf_add(out, item.at, head);
    (void)buf_add(out, behind, tail);
    return buf_add(out, envelope->data, envelope->len);
}

int vector_put(const struct vector *v, size_t index, struct buf *out)
{
    (void)buf_add(out, v->head.at, v->head.len);
    if (v->numbered)
        (void)buf_addf(out, "%zu", index);
    return buf_add(out, v->tail.at, v->tail.len);
}

int vector_answer(const struct vector *v, const struct buf *items, struct buf *out)
{
    struct embed_answer from;
    struct json_span none[1];
    int rc = embed_answer_read(v->envelope.at, v->envelope.len, 0, none, &from);
    return rc < 0 ? rc : embed_answer_write(&from, items, &from.usage, out);
}

bool vector_read(const char *bytes, size_t len, struct vector *ret)
{
    char line[LINE_BYTES];
    size_t head = 0, tail = 0;
    int numbered = 0, end = 0;
    const char *lf = memchr(bytes, '\n', len < sizeof(line) ? len : sizeof(line));
    if (!lf)
        return false;
    (void)snprintf(line, sizeof(line), "%.*s", (int)(lf - bytes), bytes);
    if (sscanf(line, "%zu %zu %d%n", &head, &tail, &numbered, &end) != 3 || line[end])
        return false;
    const char *at = lf + 1;
    size_t left = len - (size_t)(at - bytes);
    if (head == 0 || head > left || tail > left - head)
        return false;
    *ret = (struct vector){.head = {.at = at, .len = head},
                           .tail = {.at = at + head, .len = tail},
                           .envelope = {.at = at + head + tail, .len = left - head - tail},
                           .numbered = numbered != 0};
    return true;
}
