/* Any bytes as a configuration file: an error with a place, or a configuration that can be
 * routed with and freed. */
#include "common/config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *c = NULL;
    struct error e = {.text = ""};
    if (config_parse("fuzz", (const char *)data, size, &c, &e)) {
        if (c || !e.text[0])
            abort();
        return 0;
    }

    const struct config_provider *provider;
    const struct config_model *row;
    const char *model;
    (void)config_route(c, CONFIG_OPENAI, "gpt-4o", &provider, &row, &model);
    (void)config_route(c, CONFIG_ANTHROPIC, "p/claude", &provider, &row, &model);
    config_free(c);
    return 0;
}
