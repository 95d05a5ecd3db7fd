#include "api/cmd_tokens.h"

#include "common/args.h"
#include "common/buf.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/utf8.h"
#include "scheduler/prompt/model_encoding.h"
#include "scheduler/prompt/tokenizer.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_FIRST = ARGS_NO_CHAR };

static const struct args_option options[] = {
    {'e', "encoding", "E",
     "o200k_base (default), o200k_harmony, cl100k_base, p50k_base, r50k_base"},
    {'m', "model", "M", "the encoding of this model, such as gpt-4o"},
    {OPTION_FIRST, "first", "N", "write the text of the first N tokens of each file instead"},
    {'j', "json", NULL, "print JSON"},
    {0},
};

const struct args_command cmd_tokens_usage = {
    .name = "tokens",
    .about = "Counts the tokens of files, or of standard input, exactly as OpenAI's tiktoken.\n"
             "One input gives one number; several give a line each and their total.",
    .operands = "[FILE...]",
    .most = INT_MAX,
    .options = options,
    .example = "  sluice tokens --model gpt-4o prompt.txt",
};

struct request {
    const char *encoding;
    struct tokenizer *tokenizer;
    bool json, cut;
    size_t first;   /* with cut: tokens to write */
    struct buf out; /* JSON of the files so far */
    uint64_t total;
};

static int complain(const char *name, const char *text)
{
    fprintf(stderr, "sluice tokens: %s: %s\n", name, text);
    return 1;
}

/* A file's name is any bytes, a JSON string is not. */
static void add_name(struct buf *out, const char *name)
{
    size_t len = strlen(name);
    unsigned char *valid = malloc(len * UTF8_REPLACEMENT_BYTES + 1);
    if (!valid) {
        out->failed = -ENOMEM;
        return;
    }
    buf_add_json(out, (const char *)valid, utf8_repair(name, len, valid));
    free(valid);
}

static void report(struct request *r, const char *path, size_t bytes, size_t tokens, bool alone)
{
    r->total += tokens;
    if (r->json) {
        buf_adds(&r->out, r->out.len == 0 ? "{\"file\":\"" : ",{\"file\":\"");
        add_name(&r->out, path);
        buf_addf(&r->out, "\",\"bytes\":%zu,\"tokens\":%zu}", bytes, tokens);
    } else if (alone) {
        printf("%zu\n", tokens);
    } else {
        printf("%8zu %s\n", tokens, path);
    }
}

static int count_file(struct request *r, const char *path, bool alone)
{
    struct buf text;
    buf_init(&text, (size_t)TOKENS_MAX_FILE_BYTES);
    int failed = file_append(path, &text);
    if (failed < 0) {
        buf_release(&text);
        return complain(path, strerror(-failed));
    }
    if (r->cut) {
        size_t keep = tokenizer_prefix(r->tokenizer, text.data, text.len, r->first);
        fwrite(text.len == 0 ? "" : text.data, 1, keep, stdout);
    } else {
        report(r, path, text.len, tokenizer_count(r->tokenizer, text.data, text.len), alone);
    }
    buf_release(&text);
    return 0;
}

static int count_files(struct request *r, int count, char **paths)
{
    char stdin_name[] = "-", *standard_input[] = {stdin_name};
    if (count == 0) {
        count = 1;
        paths = standard_input;
    }
    int code = 0;
    for (int i = 0; i < count; i++)
        code |= count_file(r, paths[i], count == 1);
    if (r->json && r->out.failed != 0)
        return complain("output", strerror(-r->out.failed));
    if (r->json)
        printf("{\"encoding\":\"%s\",\"tokens\":%llu,\"files\":[%s]}\n", r->encoding,
               (unsigned long long)r->total, r->out.len == 0 ? "" : r->out.data);
    else if (count > 1 && !r->cut)
        printf("%8llu total\n", (unsigned long long)r->total);
    return fflush(stdout) == 0 ? code : complain("output", strerror(errno));
}

static const char *encoding_of_model(const char *model)
{
    const char *encoding = model_encoding(model);
    if (encoding)
        return encoding;
    fprintf(stderr, "sluice tokens: model \"%s\" is not known: counting with %s\n", model,
            MODEL_ENCODING_DEFAULT);
    return MODEL_ENCODING_DEFAULT;
}

static void parse(struct request *r, struct args *a)
{
    for (int id; (id = args_next(a)) != ARGS_END;) {
        int64_t n;
        if (id == 'e') {
            r->encoding = a->value;
        } else if (id == 'm') {
            r->encoding = encoding_of_model(a->value);
        } else if (id == 'j') {
            r->json = true;
        } else if (id == OPTION_FIRST && args_number(a, 0, INT64_MAX, &n)) {
            r->cut = true;
            r->first = (size_t)n;
        }
    }
    if (a->exit_code < 0 && r->cut && r->json)
        args_error(a, "--first writes text, it cannot go with --json");
}

int cmd_tokens(int argc, char **argv)
{
    struct request r = {.encoding = MODEL_ENCODING_DEFAULT};
    struct args a;
    args_init(&a, &cmd_tokens_usage, argc, argv);
    parse(&r, &a);
    if (a.exit_code >= 0)
        return a.exit_code;

    struct tokenizers *set;
    struct error e = {""};
    if (tokenizers_new(&set) < 0)
        return complain("start", strerror(ENOMEM));
    int failed = tokenizer_get(set, r.encoding, &r.tokenizer, &e);
    if (failed < 0) {
        fprintf(stderr, "sluice tokens: %s\n", e.text);
        tokenizers_free(set);
        return failed == -ENOENT ? EXIT_USAGE : EXIT_FAILURE;
    }
    buf_init(&r.out, (size_t)TOKENS_MAX_REPORT_BYTES);
    int code = count_files(&r, a.operand_count, a.operands);
    buf_release(&r.out);
    tokenizers_free(set);
    return code;
}
