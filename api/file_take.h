/*
 * file_take: the file of an upload, from the body of an exchange to its name on the disk.
 *
 * It is written beside its name, piece by piece so that the loop goes on, is then on the disk, and
 * gets its name by a rename: a file with its name is whole, whenever the machine stops.
 */
#ifndef API_FILE_TAKE_H
#define API_FILE_TAKE_H

#include "api/server.h"

#include <stdint.h>

/* rc 0, or the negative errno of write(2), fdatasync(2) or rename(2); name as it was sent. */
typedef void (*file_take_fn)(void *arg, int rc, const char *name, int64_t bytes);
/* Takes the exchange's body, leaves the exchange to the caller. Told exactly once when it returns
 * 0; else never: -EINVAL the form is wrong and e says how, -EFBIG, -ENOMEM, or of open(2). */
int file_take(struct event_base *base, struct exchange *x, const char *path, file_take_fn fn,
              void *arg, struct error *e) MUST_CHECK;

#endif
