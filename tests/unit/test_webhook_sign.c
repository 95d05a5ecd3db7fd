/* Signatures, the schedule of attempts, and what a configuration's secret may be. */
#include "common/config_text.h"
#include "scheduler/webhook_retry.h"
#include "scheduler/webhook_sign.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The example that the libraries of Standard Webhooks are tested with. */
#define SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define BODY      "{\"test\": 2432232314}"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define OTHER     "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static const struct webhook_message example = {
    .id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
    .at_s = 1614265330,
    .body = BODY,
    .body_len = sizeof(BODY) - 1,
};

static const char *sign(const char *secrets, const struct webhook_message *m, struct buf *out)
{
    buf_init(out, 1024);
    assert_int_equal(webhook_sign(secrets, m, out), 0);
    return out->data;
}

static void the_published_example_is_signed_as_published(void **state)
{
    struct buf out;
    (void)state;
    assert_string_equal(sign(SECRET, &example, &out), SIGNATURE);
    buf_release(&out);
}

static void each_secret_signs(void **state)
{
    struct buf both, other;
    (void)state;
    sign("  " SECRET "  " OTHER " ", &example, &both);
    sign(OTHER, &example, &other);
    assert_memory_equal(both.data, SIGNATURE " ", sizeof(SIGNATURE));
    assert_string_equal(both.data + sizeof(SIGNATURE), other.data);
    buf_release(&both);
    buf_release(&other);
}

static void id_time_and_body_are_all_signed(void **state)
{
    struct webhook_message changed[] = {example, example, example};
    (void)state;
    changed[0].id = "msg_other";
    changed[1].at_s++;
    changed[2].body_len--;
    for (size_t i = 0; i < 3; i++) {
        struct buf out;
        assert_string_not_equal(sign(SECRET, &changed[i], &out), SIGNATURE);
        buf_release(&out);
    }
}

static void without_a_secret_nothing_is_signed(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 64);
    assert_int_equal(webhook_sign(" ", &example, &out), -EINVAL);
    assert_int_equal(webhook_sign("whsec_", &example, &out), -EINVAL);
    assert_int_equal(webhook_sign("whsec_*", &example, &out), -EINVAL);
    buf_release(&out);
}

static void a_secret_has_24_to_64_bytes(void **state)
{
    char text[160];
    (void)state;
    assert_null(config_text_webhook_secret(SECRET));
    assert_null(config_text_webhook_secret(SECRET " " OTHER " " SECRET " " OTHER));
    assert_non_null(config_text_webhook_secret(SECRET " " OTHER " " SECRET " " OTHER " " SECRET));
    assert_non_null(config_text_webhook_secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    assert_non_null(config_text_webhook_secret(""));
    assert_non_null(config_text_webhook_secret(" "));
    for (size_t groups = 7; groups <= 22; groups++) {
        size_t len = (size_t)snprintf(text, sizeof(text), "whsec_");
        for (size_t i = 0; i < groups; i++, len += 4)
            (void)snprintf(text + len, sizeof(text) - len, "AAAA");
        assert_true((config_text_webhook_secret(text) == NULL) == (groups >= 8 && groups <= 21));
    }
    /* 64 bytes are the most: 21 groups and one byte. */
    size_t end = strlen("whsec_") + 4 * (size_t)21;
    (void)snprintf(text + end, sizeof(text) - end, "AA==");
    assert_null(config_text_webhook_secret(text));
    (void)snprintf(text + end, sizeof(text) - end, "AAA=");
    assert_non_null(config_text_webhook_secret(text));
}

static uint64_t seed(void)
{
    const char *given = getenv("TEST_SEED");
    uint64_t value = given ? strtoull(given, NULL, 0) : rand_system_seed();
    print_message("TEST_SEED=%llu\n", (unsigned long long)value);
    return value;
}

static void attempts_span_more_than_a_day(void **state)
{
    struct rand r;
    (void)state;
    rand_seed(&r, seed());
    for (int round = 0; round < 1000; round++) {
        int64_t sum_ms = 0, last_ms = 0;
        for (int64_t tries = 1; tries < WEBHOOK_TRIES; tries++) {
            int64_t ms = webhook_retry_ms(tries, WEBHOOK_FIRST_MS, 0, &r);
            assert_true(ms > last_ms * 8 / 12); /* each is later, but for the jitter */
            last_ms = ms;
            sum_ms += ms;
        }
        assert_true(last_ms >= INT64_C(69120000) && last_ms <= INT64_C(103680000));
        assert_true(sum_ms >= INT64_C(60) * 3600000 && sum_ms <= INT64_C(91) * 3600000);
        assert_int_equal(webhook_retry_ms(WEBHOOK_TRIES, WEBHOOK_FIRST_MS, 0, &r), -1);
    }
}

static void jitter_fills_its_range(void **state)
{
    struct rand r;
    int64_t least = INT64_MAX, most = 0;
    (void)state;
    rand_seed(&r, seed());
    for (int i = 0; i < 20000; i++) {
        int64_t ms = webhook_retry_ms(1, 1000, 0, &r);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    assert_in_range(least, 800, 805);
    assert_in_range(most, 1195, 1200);
}

static void a_receiver_may_ask_for_more_time_but_not_for_ever(void **state)
{
    struct rand r;
    (void)state;
    rand_seed(&r, 1);
    assert_int_equal(webhook_retry_ms(1, 1000, 60000, &r), 60000);
    assert_true(webhook_retry_ms(1, 100000, 1000, &r) >= 80000);
    assert_int_equal(webhook_retry_ms(1, 1000, INT64_MAX, &r), WEBHOOK_LAST_MS);
    assert_in_range(webhook_retry_ms(1, 1000, -5, &r), 800, 1200);
    assert_in_range(webhook_retry_ms(1, 1, 0, &r), 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_example_is_signed_as_published),
        cmocka_unit_test(each_secret_signs),
        cmocka_unit_test(id_time_and_body_are_all_signed),
        cmocka_unit_test(without_a_secret_nothing_is_signed),
        cmocka_unit_test(a_secret_has_24_to_64_bytes),
        cmocka_unit_test(attempts_span_more_than_a_day),
        cmocka_unit_test(jitter_fills_its_range),
        cmocka_unit_test(a_receiver_may_ask_for_more_time_but_not_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
