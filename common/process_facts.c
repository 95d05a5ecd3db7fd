#include "common/process_facts.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void read_memory(struct process_facts *ret)
{
    FILE *f = fopen("/proc/self/statm", "re");
    int64_t pages = 0, resident = 0, page_bytes = sysconf(_SC_PAGESIZE);
    if (f && fscanf(f, "%" SCNd64 " %" SCNd64, &pages, &resident) == 2) {
        ret->virtual_bytes = pages * page_bytes;
        ret->resident_bytes = resident * page_bytes;
    }
    if (f)
        (void)fclose(f);
}

static int64_t count_fds(void)
{
    int64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return -1;
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n - 1;
}

static int64_t us_of(const struct timeval *tv)
{
    return (int64_t)tv->tv_sec * 1000000 + tv->tv_usec;
}

void process_facts_read(struct process_facts *ret)
{
    struct rusage usage;
    struct rlimit fds;
    *ret = (struct process_facts){-1, -1, -1, -1, -1};
    read_memory(ret);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        ret->cpu_us = us_of(&usage.ru_utime) + us_of(&usage.ru_stime);
    ret->open_fds = count_fds();
    if (getrlimit(RLIMIT_NOFILE, &fds) == 0 && fds.rlim_cur != RLIM_INFINITY)
        ret->max_fds = (int64_t)fds.rlim_cur;
}
