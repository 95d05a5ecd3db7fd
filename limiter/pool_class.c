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

bool pool_class_of_number(int64_t priority, enum pool_class *ret)
{
    if (priority < INT32_MIN || priority > INT32_MAX)
        return false;
    *ret = priority < PRIORITY_FIRST_NORMAL  ? CLASS_INTERACTIVE
           : priority < PRIORITY_FIRST_BATCH ? CLASS_NORMAL
                                             : CLASS_BATCH;
    return true;
}
