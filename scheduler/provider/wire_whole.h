/*
 * wire_whole: whether an answer came to its own end, and so is good for the next who asks the same.
 *
 * An answer is whole when the model stopped because it had said all (finish_reason stop; end_turn
 * or stop_sequence; a response that is completed), in every choice, without calls of tools: those
 * ask the caller to do something now. Embeddings are whole when there are any.
 *
 *   threads  none; pure.
 */
#ifndef SCHEDULER_PROVIDER_WIRE_WHOLE_H
#define SCHEDULER_PROVIDER_WIRE_WHOLE_H

#include "scheduler/provider/wire.h"

/* bytes: a 2xx answer as the caller got it, a body or all of its server-sent events. */
bool wire_is_whole(enum wire_endpoint endpoint, bool streamed, const char *bytes, size_t len);

#endif
