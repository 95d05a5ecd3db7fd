#include "api/cmd_serve.h"

#include "api/service.h"
#include "api/supervisor.h"

#include "common/args.h"
#include "common/config.h"
#include "common/log.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPT_LISTEN         ARGS_NO_CHAR
#define OPT_DATA_DIR       (ARGS_NO_CHAR + 1)
#define OPT_ALLOW_VOLATILE (ARGS_NO_CHAR + 2)
#define OPT_WORKERS        (ARGS_NO_CHAR + 3)
#define OPT_REDIS_URL      (ARGS_NO_CHAR + 4)
#define OPT_REUSE_PORT     (ARGS_NO_CHAR + 5)

static const struct args_option options[] = {
    {'c', "config", "FILE", "configuration; without it providers come from the environment"},
    {OPT_LISTEN, "listen", "ADDR",
     "address to listen on, such as 127.0.0.1:8080 (port 0 picks one)"},
    {OPT_DATA_DIR, "data-dir", "DIR", "where the embedded Redis keeps its data"},
    {OPT_ALLOW_VOLATILE, "allow-volatile", NULL, "go on with a Redis that may lose jobs"},
    {OPT_WORKERS, "workers", "N", "processes on the same port, under a supervisor (1)"},
    {OPT_REDIS_URL, "redis-url", "URL", "the Redis to use, whatever the configuration says"},
    {OPT_REUSE_PORT, "reuse-port", NULL, "let other processes listen on the same port"},
    {0, NULL, NULL, NULL},
};

const struct args_command cmd_serve_usage = {
    .name = "serve",
    .about = "run the service",
    .operands = "",
    .options = options,
    .example = "  sluice serve --config sluice.yaml\n"
               "  OPENAI_API_KEY=sk-... sluice serve --listen 127.0.0.1:8080\n",
};

static int fail(const struct error *e)
{
    (void)fprintf(stderr, "sluice serve: %s\n", e->text);
    return EXIT_FAILURE;
}

static enum log_level level_of(const char *name)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum log_level)i;
    }
    return LOG_INFO;
}

static enum log_format format_of(const char *name)
{
    if (strcmp(name, "text") == 0)
        return LOG_TEXT;
    return strcmp(name, "json") == 0 ? LOG_JSON : LOG_AUTO;
}

static int serve(const struct service_options *o, struct config *config)
{
    struct error e = {.text = ""};
    log_setup(level_of(config->log.level), format_of(config->log.format));
    struct service *s = service_new(o, config, &e);
    if (!s)
        return fail(&e);
    (void)printf("listening on %s://%s\n", service_scheme(s), service_address(s));
    (void)fflush(stdout);
    int code = service_run(s);
    service_free(s);
    return code;
}

static int supervise(const struct service_options *o, struct config *config, int workers)
{
    log_setup(level_of(config->log.level), format_of(config->log.format));
    if (workers > config->redis.max_instances)
        log_write(LOG_WARN,
                  "more workers than redis.max_instances: without Redis, their shares together may "
                  "pass the limits",
                  NULL);
    return supervisor_run(o, config, workers);
}

/* 0 for what is no number of workers. */
static int count_of(const char *text)
{
    char *end = NULL;
    long n = strtol(text, &end, 10);
    return *text && !*end && n >= 1 && n <= SUPERVISOR_MAX_WORKERS ? (int)n : 0;
}

int cmd_serve(int argc, char **argv)
{
    struct service_options o = {.config_path = NULL};
    struct config *config = NULL;
    struct error e = {.text = ""};
    struct args a;
    int workers = 1;

    args_init(&a, &cmd_serve_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;) {
        if (id == 'c')
            o.config_path = a.value;
        else if (id == OPT_LISTEN)
            o.listen = a.value;
        else if (id == OPT_DATA_DIR)
            o.data_dir = a.value;
        else if (id == OPT_ALLOW_VOLATILE)
            o.allow_volatile = true;
        else if (id == OPT_REDIS_URL)
            o.redis_url = a.value;
        else if (id == OPT_REUSE_PORT)
            o.reuse_port = true;
        else if (id == OPT_WORKERS)
            workers = count_of(a.value);
    }
    if (a.exit_code >= 0)
        return a.exit_code;
    if (workers < 1) {
        (void)fprintf(stderr, "sluice serve: --workers is a number from 1 to %d\n",
                      SUPERVISOR_MAX_WORKERS);
        return EXIT_USAGE;
    }
    int rc = o.config_path ? config_load(o.config_path, &config, &e)
                           : config_from_environment(&config, &e);
    if (rc < 0)
        return fail(&e);
    if (config_override(config, o.listen, o.data_dir, &e) < 0) {
        config_free(config);
        return fail(&e);
    }
    if (workers > 1)
        return supervise(&o, config, workers);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        config_free(config);
        (void)error_set(&e, -1, "libcurl could not be set up");
        return fail(&e);
    }
    int code = serve(&o, config);
    curl_global_cleanup();
    return code;
}
