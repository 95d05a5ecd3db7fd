#include "scheduler/webhook_url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

static bool is_public(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return webhook_address_is_public((const struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return webhook_address_is_public((const struct sockaddr *)&v6);
}

/* First and last of each range, and their neighbours outside. */
static const char *const closed[] = {
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.255",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "::10.0.0.1",
    "::8.8.8.8",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "2001::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2002:a00:1::1",
    "2002:7f00:1::",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "1fff::1",
};
static const char *const open_ones[] = {
    "1.0.0.0",          "8.8.8.8",         "9.255.255.255",        "11.0.0.0",
    "100.63.255.255",   "100.128.0.0",     "126.255.255.255",      "128.0.0.0",
    "169.253.255.255",  "169.255.0.0",     "172.15.255.255",       "172.32.0.0",
    "192.0.1.0",        "192.0.3.0",       "192.167.255.255",      "192.169.0.0",
    "198.17.255.255",   "198.20.0.0",      "198.51.99.255",        "203.0.114.0",
    "223.255.255.255",  "2001:200::1",     "2001:4860:4860::8888", "2606:4700::1111",
    "2a00::1",          "3ffe::1",         "3fff:1000::1",         "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8", "2002:808:808::1", "2001:db7::1",          "2001:db9::1",
};

static void each_special_range_is_closed_to_its_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
        if (is_public(closed[i]))
            fail_msg("%s counts as public", closed[i]);
    for (size_t i = 0; i < sizeof(open_ones) / sizeof(open_ones[0]); i++)
        if (!is_public(open_ones[i]))
            fail_msg("%s does not count as public", open_ones[i]);
}

static void what_is_no_internet_address_is_not_public(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    (void)state;
    assert_false(webhook_address_is_public((const struct sockaddr *)&local));
}

static void urls_to_anywhere_public_are_accepted(void **state)
{
    static const char *const good[] = {
        "https://example.com",         "http://example.com/hook?key=a%20b&c=d",
        "https://example.com:8443/x",  "https://8.8.8.8/",
        "https://[2606:4700::1111]/x", "HTTPS://EXAMPLE.COM/",
        "https://notlocalhost/",       "https://localhost.example.com/",
    };
    struct error e;
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (webhook_url_check(good[i], false, &e) < 0)
            fail_msg("%s %s", good[i], e.text);
}

static void urls_to_private_hosts_need_leave(void **state)
{
    static const char *const private[] = {
        "http://127.0.0.1/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://localhost/",
        "http://LOCALHOST:80/",
        "http://localhost./",
        "http://x.localhost/",
        "http://[::1]/",
        "http://[::]:80/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://10.0.0.1:9/",
        "http://169.254.169.254/latest",
    };
    struct error e;
    (void)state;
    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        if (webhook_url_check(private[i], false, &e) != -EINVAL)
            fail_msg("%s is accepted", private[i]);
        assert_non_null(strstr(e.text, "webhooks.allow_private"));
        if (webhook_url_check(private[i], true, &e) != 0)
            fail_msg("%s is refused although it is allowed: %s", private[i], e.text);
    }
}

static void what_is_no_such_url_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "example.com/x y",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https://a@example.com/",
        "https://a:b@example.com/",
        "https://example.com/#x",
        "gopher://x",
        "https://exa\nmple.com/",
        "https://ex\xc3\xa4mple.com/",
        "//example.com/",
        "unix:/run/x",
    };
    struct error e;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (webhook_url_check(bad[i], true, &e) != -EINVAL)
            fail_msg("%s is accepted", bad[i]);
}

static void a_url_has_a_longest_length(void **state)
{
    char url[WEBHOOK_MAX_URL_BYTES + 2];
    struct error e;
    (void)state;
    memset(url, 'a', sizeof(url));
    memcpy(url, "https://example.com/", 20);
    url[WEBHOOK_MAX_URL_BYTES + 1] = '\0';
    assert_int_equal(webhook_url_check(url, false, &e), -EINVAL);
    url[WEBHOOK_MAX_URL_BYTES] = '\0';
    assert_int_equal(webhook_url_check(url, false, &e), 0);
}

static bool same_endpoint(const char *a, const char *b)
{
    char x[WEBHOOK_ENDPOINT_BYTES], y[WEBHOOK_ENDPOINT_BYTES];
    webhook_url_endpoint("t", a, x);
    webhook_url_endpoint("t", b, y);
    assert_int_equal(strlen(x), WEBHOOK_ENDPOINT_BYTES - 1);
    return strcmp(x, y) == 0;
}

static void an_endpoint_is_a_tenants_server(void **state)
{
    char one[WEBHOOK_ENDPOINT_BYTES], other[WEBHOOK_ENDPOINT_BYTES];
    (void)state;
    assert_true(same_endpoint("https://a.com/x?y", "https://a.com/z"));
    assert_true(same_endpoint("https://a.com", "HTTPS://A.com?z"));
    assert_true(same_endpoint("https://a.com", "https:/a.com/x://")); /* as libcurl reads it */
    assert_false(same_endpoint("https://a.com/", "https://b.com/"));
    assert_false(same_endpoint("https://a.com/", "http://a.com/"));
    assert_false(same_endpoint("https://a.com/", "https://a.com:444/"));
    webhook_url_endpoint("a", "https://a.com/", one);
    webhook_url_endpoint("A", "https://a.com/", other);
    assert_string_not_equal(one, other);
}

static void logs_name_the_server_alone(void **state)
{
    static const char *const urls[][2] = {
        {"https://hooks.slack.com/services/T0/B0/secret", "https://hooks.slack.com"},
        {"https://a.com:8443?key=secret", "https://a.com:8443"},
        {"https:/a.com/secret://b", "https:/a.com"},
        {"http://[2606:4700::1]:80/secret", "http://[2606:4700::1]:80"},
    };
    char shown[WEBHOOK_SHOWN_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_string_equal(webhook_url_server(urls[i][0], shown), urls[i][1]);
}

static void a_query_is_never_shown(void **state)
{
    char shown[WEBHOOK_SHOWN_BYTES], url[WEBHOOK_MAX_URL_BYTES + 1];
    (void)state;
    assert_string_equal(webhook_url_shown("https://a.com/b?key=secret", shown),
                        "https://a.com/b?...");
    assert_string_equal(webhook_url_shown("https://a.com/b", shown), "https://a.com/b");
    memset(url, 'a', sizeof(url) - 1);
    url[sizeof(url) - 1] = '\0';
    assert_true(strlen(webhook_url_shown(url, shown)) < WEBHOOK_SHOWN_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_special_range_is_closed_to_its_ends),
        cmocka_unit_test(what_is_no_internet_address_is_not_public),
        cmocka_unit_test(urls_to_anywhere_public_are_accepted),
        cmocka_unit_test(urls_to_private_hosts_need_leave),
        cmocka_unit_test(what_is_no_such_url_is_refused),
        cmocka_unit_test(a_url_has_a_longest_length),
        cmocka_unit_test(an_endpoint_is_a_tenants_server),
        cmocka_unit_test(logs_name_the_server_alone),
        cmocka_unit_test(a_query_is_never_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
