#include "common/config.h"

#include "common/buf.h"
#include "common/config_bind.h"
#include "common/config_check.h"
#include "common/config_table.h"
#include "common/config_text.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/yaml_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value;
}

/* ---- providers from the environment */

static int add_provider(struct buf *yaml, const char *name, const char *key, const char *url)
{
    if (!is_set(key))
        return 0;
    int err = buf_addf(yaml, "  - {name: %s, format: %s, api_key: \"${%s}\"", name, name, key);
    if (!err && is_set(url))
        err = buf_addf(yaml, ", base_url: \"${%s}\"", url);
    return err ? err : buf_adds(yaml, "}\n");
}

/* As YAML, so that what comes from the environment is checked by the same rows. */
static int bind_environment(struct config *c, struct error *e)
{
    struct buf yaml;
    struct yaml_tree *tree = NULL;
    buf_init(&yaml, CONFIG_MAX_FILE_BYTES);
    int err = buf_adds(&yaml, "providers:\n");
    size_t head = yaml.len;
    if (!err)
        err = add_provider(&yaml, "openai", "OPENAI_API_KEY", "OPENAI_BASE_URL");
    if (!err)
        err = add_provider(&yaml, "anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL");
    if (!err && yaml.len == head)
        err = error_set(e, -ENOENT,
                        "no providers: the configuration names none, and neither OPENAI_API_KEY "
                        "nor ANTHROPIC_API_KEY is set");
    else if (err)
        err = error_set(e, err, "environment: out of memory");
    if (!err)
        err = yaml_tree_parse("environment", yaml.data, yaml.len, &tree, e);
    if (!err) {
        struct config from = {0};
        err = config_bind("environment", tree, &config_table, &from, e);
        c->providers = from.providers;
        c->provider_count = from.provider_count;
        from.providers = NULL;
        from.provider_count = 0;
        config_unbind(&config_table, &from);
    }
    yaml_tree_free(tree);
    buf_release(&yaml);
    return err;
}

/* ---- loading */

static int fill(const char *name, const struct yaml_tree *root, struct config *c, struct error *e)
{
    int err = config_bind(name, root, &config_table, c, e);
    if (!err && !yaml_tree_get(root, "providers"))
        err = bind_environment(c, e);
    if (err)
        return err;
    if (config_complete(c))
        return error_set(e, -ENOMEM, "%s: out of memory", name);
    return config_check(name, root, c, e);
}

static int parse(const char *name, const char *text, size_t len, struct config **ret,
                 struct error *e)
{
    struct yaml_tree *root = NULL;
    int err = yaml_tree_parse(name, text, len, &root, e);
    if (err)
        return err;

    struct config *c = calloc(1, sizeof(*c));
    err = c ? fill(name, root, c, e) : error_set(e, -ENOMEM, "%s: out of memory", name);
    yaml_tree_free(root);
    if (err) {
        config_free(c);
        return err;
    }
    *ret = c;
    return 0;
}

int config_parse(const char *name, const char *text, size_t len, struct config **ret,
                 struct error *e)
{
    struct config *c;
    int err = parse(name, text, len, &c, e);
    if (err)
        return err;
    c->path = strdup(name);
    if (!c->path) {
        config_free(c);
        return error_set(e, -ENOMEM, "%s: out of memory", name);
    }
    *ret = c;
    return 0;
}

int config_load(const char *path, struct config **ret, struct error *e)
{
    size_t size = CONFIG_MAX_FILE_BYTES + 2, len; /* one past the maximum, and the NUL */
    char *text = malloc(size);
    if (!text)
        return error_set(e, -ENOMEM, "%s: out of memory", path);

    int err = file_read(path, text, size, &len);
    if (err == -EFBIG)
        (void)error_set(e, err, "%s: larger than %ld bytes", path, CONFIG_MAX_FILE_BYTES);
    else if (err)
        (void)error_set(e, err, "%s: %s", path, strerror(-err));
    else
        err = config_parse(path, text, len, ret, e);
    explicit_bzero(text, size);
    free(text);
    return err;
}

int config_from_environment(struct config **ret, struct error *e)
{
    return parse("environment", "", 0, ret, e);
}

static int replace(char **text, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    free(*text);
    *text = copy;
    return 0;
}

int config_override(struct config *c, const char *listen, const char *data_dir, struct error *e)
{
    const char *why = listen ? config_text_listen(listen) : NULL;
    if (why)
        return error_set(e, -EINVAL, "--listen %s", why);
    why = data_dir ? config_text_line(data_dir) : NULL;
    if (why)
        return error_set(e, -EINVAL, "--data-dir %s", why);
    if ((listen && replace(&c->listen, listen)) || (data_dir && replace(&c->data_dir, data_dir)))
        return error_set(e, -ENOMEM, "out of memory");
    return config_check("command line", NULL, c, e);
}

void config_free(struct config *c)
{
    if (!c)
        return;
    config_unbind(&config_table, c);
    free(c->path);
    free(c);
}
