/* The table of routes and the OpenAPI document name the same routes, no more and no less. */
#include "api/route.h"
#include "common/file.h"
#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>
#include <yaml.h>

#define DOCUMENT_BYTES (256 * KIB)

static yaml_document_t document;

static const char *text_of(yaml_node_item_t item)
{
    const yaml_node_t *node = yaml_document_get_node(&document, item);
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

static const yaml_node_t *member(const yaml_node_t *map, const char *key)
{
    if (!map || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++)
        if (strcasecmp(text_of(p->key), key) == 0)
            return yaml_document_get_node(&document, p->value);
    return NULL;
}

static int load(void **state)
{
    char path[512], *text = malloc(DOCUMENT_BYTES);
    size_t len = 0;
    yaml_parser_t parser;
    (void)state;
    const char *source = getenv("SLUICE_SOURCE");
    assert_non_null(source);
    assert_non_null(text);
    (void)snprintf(path, sizeof(path), "%s/api/www/openapi.yaml", source);
    assert_int_equal(file_read(path, text, DOCUMENT_BYTES, &len), 0);
    assert_int_equal(yaml_parser_initialize(&parser), 1);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    assert_int_equal(yaml_parser_load(&parser, &document), 1);
    yaml_parser_delete(&parser);
    free(text);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    yaml_document_delete(&document);
    return 0;
}

static const yaml_node_t *paths(void)
{
    const yaml_node_t *node = member(yaml_document_get_root_node(&document), "paths");
    assert_non_null(node);
    return node;
}

static void every_route_is_described(void **state)
{
    (void)state;
    for (size_t i = 0; route_at(i); i++) {
        const struct route *r = route_at(i);
        const yaml_node_t *operation = member(member(paths(), r->pattern), r->method);
        if (!operation)
            fail_msg("%s %s is not in openapi.yaml", r->method, r->pattern);
        const yaml_node_t *security = member(operation, "security");
        const yaml_node_t *scope = member(operation, "x-sluice-scope");
        const char *needed = r->scope == SCOPE_OPEN ? "open" : access_scope_name(r->scope);
        if (!needed)
            fail_msg("%s %s has no scope", r->method, r->pattern);
        if (!scope || strcmp((const char *)scope->data.scalar.value, needed) != 0)
            fail_msg("%s %s: x-sluice-scope is to be %s", r->method, r->pattern, needed);
        bool open =
            security && security->data.sequence.items.start == security->data.sequence.items.top;
        if (open != (r->scope == SCOPE_OPEN))
            fail_msg("%s %s: whether it needs a key", r->method, r->pattern);
    }
}

static bool is_route(const char *method, const char *path)
{
    for (size_t i = 0; route_at(i); i++)
        if (strcasecmp(route_at(i)->method, method) == 0 && strcmp(route_at(i)->pattern, path) == 0)
            return true;
    return false;
}

static void every_description_is_of_a_route(void **state)
{
    (void)state;
    size_t seen = 0;
    const yaml_node_t *all = paths();
    for (yaml_node_pair_t *p = all->data.mapping.pairs.start; p < all->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *item = yaml_document_get_node(&document, p->value);
        assert_int_equal(item->type, YAML_MAPPING_NODE);
        for (yaml_node_pair_t *o = item->data.mapping.pairs.start; o < item->data.mapping.pairs.top;
             o++, seen++)
            if (!is_route(text_of(o->key), text_of(p->key)))
                fail_msg("%s %s is no route", text_of(o->key), text_of(p->key));
    }
    assert_true(seen > 0);
}

static void the_document_is_of_this_version(void **state)
{
    (void)state;
    const yaml_node_t *version =
        member(member(yaml_document_get_root_node(&document), "info"), "version");
    assert_non_null(version);
    assert_string_equal((const char *)version->data.scalar.value, SLUICE_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(every_description_is_of_a_route),
        cmocka_unit_test(the_document_is_of_this_version),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
