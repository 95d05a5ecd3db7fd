#include "common/limits.h"
#include "common/rand.h"
#include "common/utf8.h"
#include "scheduler/prompt/model_encoding.h"
#include "scheduler/prompt/tokenizer.h"
#include "tests/support/guard.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ENCODINGS 4

static const char *const names[ENCODINGS] = {"o200k_base", "cl100k_base", "p50k_base", "r50k_base"};

struct fixture {
    struct tokenizers *set;
    struct tokenizer *of[ENCODINGS];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f || tokenizers_new(&f->set) < 0)
        return -1;
    for (size_t i = 0; i < ENCODINGS; i++) {
        if (tokenizer_get(f->set, names[i], &f->of[i], NULL) < 0)
            return -1;
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tokenizers_free(f->set);
    free(f);
    return 0;
}

static size_t count(struct tokenizer *t, const char *text)
{
    return tokenizer_count(t, text, strlen(text));
}

/* Counts of tiktoken 1.0.22 (npm). */
static const struct {
    const char *text;
    size_t tokens[ENCODINGS];
} vectors[] = {
    {"", {0, 0, 0, 0}},
    {"hello world", {2, 2, 2, 2}},
    {"Hello, World! It's 12345 o'clock.\n", {11, 12, 13, 13}},
    {"don't DON'T don\u2019t he'\u017F", {7, 10, 13, 13}},
    {"  two  blanks \n\n  end  ", {8, 8, 10, 11}},
    {"<|endoftext|>", {7, 7, 7, 7}},
    {"antidisestablishmentarianism", {6, 6, 5, 5}},
    {"\u3053\u3093\u306B\u3061\u306F\u4E16\u754C", {2, 4, 10, 10}},
    {"\U0001F600\U0001F468\u200D\U0001F469\u200D\U0001F467", {9, 15, 12, 12}},
    {"\t\t\treturn x;\r\n\r\n", {4, 4, 10, 10}},
    {"HTTPServerError iOSApp", {6, 4, 6, 6}},
    {"1234567", {3, 3, 3, 3}},
    {"http://a/b//\n//c", {6, 7, 9, 9}},
    {"\u0301a", {2, 2, 3, 3}},
    {"A\u0301B", {3, 3, 4, 4}},
    {"\xC2\x85\uFEFF\u180E", {6, 6, 8, 8}},
    {"\uFFFD", {1, 1, 1, 1}},
    {"na\u00EFve caf\u00E9 \u00DCn\u00EFcode", {7, 8, 7, 7}},
    {"ABCdefGHI", {4, 4, 4, 4}},
    {"\"key\": \"value\",", {6, 6, 6, 6}},
    {"   ", {1, 1, 1, 3}},
    {"a'\u017Fb", {4, 5, 5, 5}},
    /* Of equal pairs the leftmost is merged first, in short pieces and in long ones. */
    {"gggga", {2, 3, 3, 3}},
    {"tttaa", {2, 3, 3, 3}},
    {"ggggaggggaggggaggggaggggaggggaggggaggggagggga", {26, 26, 26, 26}},
};

static void counts_are_those_of_tiktoken(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        for (size_t k = 0; k < ENCODINGS; k++) {
            size_t tokens = count(f->of[k], vectors[i].text);
            if (tokens != vectors[i].tokens[k])
                fail_msg("%s \"%s\": %zu, not %zu", names[k], vectors[i].text, tokens,
                         vectors[i].tokens[k]);
        }
    }
}

static void a_second_count_from_the_cache_is_the_same(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_int_equal(count(f->of[0], vectors[i].text), count(f->of[0], vectors[i].text));
}

static void every_single_byte_counts(void **state)
{
    struct fixture *f = *state;
    for (size_t k = 0; k < ENCODINGS; k++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[1] = {(char)byte};
            /* From 0x80 it is U+FFFD, which is one token in all of them. */
            assert_int_equal(tokenizer_count(f->of[k], text, 1), 1);
        }
    }
}

