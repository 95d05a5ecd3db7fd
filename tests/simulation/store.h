/*
 * store: storage/pool_store.h and storage/job_store.h over a simulated link. The program links
 * these definitions in the place of the real ones.
 *
 * Like the real one, a call of a pool that Redis does not know configures it on the way (full when
 * this process never has, else empty) and is repeated once.
 */
#ifndef TESTS_SIMULATION_STORE_H
#define TESTS_SIMULATION_STORE_H

#include "tests/simulation/link.h"

struct pool_store {
    struct link *link;
};

struct job_store {
    struct link *link;
};

#endif
