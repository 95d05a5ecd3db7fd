#include "tests/support/trim_rig.h"

#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int trim_rig_set_up(void **state)
{
    struct trim_rig *g = calloc(1, sizeof(*g));
    if (!g || counter_new(1, &g->counter) < 0)
        return -1;
    talk_init(&g->talk, WIRE_CHAT, 1);
    buf_init(&g->body, (size_t)HTTP_MAX_BODY_BYTES);
    *state = g;
    return 0;
}

int trim_rig_tear_down(void **state)
{
    struct trim_rig *g = *state;
    if (g->ran)
        trim_result_release(&g->r);
    talk_release(&g->talk);
    buf_release(&g->body);
    counter_free(g->counter);
    free(g);
    return 0;
}

const struct trim_result *trim_rig_run(struct trim_rig *g, const char *policy)
{
    struct error e = {""};
    if (g->ran)
        trim_result_release(&g->r);
    buf_clear(&g->body);
    talk_whole(&g->talk, &g->body);
    if (trim_policy_read(json_span_of(policy, strlen(policy)), &g->policy, &e) < 0)
        fail_msg("%s", e.text);
    g->in.counter = g->counter;
    g->in.endpoint = g->talk.endpoint;
    g->in.body = g->body.data;
    g->in.len = g->body.len;
    g->in.policy = &g->policy;
    assert_int_equal(trim(&g->in, &g->r, &e), 0);
    g->ran = true;
    return &g->r;
}

bool trim_rig_holds(const struct trim_rig *g, const char *text)
{
    return g->r.body.len > 0 && strstr(g->r.body.data, text);
}

void trim_rig_add_turns(struct trim_rig *g, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[400];
        (void)snprintf(text, sizeof(text), "ask%d", i);
        talk_user(&g->talk, text);
        int len = snprintf(text, sizeof(text), "result%d ", i);
        memset(text + len, 'x', 300);
        text[len + 300] = '\0';
        for (int k = len; k < len + 300; k += 5)
            text[k] = ' ';
        talk_call(&g->talk, "search", text);
        (void)snprintf(text, sizeof(text), "reply%d", i);
        talk_answer(&g->talk, text);
    }
}
