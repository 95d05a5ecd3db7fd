#include "limiter/quantile.h"

#include <math.h>

#define QUANTILE_MOST INT64_C(1000000000000)

void quantile_init(struct quantile *q, double tau, int64_t first_guess)
{
    *q = (struct quantile){.tau = tau,
                           .log_value = log((double)(first_guess > 0 ? first_guess : 1))};
}

void quantile_add(struct quantile *q, int64_t amount)
{
    if (amount > QUANTILE_MOST) /* its exponential would not fit an integer again */
        amount = QUANTILE_MOST;
    double sample = log((double)(amount > 0 ? amount : 1));
    q->samples++;
    double gamma = fmax(0.02, 0.5 / sqrt((double)q->samples));
    q->log_value += sample > q->log_value ? gamma * q->tau : -gamma * (1 - q->tau);
    if (q->log_value < 0)
        q->log_value = 0;
}

int64_t quantile_value(const struct quantile *q)
{
    return (int64_t)llround(exp(q->log_value));
}
