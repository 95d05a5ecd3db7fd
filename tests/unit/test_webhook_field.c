#include "scheduler/webhook_field.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define PROVIDERS "providers: [{name: p, format: openai}]\n"

static struct config *config(const char *more)
{
    char text[1024];
    struct config *c = NULL;
    struct error e = {.text = ""};
    (void)snprintf(text, sizeof(text), PROVIDERS "%s", more);
    if (config_parse("test", text, strlen(text), &c, &e) < 0)
        fail_msg("%s", e.text);
    return c;
}

/* What is kept of a field; given NULL: it is left out. */
static int read_field(const struct config *c, const char *given, char *out, size_t size,
                      struct error *e)
{
    struct buf kept;
    struct json_span none = {.at = NULL};
    buf_init(&kept, WEBHOOK_MAX_FIELD_BYTES);
    int rc =
        webhook_field_read(given ? json_span_of(given, strlen(given)) : none, c, "t", &kept, e);
    (void)snprintf(out, size, "%s", kept.data ? kept.data : "");
    buf_release(&kept);
    return rc;
}

static void assert_kept(const struct config *c, const char *given, const char *wanted)
{
    char kept[4096];
    struct error e = {.text = ""};
    if (read_field(c, given, kept, sizeof(kept), &e) < 0)
        fail_msg("%s: %s", given, e.text);
    assert_string_equal(kept, wanted);
}

static void assert_refused(const struct config *c, const char *given, const char *why)
{
    char kept[4096];
    struct error e = {.text = ""};
    assert_int_equal(read_field(c, given, kept, sizeof(kept), &e), -EINVAL);
    if (!strstr(e.text, why))
        fail_msg("%s: \"%s\" does not hold \"%s\"", given, e.text, why);
}

static void each_form_is_kept_as_an_object(void **state)
{
    struct config *c = config("webhooks: {secret: " SECRET "}\n");
    (void)state;
    assert_kept(c, "\"https://a.com/x?y=1\"", "{\"url\":\"https://a.com/x?y=1\"}");
    assert_kept(c, "{ \"url\" : \"https:\\/\\/a.com\" }", "{\"url\":\"https://a.com\"}");
    assert_kept(c, "{\"events\":[\"job.failed\",\"batch.expired\"],\"url\":\"https://a.com\"}",
                "{\"url\":\"https://a.com\",\"events\":[\"job.failed\",\"batch.expired\"]}");
    assert_kept(c, "{\"url\":\"https://a.com\",\"events\":[]}",
                "{\"url\":\"https://a.com\",\"events\":[]}");
    assert_kept(c, "false", "");
    assert_kept(c, "null", "");
    assert_kept(c, NULL, "");
    config_free(c);
}

static void a_configured_url_stands_in(void **state)
{
    struct config *c = config("webhooks: {secret: " SECRET ", url: \"https://b.com/?k=v\"}\n");
    (void)state;
    assert_kept(c, NULL, "{}");
    assert_kept(c, "null", "{}");
    assert_kept(c, "false", "");
    assert_kept(c, "{}", "{}");
    assert_kept(c, "{\"events\":[\"job.failed\"]}", "{\"events\":[\"job.failed\"]}");
    assert_string_equal(webhook_settings(c, "t").url, "https://b.com/?k=v");
    config_free(c);
}

static void what_is_wrong_is_named(void **state)
{
    struct config *c = config("webhooks: {secret: " SECRET "}\n");
    struct config *none = config("");
    char many[1024] = "{\"url\":\"https://a.com\",\"events\":[\"job.failed\"";
    (void)state;
    for (int i = 0; i < WEBHOOK_MAX_EVENTS; i++)
        (void)strcat(many, ",\"job.failed\"");
    (void)strcat(many, "]}");
    assert_refused(c, many, "at most 16");
    assert_refused(c, "true", "must be a URL");
    assert_refused(c, "7", "must be a URL");
    assert_refused(c, "{}", ".url is missing");
    assert_refused(c, "{\"url\":7}", ".url must be a text");
    assert_refused(c, "{\"url\":\"https://a.com\",\"events\":\"job.failed\"}", "must be a list");
    assert_refused(c, "{\"url\":\"https://a.com\",\"events\":[\"job.ended\"]}", ".events[0]");
    assert_refused(c, "{\"url\":\"https://a.com\",\"secret\":\"x\"}", "unknown field");
    assert_refused(c, "\"http://127.0.0.1/\"", "webhooks.allow_private");
    assert_refused(c, "\"https://a.com/\\u0000\"", "1 to 2048");
    assert_refused(none, "\"https://a.com\"", "webhooks.secret is not set");
    assert_false(webhook_is_configured(none));
    assert_true(webhook_is_configured(c));
    config_free(none);
    config_free(c);
}

static void a_kept_text_says_who_wants_what(void **state)
{
    struct buf url;
    (void)state;
    buf_init(&url, 64);
    assert_true(webhook_field_wants("{}", "job.failed"));
    assert_true(webhook_field_wants("{\"url\":\"x\"}", "budget.alert"));
    assert_true(webhook_field_wants("{\"events\":[\"a\",\"b\"]}", "b"));
    assert_false(webhook_field_wants("{\"events\":[\"a\",\"b\"]}", "c"));
    assert_false(webhook_field_wants("{\"events\":[]}", "a"));
    assert_int_equal(webhook_field_url("{}", &url), 0);
    assert_int_equal(url.len, 0);
    assert_int_equal(webhook_field_url("{\"url\":\"https://a.com\"}", &url), 0);
    assert_string_equal(url.data, "https://a.com");
    buf_release(&url);
}

static void a_tenants_parts_go_before_those_of_all(void **state)
{
    struct config *c = config("webhooks: {secret: " SECRET ", url: \"https://all.com\"}\n"
                              "tenants:\n"
                              "  - {name: t, webhook: {url: \"https://t.com\"}}\n"
                              "  - {name: u}\n");
    (void)state;
    assert_string_equal(webhook_settings(c, "t").url, "https://t.com");
    assert_string_equal(webhook_settings(c, "t").secret, SECRET);
    assert_string_equal(webhook_settings(c, "u").url, "https://all.com");
    config_free(c);
}

static void a_url_without_a_secret_stops_the_start(void **state)
{
    static const char *const bad[] = {
        PROVIDERS "webhooks: {url: \"https://a.com\"}\n",
        PROVIDERS "tenants: [{name: t, webhook: {url: \"https://a.com\"}}]\n",
        PROVIDERS "webhooks: {secret: whsec_short}\n",
        PROVIDERS "webhooks: {secret: " SECRET ", url: \"https://u:p@a.com\"}\n",
        PROVIDERS "webhooks: {secret: " SECRET ", url: \"https://a.com/?a#b\"}\n",
    };
    struct error e = {.text = ""};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct config *c = NULL;
        assert_true(config_parse("test", bad[i], strlen(bad[i]), &c, &e) < 0);
        assert_non_null(strstr(e.text, "webhook"));
        assert_null(strstr(e.text, "whsec_short"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_kept_as_an_object),
        cmocka_unit_test(a_configured_url_stands_in),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_kept_text_says_who_wants_what),
        cmocka_unit_test(a_tenants_parts_go_before_those_of_all),
        cmocka_unit_test(a_url_without_a_secret_stops_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
