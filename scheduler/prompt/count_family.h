/*
 * count_family: what the tokens of a model are made of, as data.
 *
 * A family has a vocabulary (or, where none is public, a ratio to o200k's counts) and a frame:
 * what is billed around messages, tools and images. Adding a model is adding a row.
 *
 *   units      tokens; ratios in thousandths.
 *   sources    OpenAI's cookbook (counting with tiktoken) and its guide to images; npm
 *              ai-tokenizer 1.0.6, whose constants were fitted against the live APIs; the
 *              recorded counts of sanderland/ctok for the ratios of Claude to o200k;
 *              Anthropic's guide to vision.
 */
#ifndef SCHEDULER_PROMPT_COUNT_FAMILY_H
#define SCHEDULER_PROMPT_COUNT_FAMILY_H

#include "scheduler/prompt/image_size.h"

#include <stdbool.h>
#include <stdint.h>

struct count_frame {
    int16_t request, message, name; /* message: with its role */
    int16_t tools, tool;            /* once when there are tools; for each of them */
    /* How a function's schema is rendered: not as JSON. All 0: counted as JSON. */
    int16_t function, first_property, property, first_value, value, functions_end;
};

enum count_image_kind {
    IMAGE_TILES,   /* base + unit for each of 512 x 512 after fitting into 2048 and 768 */
    IMAGE_PATCHES, /* unit thousandths for each of 32 x 32, at most 1536 of them */
    IMAGE_AREA,    /* pixels / unit, after fitting the longer edge into base; at most `most` */
    IMAGE_GRID,    /* unit for each of 768 x 768; one unit up to 384 x 384 */
};

struct count_image_rule {
    enum count_image_kind kind;
    int32_t base, unit, most; /* most: of one image; taken when its size is not known */
};

struct count_family {
    const char *name; /* the longest one that the model's name holds decides */
    int32_t ratio;    /* tokens for 1,000 of the vocabulary that counts */
    int32_t reserve;  /* the same so that 98 of 100 requests are not larger */
    const struct count_frame *frame;
    const struct count_image_rule *image;
};

/* Static storage, never NULL. */
const struct count_family *count_family(const char *model);
/* Number of the family's row, to tell families apart in a memo. */
uint32_t count_family_index(const struct count_family *f);

/* Tokens of an image; size NULL when it is not known. */
int64_t count_image(const struct count_image_rule *rule, const struct image_size *size,
                    bool low_detail);

#endif
