#include "scheduler/prompt/trim.h"

#include "common/limits.h"
#include "scheduler/prompt/trim_state.h"
#include "scheduler/prompt/validate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void (*const stages[TRIM_STAGE_COUNT])(struct trim_state *s) = {
    [TRIM_WINDOW] = trim_window,       [TRIM_TOOL_RESULTS] = trim_tool_results,
    [TRIM_TRUNCATE] = trim_truncate,   [TRIM_DELETION] = trim_deletion,
    [TRIM_SELECTIVE] = trim_selective, [TRIM_RELEVANT] = trim_relevant,
    [TRIM_SUMMARIZE] = trim_summarize, [TRIM_RESET] = trim_reset,
};

static void run_stages(struct trim_state *s)
{
    const struct trim_policy *p = s->policy;
    for (size_t i = 0; i < p->stage_count; i++) {
        if (!p->always && trim_fits(s))
            return;
        s->stage = p->stages[i];
        stages[s->stage](s);
    }
}

/* Whether the new body may take the place of the old one; on -EINVAL f says why not. */
static int prove(const struct trim_state *s, const struct buf *body, bool legal_before,
                 struct trim_size *ret_after, struct validate_fault *f)
{
    struct transcript after;
    int rc = transcript_read(s->t->endpoint, body->data, body->len, &after, &f->error);
    if (rc < 0)
        return rc;
    rc = validate_body(&after, f);
    if (rc == 0 && legal_before)
        rc = validate_edit(s->t, &after, f);
    *ret_after = (struct trim_size){after.count, s->total};
    transcript_release(&after);
    return rc;
}

static void keep_original(struct trim_result *r, struct trim_state *s)
{
    buf_release(&r->body);
    r->after = r->before;
    s->action_count = 0;
}

static int finish(struct trim_state *s, bool legal_before, struct trim_result *r)
{
    struct validate_fault f = {.error = {""}};
    int rc = s->failed ? s->failed : s->texts.failed;
    /* Repairs may cost tokens; anything else that did is not worth having. */
    if (rc == 0 && s->total > r->before.tokens && legal_before)
        s->action_count = 0;
    if (rc == 0 && s->action_count > 0)
        trim_move_markers(s);
    if (rc == 0 && s->action_count > 0)
        rc = trim_splice(s, &r->body);
    if (rc == 0 && s->action_count > 0)
        rc = prove(s, &r->body, legal_before, &r->after, &f);
    if (rc == 0 && s->action_count > 0)
        return 0;
    keep_original(r, s);
    if (rc == -EINVAL)
        r->refused = f.error;
    return rc == -EINVAL ? 0 : rc;
}

static int run(struct trim_state *s, struct trim_result *r)
{
    struct validate_fault f;
    r->before = r->after = (struct trim_size){s->t->count, s->total};
    bool legal = validate_body(s->t, &f) == 0;
    if (!legal && s->policy->repair)
        trim_repair(s);
    s->repaired = true;
    if (!legal && s->action_count == 0) {
        r->refused = f.error;
        return 0;
    }
    run_stages(s);
    return finish(s, legal, r);
}

int trim(const struct trim_input *in, struct trim_result *ret, struct error *e)
{
    struct transcript t;
    struct trim_state s;
    struct trim_result r = {.refused = {""}};
    int rc = transcript_read(in->endpoint, in->body, in->len, &t, e);
    if (rc < 0)
        return rc;
    buf_init(&r.body, (size_t)HTTP_MAX_BODY_BYTES * 2);
    rc = trim_state_init(&s, in, &t);
    if (rc == 0)
        rc = run(&s, &r);
    if (rc == 0) {
        r.fits =
            in->policy->max_context_tokens == 0 || r.after.tokens <= in->policy->max_context_tokens;
        r.actions = s.actions;
        r.action_count = s.action_count;
        s.actions = NULL;
        *ret = r;
    } else {
        buf_release(&r.body);
        (void)error_set(e, rc, rc == -ENOSPC ? "the request is too large" : "out of memory");
    }
    trim_state_release(&s);
    transcript_release(&t);
    return rc;
}

void trim_result_release(struct trim_result *r)
{
    buf_release(&r->body);
    free(r->actions);
    r->actions = NULL;
    r->action_count = 0;
}
