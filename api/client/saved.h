/*
 * saved: settings of a running service, as the commands `settings` and `limits` read and change
 * them.
 *
 * A change is read, merged and written on the version that was read; when somebody else was faster
 * it is done anew, a few times.
 *
 *   ownership  JSON is given to the caller.
 *   errors     as client_call().
 */
#ifndef API_CLIENT_SAVED_H
#define API_CLIENT_SAVED_H

#include "api/client/client.h"

/* "/v1/settings/PROVIDER/MODEL". -EINVAL with e when name is not PROVIDER/MODEL. */
int saved_path(const char *name, char path[CLIENT_PATH_BYTES], struct error *e) MUST_CHECK;
int saved_list(struct client *c, json_t **ret, struct error *e) MUST_CHECK;
int saved_get(struct client *c, const char *name, json_t **ret, struct error *e) MUST_CHECK;
/* changes: members as PUT takes them, "limits" too; null takes one out. The entry as it is then. */
int saved_change(struct client *c, const char *name, const json_t *changes, json_t **ret,
                 struct error *e) MUST_CHECK;
int saved_reset(struct client *c, const char *name, json_t **ret, struct error *e) MUST_CHECK;

/* A whole number or a number as text, "default" as null; NULL: it is neither. */
json_t *saved_value(const char *text);

#endif
