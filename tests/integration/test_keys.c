/* Access keys: made, used, rotated and removed, over HTTP and by `sluice keys`, on two instances.
 */
#include "storage/key.h"
#include "storage/redis_reply.h"
#include "tests/support/api_kit.h"
#include "tests/support/command.h"
#include "tests/support/http_call.h"
#include "tests/support/raw_http.h"
#include "tests/support/redis_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include <hiredis.h>

#define KEYS_PATH "/v1/admin/keys"
#define ADMIN     "{\"name\":\"chief\",\"scopes\":[\"admin\"]}"

static struct redis_fixture redis;
static struct api_kit kit, other; /* two instances on one Redis */
static struct command c;

static int start(void **state)
{
    char more[256];
    (void)state;
    assert_int_equal(redis_fixture_start(&redis, "appendonly yes\n"), 0);
    (void)snprintf(more, sizeof(more), "redis: {url: \"%s\"}\n", redis.url);
    api_kit_start(&kit, "--latency-ms 1 --output-tokens 5", more);
    api_kit_start(&other, "--latency-ms 1 --output-tokens 5", more);
    (void)setenv("SLUICE_URL", kit.serve.url, 1);
    (void)unsetenv("SLUICE_KEY");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    api_kit_stop(&other);
    redis_fixture_stop(&redis);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    *kit.header = *other.header = '\0';
    return 0;
}

static void use(const char *key)
{
    (void)snprintf(kit.header, sizeof(kit.header), "Authorization: Bearer %s", key);
    (void)snprintf(other.header, sizeof(other.header), "x-api-key: %s", key);
}

/* Until the change has reached an instance: it hears of it over a channel. */
static void until(struct api_kit *k, int status)
{
    for (int i = 0; i < 2000; i++) {
        if (api_kit_status(k, "GET", "/v1/models", NULL) == status)
            return;
    }
    fail_msg("never answered %d", status);
}

static char *made(const char *body, char id[64])
{
    json_t *key = api_kit_json(&kit, "POST", KEYS_PATH, body, 201);
    char *text = strdup(json_text_at(key, "key"));
    assert_int_equal(strncmp(text, "sk-sluice-", 10), 0);
    assert_int_equal(strlen(text), 58);
    (void)snprintf(id, 64, "%s", json_text_at(key, "id"));
    json_decref(key);
    return text;
}

static void removed(const char *id)
{
    json_decref(api_kit_json(&kit, "DELETE", id, NULL, 200));
}

static void ask(const struct redis_args *args)
{
    struct redisReply *reply = redis_fixture_ask(&redis, args);
    assert_non_null(reply);
    freeReplyObject(reply);
}

static void a_key_that_cannot_be_read_closes_the_service_all_the_same(void **state)
{
    (void)state;
    ask(REDIS_ARGS("HSET", KEY_ACCESS, "key_ff", "{\"version\":99}"));
    ask(REDIS_ARGS("PUBLISH", KEY_ACCESS_CHANGED, ""));
    until(&kit, 401);
    until(&other, 401);
    ask(REDIS_ARGS("HDEL", KEY_ACCESS, "key_ff"));
    ask(REDIS_ARGS("PUBLISH", KEY_ACCESS_CHANGED, ""));
    until(&kit, 200);
    until(&other, 200);
}

static void the_first_key_closes_every_instance_and_the_last_opens_them(void **state)
{
    char id[64], path[160];
    (void)state;
    assert_int_equal(api_kit_status(&kit, "GET", "/v1/models", NULL), 200);
    api_kit_refused(&kit, "POST", KEYS_PATH, "{\"scopes\":[\"jobs\"]}", 409, "key_not_changeable");
    char *key = made(ADMIN, id);
    until(&kit, 401);
    until(&other, 401);
    use("sk-sluice-000000000000000000000000000000000000000000000000");
    api_kit_refused(&other, "GET", "/v1/models", NULL, 401, "invalid_api_key");
    use(key);
    assert_int_equal(api_kit_status(&kit, "GET", "/v1/models", NULL), 200);
    assert_int_equal(api_kit_status(&other, "GET", "/v1/models", NULL), 200);
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", id);
    removed(path);
    *kit.header = *other.header = '\0';
    until(&kit, 200);
    until(&other, 200);
    free(key);
}

