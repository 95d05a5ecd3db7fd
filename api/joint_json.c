#include "api/joint_json.h"

static json_t *kind_json(const struct joint_kind *k)
{
    int64_t size = joint_breaker_size(&k->breaker, k->most);
    const char *breaker = size == k->most ? "closed" : size > 1 ? "reduced" : "open";
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:I, s:I, s:I}", "key", k->key, "group",
                     k->group, "model", k->model, "max_items", (json_int_t)k->most, "size",
                     (json_int_t)size, "breaker", breaker, "requests", (json_int_t)k->requests,
                     "items", (json_int_t)k->items, "alone", (json_int_t)k->alone);
}

json_t *joint_json(const struct joint_board *b)
{
    size_t at = 0;
    json_t *all = json_array();
    for (const struct joint_kind *k; all && (k = joint_board_next(b, &at));) {
        if (json_array_size(all) < JOINT_MAX_TOLD && k->most > 0)
            (void)json_array_append_new(all, kind_json(k));
    }
    return all;
}
