/*
 * screen: the whole terminal for a program that redraws it, and keys without Enter.
 *
 * The terminal is as before after screen_close(), exit(), a fatal signal (which then still ends
 * the process, so that a shell sees it), and while the process is stopped.
 *
 *   ownership  standard input and output are one terminal, and one screen is open at a time: what
 *              must be put back is kept in one place for the whole process, since a signal handler
 *              gets no argument.
 *   threads    none.
 */
#ifndef API_CLIENT_SCREEN_H
#define API_CLIENT_SCREEN_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

enum screen_key {
    SCREEN_NONE, /* the time is over, or the size has changed: draw again */
    SCREEN_GONE, /* nobody is there any more */
    SCREEN_UP,
    SCREEN_DOWN,
    SCREEN_PAGE_UP,
    SCREEN_PAGE_DOWN,
    SCREEN_LEFT,
    SCREEN_RIGHT,
    SCREEN_OTHER,      /* no meaning here */
    SCREEN_CHAR = 0x20 /* and up: that character; '\t' is SCREEN_RIGHT */
};

bool screen_is_possible(void); /* standard input and output are terminals, and not dumb ones */
int screen_open(void) MUST_CHECK;
void screen_close(void); /* idempotent */
void screen_size(int *ret_columns, int *ret_rows);
/* Lines that end with '\n', over what stood there. Fewer than the screen has. */
void screen_draw(const char *text, size_t len);
int screen_wait(int ms); /* for a key: an enum screen_key, or a character */

/* The key that these bytes of a terminal are. */
int screen_key(const unsigned char *bytes, size_t len);

#endif
