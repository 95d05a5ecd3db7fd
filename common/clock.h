/*
 * clock: the only readers of the system's clocks.
 *
 *   monotonic  microseconds (or milliseconds) since an arbitrary start; for
 *              timers, waits and measurements inside one process.
 *   wall       milliseconds since the Unix epoch; for logs, ids and the API.
 *
 * Decisions that instances share use neither: they use Redis TIME, inside the
 * scripts. Arithmetic in limiter/ and scheduler/ takes the time as an argument.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

int64_t clock_mono_us(void);
int64_t clock_mono_ms(void);
int64_t clock_wall_ms(void);

#endif
