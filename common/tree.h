/*
 * tree: an intrusive ordered set (a treap: a search tree by order, a heap by random rank).
 *
 * Nothing is allocated, so adding and removing cannot fail; both take O(log n) on average,
 * whatever the order of the keys, as ranks come from a generator and not from the keys. Chosen
 * over a heap because the elements after the first are looked at too, in order.
 *
 *   ownership  the nodes stand inside the caller's elements; TREE_ITEM() gets back. The key must
 *              not change while the node is in a tree.
 *   threads    none.
 */
#ifndef COMMON_TREE_H
#define COMMON_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tree_node {
    struct tree_node *parent, *child[2];
    uint64_t rank;
};

/* Less than, equal to or greater than 0, as strcmp(). */
typedef int (*tree_order_fn)(const struct tree_node *a, const struct tree_node *b);

struct tree {
    struct tree_node *root;
    tree_order_fn order;
    size_t count;
    uint64_t ranks; /* state of the generator */
};

#define TREE_ITEM(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void tree_init(struct tree *t, tree_order_fn order);
/* The node must be in no tree and equal to none in this one. */
void tree_add(struct tree *t, struct tree_node *node);
void tree_remove(struct tree *t, struct tree_node *node); /* must be in t */

struct tree_node *tree_first(const struct tree *t);        /* NULL: empty */
struct tree_node *tree_next(const struct tree_node *node); /* NULL: it was the last */

#endif
