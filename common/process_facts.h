/*
 * process_facts: what the kernel knows of this process, from /proc and getrusage().
 *
 *   threads  any; nothing is kept.
 */
#ifndef COMMON_PROCESS_FACTS_H
#define COMMON_PROCESS_FACTS_H

#include <stdint.h>

struct process_facts {
    int64_t resident_bytes, virtual_bytes; /* -1: not known, here and below */
    int64_t cpu_us;                        /* user and system */
    int64_t open_fds, max_fds;             /* the one that looks is not counted */
};

void process_facts_read(struct process_facts *ret);

#endif
