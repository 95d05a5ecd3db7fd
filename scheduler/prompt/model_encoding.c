#include "scheduler/prompt/model_encoding.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct row {
    const char *model; /* with '*' at its end: a prefix */
    const char *encoding;
};

/* gpt2 has the ranks and the expression of r50k_base, and p50k_edit those of p50k_base; they
 * differ in special tokens, which ordinary text does not have. */
static const struct row rows[] = {
    {"o1", "o200k_base"},
    {"o3", "o200k_base"},
    {"o4-mini", "o200k_base"},
    {"gpt-4.1", "o200k_base"},
    {"gpt-4o", "o200k_base"},
    {"gpt-4", "cl100k_base"},
    {"gpt-3.5", "cl100k_base"},
    {"gpt-3.5-turbo", "cl100k_base"},
    {"gpt-35-turbo", "cl100k_base"},
    {"davinci-002", "cl100k_base"},
    {"babbage-002", "cl100k_base"},
    {"text-embedding-ada-002", "cl100k_base"},
    {"text-embedding-3-small", "cl100k_base"},
    {"text-embedding-3-large", "cl100k_base"},
    {"text-davinci-003", "p50k_base"},
    {"text-davinci-002", "p50k_base"},
    {"code-davinci-002", "p50k_base"},
    {"code-davinci-001", "p50k_base"},
    {"code-cushman-002", "p50k_base"},
    {"code-cushman-001", "p50k_base"},
    {"davinci-codex", "p50k_base"},
    {"cushman-codex", "p50k_base"},
    {"text-davinci-edit-001", "p50k_base"},
    {"code-davinci-edit-001", "p50k_base"},
    {"text-davinci-001", "r50k_base"},
    {"text-curie-001", "r50k_base"},
    {"text-babbage-001", "r50k_base"},
    {"text-ada-001", "r50k_base"},
    {"davinci", "r50k_base"},
    {"curie", "r50k_base"},
    {"babbage", "r50k_base"},
    {"ada", "r50k_base"},
    {"text-similarity-davinci-001", "r50k_base"},
    {"text-similarity-curie-001", "r50k_base"},
    {"text-similarity-babbage-001", "r50k_base"},
    {"text-similarity-ada-001", "r50k_base"},
    {"text-search-davinci-doc-001", "r50k_base"},
    {"text-search-curie-doc-001", "r50k_base"},
    {"text-search-babbage-doc-001", "r50k_base"},
    {"text-search-ada-doc-001", "r50k_base"},
    {"code-search-babbage-code-001", "r50k_base"},
    {"code-search-ada-code-001", "r50k_base"},
    {"gpt2", "r50k_base"},
    {"gpt-2", "r50k_base"},
    {"o1-*", "o200k_base"},
    {"o3-*", "o200k_base"},
    {"o4-mini-*", "o200k_base"},
    {"gpt-5*", "o200k_base"},
    {"gpt-4.5-*", "o200k_base"},
    {"gpt-4.1-*", "o200k_base"},
    {"chatgpt-4o-*", "o200k_base"},
    {"gpt-4o-*", "o200k_base"},
    {"gpt-4-*", "cl100k_base"},
    {"gpt-3.5-turbo-*", "cl100k_base"},
    {"gpt-35-turbo-*", "cl100k_base"},
    {"gpt-oss-*", "o200k_harmony"},
    {"ft:gpt-4o*", "o200k_base"},
    {"ft:gpt-4*", "cl100k_base"},
    {"ft:gpt-3.5-turbo*", "cl100k_base"},
    {"ft:davinci-002*", "cl100k_base"},
    {"ft:babbage-002*", "cl100k_base"},
};

static bool matches(const char *pattern, const char *model)
{
    size_t n = strlen(pattern);
    if (pattern[n - 1] == '*')
        return strncmp(pattern, model, n - 1) == 0;
    return strcmp(pattern, model) == 0;
}

const char *model_encoding(const char *model)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (matches(rows[i].model, model))
            return rows[i].encoding;
    }
    return NULL;
}
