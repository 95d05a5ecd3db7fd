#include "limiter/hint_field.h"

#include "limiter/hint_text.h"

#include <string.h>

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

static bool is_key(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
           c == '*';
}

/* At the opening quote. A name with an escape is not one that a policy would have. */
static const char *read_string(const char *at, const char **ret, size_t *ret_len)
{
    size_t len = strcspn(at + 1, "\"\\");
    if (at[1 + len] != '"')
        return NULL;
    *ret = at + 1;
    *ret_len = len;
    return at + len + 2;
}

static const char *read_integer(const char *at, int64_t *ret)
{
    char digits[17];
    size_t len = strspn(at, "0123456789");
    if (len == 0 || len >= sizeof(digits))
        return NULL;
    memcpy(digits, at, len);
    digits[len] = '\0';
    return hint_number(digits, ret) ? at + len : NULL;
}

static void set_number(struct hint_item *item, const char *key, size_t len, int64_t value)
{
    if (len != 1)
        return;
    if (*key == 'q')
        item->q = value;
    else if (*key == 'w')
        item->w = value;
    else if (*key == 'r')
        item->r = value;
    else if (*key == 't')
        item->t = value;
}

/* One ";key=value", at the key. */
static const char *read_parameter(const char *at, struct hint_item *item)
{
    const char *key = at, *text;
    size_t key_len, len;
    int64_t value;
    while (is_key(*at))
        at++;
    key_len = (size_t)(at - key);
    if (key_len == 0)
        return NULL;
    if (*at != '=')
        return at; /* a flag */
    at++;
    if (*at == '"') {
        at = read_string(at, &text, &len);
        if (at && key_len == 2 && memcmp(key, "qu", 2) == 0) {
            item->unit = text;
            item->unit_len = len;
        }
        return at;
    }
    if (*at >= '0' && *at <= '9') {
        at = read_integer(at, &value);
        if (at)
            set_number(item, key, key_len, value);
        return at;
    }
    /* A token, a key (":...:") or another value that says nothing here. */
    return at + strcspn(at, ";, \t");
}

bool hint_field_next(const char **at, struct hint_item *ret)
{
    const char *text = skip_blanks(*at);
    *ret = (struct hint_item){.q = -1, .w = -1, .r = -1, .t = -1};
    if (*text != '"')
        return false;
    text = read_string(text, &ret->name, &ret->name_len);
    while (text && *text == ';')
        text = read_parameter(skip_blanks(text + 1), ret);
    if (!text)
        return false;
    text = skip_blanks(text);
    if (*text == ',')
        text++;
    else if (*text != '\0')
        return false;
    *at = text;
    return true;
}
