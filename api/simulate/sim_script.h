/*
 * sim_script: a queue of replies that tests have written beforehand.
 *
 * The next admitted request whose path matches takes the first entry (times > 1: it
 * stays for that many).
 *
 *   ownership  an entry that was taken belongs to the taker: sim_scripted_free().
 */
#ifndef API_SIMULATE_SIM_SCRIPT_H
#define API_SIMULATE_SIM_SCRIPT_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct sim_scripted {
    struct sim_scripted *next;
    int status;
    int64_t delay_ms;
    int64_t cut_after; /* bytes of the body; -1: all */
    bool disconnect;
    int64_t times;
    char path[64];   /* "": any */
    json_t *headers; /* object of strings, or NULL */
    char *body;
    size_t body_len;
};

struct sim_script {
    struct sim_scripted *first;
    size_t count;
};

/* Appends the array of responses, all or none. */
int sim_script_add(struct sim_script *s, const json_t *responses, struct error *e) MUST_CHECK;
/* NULL when none matches, or on no memory. */
struct sim_scripted *sim_script_take(struct sim_script *s, const char *path);
void sim_script_clear(struct sim_script *s);
void sim_scripted_free(struct sim_scripted *entry);

#endif