static void invalid_bytes_count_as_replacement_characters(void **state)
{
    struct fixture *f = *state;
    for (size_t k = 0; k < ENCODINGS; k++) {
        assert_int_equal(count(f->of[k], "a\xED\xA0\x80z"), count(f->of[k], "a\uFFFDz"));
        assert_int_equal(count(f->of[k], "\xE4\xB8 \xFF"), count(f->of[k], "\uFFFD \uFFFD"));
    }
}

static void no_bytes_need_no_pointer(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(tokenizer_count(f->of[0], NULL, 0), 0);
    assert_int_equal(tokenizer_prefix(f->of[0], NULL, 0, 5), 0);
}

static void a_limit_stops_the_count_one_past_it(void **state)
{
    struct fixture *f = *state;
    const char *text = "one two three four five six";
    for (size_t limit = 0; limit < 6; limit++)
        assert_int_equal(tokenizer_count_limit(f->of[0], text, strlen(text), limit), limit + 1);
    assert_int_equal(tokenizer_count_limit(f->of[0], text, strlen(text), 6), 6);
    assert_int_equal(tokenizer_count_limit(f->of[0], text, strlen(text), SIZE_MAX), 6);
}

static void a_limit_leaves_what_stands_behind_it_unread(void **state)
{
    struct fixture *f = *state;
    struct guard guard;
    guard_init(&guard, 64);
    /* The text claims to go on into the unreadable page; a piece is read with up to 16 bytes. */
    const char *text = guard_copy(&guard, "one two three four five six seven eight nine ", 45);
    assert_int_equal(tokenizer_count_limit(f->of[0], text, 1000, 4), 5);
    guard_release(&guard);
}

/* Ends of tiktoken's tokens of this text in o200k_base. */
static void a_prefix_ends_where_the_tokens_end(void **state)
{
    struct fixture *f = *state;
    const char *text = "Hello, World! It's 12345 o'clock.";
    static const size_t ends[] = {0, 5, 6, 12, 13, 18, 19, 22, 24, 26, 32, 33, 33};
    for (size_t n = 0; n < sizeof(ends) / sizeof(ends[0]); n++)
        assert_int_equal(tokenizer_prefix(f->of[0], text, strlen(text), n), ends[n]);
}

static void a_prefix_never_parts_a_character(void **state)
{
    struct fixture *f = *state;
    const char *text = "\u3053\U0001F468\u200D\U0001F469\u200D\U0001F467\u0416";
    for (size_t n = 0; n <= count(f->of[3], text); n++)
        assert_true(utf8_valid(text, tokenizer_prefix(f->of[3], text, strlen(text), n)));
}

static void a_prefix_of_invalid_bytes_ends_between_them(void **state)
{
    struct fixture *f = *state;
    const char *text = "\xFF\xFE\xED\xA0\x80\xFF";
    size_t tokens = count(f->of[0], text);
    assert_int_equal(tokenizer_prefix(f->of[0], text, 6, tokens), 6);
    for (size_t n = 0; n < tokens; n++) {
        size_t bytes = tokenizer_prefix(f->of[0], text, 6, n);
        assert_true(bytes < 6 && bytes != 3 && bytes != 4);
    }
}

static size_t random_text(struct rand *r, char *text, size_t max)
{
    static const char *const parts[] = {"a",      "the",
                                        " ",      "  ",
                                        "\n",     "\r\n",
                                        "\t",     "1",
                                        "'s",     "'",
                                        "Z",      "!",
                                        "/",      "\u00E9",
                                        "\u0301", "\u4E2D",
                                        "\u3000", "\xC2\x85",
                                        "don",    "T",
                                        "\\",     "{\"",
                                        "\u017F", "\xFF",
                                        "\xE4",   "\xED\xB0\x80",
                                        "\u0660", "\u01C5",
                                        "==",     "A"};
    size_t len = 0, most = (size_t)rand_below(r, (int64_t)max);
    while (len < most) {
        const char *part = parts[rand_below(r, (int64_t)(sizeof(parts) / sizeof(parts[0])))];
        for (int64_t n = rand_below(r, 6) ? 1 : rand_below(r, 40); n > 0; n--) {
            size_t bytes = strlen(part);
            if (len + bytes > max)
                return len;
            for (size_t i = 0; i < bytes; i++)
                text[len++] = part[i];
        }
    }
    return len;
}

