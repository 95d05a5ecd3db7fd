/*
 * joint_board: the kinds of requests that this instance joins, and how well it goes for each.
 *
 *   ownership  opaque; entries are the board's. One that is used stays; of the others the one that
 *              was least asked for lately goes when there are JOINT_MAX_KEYS and a new one comes.
 *   threads    one event loop
 */
#ifndef SCHEDULER_JOINT_JOINT_BOARD_H
#define SCHEDULER_JOINT_JOINT_BOARD_H

#include "common/config.h"
#include "common/limits.h"
#include "common/list.h"
#include "scheduler/joint/joint_breaker.h"
#include "scheduler/joint/joint_request.h"

struct joint_kind {
    struct list link; /* of the board, the least asked for first */
    unsigned users;
    char key[JOINT_KEY_BYTES];
    char group[BATCH_GROUP_BYTES + 1], model[MODEL_NAME_BYTES];
    int64_t most; /* items, as configured when it was last used */
    struct joint_breaker breaker;
    int64_t requests, items, alone; /* sent joint, in them, and of these then sent alone */
};

struct joint_board;

struct joint_board *joint_board_new(void);
void joint_board_free(struct joint_board *b); /* accepts NULL */

/* Good until the next one is asked for, unless it is used. NULL: out of memory, or JOINT_MAX_KEYS
 * are used; then nothing of it is joined. */
struct joint_kind *joint_board_kind(struct joint_board *b, const char *key);
void joint_board_use(struct joint_kind *k);
void joint_board_drop(struct joint_kind *k);
void joint_board_note(struct joint_kind *k, const char *group, const char *model, int64_t most);
/* The next one; *at starts at 0. */
const struct joint_kind *joint_board_next(const struct joint_board *b, size_t *at);

/* What the configuration says of a group ("": unnamed). */
struct joint_settings {
    bool enabled;
    int64_t most, wait_ms;
};
/* The most output of the model that an item names, as configured; 0: that is not known. */
int64_t joint_most_output(const struct config *c, const struct joint_item *item);
struct joint_settings joint_settings_of(const struct config *c, const char *group);

#endif
