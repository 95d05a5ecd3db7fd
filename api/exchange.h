/*
 * exchange: what server.c and conn.c need of an exchange; see server.h for the rest.
 */
#ifndef API_EXCHANGE_H
#define API_EXCHANGE_H

#include "api/server.h"

struct conn;
struct evhttp_request;
struct http_filter;

/* NULL when out of memory. Copies what it needs of the request's line, takes its body. */
struct exchange *exchange_new(struct conn *c, struct evhttp_request *request,
                              const struct http_filter *filter);
/* The connection ends before the exchange has: tells the handler's callback, then frees.
 * Without a callback the exchange stays, answers to nobody, and is freed by its answer. */
void exchange_gone(struct exchange *x);
/* Output was written. */
void exchange_written(struct exchange *x);

#endif
