/*
 * settings: what is saved for models while the service runs, as this instance knows it.
 *
 * A request reads this process's copy and never waits for Redis. A change elsewhere is here within
 * milliseconds (a channel), and at most SETTINGS_LOOK_MS later when the channel was cut. What was
 * read stays while Redis is away.
 *
 * An entry names a provider and a model, or a pattern with '*' at its end; of several that fit a
 * model the best fitting one holds, alone: exact before a pattern, the longest pattern first, as
 * with rows of the configuration.
 *
 * What wins, from the first on: the request, then what the configuration says of the tenant, then
 * what is saved here, then what the configuration says of the model, and, where only a value to
 * show is wanted, the seed.
 *
 *   max_output_tokens  default where a request names none, and the most that one may name
 *   temperature        default only: it costs nothing, so whoever names one has it
 *   max_iterations     the most, of each turn of a conversation with a name
 *   trim               default
 *   limits             in place of the row's; a key's own limits go before them
 *
 *   units      wall clock ms since the epoch
 *   ownership  opaque; entries are borrowed until the next turn of the loop.
 *   threads    one event loop.
 */
#ifndef SCHEDULER_SETTINGS_H
#define SCHEDULER_SETTINGS_H

#include "scheduler/settings_values.h"
#include "storage/settings_store.h"

#define SETTINGS_LOOK_MS 30000

struct settings_entry {
    char provider[PROVIDER_NAME_BYTES + 1], model[MODEL_NAME_BYTES + 1];
    struct settings_values values;
    int64_t version, saved_ms;
};

struct event_base;
struct settings;

/* changed: another set is known from now on, or the first load has ended, perhaps without one
 * (settings_is_known() tells). link is kept. NULL: no memory. */
struct settings *settings_new(struct event_base *base, struct redis_link *link,
                              void (*changed)(void *arg), void *arg);
void settings_free(struct settings *s); /* accepts NULL */
void settings_connected(struct settings *s, bool up);
void settings_load(struct settings *s); /* a message on KEY_SETTINGS_CHANGED */

bool settings_is_known(const struct settings *s);
int64_t settings_version(const struct settings *s); /* of the last change that is known here */
/* What holds for a model; NULL: nothing is saved. s may be NULL. */
const struct settings_entry *settings_find(const struct settings *s, const char *provider,
                                           const char *model);
/* By its very name. */
const struct settings_entry *settings_exact(const struct settings *s, const char *provider,
                                            const char *model);
const struct settings_entry *settings_next(const struct settings *s, size_t *at); /* start at 0 */

/* The entry that has limits of a pool; NULL: none has. */
const struct settings_entry *settings_of_pool(const struct settings *s,
                                              const struct config_provider *p, const char *pool);
/* The limits of a row's pool, with what is saved in place of the row's own. s may be NULL. */
struct config_limits settings_limits(const struct settings *s,
                                     const struct config_provider *provider,
                                     const struct config_model *row,
                                     const struct config_account *account);

/* Saves or, with values NULL, removes; it holds here before fn is told. 0, or -EINVAL the names are
 * none, -ENOMEM: fn is not told then. */
struct settings_edit {
    const char *provider, *model;
    const struct settings_values *values;
    int64_t expected; /* version; SETTINGS_ANY_VERSION */
};
int settings_save(struct settings *s, const struct settings_edit *edit, settings_done_fn fn,
                  void *arg) MUST_CHECK;

#endif
