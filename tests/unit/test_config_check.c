#include "common/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What is wrong in a file, and how the message tells it. P(...) is one provider's models. */
#define K(more, keys)                                                                              \
    "providers:\n- {name: p, format: openai, " more "keys: [" keys                                 \
    "],\n   models: [{name: m, rpd: 50}]}\n"
#define P(rows) "providers:\n- name: p\n  format: openai\n  models:\n" rows

static const struct {
    const char *text, *want;
} wrong[] = {
    /* keys */
    {"lisen: 127.0.0.1:1\n", "t:1:1: unknown key \"lisen\" (did you mean \"listen\"?)"},
    {"queue:\n  max_dept: 3\n", "t:2:3: unknown key \"max_dept\" in queue (did you mean "
                                "\"max_depth\"?)"},
    {"zebra: 1\n", "t:1:1: unknown key \"zebra\""},
    {P("  - {name: m, rmp: 5}\n"), "t:5:15: unknown key \"rmp\" in providers[].models[] (did you "
                                   "mean \"rpm\"?)"},
    {"log: {level: info}\nlog: {level: warn}\n", "t:2:1: the key \"log\" stands here a second"},
    {"providers:\n- {format: openai}\n", "t:2:3: providers[].name is missing"},
    {"providers:\n- {name: a}\n", "t:2:3: providers[].format is missing"},
    /* types */
    {"[1, 2]\n", "t:1:1: the file must be keys and values"},
    {"queue: 5\n", "t:1:1: queue must be keys and values"},
    {"queue: {max_depth: many}\n", "t:1:9: queue.max_depth must be a whole number, not \"many\""},
    {"queue: {max_depth: \"5\"}\n", "must be a whole number, not the quoted text \"5\""},
    {"queue: {max_depth: 1e3}\n", "must be a whole number, not \"1e3\""},
    {"queue: {max_depth: 0x10}\n", "must be a whole number, not \"0x10\""},
    {"queue: {max_depth: 010}\n", "must be a whole number without a leading zero"},
    {"queue: {max_depth: [5]}\n", "must be a whole number, not a list"},
    {"queue: {max_depth: }\n", "queue.max_depth has no value"},
    {"queue: {max_depth: ~}\n", "queue.max_depth has no value"},
    {"providers:\n", "t:1:1: providers has no value"},
    {"auth: {trust_tenant_header: yes}\n", "must be true or false, not \"yes\""},
    {"listen: {a: b}\n", "t:1:1: listen must be text, not a map"},
    {"providers: 5\n", "providers must be a list, not \"5\""},
    {"providers: [5]\n", "t:1:13: providers[] must be keys and values"},
    {P("  - {name: m, chars_per_token: 1.2.3}\n"), "chars_per_token must be a number"},
    {P("  - {name: m, chars_per_token: nan}\n"), "chars_per_token must be a number"},
    {"log: {level: wran}\n", "log.level must be one of debug, info, warn, error, not \"wran\" (did "
                             "you mean \"warn\"?)"},
    {"redis: {on_outage: shut}\n", "must be one of local, closed, open, not \"shut\""},
    /* money */
    {P("  - {name: m, price: {input: 1}}\n"), "providers[].models[].price.output is missing"},
    {P("  - {name: m, price: {input: 1, output: -1}}\n"), "price.output must be US dollars for a"},
    {P("  - {name: m, price: {input: 0.0000001, output: 1}}\n"), "with at most six decimals"},
    {P("  - {name: m, price: {input: 1000001, output: 1}}\n"), "price.input must be US dollars"},
    {"tenants: [{name: a, max_budget: ten}]\n", "t:1:21: tenants[].max_budget must be US dollars"},
    {"tenants: [{name: a, max_budget: 1000000001}]\n", "must be at most 1000000000 US dollars"},
    {"tenants: [{name: a, max_budget: 1, budget_duration: 1w}]\n",
     "tenants[].budget_duration must be a number and one of s, m, h, d or mo"},
    {"tenants: [{name: a, max_budget: 1, budget_duration: 3661d}]\n", "of at most ten years"},
    {"tenants: [{name: a}, {name: b, budget_duration: 1d}]\n" P("  - {name: m}\n"),
     "t:1:32: budget_duration does nothing without max_budget"},
    {"costs: {alert_usd: -5}\n", "costs.alert_usd must be US dollars"},
    {"costs: {default_price: {output: 5}}\n", "costs.default_price.input is missing"},
    /* ranges */
    {"queue: {max_depth: 0}\n", "queue.max_depth is 0 and must be 1 to 10000000 requests"},
    {"queue: {max_depth: 10000001}\n", "is 10000001 and must be 1 to 10000000"},
    {"queue: {bypass_permille: 1001}\n", "is 1001 and must be 0 to 1000 permille"},
    {"queue: {max_depth: 99999999999999999999}\n", "must be 1 to 10000000"},
    {P("  - {name: m, rpm: 0}\n"), "t:5:15: providers[].models[].rpm is 0 and must be 1 to"},
    {P("  - {name: m, tpm: -1}\n"), "tpm is -1 and must be 1 to"},
    {P("  - {name: m, tpm: 10000000001}\n"), "must be 1 to 10000000000"},
    {P("  - {name: m, chars_per_token: 17}\n"), "is 17 and must be 0 to 16"},
    {"tenants: [{name: a, weight: 1001}]\n", "must be 1 to 1000"},
    /* text */
    {"listen: localhost:80\n", "listen must be ADDRESS:PORT such as 127.0.0.1:8080"},
    {"listen: 127.0.0.1:65536\n", "listen has no port of 0 to 65535"},
    {"listen: '127.0.0.1:'\n", "listen has no port"},
    {"redis: {url: 'http://x'}\n", "redis.url must be empty (embedded), redis://"},
    {"tenants: [{name: 'a b'}]\n", "tenants[].name may hold only letters, digits and . _ : @ / -"},
    {"tenants: [{name: ''}]\n", "tenants[].name must not be empty"},
    {"providers: [{name: a/b, format: openai}]\n", "providers[].name may hold only letters"},
    {P("  - {name: 'a*b'}\n"), "may have one * only, and only at its end"},
    {P("  - {name: 'a**'}\n"), "may have one * only, and only at its end"},
    {P("  - {name: 'a b'}\n"), "may hold only letters, digits"},
    {"providers: [{name: a, format: openai, base_url: 'ftp://x'}]\n", "must begin with https://"},
    {"providers: [{name: a, format: openai, base_url: 'http://u:p@x'}]\n", "a user or a password"},
    {"providers: [{name: a, format: openai, base_url: 'http://x/?q'}]\n", "a query or a fragment"},
    {"providers: [{name: a, format: openai, base_url: 'http:///v1'}]\n", "names no host"},
    {"providers: [{name: a, format: openai, base_url: \"http://x/\\n\"}]\n", "a URL cannot have"},
    {"providers: [{name: a, format: openai, api_key: \"a\\nb\"}]\n", "control characters"},
    {"data_dir: ${NOT_SET_HERE}\n", "data_dir cannot be read: the environment variable "
                                    "NOT_SET_HERE is not set"},
    {"auth: {keys: [{key: '${NOT_SET_HERE}'}]}\n", "NOT_SET_HERE is not set"},
    {"auth: {keys: [{key: short}]}\n", "auth.keys[].key must have at least 16 bytes"},
    {"auth: {keys: [{sha256: abc}]}\n", "auth.keys[].sha256 must be 64 lower-case hex digits"},
    /* what no single key can say */
    {"auth: {keys: [{tenant: a}]}\n" P("  - {name: m}\n"), "needs either key or sha256"},
    {"auth: {keys: [{key: 0123456789abcdef}, {key: 0123456789abcdef}]}\n" P("  - {name: m}\n"),
     "t:1:40: auth.keys[] holds this key a second time"},
    {"listen: 0.0.0.0:80\n" P("  - {name: m}\n"), "t:1:1: listen is 0.0.0.0:80, which others can "
                                                  "reach, and auth.keys is empty"},
    {"listen: '[::]:80'\n" P("  - {name: m}\n"), "which others can reach"},
    {"jobs: {durability: replicated}\n" P("  - {name: m}\n"), "t:1:8: jobs.durability: replicated "
                                                              "needs redis.url"},
    {"providers: []\n", "t:1:1: providers is empty"},
    {"tenants: [{name: a}, {name: a}]\n" P("  - {name: m}\n"), "t:1:23: a second tenant \"a\""},
    {"providers: [{name: a, format: openai}, {name: a, format: anthropic}]\n",
     "t:1:41: a second provider \"a\""},
    {P("  - {name: m}\n  - {name: m}\n"), "t:6:6: a second row for the model \"m\""},
    {P("  - {name: a, pool: g, rpm: 5}\n  - {name: b, pool: g, rpm: 6}\n"),
     "t:6:24: the pool \"g\" has another rpm in the row \"a\""},
    {P("  - {name: a, pool: g, rpm: 5}\n  - {name: b, pool: g, tpm: 6000}\n"), "another rpm"},
    {P("  - {name: a, pool: g, rpm: 5, algorithm: sliding_window}\n"
       "  - {name: b, pool: g, rpm: 5}\n"),
     "another algorithm"},
    {P("  - {name: m, tpm: 1023}\n"), "t:5:15: tpm: 1023 is smaller than default_output_tokens"},
    {P("  - {name: m, otpm: 1023}\n"), "otpm: 1023 is smaller than default_output_tokens (1024)"},
    {P("  - {name: m, max_output_tokens: 100}\n"), "max_output_tokens: 100 is smaller"},
    {P("  - {name: m, rpm: 10, rpd: 9}\n"), "t:5:15: rpm: 10 can never act, since rpd is 9"},
    {P("  - {name: m, itpm: 9000, tpm: 8000}\n"), "itpm: 9000 can never act, since tpm is 8000"},
    {P("  - {name: m, max_output_tokens: 9000, context_window: 8000}\n"),
     "max_output_tokens: 9000 can never act, since context_window is 8000"},
    {"providers: [{name: a, format: anthropic, base_url: 'https://x/v1/'}]\n", "without /v1"},
    {"providers: [{name: a, format: openai, base_url: 'http://localhost:8080/v1'}]\n",
     "where this service itself listens"},
    {"listen: 0.0.0.0:81\nauth: {keys: [{key: 0123456789abcdef}]}\n"
     "providers: [{name: a, format: openai, base_url: 'http://127.0.0.1:81'}]\n",
     "where this service itself listens"},
    /* several keys, and fallbacks */
    {K("api_key: x, ", "{name: e, api_key: k1}"), "providers[] has either api_key or keys"},
    {K("", ""), "providers[].keys is empty"},
    {K("", "{name: e}"), "providers[].keys[].api_key is missing"},
    {K("", "{api_key: k1}"), "providers[].keys[].name is missing"},
    {K("", "{name: e, api_key: ''}"), "must have at least 1 bytes"},
    {K("", "{name: e, api_key: '${TEST_NO_SUCH_KEY}'}"), "api_key cannot be read"},
    {K("", "{name: e, api_key: k1}, {name: e, api_key: k2}"), "holds this name a second time"},
    {K("", "{name: e, api_key: k1}, {name: f, api_key: k1}"), "holds this key a second time"},
    {K("", "{name: 'a:b', api_key: k1}"), "name"},
    {K("", "{name: e, api_key: k1, wpm: 3}"), "unknown key \"wpm\""},
    {K("", "{name: e, api_key: k1, tpm: 1023}"), "smaller than default_output_tokens"},
    {K("", "{name: e, api_key: k1, rpm: 100}"), "rpm: 100 can never act, since rpd is 50"},
    {P("  - {name: m, fallbacks: [gone]}\n"), "no provider with the openai format serves \"gone\""},
    {P("  - {name: m, fallbacks: [m]}\n"), "\"m\" cannot fall back to itself"},
    {P("  - {name: m, fallbacks: n}\n"), "fallbacks must be a list of names, not \"n\""},
    {P("  - {name: m, fallbacks: [[n]]}\n"), "fallbacks must be text, not a list"},
    {P("  - {name: '*', fallbacks: [a, b, c, d, e, f, g, h, i]}\n"), "fallbacks: at most 8 models"},
};

