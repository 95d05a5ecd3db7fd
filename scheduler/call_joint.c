#include "scheduler/call_embed.h"
#include "scheduler/call_internal.h"
#include "scheduler/joint/joint_calls.h"

#include <string.h>

/* Nothing about it is of its own: what was cut, kept under a name, or promised for a time. */
static bool may_join(const struct call *c)
{
    const struct call_spec *s = &c->spec;
    bool plain = !s->is_job && !s->is_batch && !s->no_batch && !s->for_permit && !s->unfit;
    return plain && s->batch && scheduler_options(c->sched)->joint_calls && !s->session &&
           !s->tool_calls && s->deadline_ms == 0 && c->fit.trimmed == 0 && !c->fit.shrunk &&
           !c->fit.output_lowered && !c->request.stream;
}

static int write_key(const struct call *c, const struct joint_item *item, char *ret)
{
    struct buf besides;
    buf_init(&besides, 64 * KIB);
    (void)buf_addf(&besides, "call %s %s ", pool_agent_pool(c->pool->agent)->id, c->spec.batch);
    call_add_common(c, &besides);
    (void)buf_add(&besides, "", 1);
    int rc = besides.failed ? besides.failed : joint_item_key(item, &besides, ret);
    if (besides.data)
        explicit_bzero(besides.data, besides.len);
    buf_release(&besides);
    return rc;
}

bool call_joint(struct call *c)
{
    const struct config *config = c->plan->config;
    struct joint_item item;
    struct joint_terms terms;
    if (!may_join(c) ||
        joint_item_read(c->spec.endpoint, c->spec.body, c->spec.body_len, &item) != NULL)
        return false;
    terms.group = c->spec.batch;
    terms.settings = joint_settings_of(config, c->spec.batch);
    terms.most_output = c->row->max_output_tokens > 0 ? c->row->max_output_tokens : 0;
    return terms.settings.enabled && write_key(c, &item, terms.key) == 0 &&
           joint_calls_take(scheduler_options(c->sched)->joint_calls, c, &terms, &item);
}
