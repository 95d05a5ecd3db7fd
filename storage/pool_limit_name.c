/* The names of limits in replies: a tenant's own has its owner in front. */
#include "storage/pool_store.h"

#include <string.h>

const char *pool_store_limit_name(const char *binding, bool *ret_own)
{
    static const char own[] = "tenant:";
    *ret_own = strncmp(binding, own, sizeof(own) - 1) == 0;
    return *ret_own ? binding + sizeof(own) - 1 : binding;
}

const char *pool_store_limit_whose(const char *binding)
{
    bool own;
    const char *name = pool_store_limit_name(binding, &own);
    if (*name == '\0')
        return "";
    if (own)
        return "tenant";
    return strcmp(name, "circuit") == 0 ? "provider" : "pool";
}

const char *pool_store_own_name(const char *limit)
{
    static const char *const names[] = {"tenant:rpm",  "tenant:tpm", "tenant:itpm",
                                        "tenant:otpm", "tenant:rpd", "tenant:tpd"};
    bool own;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(pool_store_limit_name(names[i], &own), limit) == 0)
            return names[i];
    }
    return "";
}
