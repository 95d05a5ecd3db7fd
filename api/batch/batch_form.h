/*
 * batch_form: a file of requests as the body that a provider's batch endpoint takes.
 *
 * OpenAI: a multipart form with the lines as its file. Anthropic: {"requests":[...]}. It is written
 * in steps into a file without a name, which is mapped in the end: it may have 200 MB.
 *
 * The custom_ids in it are ours, "TAG-NUMBER" with the number of the line: every provider takes
 * them, whatever the client's own look like, and results tell for sure whose they are.
 *
 *   ownership  the caller owns the struct; release unmaps.
 *   threads    none.
 */
#ifndef API_BATCH_BATCH_FORM_H
#define API_BATCH_BATCH_FORM_H

#include "api/batch/batch_plan.h"

#define BATCH_TAG_BYTES 40

struct batch_form {
    int fd; /* -1: none */
    char *body;
    size_t len;
    size_t at; /* next line */
    bool begun, any;
    char boundary[64];
};

struct batch_form_source {
    const struct batch_input *input;
    const uint8_t *done; /* lines that are left out */
    struct batch_way way;
    enum wire_endpoint endpoint;
    const char *tag, *name; /* of the file */
};

/* An empty file in this folder that nobody else sees; negative errno. */
int batch_form_file(const char *folder) MUST_CHECK;
void batch_form_init(struct batch_form *f);
void batch_form_release(struct batch_form *f);
/* 1: there is more; 0: body and len are there (len 0: no line was left); negative errno. */
int batch_form_step(struct batch_form *f, const struct batch_form_source *s, const char *folder,
                    size_t budget) MUST_CHECK;
/* The line that a custom_id of a result is of; -1: it is none of this tag. */
long batch_form_line(const struct batch_input *in, const char *tag, struct json_span custom);

#endif
