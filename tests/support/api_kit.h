/*
 * api_kit: a simulated provider, a service in front of it, and short ways to ask the service.
 *
 *   ownership  one set for one test program; api_kit_stop() ends what was started.
 *   errors     what does not work fails the test that runs.
 */
#ifndef TESTS_SUPPORT_API_KIT_H
#define TESTS_SUPPORT_API_KIT_H

#include "tests/support/serve_child.h"
#include "tests/support/sim_child.h"

#include <jansson.h>

#define KIT_CHAT_PATH    "/v1/chat/completions"
#define KIT_MESSAGE_PATH "/v1/messages"
#define KIT_CHAT(model)                                                                            \
    "{\"model\":\"" model "\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":"     \
    "\"hello\"}]}"
#define KIT_JOB(model) "{\"endpoint\":\"" KIT_CHAT_PATH "\",\"body\":" KIT_CHAT(model) "}"

struct api_kit {
    struct sim_child sim;
    struct serve_child serve;
    char header[1200]; /* sent with every request; "" none */
};

/* The models: "gpt-4o" roomy; "slow" two requests at once and then one in 30 s; "claude-*". more
 * goes in front of the providers, such as "queue: {max_depth: 3}\n". */
void api_kit_start(struct api_kit *k, const char *sim_options, const char *more);
void api_kit_stop(struct api_kit *k);
/* The configuration that api_kit_start() would write. Given. */
char *api_kit_config(const struct api_kit *k, const char *more);

struct http_answer api_kit_ask(struct api_kit *k, const char *method, const char *path,
                               const char *body);
/* Asks, asserts the status and gives the JSON. */
json_t *api_kit_json(struct api_kit *k, const char *method, const char *path, const char *body,
                     int status);
int api_kit_status(struct api_kit *k, const char *method, const char *path, const char *body);
/* Asserts status and, of an error in OpenAI's shape, its code. */
void api_kit_refused(struct api_kit *k, const char *method, const char *path, const char *body,
                     int status, const char *code);

/* The text at a path such as "error/code"; "" when it is absent or no text. */
const char *json_text_at(const json_t *value, const char *path);

/* Asks GET /v1/stats until done says so. Given: the last answer. */
json_t *api_kit_stats_until(struct api_kit *k, bool (*done)(const json_t *stats));

#endif