static uint64_t seed_of_test(void)
{
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : rand_system_seed();
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static void check_prefixes(struct tokenizer *t, const char *text, size_t len)
{
    size_t tokens = tokenizer_count(t, text, len), last = 0;
    assert_int_equal(tokenizer_prefix(t, text, len, tokens), len);
    for (size_t n = 0; n < tokens; n++) {
        size_t bytes = tokenizer_prefix(t, text, len, n);
        assert_true(bytes < len);
        assert_true(tokenizer_count(t, text, bytes) <= n);
        assert_int_equal(utf8_floor(text, len, bytes), bytes);
        assert_true(bytes + 16 >= last); /* nearly monotone: only the cut's own end may move */
        last = bytes > last ? bytes : last;
    }
}

static void random_texts_keep_the_promises_of_prefix_and_limit(void **state)
{
    struct fixture *f = *state;
    struct guard guard;
    struct rand r;
    rand_seed(&r, seed_of_test());
    guard_init(&guard, 160);
    for (int i = 0; i < 2000; i++) {
        char bytes[160];
        size_t len = random_text(&r, bytes, sizeof(bytes));
        const char *text = guard_copy(&guard, bytes, len);
        struct tokenizer *t = f->of[i % ENCODINGS];
        size_t tokens = tokenizer_count(t, text, len);
        assert_int_equal(tokenizer_count_limit(t, text, len, tokens), tokens);
        if (tokens > 0)
            assert_int_equal(tokenizer_count_limit(t, text, len, tokens - 1), tokens);
        check_prefixes(t, text, len);
    }
    guard_release(&guard);
}

static char *repeated(const char *unit, size_t len)
{
    char *text = malloc(len);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = unit[i % strlen(unit)];
    return text;
}

static void a_piece_of_the_largest_size_is_counted_as_one(void **state)
{
    struct fixture *f = *state;
    size_t max = (size_t)TOKENIZER_MAX_PIECE_BYTES;
    char *text = repeated("a", max);
    assert_int_equal(tokenizer_count(f->of[0], text, max), max / 8); /* aaaaaaaa is a token */
    assert_int_equal(tokenizer_prefix(f->of[0], text, max, 10), 80);
    free(text);
}

static void a_piece_past_the_largest_size_is_counted_in_parts(void **state)
{
    struct fixture *f = *state;
    size_t max = (size_t)TOKENIZER_MAX_PIECE_BYTES;
    char *text = repeated("abcdefgh", max + 3);
    size_t whole = tokenizer_count(f->of[0], text, max);
    size_t rest = tokenizer_count(f->of[0], text + max, 3);
    assert_int_equal(tokenizer_count(f->of[0], text, max + 3), whole + rest);
    assert_int_equal(tokenizer_prefix(f->of[0], text, max + 3, whole), max);
    free(text);
}

static void invalid_pieces_of_any_size_are_counted(void **state)
{
    struct fixture *f = *state;
    size_t max = (size_t)TOKENIZER_MAX_PIECE_BYTES / UTF8_REPLACEMENT_BYTES;
    char *bad = repeated("\xFF", 4 * max), *good = repeated("\xEF\xBF\xBD", 3 * max);
    size_t one = tokenizer_count(f->of[0], good, 3 * max);
    assert_int_equal(tokenizer_count(f->of[0], bad, max), one);
    assert_in_range(tokenizer_count(f->of[0], bad, 4 * max), 4 * one - 4, 4 * one + 4);
    free(bad);
    free(good);
}

static void an_encoding_is_loaded_once(void **state)
{
    struct fixture *f = *state;
    struct tokenizer *again, *harmony;
    assert_int_equal(tokenizer_get(f->set, "o200k_base", &again, NULL), 0);
    assert_int_equal(tokenizer_get(f->set, "o200k_harmony", &harmony, NULL), 0);
    assert_ptr_equal(again, f->of[0]);
    assert_ptr_equal(harmony, f->of[0]);
}

static void an_unknown_encoding_is_named_in_the_error(void **state)
{
    struct fixture *f = *state;
    struct tokenizer *t;
    struct error e;
    assert_int_equal(tokenizer_get(f->set, "o300k", &t, &e), -ENOENT);
    assert_non_null(strstr(e.text, "o300k"));
    for (size_t i = 0; tokenizer_encoding(i); i++)
        assert_non_null(strstr(e.text, tokenizer_encoding(i)));
}

static void models_have_the_encodings_of_tiktoken(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *model, *encoding;
    } cases[] = {
        {"gpt-4o", "o200k_base"},
        {"gpt-4o-mini-2024-07-18", "o200k_base"},
        {"gpt-5.1", "o200k_base"},
        {"o3", "o200k_base"},
        {"o3-mini", "o200k_base"},
        {"gpt-4.1-nano", "o200k_base"},
        {"gpt-oss-20b", "o200k_harmony"},
        {"gpt-4", "cl100k_base"},
        {"gpt-4-turbo", "cl100k_base"},
        {"ft:gpt-4o:org:name", "o200k_base"},
        {"ft:gpt-4:org:name", "cl100k_base"},
        {"gpt-3.5-turbo-0125", "cl100k_base"},
        {"text-embedding-3-small", "cl100k_base"},
        {"text-davinci-003", "p50k_base"},
        {"davinci", "r50k_base"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(model_encoding(cases[i].model), cases[i].encoding);
    assert_null(model_encoding("claude-sonnet-4-5"));
    assert_null(model_encoding(""));
    assert_null(model_encoding("gpt-4x"));

    struct tokenizer *t;
    assert_int_equal(tokenizer_for_model(f->set, "claude-sonnet-4-5", &t, NULL), 0);
    assert_ptr_equal(t, f->of[0]);
    assert_int_equal(tokenizer_for_model(f->set, "gpt-4", &t, NULL), 0);
    assert_ptr_equal(t, f->of[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_those_of_tiktoken),
        cmocka_unit_test(a_second_count_from_the_cache_is_the_same),
        cmocka_unit_test(every_single_byte_counts),
        cmocka_unit_test(invalid_bytes_count_as_replacement_characters),
        cmocka_unit_test(no_bytes_need_no_pointer),
        cmocka_unit_test(a_limit_stops_the_count_one_past_it),
        cmocka_unit_test(a_limit_leaves_what_stands_behind_it_unread),
        cmocka_unit_test(a_prefix_ends_where_the_tokens_end),
        cmocka_unit_test(a_prefix_never_parts_a_character),
        cmocka_unit_test(a_prefix_of_invalid_bytes_ends_between_them),
        cmocka_unit_test(random_texts_keep_the_promises_of_prefix_and_limit),
        cmocka_unit_test(a_piece_of_the_largest_size_is_counted_as_one),
        cmocka_unit_test(a_piece_past_the_largest_size_is_counted_in_parts),
        cmocka_unit_test(invalid_pieces_of_any_size_are_counted),
        cmocka_unit_test(an_encoding_is_loaded_once),
        cmocka_unit_test(an_unknown_encoding_is_named_in_the_error),
        cmocka_unit_test(models_have_the_encodings_of_tiktoken),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
