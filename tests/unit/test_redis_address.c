#include "storage/redis_address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct good {
    const char *url, *path, *host, *user, *password;
    int port, db;
};

static const struct good goods[] = {
    {"redis://127.0.0.1", "", "127.0.0.1", "", "", 6379, 0},
    {"redis://cache.internal:7000/3", "", "cache.internal", "", "", 7000, 3},
    {"redis://h/", "", "h", "", "", 6379, 0},
    {"redis://:secret@h:1", "", "h", "", "secret", 1, 0},
    {"redis://bob:s%40%2F%3a@h:65535/15", "", "h", "bob", "s@/:", 65535, 15},
    {"redis://bob:a@b@h", "", "h", "bob", "a@b", 6379, 0},
    {"redis://[::1]", "", "::1", "", "", 6379, 0},
    {"redis://u:p@[fe80::1%25eth0]:9/2", "", "fe80::1%eth0", "u", "p", 9, 2},
    {"unix:///run/redis.sock", "/run/redis.sock", "", "", "", 0, 0},
    {"unix:///run/re%20dis.sock?db=4", "/run/re dis.sock", "", "", "", 0, 4},
    {"unix://data/redis.sock", "data/redis.sock", "", "", "", 0, 0},
    {"unix:///a@/b", "/a@/b", "", "", "", 0, 0},
    {"unix://bob:pw@/run/r.sock?db=1", "/run/r.sock", "", "bob", "pw", 0, 1},
};

static void every_documented_form_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        const struct good *g = &goods[i];
        struct redis_address a;
        struct error e = {""};
        if (redis_address_parse(g->url, &a, &e))
            fail_msg("%s: %s", g->url, e.text);
        assert_string_equal(a.path, g->path);
        assert_string_equal(a.places[0].host, g->host);
        assert_string_equal(a.user, g->user);
        assert_string_equal(a.password, g->password);
        assert_int_equal(a.places[0].port, g->port);
        assert_int_equal(a.db, g->db);
    }
}

static const struct {
    const char *url, *part;
} bads[] = {
    {"", "scheme"},
    {"http://h", "scheme"},
    {"rediss://h", "stunnel"},
    {"redis://", "host"},
    {"redis://:6379", "host"},
    {"redis://u:p@", "host"},
    {"redis://[::1", "host"},
    {"redis://[::1]6379", "port"},
    {"redis://h:", "port"},
    {"redis://h:0", "port"},
    {"redis://h:65536", "port"},
    {"redis://h:99999999999", "port"},
    {"redis://h:6379x", "port"},
    {"redis://h/x", "database"},
    {"redis://h/-1", "database"},
    {"redis://h/1/2", "database"},
    {"redis://h?db=1", "database"},
    {"redis://h#1", "database"},
    {"redis://secret@h", "before '@'"},
    {"redis://bob:@h", "password"},
    {"redis://:se%zzcret@h", "password"},
    {"redis://:se%00cret@h", "password"},
    {"redis://:secret%4@h", "password"},
    {"redis://:sec ret@h", "password"},
    {"redis://:sec/ret@h", "password"},
    {"redis://:sec#ret@h", "password"},
    {"unix://", "path"},
    {"unix://?db=1", "path"},
    {"unix:///s?x=1", "?db="},
    {"unix:///s?db=", "database"},
    {"unix:///s?db=1x", "database"},
    {"unix:///s\n", "path"},
    {"redis://h,g", "host"},
    {"redis+sentinel://h", "name of the master"},
    {"redis+sentinel://h/", "name of the master"},
    {"redis+sentinel://h//1", "name of the master"},
    {"redis+sentinel:///main", "host"},
    {"redis+sentinel://h,,g/main", "host"},
    {"redis+sentinel://h,/main", "host"},
    {"redis+sentinel://h/main/x", "database"},
    {"redis+sentinel://1,2,3,4,5,6,7,8,9/main", "too long"},
    {"redis+cluster://h:0", "port"},
    {"redis+cluster://h/1", "database"},
    {"redis+cluster://", "host"},
};

