/*
 * demo_serve: a `sluice serve` of the demo's own, in a temporary folder.
 *
 *   ownership  demo_serve_stop() ends the process (SIGTERM, and SIGKILL when it takes too
 *              long), waits for it and removes the folder; idempotent.
 *   errors     what it wrote to its log is shown when it does not start.
 *   blocking   start and stop block: no agent runs then.
 */
#ifndef API_DEMO_DEMO_SERVE_H
#define API_DEMO_DEMO_SERVE_H

#include "api/demo/demo_work.h"
#include "common/error.h"

#include <sys/types.h>

#define DEMO_START_MS 20000
#define DEMO_STOP_MS  10000

struct demo_serve {
    pid_t pid;     /* 0: not running */
    char dir[64];  /* "": none */
    char url[160]; /* http://127.0.0.1:PORT */
};

int demo_serve_start(struct demo_serve *s, const struct demo_work *w, const char *provider_url,
                     struct error *e) MUST_CHECK;
void demo_serve_stop(struct demo_serve *s);

#endif
