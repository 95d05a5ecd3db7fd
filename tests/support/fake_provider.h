/*
 * fake_provider: a server on 127.0.0.1 whose connections follow a script.
 *
 * It knows just enough HTTP to find a request's end (Content-Length); all it sends are
 * the script's bytes, so that it can be as wrong as a real provider. After the last step
 * a connection begins again with the first (keep-alive), unless the script closed it.
 *
 *   ownership  scripts and their bytes must outlive the provider.
 *   threads    runs on the test's own event loop.
 *   errors     a failing system call ends the test program.
 */
#ifndef TESTS_SUPPORT_FAKE_PROVIDER_H
#define TESTS_SUPPORT_FAKE_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fake_op {
    FAKE_READ,  /* waits for one whole request */
    FAKE_SEND,  /* sends bytes, in pieces of `slice` (0: at once), one for each loop pass */
    FAKE_FILL,  /* sends len bytes of 'x'; 0: without end */
    FAKE_STALL, /* does nothing until fake_provider_go() */
    FAKE_RESET, /* closes with a TCP reset */
    FAKE_CLOSE, /* closes with a TCP end */
    FAKE_DEAF,  /* never reads nor sends again */
};

struct fake_step {
    enum fake_op op;
    const char *bytes; /* FAKE_SEND: text, unless len is set */
    size_t len;
    size_t slice;
};

struct event_base;
struct fake_provider;

struct fake_provider *fake_provider_new(struct event_base *base);
void fake_provider_free(struct fake_provider *p); /* closes what is open */
/* Followed by connections accepted from now on. */
void fake_provider_script(struct fake_provider *p, const struct fake_step *steps, size_t count);
#define FAKE_SCRIPT(p, steps) fake_provider_script((p), (steps), sizeof(steps) / sizeof((steps)[0]))
void fake_provider_go(struct fake_provider *p); /* ends all stalls of now */

const char *fake_provider_url(const struct fake_provider *p); /* http://127.0.0.1:PORT */
uint16_t fake_provider_port(const struct fake_provider *p);
size_t fake_provider_connections(const struct fake_provider *p); /* accepted so far */
size_t fake_provider_open(const struct fake_provider *p);        /* open now */
size_t fake_provider_requests(const struct fake_provider *p);    /* read whole so far */
size_t fake_provider_stalled(const struct fake_provider *p);     /* in FAKE_STALL now */
uint64_t fake_provider_sent(const struct fake_provider *p);      /* bytes the kernel took so far */
const char *fake_provider_head(const struct fake_provider *p);   /* head of the last request */
size_t fake_provider_body_len(const struct fake_provider *p);    /* and its body's length */

#endif
