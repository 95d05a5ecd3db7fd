#include "common/config_env.h"

#include "common/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 256

struct writer {
    char *out;
    size_t len, size;
};

static int put(struct writer *w, const char *bytes, size_t len, struct error *e)
{
    if (len >= w->size - w->len)
        return error_set(e, -EFBIG, "longer than %zu bytes", w->size - 1);
    memcpy(w->out + w->len, bytes, len);
    w->len += len;
    return 0;
}

static int put_file(struct writer *w, const char *path, struct error *e)
{
    size_t len = 0;
    int err = file_read(path, w->out + w->len, w->size - w->len, &len);
    if (err)
        return error_set(e, err, "cannot read the file \"%s\": %s", path, strerror(-err));

    const char *bytes = w->out + w->len;
    if (memchr(bytes, '\0', len))
        return error_set(e, -EINVAL, "the file \"%s\" holds a NUL byte", path);
    if (len && bytes[len - 1] == '\n')
        len--;
    if (len && bytes[len - 1] == '\r')
        len--;
    w->len += len;
    return 0;
}

static int put_variable(struct writer *w, const char *name, struct error *e)
{
    size_t letters =
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
    if (!*name || name[letters] || (*name >= '0' && *name <= '9'))
        return error_set(e, -EINVAL, "\"${%s}\" is neither ${NAME} nor ${file:PATH}", name);

    const char *value = getenv(name);
    if (!value)
        return error_set(e, -ENODATA, "the environment variable %s is not set", name);
    return put(w, value, strlen(value), e);
}

/* text begins behind "${"; *ret_end is set behind its "}". */
static int put_reference(struct writer *w, const char *text, const char **ret_end, struct error *e)
{
    static const char file[] = "file:";
    char name[NAME_BYTES];
    const char *end = strchr(text, '}');
    if (!end)
        return error_set(e, -EINVAL, "\"${\" without its \"}\" (\"$${\" stands for plain \"${\")");
    if ((size_t)(end - text) >= sizeof(name))
        return error_set(e, -EINVAL, "the name between \"${\" and \"}\" is too long");

    memcpy(name, text, (size_t)(end - text));
    name[end - text] = '\0';
    *ret_end = end + 1;
    if (strncmp(name, file, sizeof(file) - 1) == 0)
        return put_file(w, name + sizeof(file) - 1, e);
    return put_variable(w, name, e);
}

static int fill(struct writer *w, const char *text, struct error *e)
{
    while (*text) {
        int err;
        if (strncmp(text, "$${", 3) == 0) {
            err = put(w, "${", 2, e);
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            err = put_reference(w, text + 2, &text, e);
        } else {
            err = put(w, text, 1, e);
            text++;
        }
        if (err)
            return err;
    }
    w->out[w->len] = '\0';
    return 0;
}

int config_env_fill(const char *text, char *out, size_t size, struct error *e)
{
    struct writer w = {.out = out, .size = size};
    int err = fill(&w, text, e);
    if (err)
        explicit_bzero(out, size);
    return err;
}
