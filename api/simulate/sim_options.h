/*
 * sim_options: everything that `sluice simulate` can be told, from a command line or
 * from a test, and the rules that give a request its limits.
 *
 *   ownership  plain values; strings are copied in; nothing to release.
 *   errors     sim_options_set() returns -EINVAL with a sentence in e.
 */
#ifndef API_SIMULATE_SIM_OPTIONS_H
#define API_SIMULATE_SIM_OPTIONS_H

#include "api/simulate/sim_limit.h"
#include "common/error.h"
#include "common/limits.h"

#include <stdbool.h>
#include <stdint.h>

enum sim_profile {
    SIM_PROFILE_OPENAI,
    SIM_PROFILE_AZURE,
    SIM_PROFILE_GROQ,
    SIM_PROFILE_ANTHROPIC,
    SIM_PROFILE_MISTRAL,
    SIM_PROFILE_GENERIC, /* headers of the IETF draft */
    SIM_PROFILES
};
enum sim_cost_rule { SIM_COST_SUM, SIM_COST_MAX, SIM_COST_INPUT, SIM_COST_RULES };
enum sim_fault_kind { SIM_FAULT_STATUS, SIM_FAULT_DISCONNECT, SIM_FAULT_CUT, SIM_FAULT_STALL };

struct sim_fault {
    int64_t per_million; /* of the admitted requests */
    enum sim_fault_kind kind;
    int status; /* of SIM_FAULT_STATUS */
};

/* Limits of a model ("gpt-4o", or "gpt-*" where all that match share them), of a key
 * ("*": each key its own), or of a key within a model. Neither: each model its own. */
struct sim_rule {
    char model[SIM_NAME_BYTES];
    char key[SIM_NAME_BYTES];
    int64_t limits[SIM_DIMS]; /* 0: none */
};

struct sim_options {
    char listen[SIM_NAME_BYTES];
    struct sim_rule rules[SIM_MAX_RULES]; /* [0] is the default: model and key empty */
    int rule_count;
    enum sim_algorithm algorithm;
    int64_t request_slice_ms; /* bucket of requests holds this much time; 0: the window */
    enum sim_cost_rule cost_rule;
    bool settle_refund;
    int64_t default_max_tokens; /* charged (OpenAI) when the request names no maximum */
    int64_t bytes_per_token;
    int64_t context_window; /* 0: none */
    int64_t latency_ms;
    int64_t batch_delay_ms; /* until a batch has ended */
    int64_t batch_queue;    /* lines that may wait in batches; 0: any number */
    int64_t us_per_token;
    int64_t output_min, output_max;
    int64_t embedding_dims;
    struct sim_fault faults[SIM_MAX_FAULTS];
    int fault_count;
    enum sim_profile profile; /* of the OpenAI routes; the others are always Anthropic's */
    bool no_headers;
    bool strict_roles; /* Anthropic: two turns of one role in a row are refused */
    char require_key[SIM_NAME_BYTES];
    char
        refuse_input[SIM_NAME_BYTES]; /* embeddings: an input with this text is refused; "": none */
    char models[SIM_MAX_MODELS][SIM_NAME_BYTES]; /* none: every name is known */
    int model_count;
    uint64_t seed;
    int64_t joint_drop, joint_garble; /* of a million items of a joint request (sim_joint.h) */
    char ledger_path[256];            /* written at the end; "-": standard output */
};

void sim_options_init(struct sim_options *o);
/* One option by its name on the command line ("tpm", "30000"). */
int sim_options_set(struct sim_options *o, const char *name, const char *value,
                    struct error *e) MUST_CHECK;
/* "model=gpt-4o,rpm=500,tpm=30000" */
int sim_options_add_limit(struct sim_options *o, const char *spec, struct error *e) MUST_CHECK;
/* "0.01:500", "0.01:cut", "0.005:stall", "1:disconnect" */
int sim_options_add_fault(struct sim_options *o, const char *spec, struct error *e) MUST_CHECK;
/* The rule with this model and key, made when it is not there; NULL when there are too many. */
struct sim_rule *sim_options_rule(struct sim_options *o, const char *model, const char *key);

/* Rule for a model: exact name, then the longest pattern, then the default. */
const struct sim_rule *sim_options_model_rule(const struct sim_options *o, const char *model);
/* Rule for a key (within a model), or NULL. */
const struct sim_rule *sim_options_key_rule(const struct sim_options *o, const char *model,
                                            const char *key);
#endif
