#include "common/model_list.h"

#include <string.h>

bool model_list_allows(const char *list, const char *model)
{
    const char *at = list ? list : "";
    bool any = *at == '\0';
    for (at += strspn(at, " "); *at && !any; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        bool pattern = at[len - 1] == '*';
        any = strncmp(at, model, pattern ? len - 1 : len) == 0 && (pattern || !model[len]);
        at += len;
    }
    return any;
}
