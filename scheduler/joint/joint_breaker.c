#include "scheduler/joint/joint_breaker.h"

int64_t joint_breaker_size(const struct joint_breaker *b, int64_t most)
{
    return b->size > 0 && b->size < most ? b->size : most;
}

static void move(struct joint_breaker *b, int64_t size)
{
    *b = (struct joint_breaker){.size = size > 1 ? size : 1};
}

void joint_breaker_note(struct joint_breaker *b, int64_t most, int64_t items, int64_t failed)
{
    int64_t size = joint_breaker_size(b, most);
    b->seen += items;
    b->failed += failed;
    bool judges = b->seen >= JOINT_BREAKER_LEAST || b->failed >= JOINT_BREAKER_FAILED;
    if (judges && b->failed * 100 > b->seen * JOINT_BREAKER_PERCENT)
        move(b, size / 2);
    else if (b->seen >= JOINT_BREAKER_WINDOW)
        move(b, size < most ? size + 1 : most);
}
