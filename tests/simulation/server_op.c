#include "tests/simulation/server.h"

#include <assert.h>
#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct op *op_new(enum op_kind kind, int owner, const char *pool)
{
    struct op *op = calloc(1, sizeof(*op));
    assert(op);
    op->kind = kind;
    op->owner = owner;
    (void)snprintf(op->pool, sizeof(op->pool), "%s", pool);
    return op;
}

void op_free_fields(struct store_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)fields[i].value);
}

void op_free(struct op *op)
{
    op_free_fields(op->fields, op->field_count);
    free(op->limits);
    free(op->leases);
    free(op);
}

/* Names are literals of the code under test. */
void op_copy_field(struct store_field *to, const struct store_field *from)
{
    char *value = malloc(from->len + 1);
    assert(value);
    if (from->len > 0)
        memcpy(value, from->value, from->len);
    value[from->len] = '\0';
    *to = (struct store_field){from->name, value, from->len};
}

void op_add_fields(struct op *op, const struct store_field *fields, size_t count)
{
    assert(count <= STORE_MAX_FIELDS);
    for (size_t i = 0; i < count; i++)
        op_copy_field(&op->fields[i], &fields[i]);
    op->field_count = count;
}

struct redisReply *answer_items(size_t n)
{
    struct redisReply *r = calloc(1, sizeof(*r) + n * (sizeof(*r) + sizeof(struct redisReply *)));
    assert(r);
    struct redisReply *item = r + 1;
    r->type = REDIS_REPLY_ARRAY;
    r->elements = n;
    r->element = (struct redisReply **)(item + n);
    for (size_t i = 0; i < n; i++) {
        item[i].type = REDIS_REPLY_NIL;
        r->element[i] = &item[i];
    }
    return r;
}

void answer_text(struct redisReply *list, size_t at, const char *text, size_t len)
{
    struct redisReply *r = list->element[at];
    r->type = REDIS_REPLY_STRING;
    r->str = malloc(len + 1);
    assert(r->str);
    memcpy(r->str, text, len);
    r->str[len] = '\0';
    r->len = len;
}

void answer_int(struct redisReply *list, size_t at, int64_t value)
{
    list->element[at]->type = REDIS_REPLY_INTEGER;
    list->element[at]->integer = value;
}

void answer_release(struct answer *a)
{
    for (size_t i = 0; a->items && i < a->items->elements; i++)
        free(a->items->element[i]->str);
    free(a->items);
    a->items = NULL;
}

/* ---- idempotency keys */

struct claim {
    char key[80], fingerprint[65], id[TICKET_ID_BYTES];
};

void server_claim(struct server *s, const struct op *op, struct answer *a)
{
    struct claim *c = map_get(&s->claims, op->key);
    if (c) {
        a->same = strcmp(c->fingerprint, op->fingerprint) == 0;
        if (strcmp(c->id, op->id) != 0)
            memcpy(a->claimed_id, c->id, sizeof(a->claimed_id));
        return;
    }
    c = calloc(1, sizeof(*c));
    assert(c);
    memcpy(c->key, op->key, sizeof(c->key));
    memcpy(c->fingerprint, op->fingerprint, sizeof(c->fingerprint));
    memcpy(c->id, op->id, sizeof(c->id));
    int rc = map_put(&s->claims, c->key, c);
    assert(rc == 0);
    (void)rc;
    a->same = true;
}
