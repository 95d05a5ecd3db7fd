/*
 * wait_loop: runs an event loop until a condition holds, for tests.
 *
 * The condition is looked at after each turn and at least every few milliseconds. No test
 * sleeps for a fixed time; timeout_ms only ends one that would never end.
 */
#ifndef TESTS_SUPPORT_WAIT_LOOP_H
#define TESTS_SUPPORT_WAIT_LOOP_H

#include <stdbool.h>

struct event_base;

#define WAIT_LOOP_MS 20000

typedef bool (*wait_fn)(void *arg);

/* Whether done(arg) became true within timeout_ms. */
bool wait_loop_for(struct event_base *base, wait_fn done, void *arg, int timeout_ms);
bool wait_loop(struct event_base *base, wait_fn done, void *arg); /* WAIT_LOOP_MS */
void wait_loop_turns(struct event_base *base, int turns);         /* turns that do not block */

#endif
