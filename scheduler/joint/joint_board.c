#include "scheduler/joint/joint_board.h"

#include "common/map.h"
#include "common/rand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct joint_board {
    struct map kinds;
    struct list by_use;
};

struct joint_board *joint_board_new(void)
{
    struct joint_board *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    map_init(&b->kinds, rand_system_seed());
    list_init(&b->by_use);
    return b;
}

void joint_board_free(struct joint_board *b)
{
    size_t at = 0;
    if (!b)
        return;
    for (struct joint_kind *k; (k = map_next(&b->kinds, &at));)
        free(k);
    map_release(&b->kinds);
    free(b);
}

/* So that kinds which do not come again do not keep out new ones. */
static bool forget_one(struct joint_board *b)
{
    for (struct list *at = b->by_use.next; at != &b->by_use; at = at->next) {
        struct joint_kind *k = LIST_ITEM(at, struct joint_kind, link);
        if (k->users > 0)
            continue;
        (void)map_remove(&b->kinds, k->key);
        list_remove(&k->link);
        free(k);
        return true;
    }
    return false;
}

struct joint_kind *joint_board_kind(struct joint_board *b, const char *key)
{
    struct joint_kind *k = map_get(&b->kinds, key);
    if (k) {
        list_remove(&k->link);
        list_add_last(&b->by_use, &k->link);
        return k;
    }
    if (b->kinds.count >= JOINT_MAX_KEYS && !forget_one(b))
        return NULL;
    k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    (void)snprintf(k->key, sizeof(k->key), "%s", key);
    if (map_put(&b->kinds, k->key, k) < 0) {
        free(k);
        return NULL;
    }
    list_add_last(&b->by_use, &k->link);
    return k;
}

void joint_board_use(struct joint_kind *k)
{
    k->users++;
}

void joint_board_drop(struct joint_kind *k)
{
    k->users--;
}

void joint_board_note(struct joint_kind *k, const char *group, const char *model, int64_t most)
{
    (void)snprintf(k->group, sizeof(k->group), "%s", group);
    (void)snprintf(k->model, sizeof(k->model), "%s", model);
    k->most = most;
}

const struct joint_kind *joint_board_next(const struct joint_board *b, size_t *at)
{
    return map_next(&b->kinds, at);
}

struct joint_settings joint_settings_of(const struct config *c, const char *group)
{
    struct joint_settings s = {c->batcher.chat.enabled, c->batcher.chat.max_items,
                               c->batcher.chat.wait_ms};
    for (size_t i = 0; i < c->batcher.chat.group_count; i++) {
        const struct config_chat_group *g = &c->batcher.chat.groups[i];
        if (strcmp(g->name, group) == 0) {
            s.most = g->max_items;
            s.wait_ms = g->wait_ms;
        }
    }
    return s;
}

int64_t joint_most_output(const struct config *c, const struct joint_item *item)
{
    const struct config_provider *provider = NULL;
    const struct config_model *row = NULL;
    const char *rest = NULL;
    struct buf model;
    enum config_format format =
        wire_format_of(item->endpoint) == WIRE_OPENAI ? CONFIG_OPENAI : CONFIG_ANTHROPIC;
    int64_t most = 0;
    buf_init(&model, KIB);
    if (json_text(json_get(item->body, "model"), &model) == 0 &&
        config_route(c, format, model.data, &provider, &row, &rest))
        most = row->max_output_tokens > 0 ? row->max_output_tokens : 0;
    buf_release(&model);
    return most;
}
