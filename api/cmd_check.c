#include "api/cmd_check.h"

#include "common/args.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/config_table.h"
#include "common/config_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_MAX_BYTES (16L * 1024 * 1024) /* a configuration is at most 1 MiB */
#define WARNING_BYTES    256
#define KEY_COLUMN       42

enum { OPTION_KEYS = ARGS_NO_CHAR };

static const struct args_option options[] = {
    {'j', "json", NULL, "print JSON"},
    {OPTION_KEYS, "keys", NULL, "list every key with its unit, range and default"},
    {0},
};

const struct args_command cmd_check_usage = {
    .name = "check",
    .about = "Says whether a configuration is right, and what it comes to, without starting.\n"
             "Without FILE: what `sluice serve` would take from the environment.",
    .operands = "[FILE]",
    .most = 1,
    .options = options,
    .example = "  sluice check sluice.yaml",
};

/* ---- warnings: right, but perhaps not meant. Each has a turn; "" when it does not apply. */

static void warn_no_limits(const struct config *c, const struct config_provider *p, char *text)
{
    (void)c;
    for (size_t i = 0; i < p->model_count; i++) {
        const struct config_limits *l = &p->models[i].limits;
        if (l->rpm < 0 && l->tpm < 0 && l->itpm < 0 && l->otpm < 0 && l->rpd < 0 && l->tpd < 0 &&
            l->max_parallel_requests < 0) {
            (void)snprintf(text, WARNING_BYTES,
                           "%s: the model \"%s\" has no limits; its requests are not held back",
                           p->name, p->models[i].name);
            return;
        }
    }
}

static void warn_no_key(const struct config *c, const struct config_provider *p, char *text)
{
    if (c->auth.key_count && !p->key_count)
        (void)snprintf(
            text, WARNING_BYTES,
            "%s: api_key is not set, and callers present keys of this service (auth.keys)",
            p->name);
}

static void warn_clear_text(const struct config *c, const struct config_provider *p, char *text)
{
    (void)c;
    if (strncmp(p->base_url, "http://", 7) == 0 && p->key_count &&
        !config_text_is_loopback(p->base_url + 7) && strncmp(p->base_url + 7, "localhost", 9) != 0)
        (void)snprintf(text, WARNING_BYTES, "%s: api_key travels unencrypted (base_url is http://)",
                       p->name);
}

static void (*const warnings[])(const struct config *, const struct config_provider *,
                                char *) = {warn_no_limits, warn_no_key, warn_clear_text};
#define WARNING_COUNT (sizeof(warnings) / sizeof(warnings[0]))

static void warn_plain_listener(const struct config *c, char *text)
{
    if (!c->tls.certificate && !config_text_is_loopback(c->listen))
        (void)snprintf(text, WARNING_BYTES,
                       "keys and prompts travel unencrypted to %s (tls is not set)", c->listen);
}

/* The index-th warning of the whole configuration that could apply. */
static bool warning_at(const struct config *c, size_t index, char text[WARNING_BYTES])
{
    text[0] = '\0';
    if (index == c->provider_count * WARNING_COUNT)
        warn_plain_listener(c, text);
    if (index >= c->provider_count * WARNING_COUNT)
        return index == c->provider_count * WARNING_COUNT;
    warnings[index % WARNING_COUNT](c, &c->providers[index / WARNING_COUNT], text);
    return true;
}

/* ---- parts of both reports */

struct named_limit {
    const char *name;
    int64_t value;
};

#define LIMIT_COUNT 7

static void limits_of(const struct config_limits *l, struct named_limit ret[LIMIT_COUNT])
{
    const struct named_limit all[LIMIT_COUNT] = {
        {"rpm", l->rpm},
        {"tpm", l->tpm},
        {"itpm", l->itpm},
        {"otpm", l->otpm},
        {"rpd", l->rpd},
        {"tpd", l->tpd},
        {"max_parallel_requests", l->max_parallel_requests}};
    memcpy(ret, all, sizeof(all));
}

/* Where Redis is, without the user and password that the URL may hold. */
static const char *redis_place(const struct config *c)
{
    const char *at = strrchr(c->redis.url, '@');
    return at ? at + 1 : c->redis.url;
}

static const char *format_name(enum config_format format)
{
    return format == CONFIG_OPENAI ? "openai" : "anthropic";
}

static bool ends_with(const struct buf *out, char c)
{
    return out->len && out->data[out->len - 1] == c;
}

/* ---- text */

static void add_model_text(struct buf *out, const struct config_model *m)
{
    struct named_limit limits[LIMIT_COUNT];
    limits_of(&m->limits, limits);
    const char *between = "";
    (void)buf_addf(out, "  %-24s pool %s: ", m->name, m->pool);
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        if (limits[i].value == CONFIG_ABSENT)
            continue;
        (void)buf_addf(out, "%s%s %" PRId64, between, limits[i].name, limits[i].value);
        between = ", ";
    }
    if (*between && m->limits.algorithm == CONFIG_SLIDING_WINDOW)
        (void)buf_adds(out, " (sliding window)");
    (void)buf_adds(out, *between ? "\n" : "no limits\n");
}

