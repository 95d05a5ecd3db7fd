/*
 * hint_field: the two header fields of the IETF draft "RateLimit header fields for HTTP"
 * (draft-ietf-httpapi-ratelimit-headers, 2025-09), read as structured fields (RFC 9651):
 *
 *   RateLimit-Policy: "burst";q=100;w=60, "daily";q=1000;w=86400
 *   RateLimit: "burst";r=50;t=30
 *
 * A list of strings with parameters. Of the parameters only whole numbers and strings are read;
 * what is not understood ends the reading, and what stood before it counts.
 *
 *   ownership  names borrow from the text.
 *   threads    none; no allocation.
 */
#ifndef LIMITER_HINT_FIELD_H
#define LIMITER_HINT_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hint_item {
    const char *name; /* between its quotes */
    size_t name_len;
    int64_t q, w, r, t; /* -1: not given */
    const char *unit;   /* qu, between its quotes; NULL: not given, which means requests */
    size_t unit_len;
};

/* Reads the item at *at and moves on. False at the end, or where it cannot be read. */
bool hint_field_next(const char **at, struct hint_item *ret);

#endif
