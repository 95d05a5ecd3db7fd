/*
 * batch_plan: which account of a provider a whole file of requests can be handed to.
 *
 * A provider's own batch is of one account, so all models of the file must lead to one: the first,
 * in the order of the configuration, that serves each of them. Callers' own keys are none, since
 * a batch goes on when its caller is gone.
 *
 *   errors     what is wrong is added to the errors of the input, with its line.
 *   threads    none; the configuration must stay the same over all steps of one plan.
 */
#ifndef API_BATCH_BATCH_PLAN_H
#define API_BATCH_BATCH_PLAN_H

#include "api/batch/batch_input.h"
#include "common/config.h"
#include "scheduler/provider/wire.h"

#define BATCH_MODEL_BYTES 256

struct batch_plan {
    const struct config *config;
    enum wire_endpoint endpoint;
    const char *models; /* that the caller may use; as struct job_spec */
    size_t at;          /* next line */
    struct config_candidate ways[CONFIG_MAX_ROUTES];
    size_t count;
    char last[BATCH_MODEL_BYTES]; /* model that was looked at last; "" none yet */
};

/* About budget bytes of lines more. 1: there is more; 0: all were looked at, and the answer is
 * ways[0] unless in has errors; -ENOMEM. */
int batch_plan_step(struct batch_plan *p, struct batch_input *in, size_t budget) MUST_CHECK;

/* The row of a model at an account, NULL when it has none, and what the provider calls it. */
struct batch_way {
    const struct config *config;
    const struct config_provider *provider;
    const struct config_account *account;
};
const struct config_model *batch_way_row(const struct batch_way *w, const char *model,
                                         const char **ret_upstream);
/* The account of these names; false when the configuration has it no more. */
bool batch_way_find(const struct config *c, const char *provider, const char *account,
                    struct batch_way *ret);
/* Whether any provider of this format has a key of its own. */
bool batch_plan_is_possible(const struct config *c, enum wire_format format);

#endif
