/*
 * format_rules: the error rules of a wire format's own provider, for tests that know only the
 * format.
 */
#ifndef TESTS_SUPPORT_FORMAT_RULES_H
#define TESTS_SUPPORT_FORMAT_RULES_H

#include "scheduler/provider/wire_rules.h"

static inline const struct wire_rules *format_rules(enum wire_format format)
{
    return wire_rules_find(format == WIRE_ANTHROPIC ? "anthropic" : "openai");
}

#endif