/* Its own limits, when it has any. */
static void add_tenant_text(struct buf *out, const struct config_tenant *t)
{
    struct named_limit limits[LIMIT_COUNT];
    const char *between = "";
    size_t before = out->len;
    limits_of(&t->limits, limits);
    (void)buf_addf(out, "  %-24s in each pool: ", t->name);
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        if (limits[i].value == CONFIG_ABSENT)
            continue;
        (void)buf_addf(out, "%s%s %" PRId64, between, limits[i].name, limits[i].value);
        between = ", ";
    }
    if (t->max_share > 0) {
        (void)buf_addf(out, "%smax_share %g", between, t->max_share);
        between = ", ";
    }
    if (t->max_queue != CONFIG_ABSENT) {
        (void)buf_addf(out, "%smax_queue %" PRId64, between, t->max_queue);
        between = ", ";
    }
    if (*between)
        (void)buf_adds(out, "\n");
    else
        out->len = before;
}

static void add_text(struct buf *out, const char *name, const struct config *c)
{
    char warning[WARNING_BYTES];
    (void)buf_addf(out, "%s: OK\n\nlisten   %s\n", name, c->listen);
    if (*c->redis.url)
        (void)buf_addf(out, "redis    %s\n", redis_place(c));
    else
        (void)buf_addf(out, "redis    embedded, in %s\n", c->data_dir);
    if (c->auth.key_count)
        (void)buf_addf(out, "access   %zu keys\n", c->auth.key_count);
    else
        (void)buf_adds(out, "access   open, from this machine only\n");
    (void)buf_addf(out, "tenants  %zu\n", c->tenant_count);
    for (size_t i = 0; i < c->tenant_count; i++)
        add_tenant_text(out, &c->tenants[i]);
    for (size_t i = 0; i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        (void)buf_addf(out, "\n%s (%s, %s, key %s)\n", p->name, format_name(p->format), p->base_url,
                       p->key_count ? "set" : "not set");
        for (size_t j = 0; p->key_count > 1 && j < p->key_count; j++)
            (void)buf_addf(out, "  key %s\n", p->keys[j].name);
        for (size_t j = 0; j < p->model_count; j++)
            add_model_text(out, &p->models[j]);
    }
    for (size_t i = 0; warning_at(c, i, warning); i++)
        if (*warning)
            (void)buf_addf(out, "\nwarning: %s", warning);
    (void)buf_adds(out, ends_with(out, '\n') ? "" : "\n");
}

/* ---- JSON */

static void add_string(struct buf *out, const char *key, const char *value)
{
    (void)buf_addf(out, "%s\"%s\":\"", ends_with(out, '{') ? "" : ",", key);
    (void)buf_add_json(out, value, strlen(value));
    (void)buf_adds(out, "\"");
}

/* The object's last member, "limits", left open. True: some are. */
static bool add_limits_json(struct buf *out, const struct config_limits *l)
{
    struct named_limit limits[LIMIT_COUNT];
    const char *between = "";
    limits_of(l, limits);
    (void)buf_adds(out, ",\"limits\":{");
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        if (limits[i].value == CONFIG_ABSENT)
            continue;
        (void)buf_addf(out, "%s\"%s\":%" PRId64, between, limits[i].name, limits[i].value);
        between = ",";
    }
    return *between != '\0';
}

static void add_tenant_json(struct buf *out, const struct config_tenant *t)
{
    (void)buf_adds(out, "{");
    add_string(out, "name", t->name);
    (void)buf_addf(out, ",\"weight\":%" PRId64, t->weight);
    bool any = add_limits_json(out, &t->limits);
    if (t->max_share > 0)
        (void)buf_addf(out, "%s\"max_share\":%g", any ? "," : "", t->max_share);
    any = any || t->max_share > 0;
    if (t->max_queue != CONFIG_ABSENT)
        (void)buf_addf(out, "%s\"max_queue\":%" PRId64, any ? "," : "", t->max_queue);
    (void)buf_adds(out, "}}");
}

static void add_model_json(struct buf *out, const struct config_model *m)
{
    (void)buf_adds(out, "{");
    add_string(out, "name", m->name);
    add_string(out, "pool", m->pool);
    (void)add_limits_json(out, &m->limits);
    (void)buf_adds(out, "}}");
}

static void add_provider_json(struct buf *out, const struct config_provider *p)
{
    (void)buf_adds(out, "{");
    add_string(out, "name", p->name);
    add_string(out, "format", format_name(p->format));
    add_string(out, "base_url", p->base_url);
    (void)buf_addf(out, ",\"api_key_set\":%s,\"models\":[", p->key_count ? "true" : "false");
    for (size_t j = 0; j < p->model_count; j++) {
        (void)buf_adds(out, j ? "," : "");
        add_model_json(out, &p->models[j]);
    }
    (void)buf_adds(out, "]}");
}

