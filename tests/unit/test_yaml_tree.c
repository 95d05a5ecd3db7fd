#include "common/yaml_tree.h"

#include "common/buf.h"
#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, struct yaml_tree **tree, struct error *e)
{
    *tree = NULL;
    return yaml_tree_parse("t", text, strlen(text), tree, e);
}

static void a_tree_keeps_order_text_and_place(void **state)
{
    (void)state;
    struct yaml_tree *t;
    struct error e = {.text = ""};
    assert_int_equal(parse("a: 1\nb:\n  - x\n  - 'y'\nc: {d: \"z\"}\n", &t, &e), 0);

    assert_int_equal(t->kind, YAML_TREE_MAP);
    assert_int_equal(t->count, 3);
    assert_string_equal(t->first->key, "a");
    assert_true(t->first->plain);
    const struct yaml_tree *b = yaml_tree_get(t, "b");
    assert_int_equal(b->line, 2);
    assert_int_equal(b->column, 1);
    assert_string_equal(yaml_tree_at(b, 0)->text, "x");
    assert_int_equal(yaml_tree_at(b, 1)->line, 4);
    assert_int_equal(yaml_tree_at(b, 1)->column, 5);
    assert_false(yaml_tree_at(b, 1)->plain);
    assert_null(yaml_tree_at(b, 2));
    const struct yaml_tree *d = yaml_tree_get(yaml_tree_get(t, "c"), "d");
    assert_string_equal(d->text, "z");
    assert_int_equal(d->column, 5);
    assert_null(yaml_tree_get(t, "d"));
    assert_null(yaml_tree_get(b, "x"));
    yaml_tree_free(t);
}

static void nothing_but_comments_is_no_tree(void **state)
{
    (void)state;
    struct yaml_tree *t;
    struct error e;
    assert_int_equal(parse("", &t, &e), 0);
    assert_null(t);
    assert_int_equal(parse("# only this\n", &t, &e), 0);
    assert_null(t);
    yaml_tree_free(NULL);
}

static void what_a_configuration_does_not_need_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"a: &x 1\n", "t:1:4: anchors (&) and aliases (*)"},
        {"a: &x [1]\nb: *x\n", "t:1:4: anchors"},
        {"a: *x\n", "t:1:4: anchors (&) and aliases (*)"},
        {"a: !!int 3\n", "t:1:4: tags (!)"},
        {"a: !x {b: 1}\n", "t:1:4: tags (!)"},
        {"a: 1\n---\nb: 2\n", "t:2:1: a second document"},
        {"a: 1\na: 2\n", "t:2:1: the key \"a\" stands here a second time"},
        {"? [a]\n: 1\n", "t:1:3: a key must be text"},
        {"a: \"x\\0y\"\n", "t:1:4: text must not hold a NUL byte"},
        {"\"x\\0y\": 1\n", "t:1:1: text must not hold a NUL byte"},
        {"a: [1\n", "not valid YAML"},
        {"a: b: c\n", "t:1:5: not valid YAML: mapping values are not allowed"},
        {"a:\n\t- 1\n", "t:2:1: not valid YAML"},
        {"a: \xff\n", "not valid YAML"},
        {"\"a\\nb\": 1\n\"a\\nb\": 2\n", "t:2:1: the key \"a?b\" stands"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct yaml_tree *t;
        struct error e = {.text = ""};
        assert_int_equal(parse(cases[i].text, &t, &e), -EINVAL);
        assert_null(t);
        if (!strstr(e.text, cases[i].want))
            fail_msg("%swanted: %s\n   got: %s", cases[i].text, cases[i].want, e.text);
    }
}

static int parse_depth(size_t depth)
{
    char text[2 * CONFIG_MAX_DEPTH + 8] = "";
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    struct yaml_tree *t;
    struct error e;
    int err = parse(text, &t, &e);
    yaml_tree_free(t);
    return err;
}

static int parse_many(const char *first, const char *format, int count, const char *last)
{
    struct buf text;
    struct yaml_tree *t;
    struct error e;
    buf_init(&text, CONFIG_MAX_FILE_BYTES);
    assert_int_equal(buf_adds(&text, first), 0);
    for (int i = 0; i < count; i++) {
        char entry[32];
        (void)snprintf(entry, sizeof(entry), "%c%d%s", *format, i, format + 1);
        assert_int_equal(buf_adds(&text, entry), 0);
    }
    assert_int_equal(buf_adds(&text, last), 0);
    int err = parse(text.data, &t, &e);
    yaml_tree_free(t);
    buf_release(&text);
    return err;
}

static void each_maximum_holds_and_one_more_is_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_depth(CONFIG_MAX_DEPTH), 0);
    assert_int_equal(parse_depth(CONFIG_MAX_DEPTH + 1), -E2BIG);
    assert_int_equal(parse_many("{", "k: 1, ", CONFIG_MAX_KEYS, "}"), 0);
    assert_int_equal(parse_many("{", "k: 1, ", CONFIG_MAX_KEYS + 1, "}"), -E2BIG);
    assert_int_equal(parse_many("[", "v, ", CONFIG_MAX_ROWS, "]"), 0);
    assert_int_equal(parse_many("[", "v, ", CONFIG_MAX_ROWS + 1, "]"), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_keeps_order_text_and_place),
        cmocka_unit_test(nothing_but_comments_is_no_tree),
        cmocka_unit_test(what_a_configuration_does_not_need_is_refused),
        cmocka_unit_test(each_maximum_holds_and_one_more_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
