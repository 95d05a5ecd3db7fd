#include "api/simulate/sim_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_options_init(struct sim_options *o)
{
    *o = (struct sim_options){
        .listen = "127.0.0.1:8090",
        .rule_count = 1,
        .default_max_tokens = 16,
        .bytes_per_token = 4,
        .output_min = 20,
        .output_max = 20,
        .embedding_dims = 256,
        .seed = 1,
    };
}

static int number(const char *text, int64_t least, int64_t most, int64_t *ret)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < least || value > most)
        return -EINVAL;
    *ret = value;
    return 0;
}

static int copy_name(char *to, size_t size, const char *from, size_t len)
{
    if (len == 0 || len >= size)
        return -EINVAL;
    memcpy(to, from, len);
    to[len] = '\0';
    return 0;
}

struct sim_rule *sim_options_rule(struct sim_options *o, const char *model, const char *key)
{
    for (int i = 0; i < o->rule_count; i++)
        if (strcmp(o->rules[i].model, model) == 0 && strcmp(o->rules[i].key, key) == 0)
            return &o->rules[i];
    if (o->rule_count == SIM_MAX_RULES)
        return NULL;
    struct sim_rule *rule = &o->rules[o->rule_count++];
    *rule = (struct sim_rule){.model = ""};
    (void)snprintf(rule->model, sizeof(rule->model), "%s", model);
    (void)snprintf(rule->key, sizeof(rule->key), "%s", key);
    return rule;
}

/* One NAME=VALUE of a limit, of len bytes. */
static int limit_word(struct sim_rule *rule, const char *word, size_t len)
{
    const char *equals = memchr(word, '=', len);
    if (!equals)
        return -EINVAL;
    size_t name_len = (size_t)(equals - word);
    size_t value_len = len - name_len - 1;
    if (name_len == 5 && memcmp(word, "model", 5) == 0)
        return copy_name(rule->model, sizeof(rule->model), equals + 1, value_len);
    if (name_len == 3 && memcmp(word, "key", 3) == 0)
        return copy_name(rule->key, sizeof(rule->key), equals + 1, value_len);
    int dim = sim_dim_find(word, name_len);
    char value[32];
    if (dim < 0 || copy_name(value, sizeof(value), equals + 1, value_len) < 0)
        return -EINVAL;
    return number(value, 0, SIM_MAX_AMOUNT, &rule->limits[dim]);
}

int sim_options_add_limit(struct sim_options *o, const char *spec, struct error *e)
{
    struct sim_rule read = {.model = ""};
    for (const char *word = spec; *word;) {
        size_t len = strcspn(word, ",");
        if (limit_word(&read, word, len) < 0)
            return error_set(e, -EINVAL, "--limit: cannot read \"%.*s\"", (int)len, word);
        word += len + (word[len] == ',');
    }
    struct sim_rule *rule = sim_options_rule(o, read.model, read.key);
    if (!rule)
        return error_set(e, -EINVAL, "--limit: more than %d", SIM_MAX_RULES);
    *rule = read;
    return 0;
}

int sim_options_add_fault(struct sim_options *o, const char *spec, struct error *e)
{
    char *end;
    double rate = strtod(spec, &end);
    struct sim_fault fault = {.kind = SIM_FAULT_STATUS};
    if (end == spec || *end != ':' || !(rate >= 0 && rate <= 1))
        return error_set(e, -EINVAL, "--error wants RATE:KIND with a rate from 0 to 1: %s", spec);
    int64_t status = 0;
    if (strcmp(end + 1, "disconnect") == 0)
        fault.kind = SIM_FAULT_DISCONNECT;
    else if (strcmp(end + 1, "cut") == 0)
        fault.kind = SIM_FAULT_CUT;
    else if (strcmp(end + 1, "stall") == 0)
        fault.kind = SIM_FAULT_STALL;
    else if (number(end + 1, 400, 599, &status) < 0)
        return error_set(e, -EINVAL, "--error: unknown kind %s", end + 1);
    if (o->fault_count == SIM_MAX_FAULTS)
        return error_set(e, -EINVAL, "--error: more than %d", SIM_MAX_FAULTS);
    fault.per_million = (int64_t)(rate * 1e6 + 0.5);
    fault.status = (int)status;
    o->faults[o->fault_count++] = fault;
    return 0;
}

/* A pattern ends in '*'; its length counts, so that the longest one wins. */
static int match_length(const char *pattern, const char *text)
{
    size_t len = strlen(pattern);
    if (len > 0 && pattern[len - 1] == '*')
        return strncmp(pattern, text, len - 1) == 0 ? (int)len - 1 : -1;
    return strcmp(pattern, text) == 0 ? SIM_NAME_BYTES : -1;
}

const struct sim_rule *sim_options_model_rule(const struct sim_options *o, const char *model)
{
    const struct sim_rule *best = &o->rules[0];
    int best_length = -1;
    for (int i = 0; i < o->rule_count; i++) {
        const struct sim_rule *rule = &o->rules[i];
        int length = *rule->model && !*rule->key ? match_length(rule->model, model) : -1;
        if (length > best_length) {
            best = rule;
            best_length = length;
        }
    }
    return best;
}

const struct sim_rule *sim_options_key_rule(const struct sim_options *o, const char *model,
                                            const char *key)
{
    const struct sim_rule *best = NULL;
    int best_length = -1;
    for (int i = 0; i < o->rule_count; i++) {
        const struct sim_rule *rule = &o->rules[i];
        if (!*rule->key || (*rule->model && match_length(rule->model, model) < 0))
            continue;
        int length = match_length(rule->key, key);
        if (length > best_length) {
            best = rule;
            best_length = length;
        }
    }
    return best;
}

static int choice(const char *value, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], value) == 0)
            return i;
    return -1;
}

