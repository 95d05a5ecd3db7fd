/*
 * redis_args: the words of one command.
 *
 *   ownership  borrowed: whoever takes them copies what is needed after return.
 */
#ifndef STORAGE_REDIS_ARGS_H
#define STORAGE_REDIS_ARGS_H

#include <stddef.h>
#include <string.h>

struct redis_args {
    int argc;
    const char *const *argv;
    const size_t *lens; /* bytes of each; NULL: all are strings */
};

/* A command of strings that is known here: redis_command(c, REDIS_ARGS("GET", key), ...).
 * Lives as long as the block it stands in. */
#define REDIS_ARGS(...)                                                                            \
    (&(const struct redis_args){                                                                   \
        .argc = (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)),          \
        .argv = (const char *const[]){__VA_ARGS__},                                                \
    })

static inline size_t redis_args_len(const struct redis_args *args, int i)
{
    return args->lens ? args->lens[i] : strlen(args->argv[i]);
}

#endif