static void a_key_has_its_scopes_its_tenant_and_its_end(void **state)
{
    char admin_id[64], id[64], path[160], wish[256];
    (void)state;
    char *admin = made(ADMIN, admin_id);
    use(admin);
    until(&kit, 200);
    (void)snprintf(wish, sizeof(wish),
                   "{\"name\":\"<b>ci</b>\",\"tenant\":\"research\",\"scopes\":[\"stats\"],"
                   "\"models\":[\"gpt-4o*\"],\"expires_at\":%lld}",
                   (long long)time(NULL) + 3600);
    char *key = made(wish, id);
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", id);
    json_t *shown = api_kit_json(&kit, "GET", path, NULL, 200);
    assert_string_equal(json_text_at(shown, "tenant"), "research");
    assert_null(json_object_get(shown, "key"));
    assert_null(json_object_get(shown, "sha256"));
    json_decref(shown);
    use(key);
    assert_int_equal(api_kit_status(&kit, "GET", "/v1/stats", NULL), 200);
    api_kit_refused(&kit, "GET", "/v1/jobs", NULL, 403, "insufficient_scope");
    api_kit_refused(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o"), 403, "insufficient_scope");
    api_kit_refused(&kit, "GET", KEYS_PATH, NULL, 403, "insufficient_scope");
    assert_int_equal(api_kit_status(&kit, "POST", KIT_MESSAGE_PATH, KIT_CHAT("claude-x")), 403);
    use(admin);
    removed(path);
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", admin_id);
    removed(path);
    free(key);
    free(admin);
}

/* The head of a large upload and the first of its bytes: what is answered before the rest. */
static int upload_begins(const char *header)
{
    struct raw_http r;
    char text[512];
    raw_http_open(&r, kit.serve.url);
    int n = snprintf(text, sizeof(text),
                     "POST /v1/files HTTP/1.1\r\nHost: a\r\n%s%sContent-Type: "
                     "multipart/form-data; boundary=x\r\nContent-Length: 100000000\r\n\r\n--x",
                     header, *header ? "\r\n" : "");
    for (int at = 0; at < n; at++) /* by bytes, as evhttp has read a part of the head then */
        assert_int_equal(send(r.fd, text + at, 1, MSG_NOSIGNAL), 1);
    if (strstr(header, "good"))
        assert_int_equal(shutdown(r.fd, SHUT_WR), 0); /* else it would wait for the rest */
    int status = raw_http_read(&r);
    raw_http_close(&r);
    return status;
}

static void an_upload_needs_its_key_before_its_body(void **state)
{
    char admin_id[64], id[64], path[160], line[128];
    (void)state;
    char *admin = made(ADMIN, admin_id);
    use(admin);
    until(&kit, 200);
    char *key = made("{\"name\":\"s\",\"scopes\":[\"stats\"]}", id);
    assert_int_equal(upload_begins(""), 401);
    assert_int_equal(upload_begins("Authorization: Bearer sk-sluice-none"), 401);
    assert_int_equal(upload_begins("Authorization: Basic dXNlcg=="), 401);
    (void)snprintf(line, sizeof(line), "X-Api-Key:  %s ", key);
    assert_int_equal(upload_begins(line), 403);
    (void)snprintf(line, sizeof(line), "authorization: bearer %s\r\nx-good: 1", admin);
    assert_int_equal(upload_begins(line), 0);
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", id);
    removed(path);
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", admin_id);
    removed(path);
    free(key);
    free(admin);
}

static void a_key_uses_its_models_only_on_every_way(void **state)
{
    static const char wish[] =
        "{\"name\":\"m\",\"scopes\":[\"proxy\",\"jobs\",\"permits\"],\"models\":[\"gpt-*\"]}";
    char admin_id[64], id[64], path[160];
    (void)state;
    char *admin = made(ADMIN, admin_id);
    use(admin);
    until(&kit, 200);
    char *key = made(wish, id);
    use(key);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("sim/gpt-4o")), 200);
    api_kit_refused(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("small"), 403, "model_not_allowed");
    api_kit_refused(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("sim/small"), 403, "model_not_allowed");
    api_kit_refused(&kit, "POST", "/v1/jobs", KIT_JOB("small"), 403, "model_not_allowed");
    api_kit_refused(&kit, "POST", "/v1/permits", "{\"model\":\"small\",\"input_tokens\":1}", 403,
                    "model_not_allowed");
    api_kit_refused(&kit, "POST", "/v1/admission/check", "{\"model\":\"small\",\"input_tokens\":1}",
                    403, "model_not_allowed");
    json_t *no = api_kit_json(&kit, "POST", KIT_MESSAGE_PATH, KIT_CHAT("claude-x"), 403);
    assert_string_equal(json_text_at(no, "error/type"), "permission_error");
    assert_non_null(strstr(json_text_at(no, "error/message"), "'claude-x'"));
    json_decref(no);
    json_t *list = api_kit_json(&kit, "GET", "/v1/models", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(list, "data")), 1);
    json_decref(list);
    use(admin);
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", id);
    removed(path);
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", admin_id);
    removed(path);
    free(key);
    free(admin);
}

static void a_rotated_key_holds_for_its_grace_only(void **state)
{
    char id[64], path[160], rotate[200];
    (void)state;
    char *first = made(ADMIN, id);
    use(first);
    until(&kit, 200);
    (void)snprintf(rotate, sizeof(rotate), KEYS_PATH "/%s/rotate", id);
    json_t *second = api_kit_json(&kit, "POST", rotate, "{\"grace_s\":3600}", 200);
    use(json_text_at(second, "key"));
    until(&kit, 200);
    use(first);
    until(&kit, 200);
    use(json_text_at(second, "key"));
    json_t *third = api_kit_json(&kit, "POST", rotate, "{}", 200);
    until(&kit, 401); /* the second, without grace */
    use(first);
    until(&kit, 401); /* and the one before it */
    use(json_text_at(third, "key"));
    until(&kit, 200);
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", id);
    removed(path);
    json_decref(second);
    json_decref(third);
    free(first);
}

