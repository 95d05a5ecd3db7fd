/*
 * news: what the answer to one ticket told of the provider's limits, for the ticket's settle.
 *
 *   ownership  plain values.
 *   threads    none.
 */
#ifndef SCHEDULER_NEWS_H
#define SCHEDULER_NEWS_H

#include "limiter/hint.h"
#include "scheduler/provider/wire.h"
#include "storage/pool_store.h"

struct news {
    bool answered; /* whole, or by an error; else only the headers came */
    bool good;     /* with answered: and well */
    struct hints hints;
    struct wire_answer answer;
};

/* What was told, its limits included. */
void news_answer(struct news *n, const struct wire_answer *answer, int status);
/* As struct store_outcome takes it. An item that does not fit is left out whole. */
void news_text(const struct news *n, char out[STORE_NEWS_BYTES]);

#endif