static void each_mistake_is_told_with_its_place_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct config *c = NULL;
        struct error e = {.text = ""};
        int err = config_parse("t", wrong[i].text, strlen(wrong[i].text), &c, &e);
        if (err >= 0 || c || !strstr(e.text, wrong[i].want))
            fail_msg("%swanted: %s\n   got: %s", wrong[i].text, wrong[i].want, e.text);
    }
}

static const char *const right[] = {
    K("", "{name: e, api_key: k1}, {name: default, api_key: k2, rpm: 50}"),
    P("  - {name: m, fallbacks: [n, p/n]}\n  - {name: n, upstream_model: n-2026}\n"),
    P("  - {name: '*', fallbacks: [a, b, c, d, e, f, g, h]}\n"),
    P("  - {name: m}\n"),
    P("  - {name: m, tpm: 1024, otpm: 1024}\n"),
    P("  - {name: m, tpm: 100, default_output_tokens: 100}\n"),
    P("  - {name: m, tpm: 10000000000}\n"),
    P("  - {name: m, rpm: 9, rpd: 9, context_window: 8000, max_output_tokens: 8000}\n"),
    P("  - {name: a, pool: g, rpm: 5}\n  - {name: b, pool: g, rpm: 5}\n"),
    P("  - {name: 'a*'}\n  - {name: a}\n  - {name: '*'}\n  - {name: org/m.1:free@x}\n"),
    "listen: unix:/run/sluice.sock\n" P("  - {name: m}\n"),
    "listen: 127.9.9.9:0\n" P("  - {name: m}\n"),
    "listen: 0.0.0.0:80\nauth: {keys: [{key: 0123456789abcdef}]}\n" P("  - {name: m}\n"),
    "jobs: {durability: replicated}\nredis: {url: 'redis://h:1/0'}\n" P("  - {name: m}\n"),
    "providers: [{name: a, format: openai, base_url: 'http://127.0.0.1:18080'}]\n",
    "providers: [{name: a, format: openai, base_url: 'http://10.0.0.1:8080'}]\n",
    "providers: [{name: a, format: anthropic, base_url: 'http://x'}, {name: b, format: openai}]\n",
};

