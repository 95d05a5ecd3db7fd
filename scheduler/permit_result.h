/*
 * permit_result: what a worker tells of the answer that it got from a provider. Pure.
 *
 *   {"usage": {"input_tokens", "output_tokens", "cache_read_tokens"}, "status": 200,
 *    "headers": {"name": "value", …}, "body": the answer's body, JSON or a string}
 *
 * All members are optional; status is 200 when it is absent. Without usage it is read from the
 * body, as the provider writes it. Of a body only usage and error are looked at.
 *
 *   ownership  spans borrow from the text.
 *   threads    none.
 */
#ifndef SCHEDULER_PERMIT_RESULT_H
#define SCHEDULER_PERMIT_RESULT_H

#include "common/limits.h"
#include "scheduler/provider/wire.h"

struct permit_result {
    int status;
    bool usage_told;
    int64_t input, output, cache_read;
    struct json_span headers;            /* an object of strings, or none */
    struct json_span body;               /* none; an object or array; or a string */
    char value[PERMIT_MAX_HEADER_BYTES]; /* of the header that was asked for last */
};

/* 0; -EINVAL with e naming the member, what was found and what is wanted. */
int permit_result_read(const char *text, size_t len, struct permit_result *ret,
                       struct error *e) MUST_CHECK;
/* A wire_header_fn: arg is the result. A value is valid until the next call. */
const char *permit_result_header(void *arg, const char *name);
/* What the answer means by the rules of its provider's profile (wire_rules_find()), and the usage
 * that it told. Decodes a body that came as a string. */
struct wire_answer permit_result_answer(struct permit_result *r, const struct wire_rules *rules,
                                        enum wire_endpoint endpoint, int64_t now_wall_ms,
                                        struct wire_usage *ret);

#endif
