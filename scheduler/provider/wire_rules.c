#include "scheduler/provider/wire_rules.h"

#include <string.h>

static const struct wire_rules all[] = {
    {"openai", {{0}}},
    {"azure",
     {
         /* "The deployment is at capacity" comes as a 429 with no limit of ours behind it. */
         {429, NULL, "engine is currently overloaded", WIRE_OVERLOAD},
         {429, NULL, "system is experiencing high demand", WIRE_OVERLOAD},
         {400, "content_filter", NULL, WIRE_CLIENT},
     }},
    {"anthropic",
     {
         /* A limit that the account set itself, or its balance: 400, and as pointless to repeat as
          * a 429 about money. */
         {400, NULL, "You have reached your specified API usage limits", WIRE_QUOTA},
         {400, NULL, "Your credit balance is too low", WIRE_QUOTA},
         {200, NULL, "You have reached your specified API usage limits", WIRE_QUOTA},
         {200, NULL, "Your credit balance is too low", WIRE_QUOTA},
     }},
    {"gemini",
     {
         {400, NULL, "API key not valid", WIRE_AUTH},
         {400, NULL, "API key expired", WIRE_AUTH},
         {429, NULL, "prepayment credits are depleted", WIRE_QUOTA},
         {429, NULL, "spending cap", WIRE_QUOTA},
         {0, "UNAVAILABLE", NULL, WIRE_OVERLOAD},
         {0, "RESOURCE_EXHAUSTED", NULL, WIRE_RATE},
     }},
    {"groq",
     {
         {498, NULL, NULL, WIRE_OVERLOAD}, /* the flex tier is full */
         {413, "rate_limit_exceeded", NULL, WIRE_LIMIT_SIZE},
         {0, "blocked_api_access", NULL, WIRE_QUOTA}, /* the spend limit */
     }},
    {"mistral",
     {
         {429, NULL, "Service tier capacity exceeded", WIRE_OVERLOAD},
     }},
    {"openrouter",
     {
         {402, NULL, NULL, WIRE_QUOTA},  /* negative credit refuses free models, too */
         {403, NULL, NULL, WIRE_CLIENT}, /* the input was flagged */
         {502, NULL, NULL, WIRE_SERVER},
         {503, NULL, NULL, WIRE_OVERLOAD},
     }},
    {"ollama", {{503, NULL, NULL, WIRE_OVERLOAD}}}, /* OLLAMA_MAX_QUEUE wait already */
    {"vllm", {{503, NULL, NULL, WIRE_OVERLOAD}, {400, NULL, "context length", WIRE_CLIENT}}},
    {"generic", {{0}}},
};

const struct wire_rules *wire_rules_find(const char *profile)
{
    size_t count = sizeof(all) / sizeof(all[0]);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i].profile, profile) == 0)
            return &all[i];
    }
    return &all[count - 1];
}

static const struct {
    const char *name;
    enum wire_failure failure;
} names[] = {
    {"insufficient_quota", WIRE_QUOTA},
    {"credit_balance_exhausted", WIRE_QUOTA},
    {"organization_spend_limit_exceeded", WIRE_QUOTA},
    {"project_spend_limit_exceeded", WIRE_QUOTA},
    {"organization_usage_limit_exceeded", WIRE_QUOTA},
    {"billing_hard_limit_reached", WIRE_QUOTA},
    {"billing_not_active", WIRE_QUOTA},
    {"billing_error", WIRE_QUOTA},
    {"enforced_spend_limit_reached", WIRE_QUOTA},
    {"slow_down", WIRE_RAMP},
    {"limit_burst_rate", WIRE_RAMP},
    {"overloaded_error", WIRE_OVERLOAD},
    {"server_is_overloaded", WIRE_OVERLOAD},
    {"capacity_exceeded", WIRE_OVERLOAD},
    {"service_unavailable_error", WIRE_OVERLOAD},
    {"rate_limit_error", WIRE_RATE},
    {"rate_limit_exceeded", WIRE_RATE},
    {"tokens", WIRE_RATE},
    {"requests", WIRE_RATE},
    {"authentication_error", WIRE_AUTH},
    {"invalid_api_key", WIRE_AUTH},
    {"permission_error", WIRE_AUTH},
    {"invalid_request_error", WIRE_CLIENT},
    {"invalid_prompt", WIRE_CLIENT},
    {"not_found_error", WIRE_CLIENT},
    {"request_too_large", WIRE_CLIENT},
    {"server_error", WIRE_SERVER},
    {"api_error", WIRE_SERVER},
    {"timeout_error", WIRE_SERVER},
};

enum wire_failure wire_rules_name(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i].name) == len && memcmp(names[i].name, name, len) == 0)
            return names[i].failure;
    }
    return WIRE_OK;
}
