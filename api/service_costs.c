#include "api/service_internal.h"

#include "api/access.h"
#include "common/rand.h"
#include "scheduler/spending.h"
#include "storage/cost_store.h"

static bool find_key(void *arg, const char *key, struct spending_limit *ret)
{
    const struct service *s = arg;
    const struct access_key *k = s->access ? access_by_id(s->access, key) : NULL;
    return k && *k->max_budget && spending_limit_read(k->max_budget, k->budget_duration, ret);
}

struct spending *service_make_spending(struct service *s, int timeout_ms)
{
    s->costs = cost_store_new(s->link, timeout_ms);
    struct spending_options options = {
        .base = s->base, .store = s->costs, .seed = rand_system_seed()};
    s->spending = s->costs ? spending_new(&options) : NULL;
    if (s->spending)
        spending_on_key(s->spending, find_key, s);
    return s->spending;
}

struct spending *service_spending(const struct service *s)
{
    return s->spending;
}
