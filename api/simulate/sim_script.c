#include "api/simulate/sim_script.h"

#include "common/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_scripted_free(struct sim_scripted *entry)
{
    if (!entry)
        return;
    json_decref(entry->headers);
    free(entry->body);
    free(entry);
}

void sim_script_clear(struct sim_script *s)
{
    while (s->first) {
        struct sim_scripted *entry = s->first;
        s->first = entry->next;
        sim_scripted_free(entry);
    }
    s->count = 0;
}

static int64_t number_of(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static char *body_of(const json_t *response)
{
    const json_t *body = json_object_get(response, "body");
    if (!body || json_is_null(body))
        return strdup("");
    if (json_is_string(body))
        return strdup(json_string_value(body));
    return json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
}

static struct sim_scripted *read_entry(const json_t *response)
{
    struct sim_scripted *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    const char *path = json_string_value(json_object_get(response, "path"));
    json_t *headers = json_object_get(response, "headers");
    entry->status = (int)number_of(response, "status", 200);
    entry->delay_ms = number_of(response, "delay_ms", 0);
    entry->cut_after = number_of(response, "cut_after", -1);
    entry->times = number_of(response, "times", 1);
    entry->disconnect = json_is_true(json_object_get(response, "disconnect"));
    (void)snprintf(entry->path, sizeof(entry->path), "%s", path ? path : "");
    entry->headers = json_is_object(headers) ? json_incref(headers) : NULL;
    entry->body = body_of(response);
    entry->body_len = entry->body ? strlen(entry->body) : 0;
    if (!entry->body || entry->status < 100 || entry->status > 599 || entry->delay_ms < 0) {
        sim_scripted_free(entry);
        return NULL;
    }
    return entry;
}

int sim_script_add(struct sim_script *s, const json_t *responses, struct error *e)
{
    struct sim_script added = {.first = NULL};
    struct sim_scripted **tail = &added.first;
    if (!json_is_array(responses))
        return error_set(e, -EINVAL, "\"responses\" must be an array");
    if (json_array_size(responses) > SIM_MAX_SCRIPT - s->count)
        return error_set(e, -EINVAL, "more than %d scripted responses", SIM_MAX_SCRIPT);
    for (size_t i = 0; i < json_array_size(responses); i++) {
        *tail = read_entry(json_array_get(responses, i));
        if (!*tail) {
            sim_script_clear(&added);
            return error_set(e, -EINVAL, "response %zu cannot be read", i);
        }
        tail = &(*tail)->next;
        added.count++;
    }
    struct sim_scripted **end = &s->first;
    while (*end)
        end = &(*end)->next;
    *end = added.first;
    s->count += added.count;
    return 0;
}

static struct sim_scripted *copy(const struct sim_scripted *entry)
{
    struct sim_scripted *one = malloc(sizeof(*one));
    char *body = strdup(entry->body);
    if (!one || !body) {
        free(one);
        free(body);
        return NULL;
    }
    *one = *entry;
    one->body = body;
    one->headers = json_incref(entry->headers);
    one->next = NULL;
    return one;
}

struct sim_scripted *sim_script_take(struct sim_script *s, const char *path)
{
    struct sim_scripted **at = &s->first;
    while (*at && *(*at)->path && strcmp((*at)->path, path) != 0)
        at = &(*at)->next;
    struct sim_scripted *entry = *at;
    if (!entry)
        return NULL;
    if (--entry->times > 0)
        return copy(entry);
    *at = entry->next;
    s->count--;
    entry->next = NULL;
    return entry;
}
