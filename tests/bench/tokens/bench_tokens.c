/*
 * bench_tokens: how fast the tokenizer loads and counts.
 *
 *   bench_tokens ENCODING CORPUS CHUNK_BYTES PASSES
 *
 * Counts the corpus chunk by chunk, as many times as asked, and then worst cases: pieces of
 * 1 MB that nothing splits. One line of JSON. The chunks end at whole characters.
 */
#include "common/buf.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/rand.h"
#include "common/utf8.h"
#include "scheduler/prompt/tokenizer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORST_BYTES (1000 * 1000)
#define MAX_CORPUS  (256 * MIB)

static size_t count_chunks(struct tokenizer *t, const struct buf *corpus, size_t chunk)
{
    size_t tokens = 0;
    for (size_t at = 0; at < corpus->len;) {
        size_t next = corpus->len - at <= chunk ? corpus->len
                                                : utf8_floor(corpus->data, corpus->len, at + chunk);
        tokens += tokenizer_count(t, corpus->data + at, next - at);
        at = next;
    }
    return tokens;
}

static double mb_per_s(size_t bytes, int64_t us)
{
    return us > 0 ? (double)bytes / (double)us : 0;
}

static void print_worst(struct tokenizer *t, const char *name, const char *letters)
{
    char *text = malloc(WORST_BYTES);
    if (!text)
        exit(1);
    struct rand r;
    rand_seed(&r, 1);
    int64_t kinds = (int64_t)strlen(letters);
    for (size_t i = 0; i < WORST_BYTES; i++)
        text[i] = letters[rand_below(&r, kinds)];
    int64_t start_us = clock_mono_us();
    size_t tokens = tokenizer_count(t, text, WORST_BYTES);
    printf(",\"%s\":{\"tokens\":%zu,\"mb_per_s\":%.1f}", name, tokens,
           mb_per_s(WORST_BYTES, clock_mono_us() - start_us));
    free(text);
}

/* Resident memory, from the second field of /proc/self/statm. */
static double resident_mb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        exit(1);
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (double)MIB;
}

static void read_corpus(const char *path, struct buf *corpus)
{
    char chunk[64 * KIB];
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(1);
    }
    buf_init(corpus, MAX_CORPUS);
    for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;) {
        if (buf_add(corpus, chunk, n) < 0)
            exit(1);
    }
    fclose(f);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: bench_tokens ENCODING CORPUS CHUNK_BYTES PASSES\n");
        return 2;
    }
    struct buf corpus;
    read_corpus(argv[2], &corpus);
    struct tokenizers *set;
    struct tokenizer *t;
    struct error e;
    double before_mb = resident_mb();
    int64_t start_us = clock_mono_us();
    if (tokenizers_new(&set) < 0 || tokenizer_get(set, argv[1], &t, &e) < 0)
        return 1;
    int64_t load_us = clock_mono_us() - start_us;
    double after_mb = resident_mb();

    printf("{\"load_ms\":%.2f,\"load_rss_mb\":%.1f,\"bytes\":%zu,\"passes\":[",
           (double)load_us / 1000, after_mb - before_mb, corpus.len);
    size_t tokens = 0;
    for (int i = 0; i < atoi(argv[4]); i++) {
        start_us = clock_mono_us();
        tokens = count_chunks(t, &corpus, strtoul(argv[3], NULL, 10));
        printf("%s%.1f", i > 0 ? "," : "", mb_per_s(corpus.len, clock_mono_us() - start_us));
    }
    printf("],\"tokens\":%zu", tokens);
    print_worst(t, "one_letter", "a");
    print_worst(t, "two_letters", "ab");
    print_worst(t, "letters", "abcdefghijklmnopqrstuvwxyz");
    print_worst(t, "spaces", " ");
    print_worst(t, "marks", "!?-=+*#");
    printf("}\n");
    tokenizers_free(set);
    buf_release(&corpus);
    return 0;
}