static void the_places_of_sentinels_and_clusters_are_read(void **state)
{
    (void)state;
    struct redis_address a;
    assert_int_equal(redis_address_parse("redis+sentinel://bob:pw@h,[::1]:7/main/4", &a, NULL), 0);
    assert_int_equal(a.kind, REDIS_SENTINEL);
    assert_int_equal(a.place_count, 2);
    assert_string_equal(a.places[0].host, "h");
    assert_int_equal(a.places[0].port, 26379);
    assert_string_equal(a.places[1].host, "::1");
    assert_int_equal(a.places[1].port, 7);
    assert_string_equal(a.master, "main");
    assert_string_equal(a.user, "bob");
    assert_int_equal(a.db, 4);
    assert_true(a.must_be_master);

    assert_int_equal(redis_address_parse("redis+cluster://:pw@1,2,3,4,5,6,7,8:80", &a, NULL), 0);
    assert_int_equal(a.kind, REDIS_CLUSTER);
    assert_int_equal(a.place_count, REDIS_MAX_SEEDS);
    assert_int_equal(a.places[6].port, 6379);
    assert_int_equal(a.places[7].port, 80);
    assert_string_equal(a.password, "pw");
    assert_false(a.must_be_master);
}

static void one_server_of_many_keeps_login_and_database(void **state)
{
    (void)state;
    struct redis_address a, one;
    const struct redis_place place = {"10.0.0.1", 7};
    assert_int_equal(redis_address_parse("redis+sentinel://bob:pw@h,g/main/4", &a, NULL), 0);
    redis_address_at(&a, &place, &one);
    assert_int_equal(one.kind, REDIS_PLAIN);
    assert_int_equal(one.place_count, 1);
    assert_true(redis_place_equal(&one.places[0], &place));
    assert_string_equal(one.password, "pw");
    assert_int_equal(one.db, 4);
    assert_true(one.must_be_master);
    redis_address_at(&a, NULL, &one);
    assert_int_equal(one.place_count, 0);
}

static void a_wrong_part_is_named_and_no_part_is_quoted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        struct redis_address a = {.db = 77};
        struct error e = {""};
        assert_int_equal(redis_address_parse(bads[i].url, &a, &e), -EINVAL);
        if (!strstr(e.text, bads[i].part))
            fail_msg("%s: '%s' does not name %s", bads[i].url, e.text, bads[i].part);
        assert_null(strstr(e.text, "sec"));
        assert_null(strstr(e.text, "ret@"));
        assert_int_equal(a.db, 77);
    }
}

static void parts_fit_to_the_last_byte_and_not_one_more(void **state)
{
    (void)state;
    struct redis_address a;
    char url[512], text[300];
    memset(text, 'x', sizeof(text));

    (void)snprintf(url, sizeof(url), "unix:///%.106s", text);
    assert_int_equal(redis_address_parse(url, &a, NULL), 0);
    assert_int_equal(strlen(a.path), REDIS_PATH_BYTES - 1);
    (void)snprintf(url, sizeof(url), "unix:///%.107s", text);
    assert_int_equal(redis_address_parse(url, &a, NULL), -EINVAL);

    (void)snprintf(url, sizeof(url), "redis://:%.255s@h", text);
    assert_int_equal(redis_address_parse(url, &a, NULL), 0);
    (void)snprintf(url, sizeof(url), "redis://:%.256s@h", text);
    assert_int_equal(redis_address_parse(url, &a, NULL), -EINVAL);
}

static void a_label_holds_neither_user_nor_password(void **state)
{
    (void)state;
    struct redis_address a;
    char label[REDIS_LABEL_BYTES];
    assert_int_equal(redis_address_parse("redis://bob:secret@h:7/2", &a, NULL), 0);
    assert_string_equal(redis_address_label(&a, label), "h:7/2");
    assert_int_equal(redis_address_parse("unix://bob:secret@/s?db=1", &a, NULL), 0);
    assert_string_equal(redis_address_label(&a, label), "/s/1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_documented_form_is_read),
        cmocka_unit_test(a_wrong_part_is_named_and_no_part_is_quoted),
        cmocka_unit_test(the_places_of_sentinels_and_clusters_are_read),
        cmocka_unit_test(one_server_of_many_keeps_login_and_database),
        cmocka_unit_test(parts_fit_to_the_last_byte_and_not_one_more),
        cmocka_unit_test(a_label_holds_neither_user_nor_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
