/*
 * file_take: the file of an upload, from the body of an exchange to its name on the disk.
 *
 * The form is read and the file is written in steps, so that the loop goes on. It is written
 * beside its name, is then on the disk, and gets its name by a rename: a file with its name is
 * whole, whenever the machine stops.
 */
#ifndef API_FILE_TAKE_H
#define API_FILE_TAKE_H

#include "api/server.h"

#include <stdint.h>

struct file_taken {
    int rc; /* 0; -EINVAL, -EFBIG: of the form; else of write(2), fdatasync(2), rename(2) */
    const char *why;  /* with -EINVAL and -EFBIG */
    const char *name; /* as it was sent */
    int64_t bytes;
    int64_t expires_s; /* expires_after: so long after now; 0: not asked for */
};
typedef void (*file_take_fn)(void *arg, const struct file_taken *taken);
/* Takes the exchange's body, leaves the exchange to the caller. Told exactly once when it returns
 * 0; else never: -EINVAL the form is wrong and e says how, -ENOMEM, or of open(2). */
int file_take(struct event_base *base, struct exchange *x, const char *path, file_take_fn fn,
              void *arg, struct error *e) MUST_CHECK;

#endif
