#include "scheduler/trim_named.h"

#include "common/config_trim.h"

#include <string.h>

static void take(int64_t *limit, int64_t given, int64_t times)
{
    if (given != CONFIG_ABSENT)
        *limit = given * times;
}

/* config_load() saw to it that every name is a stage's, and none stands twice. */
static void take_stages(const struct config_trim *from, struct trim_policy *p)
{
    p->stage_count = 0;
    for (size_t i = 0; i < from->strategy_count && i < TRIM_STAGE_COUNT; i++)
        for (enum trim_stage s = 0; s < TRIM_STAGE_COUNT; s++)
            if (strcmp(trim_stage_name(s), from->strategies[i]) == 0)
                p->stages[p->stage_count++] = s;
}

bool trim_named(const struct config *c, const char *name, struct trim_policy *ret)
{
    const struct config_trim *own = config_trim_find(c, name);
    if (!own)
        return trim_policy_preset(name, ret);
    trim_policy_init(ret);
    if (own->preset)
        (void)trim_policy_preset(own->preset, ret);
    if (own->strategy_count > 0)
        take_stages(own, ret);
    take(&ret->max_context_tokens, own->max_context_tokens, 1);
    take(&ret->max_messages, own->max_messages, 1);
    take(&ret->max_age_ms, own->max_age_s, 1000);
    take(&ret->keep_turns, own->keep_turns, 1);
    take(&ret->max_tool_result_chars, own->max_tool_result_chars, 1);
    take(&ret->reset_threshold, own->reset_threshold, 1);
    return true;
}

const char *trim_of_tenant(const struct config *c, const char *tenant)
{
    for (size_t i = 0; i < c->tenant_count; i++)
        if (strcmp(c->tenants[i].name, tenant) == 0)
            return c->tenants[i].trim;
    return NULL;
}
