#include "common/tree.h"

#include <assert.h>

void tree_init(struct tree *t, tree_order_fn order)
{
    *t = (struct tree){.order = order, .ranks = UINT64_C(0x9e3779b97f4a7c15)};
}

/* xorshift64 (Marsaglia 2003). */
static uint64_t next_rank(struct tree *t)
{
    t->ranks ^= t->ranks << 13;
    t->ranks ^= t->ranks >> 7;
    t->ranks ^= t->ranks << 17;
    return t->ranks;
}

static int side_of(const struct tree_node *node)
{
    return node->parent->child[1] == node;
}

/* Puts node, which may be NULL, where old hangs. */
static void replace(struct tree *t, struct tree_node *old, struct tree_node *node)
{
    if (!old->parent)
        t->root = node;
    else
        old->parent->child[side_of(old)] = node;
    if (node)
        node->parent = old->parent;
}

/* Lifts node above its parent; the order stays. */
static void rotate_up(struct tree *t, struct tree_node *node)
{
    struct tree_node *parent = node->parent;
    int side = side_of(node);
    struct tree_node *inner = node->child[!side];

    replace(t, parent, node);
    node->child[!side] = parent;
    parent->parent = node;
    parent->child[side] = inner;
    if (inner)
        inner->parent = parent;
}

void tree_add(struct tree *t, struct tree_node *node)
{
    struct tree_node **at = &t->root, *parent = NULL;
    while (*at) {
        int order = t->order(node, *at);
        assert(order != 0);
        parent = *at;
        at = &parent->child[order > 0];
    }
    *node = (struct tree_node){.parent = parent, .rank = next_rank(t)};
    *at = node;
    t->count++;
    while (node->parent && node->parent->rank < node->rank)
        rotate_up(t, node);
}

void tree_remove(struct tree *t, struct tree_node *node)
{
    while (node->child[0] && node->child[1]) {
        int higher = node->child[1]->rank > node->child[0]->rank;
        rotate_up(t, node->child[higher]);
    }
    replace(t, node, node->child[0] ? node->child[0] : node->child[1]);
    *node = (struct tree_node){0};
    t->count--;
}

struct tree_node *tree_first(const struct tree *t)
{
    struct tree_node *node = t->root;
    while (node && node->child[0])
        node = node->child[0];
    return node;
}

struct tree_node *tree_next(const struct tree_node *node)
{
    if (node->child[1]) {
        struct tree_node *next = node->child[1];
        while (next->child[0])
            next = next->child[0];
        return next;
    }
    while (node->parent && side_of(node) == 1)
        node = node->parent;
    return node->parent;
}
