#include "api/client/saved.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PATH "/v1/settings"
#define TRIES     4

/* A model's name may hold what means something else in a URL. */
static bool add_encoded(char path[CLIENT_PATH_BYTES], size_t *used, const char *text)
{
    static const char plain[] = "-._~/*:@";
    for (; *text; text++) {
        bool same = isalnum((unsigned char)*text) || strchr(plain, *text);
        int n = snprintf(path + *used, CLIENT_PATH_BYTES - *used, same ? "%c" : "%%%02X",
                         (unsigned char)*text);
        if (n < 0 || (size_t)n >= CLIENT_PATH_BYTES - *used)
            return false;
        *used += (size_t)n;
    }
    return true;
}

int saved_path(const char *name, char path[CLIENT_PATH_BYTES], struct error *e)
{
    size_t used = sizeof(LIST_PATH);
    const char *slash = strchr(name, '/');
    (void)snprintf(path, CLIENT_PATH_BYTES, LIST_PATH "/");
    if (slash && slash != name && slash[1] && add_encoded(path, &used, name))
        return 0;
    return error_set(e, -EINVAL,
                     "\"%.80s\" is not PROVIDER/MODEL, such as openai/gpt-4o (sluice settings ls "
                     "lists them)",
                     name);
}

int saved_list(struct client *c, json_t **ret, struct error *e)
{
    return client_call(c, &(struct client_call){.method = "GET", .path = LIST_PATH}, ret, e);
}

int saved_get(struct client *c, const char *name, json_t **ret, struct error *e)
{
    char path[CLIENT_PATH_BYTES];
    int rc = saved_path(name, path, e);
    if (rc < 0)
        return rc;
    return client_call(c, &(struct client_call){.method = "GET", .path = path}, ret, e);
}

/* Sets each member that is not null, and takes out each that is. */
static void merge(json_t *into, const json_t *changes)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)changes, name, value)
    {
        if (json_is_null(value))
            (void)json_object_del(into, name);
        else
            (void)json_object_set(into, name, value);
    }
}

static json_t *without_nulls(const json_t *object)
{
    json_t *out = json_object();
    merge(out, object);
    return out;
}

/* What is to be saved in place of what the entry has. */
static json_t *merged(const json_t *entry, const json_t *changes)
{
    const json_t *saved = json_object_get(entry, "saved");
    json_t *out = without_nulls(saved);
    json_t *limits = without_nulls(json_object_get(saved, "limits"));
    const json_t *wanted = json_object_get(changes, "limits");
    merge(out, changes);
    if (wanted)
        merge(limits, wanted);
    (void)json_object_del(out, "limits");
    if (json_object_size(limits) > 0)
        (void)json_object_set(out, "limits", limits);
    json_decref(limits);
    return out;
}

static bool has_changed(const struct error *e)
{
    return strstr(e->text, "(HTTP 412)") != NULL;
}

/* Nothing left to save is a reset. */
static int write_entry(struct client *c, const char *path, const json_t *entry, json_t *values,
                       json_t **ret, struct error *e)
{
    bool any = json_object_size(values) > 0;
    (void)json_object_set(values, "version", json_object_get(entry, "version"));
    char *body = json_dumps(values, JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (!body)
        return error_set(e, -ENOMEM, "out of memory");
    struct client_call call = {.method = any ? "PUT" : "DELETE", .path = path};
    if (any) {
        call.body = body;
        call.body_len = strlen(body);
    }
    int rc = client_call(c, &call, ret, e);
    free(body);
    return rc;
}

int saved_change(struct client *c, const char *name, const json_t *changes, json_t **ret,
                 struct error *e)
{
    char path[CLIENT_PATH_BYTES];
    int rc = saved_path(name, path, e);
    for (int i = 0; rc == 0 && i < TRIES; i++) {
        json_t *entry = NULL;
        rc = client_call(c, &(struct client_call){.method = "GET", .path = path}, &entry, e);
        if (rc < 0)
            return rc;
        json_t *values = merged(entry, changes);
        rc = write_entry(c, path, entry, values, ret, e);
        json_decref(values);
        json_decref(entry);
        if (rc == 0 || !has_changed(e))
            return rc;
        rc = i + 1 < TRIES ? 0 : rc;
    }
    return rc;
}

int saved_reset(struct client *c, const char *name, json_t **ret, struct error *e)
{
    char path[CLIENT_PATH_BYTES];
    int rc = saved_path(name, path, e);
    if (rc < 0)
        return rc;
    return client_call(c, &(struct client_call){.method = "DELETE", .path = path}, ret, e);
}

json_t *saved_value(const char *text)
{
    if (strcmp(text, "default") == 0)
        return json_null();
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json_is_number(value))
        return value;
    json_decref(value);
    return NULL;
}
