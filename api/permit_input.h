/*
 * permit_input: what a body of /v1/permits or /v1/admission/check asks for. Pure.
 *
 *   {"model", "input_tokens" or "messages" or "body", "max_output_tokens", "provider", "format",
 *    "endpoint", "priority", "wait_ms", "ttl_ms"}
 *
 * The request behind it is stated in one of three ways: by its number of tokens, by its messages,
 * or whole, as "body". Which format it is of follows from "endpoint", "format" or "provider";
 * without them, from the provider that serves the model, the one that names it more exactly if two
 * do. Of patterns that fit alike ("*" and "*") Anthropic's takes what is called claude, and
 * OpenAI's the rest.
 *
 *   ownership  the body is allocated and given; permit_input_release() frees it when it was not
 *              taken. provider borrows from the configuration.
 *   threads    none.
 *   errors     -EINVAL (failure: 400 or 404, with the field, what was found and what is wanted),
 *              -ENOMEM.
 */
#ifndef API_PERMIT_INPUT_H
#define API_PERMIT_INPUT_H

#include "common/config.h"
#include "scheduler/permit.h"

struct permit_input {
    enum wire_endpoint endpoint;
    char *body;
    size_t body_len;
    const char *provider;                    /* NULL: by the model alone */
    int64_t input_tokens, max_output_tokens; /* 0: not told */
    enum pool_class class;
    bool class_given;
    int64_t wait_ms; /* -1: not told */
    int64_t ttl_ms;  /* 0: not told */
};

int permit_input_read(const char *text, size_t len, const struct config *c,
                      struct permit_input *ret, struct call_failure *f) MUST_CHECK;
void permit_input_release(struct permit_input *in);
/* The body of a renewal: {"ttl_ms"}, or nothing (0). */
int permit_renewal_read(const char *text, size_t len, int64_t *ret_ttl_ms,
                        struct call_failure *f) MUST_CHECK;

#endif
