#include "api/service_internal.h"

#include "api/batch/batch.h"
#include "api/webhook_json.h"

#include <errno.h>

static int on_batch_ended(void *arg, const struct batch_end *end)
{
    struct service *s = arg;
    return webhook_json_batch(s->webhooks, end);
}

int service_make_batches(struct service *s, struct error *e)
{
    char folder[BATCH_PATH_MAX];
    int rc = batches_make_folder(service_config(s)->data_dir, folder, e);
    if (rc < 0)
        return rc;
    struct batches_options options = {.base = s->base,
                                      .jobs = s->jobs,
                                      .scheduler = s->scheduler,
                                      .http = s->http,
                                      .folder = folder,
                                      .instance = s->instance,
                                      .ended = on_batch_ended,
                                      .arg = s};
    options.store = s->records =
        record_store_new(s->link, (int)service_config(s)->redis.command_timeout_ms);
    s->batches = s->records ? batches_new(&options) : NULL;
    return s->batches ? 0 : error_set(e, -ENOMEM, "out of memory");
}