static void nobody_can_lock_himself_out(void **state)
{
    char id[64], plain_id[64], path[160];
    (void)state;
    char *admin = made(ADMIN, id);
    use(admin);
    until(&kit, 200);
    char *plain = made("{}", plain_id);
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", id);
    api_kit_refused(&kit, "DELETE", path, NULL, 409, "key_not_changeable");
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", plain_id);
    removed(path);
    api_kit_refused(&kit, "DELETE", path, NULL, 404, "key_not_found");
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", id);
    removed(path);
    free(admin);
    free(plain);
}

static void a_bad_wish_is_refused_by_its_field(void **state)
{
    static const char *const bad[][2] = {
        {"[]", "object"},
        {"{\"name\":1}", "name"},
        {"{\"name\":\"0123456789012345678901234567890123456789012345678901234567890123\"}", "name"},
        {"{\"tenant\":\"a b\"}", "tenant"},
        {"{\"scopes\":[]}", "scopes"},
        {"{\"scopes\":[\"root\"]}", "scopes"},
        {"{\"models\":\"gpt\"}", "models"},
        {"{\"models\":[\"a*b\"]}", "models[0]"},
        {"{\"expires_at\":12}", "expires_at"},
        {"{\"colour\":\"red\"}", "colour"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *answer = api_kit_json(&kit, "POST", KEYS_PATH, bad[i][0], 400);
        if (!strstr(json_text_at(answer, "error/message"), bad[i][1]))
            fail_msg("%s: %s", bad[i][0], json_text_at(answer, "error/message"));
        json_decref(answer);
    }
    assert_int_equal(api_kit_status(&kit, "GET", "/v1/models", NULL), 200);
}

static void redis_holds_no_key(void **state)
{
    char id[64], path[160];
    (void)state;
    char *key = made(ADMIN, id);
    struct redisReply *all = redis_fixture_ask(&redis, REDIS_ARGS("HGET", "sluice:access", id));
    const char *record = reply_text(all, NULL);
    assert_non_null(record);
    assert_null(strstr(record, key + strlen("sk-sluice-") + 4));
    freeReplyObject(all);
    use(key);
    until(&kit, 200);
    (void)snprintf(path, sizeof(path), KEYS_PATH "/%s", id);
    removed(path);
    free(key);
}

static void the_command_does_the_same(void **state)
{
    char key[128], id[64];
    (void)state;
    COMMAND(&c, NULL, "keys", "create", "--name", "chief", "--scopes", "admin");
    assert_int_equal(c.code, 0);
    assert_int_equal(command_lines(c.out), 1);
    (void)snprintf(key, sizeof(key), "%.*s", (int)strcspn(c.out, "\n"), c.out);
    (void)snprintf(id, sizeof(id), "%.*s", (int)strcspn(c.err, ";"), c.err);
    use(key);
    until(&kit, 200);
    COMMAND(&c, NULL, "keys", "ls");
    assert_int_equal(c.code, 1); /* closed now */
    (void)setenv("SLUICE_KEY", key, 1);
    COMMAND(&c, NULL, "keys", "ls");
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, "chief"));
    assert_false(command_wrote(&c, key));
    COMMAND(&c, NULL, "keys", "rotate", id, "--grace", "60", "--json");
    assert_int_equal(c.code, 0);
    COMMAND(&c, NULL, "keys", "rm");
    assert_int_equal(c.code, 2);
    COMMAND(&c, NULL, "keys", "rm", id);
    assert_int_equal(c.code, 0);
    (void)unsetenv("SLUICE_KEY");
    *kit.header = '\0';
    until(&kit, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_key_that_cannot_be_read_closes_the_service_all_the_same, setup),
        cmocka_unit_test_setup(the_first_key_closes_every_instance_and_the_last_opens_them, setup),
        cmocka_unit_test_setup(a_key_has_its_scopes_its_tenant_and_its_end, setup),
        cmocka_unit_test_setup(a_key_uses_its_models_only_on_every_way, setup),
        cmocka_unit_test_setup(an_upload_needs_its_key_before_its_body, setup),
        cmocka_unit_test_setup(a_rotated_key_holds_for_its_grace_only, setup),
        cmocka_unit_test_setup(nobody_can_lock_himself_out, setup),
        cmocka_unit_test_setup(a_bad_wish_is_refused_by_its_field, setup),
        cmocka_unit_test_setup(redis_holds_no_key, setup),
        cmocka_unit_test_setup(the_command_does_the_same, setup),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
