#include "api/batch/batch_internal.h"

#include "common/log.h"
#include "common/money.h"

static void set(json_t *batch, const char *key, json_t *value)
{
    if (!value || json_object_set_new(batch, key, value) < 0)
        log_write(LOG_WARN, "no memory for the usage of a batch", NULL);
}

void batch_run_used(struct batch_run *r, const struct batch_usage *u)
{
    r->used.input += u->input;
    r->used.cached += u->cached;
    r->used.output += u->output;
    r->used.pico += u->pico;
    r->changed = true;
}

/* In OpenAI's shape, with what it cost. What ended in the second before a kill may be missing: a
 * sum is of what is known, and rather too low than counted twice. */
void batch_usage_write(struct batch_run *r)
{
    const struct batch_usage *u = &r->used;
    json_t *own = json_object_get(r->batch, "x_sluice");
    if (u->input == 0 && u->output == 0)
        return;
    set(r->batch, "usage",
        json_pack("{s:I, s:{s:I}, s:I, s:{s:i}, s:I}", "input_tokens", (json_int_t)u->input,
                  "input_tokens_details", "cached_tokens", (json_int_t)u->cached, "output_tokens",
                  (json_int_t)u->output, "output_tokens_details", "reasoning_tokens", 0,
                  "total_tokens", (json_int_t)(u->input + u->output)));
    if (!own)
        set(r->batch, "x_sluice", own = json_object());
    (void)json_object_set_new(own, "cost_usd", json_real(money_dollars(money_of_pico(u->pico))));
    (void)json_object_set_new(own, "cost_pico_usd", json_integer(u->pico));
}

void batch_usage_read(struct batch_run *r)
{
    const json_t *u = json_object_get(r->batch, "usage");
    const json_t *own = json_object_get(r->batch, "x_sluice");
    const json_t *details = json_object_get(u, "input_tokens_details");
    r->used = (struct batch_usage){
        .input = json_integer_value(json_object_get(u, "input_tokens")),
        .cached = json_integer_value(json_object_get(details, "cached_tokens")),
        .output = json_integer_value(json_object_get(u, "output_tokens")),
        .pico = json_integer_value(json_object_get(own, "cost_pico_usd"))};
}
