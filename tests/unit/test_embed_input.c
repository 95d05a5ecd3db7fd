#include "scheduler/batch/embed_input.h"

#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int read_text(const char *body, int64_t tokens, size_t most, struct embed_inputs *ret)
{
    return embed_inputs_read(json_span_of(body, strlen(body)), tokens, most, ret);
}

static void is_text(const struct embed_inputs *in, size_t i, const char *text)
{
    assert_int_equal(in->list[i].text.len, strlen(text));
    assert_memory_equal(in->list[i].text.at, text, strlen(text));
}

static void every_form_of_input_is_understood(void **state)
{
    (void)state;
    struct embed_inputs in;
    assert_int_equal(read_text("{\"model\":\"m\",\"input\":\"a b\"}", 3, 9, &in), 0);
    assert_int_equal(in.count, 1);
    assert_true(in.is_one);
    is_text(&in, 0, "\"a b\"");
    assert_int_equal(in.tokens, 3);
    embed_inputs_release(&in);
    assert_int_equal(read_text("{\"input\":[ \"a\", [1, 2] ]}", 6, 9, &in), 0);
    assert_int_equal(in.count, 2);
    assert_false(in.is_one);
    is_text(&in, 1, "[1, 2]");
    assert_true(in.list[1].tokens > in.list[0].tokens);
    embed_inputs_release(&in);
    assert_int_equal(read_text("{\"input\":[7,8,9]}", 3, 9, &in), 0);
    assert_int_equal(in.count, 1);
    assert_true(in.is_one);
    is_text(&in, 0, "[7,8,9]");
    embed_inputs_release(&in);
}

static void what_the_provider_would_refuse_is_nobodys_to_join(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"input\":\"\"}",        "{\"input\":[]}",        "{\"input\":[\"a\",\"\"]}",
        "{\"input\":[1,\"a\"]}",   "{\"input\":[\"a\",1]}", "{\"input\":[[1],[]]}",
        "{\"input\":[{\"a\":1}]}", "{\"input\":5}",         "{\"input\":null}",
        "{\"input\":[[1,\"a\"]]}", "{\"model\":\"m\"}",
    };
    struct embed_inputs in;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(read_text(bad[i], 5, 9, &in), -EINVAL);
}

static void a_call_has_so_many_inputs_and_no_more(void **state)
{
    (void)state;
    struct embed_inputs in;
    struct buf body;
    buf_init(&body, 4 * MIB);
    (void)buf_adds(&body, "{\"input\":[\"x\"");
    for (int i = 1; i < EMBED_MAX_CALL_INPUTS; i++)
        (void)buf_adds(&body, ",\"x\"");
    size_t open = body.len;
    (void)buf_adds(&body, "]}");
    struct json_span span = json_span_of(body.data, body.len);
    assert_int_equal(embed_inputs_read(span, 0, EMBED_MAX_CALL_INPUTS, &in), 0);
    assert_int_equal(in.count, EMBED_MAX_CALL_INPUTS);
    embed_inputs_release(&in);
    body.len = open;
    (void)buf_adds(&body, ",\"x\"]}");
    span = json_span_of(body.data, body.len);
    assert_int_equal(embed_inputs_read(span, 0, EMBED_MAX_CALL_INPUTS, &in), -E2BIG);
    buf_release(&body);
}

static int rest_of(const char *body, char *ret, size_t room)
{
    struct buf out;
    buf_init(&out, 4 * KIB);
    int rc = embed_inputs_rest(json_span_of(body, strlen(body)), &out);
    assert_true(out.len < room);
    memcpy(ret, out.data ? out.data : "", out.len);
    ret[out.len] = '\0';
    buf_release(&out);
    return rc;
}

static void all_else_is_compared_in_any_order(void **state)
{
    (void)state;
    char a[256], b[256];
    assert_int_equal(rest_of("{\"model\":\"m\",\"input\":\"x\",\"dimensions\":8}", a, sizeof(a)),
                     0);
    assert_int_equal(rest_of("{ \"dimensions\" : 8,\"model\":\"m\",\"input\":[1]}", b, sizeof(b)),
                     0);
    assert_string_equal(a, b);
    assert_int_equal(rest_of("{\"model\":\"m\",\"input\":\"x\",\"dimensions\":9}", b, sizeof(b)),
                     0);
    assert_string_not_equal(a, b);
    assert_int_equal(rest_of("{\"user\":1,\"user\":2,\"input\":\"x\"}", b, sizeof(b)), -EINVAL);
}

static int64_t vector_bytes(const char *body)
{
    return embed_vector_bytes(json_span_of(body, strlen(body)));
}

static void vectors_are_as_wide_as_their_dimensions_and_code(void **state)
{
    (void)state;
    int64_t small = vector_bytes("{\"model\":\"text-embedding-3-small\"}");
    int64_t large = vector_bytes("{\"model\":\"text-embedding-3-large\"}");
    int64_t coded = vector_bytes("{\"model\":\"m\",\"encoding_format\":\"base64\"}");
    int64_t asked = vector_bytes("{\"model\":\"m\",\"dimensions\":8}");
    assert_true(large > small && small > asked && coded < large);
    assert_true(EMBED_ANSWER_BYTES / coded >= EMBED_MAX_INPUTS);
    assert_in_range(EMBED_ANSWER_BYTES / large, 700, 900);
    assert_int_equal(vector_bytes("{\"model\":\"m\",\"dimensions\":-1}"), large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_input_is_understood),
        cmocka_unit_test(what_the_provider_would_refuse_is_nobodys_to_join),
        cmocka_unit_test(a_call_has_so_many_inputs_and_no_more),
        cmocka_unit_test(all_else_is_compared_in_any_order),
        cmocka_unit_test(vectors_are_as_wide_as_their_dimensions_and_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
