#include "scheduler/plan.h"

#include <stdlib.h>

struct plan *plan_new(struct config *config)
{
    struct plan *p = malloc(sizeof(*p));
    if (!p) {
        config_free(config);
        return NULL;
    }
    *p = (struct plan){.config = config, .users = 1};
    return p;
}

struct plan *plan_use(struct plan *p)
{
    p->users++;
    return p;
}

void plan_drop(struct plan *p)
{
    if (!p || --p->users > 0)
        return;
    config_free(p->config);
    free(p);
}
