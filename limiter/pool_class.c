#include "limiter/pool_class.h"

const int pool_class_weight[CLASS_COUNT] = {
    [CLASS_INTERACTIVE] = 16,
    [CLASS_NORMAL] = 4,
    [CLASS_BATCH] = 1,
};

static const char *const names[CLASS_COUNT] = {
    [CLASS_INTERACTIVE] = "interactive",
    [CLASS_NORMAL] = "normal",
    [CLASS_BATCH] = "batch",
};

const char *pool_class_name(enum pool_class c)
{
    return (unsigned)c < CLASS_COUNT ? names[c] : "?";
}
