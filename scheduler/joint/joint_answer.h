/*
 * joint_answer: the answer to a joint request, taken apart.
 *
 * An item is answered when its name stands in the answer exactly once, as the id of one of r1, r2,
 * ..., beside a text that is not empty. What is missing, there twice, named by nobody's name, or in
 * an answer that was cut or refused, is not answered: that item must be asked alone.
 *
 *   ownership  joint_answer_release() frees; the reply is borrowed until then.
 *   threads    none
 */
#ifndef SCHEDULER_JOINT_JOINT_ANSWER_H
#define SCHEDULER_JOINT_JOINT_ANSWER_H

#include "scheduler/joint/joint_request.h"

struct joint_answer {
    enum wire_endpoint endpoint;
    struct json_span reply;                 /* the whole answer; at NULL: it is no JSON object */
    struct buf text;                        /* the object of answers */
    struct json_span item[JOINT_MAX_ITEMS]; /* text with its quotes; at NULL: not answered */
    size_t count, good;
};

/* Any bytes may be read; what is wrong with them only leaves items without an answer. */
void joint_answer_read(enum wire_endpoint endpoint, const char *body, size_t len,
                       const struct joint_names *names, size_t count, struct joint_answer *ret);
void joint_answer_release(struct joint_answer *a);

/* What was billed, parted among the items that were answered, by the size of their texts and of
 * their answers: the parts add up to the bill. Of others nothing is known. */
void joint_answer_share(const struct joint_answer *a, const struct wire_usage *bill,
                        const int64_t *text_bytes, struct wire_usage *ret);

/* The ordinary answer that one item would have had alone, with its share of the usage. */
int joint_answer_write(const struct joint_answer *a, size_t index, const struct wire_usage *share,
                       struct buf *out) MUST_CHECK;

#endif
