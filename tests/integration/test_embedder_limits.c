/* The named maxima of batches of embeddings: at the limit, and one past it. */
#include "common/limits.h"
#include "tests/support/core_kit.h"

/* So long that nothing is sent while a test looks, and a provider that would be asked in vain. */
#define GROWS    "batcher: {embeddings: {wait_ms: 1000, max_inputs: 2048, max_tokens: 99999999}}\n"
#define NO_LIMIT "rpm: 1000000"

struct fixture {
    struct core_kit *kit;
    struct core_call *calls;
    size_t count, room;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    void *kit = NULL;
    assert_non_null(f);
    *state = f;
    int rc = core_kit_setup(&kit);
    f->kit = kit;
    f->room = EMBED_MAX_KEYS + 2;
    f->calls = calloc(f->room, sizeof(*f->calls));
    assert_non_null(f->calls);
    core_kit_start(f->kit, NO_LIMIT, GROWS);
    return rc;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *kit = f->kit;
    for (size_t i = 0; i < f->count; i++) {
        if (f->calls[i].call)
            core_call_cancel(&f->calls[i]);
    }
    struct embedder_counts counts;
    embedder_count(f->kit->embedder, &counts);
    assert_int_equal(counts.batches + counts.keys + counts.held_bytes, 0);
    int rc = core_kit_teardown(&kit);
    free(f->calls);
    free(f);
    return rc;
}

/* Takes the body. */
static void begin(struct fixture *f, char *body, size_t len)
{
    struct call_spec spec = {.endpoint = WIRE_EMBEDDINGS,
                             .body = body,
                             .body_len = len,
                             .tenant = "default",
                             .weight = 1,
                             .class = CLASS_NORMAL,
                             .max_wait_ms = CORE_WAIT_MS};
    assert_true(f->count < f->room);
    core_call_spec(f->kit, &f->calls[f->count++], &spec);
}

/* One of `count` inputs that take so many bytes together, quotes included. */
static void begin_large(struct fixture *f, size_t count, size_t bytes)
{
    struct buf body;
    buf_init(&body, 2 * EMBED_BATCH_BYTES);
    (void)buf_adds(&body, "{\"model\":\"m\",\"input\":[");
    for (size_t i = 0; i < count; i++) {
        size_t each = i + 1 < count ? bytes / count : bytes - bytes / count * (count - 1);
        (void)buf_adds(&body, i > 0 ? ",\"" : "\"");
        size_t at = body.len;
        for (size_t k = 0; k < (each - 2) / 64; k++)
            (void)buf_adds(&body,
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ");
        while (body.len - at < each - 2)
            (void)buf_adds(&body, "b");
        (void)buf_adds(&body, "\"");
    }
    assert_int_equal(buf_adds(&body, "]}"), 0);
    size_t len = body.len;
    begin(f, buf_take(&body), len);
}

static struct embedder_counts counts(const struct fixture *f)
{
    struct embedder_counts c;
    embedder_count(f->kit->embedder, &c);
    return c;
}

static void a_batch_holds_so_many_bytes_and_no_more(void **state)
{
    struct fixture *f = *state;
    begin_large(f, 1, EMBED_BATCH_BYTES - 3);
    begin_large(f, 1, 3);
    assert_int_equal(counts(f).batches, 1);
    begin_large(f, 1, EMBED_BATCH_BYTES - 3);
    assert_int_equal(counts(f).batches, 2);
    begin_large(f, 1, 4);
    assert_int_equal(counts(f).batches, 3);
}

static void no_more_inputs_are_held_than_may_be(void **state)
{
    struct fixture *f = *state;
    size_t each = EMBED_BATCH_BYTES;
    for (size_t held = 0; held + each < (size_t)EMBED_HELD_BYTES; held += each)
        begin_large(f, 1, each);
    begin_large(f, 1, each - 3);
    begin_large(f, 1, 3);
    assert_int_equal(counts(f).held_bytes, EMBED_HELD_BYTES);
    size_t batches = counts(f).batches;
    begin_large(f, 1, 3); /* goes alone */
    assert_int_equal(counts(f).held_bytes, EMBED_HELD_BYTES);
    assert_int_equal(counts(f).batches, batches);
}

static void a_batch_has_no_more_inputs_than_its_answer_has_room_for(void **state)
{
    struct fixture *f = *state;
    char body[] = "{\"model\":\"m\"}";
    size_t most =
        (size_t)(EMBED_ANSWER_BYTES / embed_vector_bytes(json_span_of(body, strlen(body))));
    assert_true(most < EMBED_MAX_INPUTS);
    begin_large(f, most - 1, (most - 1) * 8);
    begin_large(f, 1, 8);
    assert_int_equal(counts(f).batches, 1);
    begin_large(f, most - 1, (most - 1) * 8);
    begin_large(f, 2, 16);
    assert_int_equal(counts(f).batches, 3);
}

static void no_more_kinds_grow_than_may(void **state)
{
    struct fixture *f = *state;
    struct embedder_counts before;
    for (size_t i = 0; i <= EMBED_MAX_KEYS; i++) {
        char body[128];
        (void)snprintf(body, sizeof(body), "{\"model\":\"m\",\"user\":\"%zu\",\"input\":\"a\"}", i);
        before = counts(f);
        begin(f, strdup(body), strlen(body));
    }
    assert_int_equal(before.keys, EMBED_MAX_KEYS);
    assert_int_equal(counts(f).keys, EMBED_MAX_KEYS);
    assert_int_equal(counts(f).batches, EMBED_MAX_KEYS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_holds_so_many_bytes_and_no_more),
        TEST(no_more_inputs_are_held_than_may_be),
        TEST(a_batch_has_no_more_inputs_than_its_answer_has_room_for),
        TEST(no_more_kinds_grow_than_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
