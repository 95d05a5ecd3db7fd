/*
 * chaos_proxy: stands between a client and a server and spoils what passes: late, in slices, cut,
 * reset, or not at all while both ends believe to be connected.
 *
 *   struct chaos_proxy *p = chaos_proxy_new(base, "unix:/tmp/x/front.sock", "127.0.0.1:6379", 1);
 *   assert_true(chaos_proxy_tell(p, "latency 20 5", answer, sizeof(answer)));
 *
 * An end is unix:PATH or ADDRESS:PORT; port 0 takes a free one. The commands, in the library as
 * over the control socket of the program (tests/chaos/chaosproxy), one a line:
 *
 *   latency MS [JITTER_MS]     each piece is passed on MS, and 0..JITTER_MS more, after it came;
 *                              pieces of one direction never overtake each other
 *   slice BYTES [GAP_MS]       at most so many bytes at once, then a gap (1 ms when not given)
 *   stall up|down|both|off     bytes to the server, to the client, or both are held and no end is
 *                              told: a half-open connection. off lets go of them
 *   reset-after BYTES          connections made from now on are reset when so many have passed
 *   refuse on|off              new connections are closed at once
 *   cut                        all connections are closed
 *   reset                      all connections are reset (on a unix socket: closed)
 *   calm                       all of the above off; connections stay
 *   status                     {"open":..,"accepted":..,"refused":..,"ended":..,"up":..,"down":..}
 *
 * Each is answered "ok", "error: why", or, of status, the JSON.
 *
 *   units      milliseconds, bytes
 *   ownership  opaque. On its own loop or, for a client that blocks, in a process of its own.
 *   limits     CHAOS_MAX_HELD bytes in each direction of a connection: then it is not read.
 */
#ifndef TESTS_SUPPORT_CHAOS_PROXY_H
#define TESTS_SUPPORT_CHAOS_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAOS_MAX_HELD    (1024 * 1024)
#define CHAOS_LINE_BYTES  256
#define CHAOS_PLACE_BYTES 128

struct event_base;
struct chaos_proxy;

/* NULL with the reason on stderr. seed: of the jitter. */
struct chaos_proxy *chaos_proxy_new(struct event_base *base, const char *front, const char *back,
                                    uint64_t seed);
void chaos_proxy_free(struct chaos_proxy *p); /* resets what is open; accepts NULL */
/* Where it listens, with the port that it got. */
const char *chaos_proxy_place(const struct chaos_proxy *p);
/* True when the command was one; answer has CHAOS_LINE_BYTES. */
bool chaos_proxy_tell(struct chaos_proxy *p, const char *command, char *answer);

/* The control socket: line commands of anybody who may open it (mode 0700). 0 or -1. */
int chaos_proxy_listen(struct chaos_proxy *p, const char *path);

#endif
