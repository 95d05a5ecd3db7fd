/*
 * access_record: an access key as JSON, in the store and in the API.
 *
 * The record in Redis holds the hash; what the API shows never does.
 */
#ifndef API_ACCESS_RECORD_H
#define API_ACCESS_RECORD_H

#include "api/access.h"

/* The record for the store; given, NULL out of memory. */
char *access_record_write(const struct access_key *k);
/* False: no record of ours. It is left out, so that a newer version's record locks nobody in. */
bool access_record_read(const char *id, const char *text, struct access_key *ret);
/* The fields that a caller may choose, over what k holds. -EINVAL with e naming the field. */
int access_record_choose(struct access_key *k, const json_t *wish, struct error *e) MUST_CHECK;
/* "proxy,jobs" to a set; -EINVAL: one is no scope. */
int access_scopes_read(const char *text, unsigned *ret) MUST_CHECK;

#endif
