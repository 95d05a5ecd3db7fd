/*
 * sim_steer: what one request asks of the simulator, for tests that script single calls.
 *
 * The words stand in the header x-sim, or in "[[sim ...]]" in the last user text (a
 * header may not pass a proxy; the text does). They are NAME=VALUE or NAME, parted by
 * blanks, commas or semicolons:
 *
 *   status=N         answer with this error        retry_after_ms=N   and this wait
 *   latency_ms=N     until the first byte          ms_per_token=N
 *   output=N         tokens of the answer          tool_calls=N       calls, no text
 *   cached=N         input read from the cache     id=NAME            for GET /sim/calls
 *   cut_after=N      close the connection after N tokens (half the body when not streamed)
 *   stall_after=N    stop sending after N tokens
 *   error_after=N    an error event in the stream after N tokens
 *   disconnect       close without an answer       stall              never answer
 *   unruly           makes its tool calls even when tool_choice or parallel calls forbid it
 */
#ifndef API_SIMULATE_SIM_STEER_H
#define API_SIMULATE_SIM_STEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_ID_BYTES 128

struct sim_steer {
    int64_t status, retry_after_ms; /* every number: -1 when not asked */
    int64_t latency_ms, ms_per_token, output, tool_calls, cached;
    int64_t cut_after, stall_after, error_after;
    bool disconnect, stall, unruly;
    char id[SIM_ID_BYTES]; /* "" when not asked */
};

void sim_steer_init(struct sim_steer *s);
/* Reads words; later ones win. False when a word is not known; the others count. */
bool sim_steer_words(struct sim_steer *s, const char *words, size_t len);
/* Reads every [[sim ...]] in text. */
bool sim_steer_text(struct sim_steer *s, const char *text, size_t len);

#endif