static void add_json(struct buf *out, const char *name, const struct config *c)
{
    (void)buf_adds(out, "{");
    add_string(out, "file", name);
    (void)buf_adds(out, ",\"ok\":true");
    add_string(out, "listen", c->listen);
    add_string(out, "data_dir", c->data_dir);
    add_string(out, "redis", *c->redis.url ? redis_place(c) : "embedded");
    (void)buf_addf(out, ",\"auth_keys\":%zu,\"tenants\":%zu,\"tenant_limits\":[", c->auth.key_count,
                   c->tenant_count);
    for (size_t i = 0; i < c->tenant_count; i++) {
        (void)buf_adds(out, i ? "," : "");
        add_tenant_json(out, &c->tenants[i]);
    }
    (void)buf_adds(out, "],\"providers\":[");
    for (size_t i = 0; i < c->provider_count; i++) {
        (void)buf_adds(out, i ? "," : "");
        add_provider_json(out, &c->providers[i]);
    }
    const char *between = "";
    char warning[WARNING_BYTES];
    (void)buf_adds(out, "],\"warnings\":[");
    for (size_t i = 0; warning_at(c, i, warning); i++) {
        if (!*warning)
            continue;
        (void)buf_addf(out, "%s\"", between);
        (void)buf_add_json(out, warning, strlen(warning));
        (void)buf_adds(out, "\"");
        between = ",";
    }
    (void)buf_adds(out, "]}\n");
}

static void add_error_json(struct buf *out, const char *name, const struct error *e)
{
    (void)buf_adds(out, "{");
    add_string(out, "file", name);
    (void)buf_adds(out, ",\"ok\":false");
    add_string(out, "error", e->text);
    (void)buf_adds(out, "}\n");
}

/* ---- the table of keys */

static void print_keys(const struct config_section *s);

static void print_key(const struct config_section *s, const struct config_row *row)
{
    char name[96], what[96] = "";
    (void)snprintf(name, sizeof(name), "%s%s%s", s->path, *s->path ? "." : "", row->key);
    if (row->required)
        (void)snprintf(what, sizeof(what), "required");
    else if (row->computed)
        (void)snprintf(what, sizeof(what), "default: %s", row->computed);
    else if (row->type == CONFIG_BOOL)
        (void)snprintf(what, sizeof(what), "default: %s", row->value ? "true" : "false");
    else if (row->type == CONFIG_CHOICE)
        (void)snprintf(what, sizeof(what), "default: %s", row->choices[row->value]);
    else if (row->type == CONFIG_INTEGER && row->value != CONFIG_ABSENT)
        (void)snprintf(what, sizeof(what), "%" PRId64 " to %" PRId64 ", default: %" PRId64,
                       row->least, row->most, row->value);
    else if (row->text)
        (void)snprintf(what, sizeof(what), "default: %s", *row->text ? row->text : "empty");
    else
        (void)snprintf(what, sizeof(what), "default: none");
    printf("%-*s %s%s%s\n%*s %s\n", KEY_COLUMN, name, row->unit ? row->unit : "",
           row->unit && *row->unit ? "; " : "", what, KEY_COLUMN, "", row->help);
}

static void print_keys(const struct config_section *s)
{
    for (size_t i = 0; i < s->row_count; i++) {
        const struct config_row *row = &s->rows[i];
        if (row->of)
            print_keys(row->of);
        else
            print_key(s, row);
    }
}

/* ---- the command */

static int print_report(struct buf *out)
{
    bool fine = !out->failed && (!out->len || fwrite(out->data, 1, out->len, stdout) == out->len);
    if (!fine || fflush(stdout)) {
        (void)fprintf(stderr, "sluice check: the report could not be written\n");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static int report(const char *path, bool json)
{
    struct config *c = NULL;
    struct error e = {.text = ""};
    struct buf out;
    const char *name = path ? path : "environment";
    int err = path ? config_load(path, &c, &e) : config_from_environment(&c, &e);

    buf_init(&out, REPORT_MAX_BYTES);
    if (err)
        (void)fprintf(stderr, "%s\n", e.text);
    if (err && json)
        add_error_json(&out, name, &e);
    else if (!err && json)
        add_json(&out, name, c);
    else if (!err)
        add_text(&out, name, c);
    int code = print_report(&out);
    buf_release(&out);
    config_free(c);
    return err ? EXIT_FAILURE : code;
}

int cmd_check(int argc, char **argv)
{
    struct args a;
    bool json = false, keys = false;
    args_init(&a, &cmd_check_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;) {
        if (id == 'j')
            json = true;
        else if (id == OPTION_KEYS)
            keys = true;
    }
    if (a.exit_code >= 0)
        return a.exit_code;
    if (keys) {
        print_keys(&config_table);
        return EXIT_SUCCESS;
    }
    return report(a.operand_count ? a.operands[0] : NULL, json);
}
