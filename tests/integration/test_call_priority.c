/* A priority that stands in a request's body, as LiteLLM's clients send it. */
#include "tests/support/core_kit.h"

#define OK_BODY "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"
#define PLAIN   "{\"model\":\"m\",\"messages\":[]}"
#define URGENT  "{\"model\":\"m\",\"priority\":-1,\"messages\":[]}"
#define LATER   "{\"model\":\"m\",\"messages\":[],\"priority\":255}"
#define NAMED   "{\"model\":\"m\",\"messages\":[],\"priority\":\"x\"}"

static const struct fake_step answers[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", "Content-Type: application/json\r\n", OK_BODY)},
    {.op = FAKE_CLOSE}};

struct want {
    const char *body;
    bool class_given; /* as batch, by a header */
    enum pool_class class;
    size_t sent; /* bytes that the provider gets */
};

static void send_one(struct core_kit *k, const struct want *w)
{
    struct core_call c = {.call = NULL};
    struct call_spec spec = {.endpoint = WIRE_CHAT,
                             .body = strdup(w->body),
                             .body_len = strlen(w->body),
                             .tenant = "default",
                             .weight = 1,
                             .class = w->class_given ? CLASS_BATCH : CLASS_NORMAL,
                             .class_given = w->class_given,
                             .max_wait_ms = 10000};
    FAKE_SCRIPT(k->provider, answers);
    core_call_spec(k, &c, &spec);
    CORE_UNTIL(k, core_call_over(&c));
    assert_int_equal(c.status, 200);
    assert_int_equal(core_field(k, c.id, "cl"), w->class);
    assert_int_equal(fake_provider_body_len(k->provider), w->sent);
}

static void a_number_in_the_body_is_taken_and_not_passed_on(void **state)
{
    static const struct want wants[] = {
        {PLAIN, false, CLASS_NORMAL, sizeof(PLAIN) - 1},
        {URGENT, false, CLASS_INTERACTIVE, sizeof(PLAIN) - 1},
        {LATER, false, CLASS_BATCH, sizeof(PLAIN) - 1},
        {URGENT, true, CLASS_BATCH, sizeof(PLAIN) - 1},  /* a header says more */
        {NAMED, false, CLASS_NORMAL, sizeof(NAMED) - 1}, /* somebody else's member */
    };
    struct core_kit *k = *state;
    core_kit_start(k, "rpm: 100", NULL);
    for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++)
        send_one(k, &wants[i]);
}

static void one_that_does_not_fit_is_refused(void **state)
{
    static const char body[] = "{\"model\":\"m\",\"messages\":[],\"priority\":2147483648}";
    static const struct call_sink no_sink;
    struct core_kit *k = *state;
    struct call_failure f;
    struct call_spec spec = {.endpoint = WIRE_CHAT,
                             .body = strdup(body),
                             .body_len = strlen(body),
                             .tenant = "default",
                             .weight = 1,
                             .class = CLASS_NORMAL};
    core_kit_start(k, "rpm: 100", NULL);
    assert_null(call_new(k->scheduler, &spec, &no_sink, NULL, &f));
    assert_int_equal(f.status, 400);
    assert_string_equal(f.param, "priority");
    assert_non_null(strstr(f.message, "2147483648"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_number_in_the_body_is_taken_and_not_passed_on,
                                        core_kit_setup, core_kit_teardown),
        cmocka_unit_test_setup_teardown(one_that_does_not_fit_is_refused, core_kit_setup,
                                        core_kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
