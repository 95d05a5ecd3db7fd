#include "tests/support/guard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void guard_init(struct guard *g, size_t max_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    g->room = (max_bytes / page + 1) * page;
    g->map_bytes = g->room + page;
    g->map = mmap(NULL, g->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g->map == MAP_FAILED || mprotect(g->map + g->room, page, PROT_NONE) != 0)
        abort();
}

void guard_release(struct guard *g)
{
    munmap(g->map, g->map_bytes);
}

char *guard_copy(struct guard *g, const void *bytes, size_t len)
{
    if (len > g->room)
        abort();
    char *start = g->map + g->room - len;
    if (len)
        memcpy(start, bytes, len);
    return start;
}