static int set_output(struct sim_options *o, const char *value)
{
    char first[32];
    size_t len = strcspn(value, "-");
    if (copy_name(first, sizeof(first), value, len) < 0 ||
        number(first, 0, SIM_MAX_OUTPUT_TOKENS, &o->output_min) < 0)
        return -EINVAL;
    o->output_max = o->output_min;
    if (value[len] == '-')
        return number(value + len + 1, o->output_min, SIM_MAX_OUTPUT_TOKENS, &o->output_max);
    return 0;
}

static int set_number(struct sim_options *o, const char *name, const char *value, bool *ret_known)
{
    const struct {
        const char *name;
        int64_t *to;
        int64_t least, most;
    } table[] = {
        {"request-slice-ms", &o->request_slice_ms, 0, 86400000},
        {"default-max-tokens", &o->default_max_tokens, 0, SIM_MAX_AMOUNT},
        {"bytes-per-token", &o->bytes_per_token, 1, 1000},
        {"context-window", &o->context_window, 0, SIM_MAX_AMOUNT},
        {"latency-ms", &o->latency_ms, 0, 86400000},
        {"batch-delay-ms", &o->batch_delay_ms, 0, 86400000},
        {"batch-queue", &o->batch_queue, 0, SIM_MAX_AMOUNT},
        {"embedding-dims", &o->embedding_dims, 1, SIM_MAX_EMBEDDING_DIMS},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(table[i].name, name) == 0)
            return number(value, table[i].least, table[i].most, table[i].to);
    int dim = sim_dim_find(name, strlen(name));
    if (dim >= 0)
        return number(value, 0, SIM_MAX_AMOUNT, &o->rules[0].limits[dim]);
    *ret_known = false;
    return 0;
}

static int set_choice(struct sim_options *o, const char *name, const char *value, bool *ret_known)
{
    static const char *const profiles[] = {"openai",    "azure",   "groq",
                                           "anthropic", "mistral", "generic"};
    static const char *const rules[] = {"sum", "max", "input"};
    static const char *const settles[] = {"keep", "refund"};
    int i;
    if (strcmp(name, "algorithm") == 0) {
        i = sim_algorithm_find(value);
        o->algorithm = i < 0 ? SIM_BUCKET : (enum sim_algorithm)i;
    } else if (strcmp(name, "profile") == 0) {
        i = choice(value, profiles, SIM_PROFILES);
        o->profile = i < 0 ? SIM_PROFILE_OPENAI : (enum sim_profile)i;
    } else if (strcmp(name, "openai-cost") == 0) {
        i = choice(value, rules, SIM_COST_RULES);
        o->cost_rule = i < 0 ? SIM_COST_SUM : (enum sim_cost_rule)i;
    } else if (strcmp(name, "settle") == 0) {
        i = choice(value, settles, 2);
        o->settle_refund = i == 1;
    } else {
        *ret_known = false;
        return 0;
    }
    return i < 0 ? -EINVAL : 0;
}

static int set_rate(int64_t *to, const char *value)
{
    char *end;
    double rate = strtod(value, &end);
    bool good = end != value && !*end && rate >= 0 && rate <= 1;
    *to = good ? (int64_t)(rate * 1e6 + 0.5) : 0;
    return good ? 0 : -EINVAL;
}

static int set_text(struct sim_options *o, const char *name, const char *value, bool *ret_known)
{
    size_t len = strlen(value);
    if (strcmp(name, "listen") == 0)
        return copy_name(o->listen, sizeof(o->listen), value, len);
    if (strcmp(name, "require-key") == 0)
        return copy_name(o->require_key, sizeof(o->require_key), value, len);
    if (strcmp(name, "refuse-input") == 0)
        return copy_name(o->refuse_input, sizeof(o->refuse_input), value, len);
    if (strcmp(name, "ledger") == 0)
        return copy_name(o->ledger_path, sizeof(o->ledger_path), value, len);
    if (strcmp(name, "output-tokens") == 0)
        return set_output(o, value);
    if (strcmp(name, "model") == 0) {
        if (o->model_count == SIM_MAX_MODELS)
            return -EINVAL;
        return copy_name(o->models[o->model_count++], SIM_NAME_BYTES, value, len);
    }
    char *end;
    if (strcmp(name, "ms-per-token") == 0) {
        double ms = strtod(value, &end);
        o->us_per_token = ms >= 0 && ms <= 1e6 ? (int64_t)(ms * 1000 + 0.5) : 0;
        return end == value || *end || !(ms >= 0 && ms <= 1e6) ? -EINVAL : 0;
    }
    if (strcmp(name, "joint-drop") == 0)
        return set_rate(&o->joint_drop, value);
    if (strcmp(name, "joint-garble") == 0)
        return set_rate(&o->joint_garble, value);
    if (strcmp(name, "seed") == 0) {
        o->seed = strtoull(value, &end, 10);
        return end == value || *end ? -EINVAL : 0;
    }
    *ret_known = false;
    return 0;
}

int sim_options_set(struct sim_options *o, const char *name, const char *value, struct error *e)
{
    if (strcmp(name, "limit") == 0)
        return sim_options_add_limit(o, value, e);
    if (strcmp(name, "error") == 0)
        return sim_options_add_fault(o, value, e);
    int (*const setters[])(struct sim_options *, const char *, const char *,
                           bool *) = {set_number, set_choice, set_text};
    for (size_t i = 0; i < sizeof(setters) / sizeof(setters[0]); i++) {
        bool known = true;
        int rc = setters[i](o, name, value, &known);
        if (rc < 0)
            return error_set(e, rc, "--%s: \"%s\" is not allowed", name, value);
        if (known)
            return 0;
    }
    return error_set(e, -EINVAL, "unknown option --%s", name);
}
