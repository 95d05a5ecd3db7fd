#include "api/service_internal.h"

#include "api/access.h"
#include "common/log.h"
#include "common/rand.h"
#include "scheduler/spending.h"
#include "scheduler/webhook.h"
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

static void on_budget_alert(void *arg, const char *tenant, const char *json)
{
    struct service *s = arg;
    struct webhook_event event = {.tenant = tenant, .type = "budget.alert", .data = json};
    if (webhooks_send(s->webhooks, &event, NULL, NULL) < 0)
        log_write(LOG_WARN, "no memory to send a budget alert", "tenant", tenant, NULL);
}

void service_send_alerts(struct service *s)
{
    spending_on_alert(s->spending, on_budget_alert, s);
}

struct spending *service_spending(const struct service *s)
{
    return s->spending;
}
