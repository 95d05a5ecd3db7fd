#include "scheduler/price/price.h"

#include "price_blobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS     11
#define DECIMALS    6
#define MAX_DOLLARS 1000000

struct text {
    const char *at;
    size_t len;
};

struct row {
    struct text provider;
    struct price price;
};

struct name {
    char sign; /* '=' exact, '^' prefix, '#' prefix and a digit, '$' end, '~' part */
    struct text text;
    size_t row;
};

struct price_table {
    struct row rows[PRICE_MAX_TABLE_ROWS];
    struct name names[PRICE_MAX_NAMES];
    size_t row_count, name_count;
};

/* Cuts what stands before the mark off the front of rest; all of it when there is no mark. */
static struct text cut(struct text *rest, char mark)
{
    const char *end = rest->len > 0 ? memchr(rest->at, mark, rest->len) : NULL;
    struct text part = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
    size_t used = part.len + (end != NULL);
    *rest = (struct text){rest->at + used, rest->len - used};
    return part;
}

int price_parse(const char *text, size_t len, int64_t *ret_pico)
{
    int64_t value = 0;
    size_t i = 0;
    for (; i < len && text[i] != '.'; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        value = value * 10 + (text[i] - '0');
        if (value > MAX_DOLLARS)
            return -ERANGE;
    }
    if (i == 0)
        return -EINVAL;
    const char *decimals = text + i + 1;
    size_t count = i < len ? len - i - 1 : 0;
    if (count > DECIMALS || (i < len && count == 0))
        return -EINVAL;
    for (size_t k = 0; k < DECIMALS; k++) {
        char digit = k < count ? decimals[k] : '0';
        if (digit < '0' || digit > '9')
            return -EINVAL;
        value = value * 10 + (digit - '0');
    }
    *ret_pico = value;
    return 0;
}

/* Four columns; those of the cache may be empty. */
static int read_rates(struct text *line, struct price_rates *ret)
{
    int64_t *const parts[] = {&ret->input, &ret->output, &ret->cache_read, &ret->cache_write};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct text column = cut(line, ',');
        *parts[i] = i >= 2 ? ret->input : 0;
        if (column.len > 0 && price_parse(column.at, column.len, parts[i]) < 0)
            return -EINVAL;
    }
    return 0;
}

static int read_tokens(struct text column, int64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < column.len; i++) {
        if (column.at[i] < '0' || column.at[i] > '9' || *ret > INT32_MAX)
            return -EINVAL;
        *ret = *ret * 10 + (column.at[i] - '0');
    }
    return 0;
}

static int read_names(struct price_table *t, struct text names)
{
    while (names.len > 0) {
        struct text one = cut(&names, '|');
        if (one.len < 2 || !strchr("=^#$~", one.at[0]) || t->name_count == PRICE_MAX_NAMES)
            return -EINVAL;
        t->names[t->name_count++] = (struct name){
            .sign = one.at[0], .text = {one.at + 1, one.len - 1}, .row = t->row_count};
    }
    return 0;
}

static int read_row(struct price_table *t, struct text line)
{
    size_t columns = 1;
    for (size_t i = 0; i < line.len; i++)
        columns += line.at[i] == ',';
    if (columns != COLUMNS || t->row_count == PRICE_MAX_TABLE_ROWS)
        return -EINVAL;

    struct row *row = &t->rows[t->row_count];
    row->provider = cut(&line, ',');
    if (read_names(t, cut(&line, ',')) < 0 || read_rates(&line, &row->price.base) < 0 ||
        read_tokens(cut(&line, ','), &row->price.above_tokens) < 0 ||
        read_rates(&line, &row->price.above) < 0)
        return -EINVAL;
    t->row_count++;
    return 0;
}

int price_table_new(const char *csv, size_t len, struct price_table **ret, struct error *e)
{
    struct text rest = {csv, len};
    struct price_table *t = calloc(1, sizeof(*t));
    if (!t)
        return error_set(e, -ENOMEM, "no memory for the price table");
    for (size_t line = 1; rest.len > 0; line++) {
        if (read_row(t, cut(&rest, '\n')) < 0) {
            price_table_free(t);
            return error_set(e, -EINVAL, "line %zu of the price table cannot be read", line);
        }
    }
    *ret = t;
    return 0;
}

int price_table_builtin(struct price_table **ret, struct error *e)
{
    const char *csv = (const char *)price_prices;
    return price_table_new(csv, (size_t)(price_prices_end - price_prices), ret, e);
}

void price_table_free(struct price_table *t)
{
    free(t);
}

size_t price_table_models(const struct price_table *t)
{
    return t->row_count;
}

/* Other names for providers of the table. */
static const char *table_name(const char *provider)
{
    static const char *const names[][2] = {
        {"azure", "openai"}, {"gemini", "google"}, {"vertex", "google"}, {"xai", "x-ai"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(provider, names[i][0]) == 0)
            return names[i][1];
    }
    return provider;
}

static bool fits(const struct name *name, const char *model, size_t len)
{
    const struct text *text = &name->text;
    if (text->len > len)
        return false;
    switch (name->sign) {
    case '~':
        return memmem(model, len, text->at, text->len) != NULL;
    case '$':
        return memcmp(model + len - text->len, text->at, text->len) == 0;
    case '=':
        return text->len == len && memcmp(model, text->at, len) == 0;
    default:
        return memcmp(model, text->at, text->len) == 0 &&
               (name->sign == '^' || (model[text->len] >= '0' && model[text->len] <= '9'));
    }
}

/* How good a name that fits is: the kind first, then its own provider, then its length. */
static size_t rank_of(const struct price_table *t, const struct name *name, const char *provider)
{
    const struct text *own = &t->rows[name->row].provider;
    bool is_own = strlen(provider) == own->len && memcmp(provider, own->at, own->len) == 0;
    size_t kind = name->sign == '=' ? 3 : name->sign == '^' || name->sign == '#' ? 2 : 1;
    return (kind * 2 + is_own) * 1024 + (name->text.len < 1023 ? name->text.len : 1023);
}

bool price_find(const struct price_table *t, const char *provider, const char *model,
                struct price *ret)
{
    size_t best = 0, len = strlen(model);
    const char *own = table_name(provider);
    for (size_t i = 0; i < t->name_count; i++) {
        const struct name *name = &t->names[i];
        size_t rank = fits(name, model, len) ? rank_of(t, name, own) : 0;
        if (rank > best) {
            best = rank;
            *ret = t->rows[name->row].price;
        }
    }
    return best > 0;
}

static int64_t add_part(int64_t sum, int64_t tokens, int64_t rate)
{
    int64_t part = 0;
    if (tokens <= 0)
        return sum;
    if (__builtin_mul_overflow(tokens, rate, &part) || __builtin_add_overflow(sum, part, &sum))
        return INT64_MAX;
    return sum;
}

static int64_t clamp(int64_t value, int64_t most)
{
    return value < 0 ? 0 : value < most ? value : most;
}

int64_t price_cost(const struct price *p, const struct price_usage *u)
{
    int64_t input = clamp(u->input, INT64_MAX);
    int64_t from_cache = clamp(u->cache_read, input);
    int64_t to_cache = clamp(u->cache_write, input - from_cache);
    bool is_long = p->above_tokens > 0 && input > p->above_tokens;
    const struct price_rates *r = is_long ? &p->above : &p->base;

    int64_t sum = add_part(0, input - from_cache - to_cache, r->input);
    sum = add_part(sum, from_cache, r->cache_read);
    sum = add_part(sum, to_cache, r->cache_write);
    return add_part(sum, u->output, r->output);
}
