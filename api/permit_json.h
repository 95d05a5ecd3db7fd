/*
 * permit_json: a permit and an admission as JSON objects.
 *
 *   ownership  a new reference; NULL when out of memory.
 *   threads    none.
 */
#ifndef API_PERMIT_JSON_H
#define API_PERMIT_JSON_H

#include "scheduler/admission.h"
#include "scheduler/permit.h"

#include <jansson.h>

json_t *permit_json(const struct permit_record *r, int64_t now_wall_ms);
json_t *admission_json(const struct admission *a);

#endif
