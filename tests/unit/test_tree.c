#include "common/tree.h"

#include "common/rand.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 300

struct item {
    int key;
    bool inside;
    struct tree_node node;
};

static int by_key(const struct tree_node *a, const struct tree_node *b)
{
    return TREE_ITEM(a, struct item, node)->key - TREE_ITEM(b, struct item, node)->key;
}

static void an_empty_tree_has_no_first(void **state)
{
    (void)state;
    struct tree t;
    tree_init(&t, by_key);
    assert_null(tree_first(&t));
    assert_int_equal(t.count, 0);
}

static size_t height(const struct tree_node *node)
{
    if (!node)
        return 0;
    size_t left = height(node->child[0]), right = height(node->child[1]);
    return 1 + (left > right ? left : right);
}

static void rising_keys_do_not_make_a_list(void **state)
{
    (void)state;
    static struct item items[4096];
    struct tree t;
    tree_init(&t, by_key);
    for (int i = 0; i < 4096; i++) {
        items[i].key = i;
        tree_add(&t, &items[i].node);
    }
    assert_in_range(height(t.root), 12, 60);
}

static void assert_walk_agrees(const struct tree *t, struct item *items)
{
    struct tree_node *node = tree_first(t);
    size_t count = 0;
    for (int i = 0; i < KEYS; i++) {
        if (!items[i].inside)
            continue;
        assert_ptr_equal(node, &items[i].node);
        node = tree_next(node);
        count++;
    }
    assert_null(node);
    assert_int_equal(t->count, count);
}

static void walks_in_order_whatever_was_added_and_removed(void **state)
{
    (void)state;
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 11;
    print_message("seed %" PRIu64 "\n", seed);
    struct rand r;
    rand_seed(&r, seed);

    static struct item items[KEYS];
    struct tree t;
    tree_init(&t, by_key);
    for (int step = 0; step < 5000; step++) {
        int i = (int)rand_below(&r, KEYS);
        items[i].key = i;
        if (items[i].inside)
            tree_remove(&t, &items[i].node);
        else
            tree_add(&t, &items[i].node);
        items[i].inside = !items[i].inside;
        if (step % 50 == 0)
            assert_walk_agrees(&t, items);
    }
    assert_walk_agrees(&t, items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_tree_has_no_first),
        cmocka_unit_test(rising_keys_do_not_make_a_list),
        cmocka_unit_test(walks_in_order_whatever_was_added_and_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
