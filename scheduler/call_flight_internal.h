/*
 * call_flight_internal: flights and their readers. Only for the files of call_flight.h.
 *
 *   call_flight.c       the leader, and what it is told
 *   call_flight_look.c  beginning, joining, and looking into Redis first
 *   call_reader.c       who is given an answer: of a flight, or one that is kept
 */
#ifndef SCHEDULER_CALL_FLIGHT_INTERNAL_H
#define SCHEDULER_CALL_FLIGHT_INTERNAL_H

#include "scheduler/answers_internal.h"
#include "scheduler/call_flight.h"
#include "scheduler/call_internal.h"

/* One who is given an answer: of a flight, or one that is kept. */
struct reader {
    struct list link, due;
    struct answers *owner;
    struct call *call; /* NULL: it left, or has been told the end */
    struct flight *flight;
    struct answer *answer; /* instead of a flight */
    uint64_t at;           /* of the answer's bytes */
    bool busy;             /* it is being given to: freed after that */
    bool started, behind;
};

struct flight {
    struct list link;
    struct answers *owner;
    struct answer_head head;
    char stamp[ANSWER_STAMP_BYTES];
    struct call *leader;
    struct call_sink own; /* of the leader's owner, while it has one */
    void *own_arg;
    bool has_own;
    bool own_paused, stopped; /* stopped: its transfer is */
    size_t own_behind;        /* bytes that were told while it was paused */
    struct list readers;
    struct event *patience; /* with asked */
    struct buf bytes;
    uint64_t dropped; /* bytes in front of these, that all have read */
    int status;
    unsigned failures; /* requests that were sent in vain */
    struct call_failure failure;
    bool asked;  /* Redis has not answered yet, */
    bool looks;  /* and is waited for */
    bool sent;   /* the leader has its budget */
    bool mapped; /* it may be joined */
    bool purged; /* what is found or comes is not to be kept */
    bool keeps;  /* its answer may be kept */
    bool begun, ended, failed;
};

/* ---- call_flight.c */
/* Nobody joins it from now on. */
void flight_unmap(struct flight *f);
void flight_free(struct flight *f);
/* Frees a flight that nobody needs, and ends a call that goes on for nobody. */
void flight_look_after(struct flight *f);
void flight_lead(struct flight *f, struct call *c);
/* One who waits goes its own way, and leads. */
void flight_promote(struct flight *f);
/* Its transfer stands still or flows, as those want who take it. */
void flight_mind_flow(struct flight *f);

/* ---- call_reader.c */
struct reader *reader_new(struct answers *a, struct call *c); /* NULL: no memory */
/* It is no part of its flight any more. */
void reader_free(struct reader *r);
/* It waits for an answer from now on. decision: static storage. */
void reader_join(struct reader *r, const char *decision);
void reader_make_due(struct reader *r);
/* What is kept is what it is given. */
void reader_take(struct reader *r, struct answer *answer, const char *word);

#endif