static void what_is_at_the_edge_and_right_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        struct config *c = NULL;
        struct error e = {.text = ""};
        if (config_parse("t", right[i], strlen(right[i]), &c, &e))
            fail_msg("%s%s", right[i], e.text);
        config_free(c);
    }
}

static void a_message_never_shows_a_secret(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "auth: {keys: [{key: hunter2hunter2hunter2, sha256: hunter2}]}\n",
        "auth: {keys: [{key: hunter2}]}\n",
        "redis: {url: 'http://:hunter2@x'}\n",
        "providers: [{name: a, format: openai, api_key: [hunter2]}]\n",
        "providers: [{name: a, format: openai, api_key: \"hunter2\\n\"}]\n",
        "providers: [{name: a, format: openai, base_url: 'http://u:hunter2@x'}]\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config *c = NULL;
        struct error e = {.text = ""};
        assert_int_not_equal(config_parse("t", texts[i], strlen(texts[i]), &c, &e), 0);
        assert_int_not_equal(strlen(e.text), 0);
        if (strstr(e.text, "hunter2"))
            fail_msg("%s", e.text);
    }
}

int main(void)
{
    unsetenv("NOT_SET_HERE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_told_with_its_place_and_reason),
        cmocka_unit_test(what_is_at_the_edge_and_right_is_taken),
        cmocka_unit_test(a_message_never_shows_a_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
