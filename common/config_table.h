/*
 * config_table: every key of the configuration file, as rows.
 *
 * A row says what a key is called, what it may hold, its default, its unit and what it is
 * for. Loading, error messages, `sluice check --keys`, freeing and the test of the example
 * file are loops over these rows; nothing else knows a key.
 *
 *   ownership  static storage.
 */
#ifndef COMMON_CONFIG_TABLE_H
#define COMMON_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_type {
    CONFIG_TEXT,    /* char *, never NULL after loading unless optional */
    CONFIG_CHOICE,  /* int: index into choices */
    CONFIG_WORD,    /* char *: one of choices */
    CONFIG_INTEGER, /* int64_t */
    CONFIG_NUMBER,  /* double */
    CONFIG_BOOL,    /* bool */
    CONFIG_SECRET,  /* text whose SHA-256 is kept in a char * as hex, and nothing else */
    CONFIG_SECTION, /* a map whose fields lie in the same struct */
    CONFIG_LIST,    /* a list of maps: pointer at offset, size_t at count_offset */
    CONFIG_NAMES,   /* a list of texts: char ** at offset, size_t at count_offset */
};

struct config_section;

struct config_row {
    const char *key;
    enum config_type type;
    size_t offset;
    size_t count_offset;
    int64_t least, most; /* INTEGER: value; TEXT and SECRET: bytes */
    double least_number, most_number;
    int64_t value;        /* default of INTEGER, BOOL (0, 1) and CHOICE */
    const char *text;     /* default of TEXT and WORD */
    const char *computed; /* a default that comes from other keys, in words */
    const char *unit;
    const char *help;
    const char *const *choices;          /* ended by NULL */
    const char *(*accept)(const char *); /* of config_text */
    const struct config_section *of;     /* of SECTION and LIST */
    bool required;                       /* no default: it must stand there */
    bool secret;                         /* never shown, wiped when freed */
    bool optional;                       /* may be left out (NULL or CONFIG_ABSENT) */
};

struct config_section {
    const char *path; /* "", "redis", "providers[]", "providers[].models[]" */
    size_t size;      /* of the struct of one entry; 0 for a section in its parent's struct */
    size_t row_count;
    const struct config_row *rows;
};

extern const struct config_section config_table;       /* struct config */
extern const struct config_section config_table_model; /* struct config_model, inside it */
/* Inside struct config, in files of their own. */
extern const struct config_section config_table_trim; /* struct config_trim */
extern const struct config_section config_table_summaries;
extern const struct config_section config_table_cache;
extern const struct config_section config_table_batcher;
extern const struct config_section config_table_tls;
/* config_table_batches.c */
extern const struct config_section config_table_batches; /* inside struct config */
/* config_table_webhooks.c */
extern const struct config_section config_table_webhooks;       /* inside struct config */
extern const struct config_section config_table_tenant_webhook; /* inside struct config_tenant */

#endif
