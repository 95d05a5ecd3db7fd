/*
 * image_size: width and height of an image, from the first bytes of its file.
 *
 * PNG, GIF, WebP and JPEG; of a JPEG as far as COUNT_MAX_IMAGE_BYTES, since previews can stand
 * before the size. Pure, no allocation.
 *
 *   sources    PNG (RFC 2083, 11.2.2), GIF89a (18), RIFF container of WebP (RFC 9649, 2.5 to
 *              2.7), JPEG (ITU T.81, B.2.2).
 */
#ifndef SCHEDULER_PROMPT_IMAGE_SIZE_H
#define SCHEDULER_PROMPT_IMAGE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image_size {
    uint32_t width, height; /* pixels, neither is 0 */
};

bool image_size_read(const unsigned char *bytes, size_t len, struct image_size *ret);

/* The same of base64 text, which is decoded as far as needed; it ends at the first byte that
 * is none of base64. */
bool image_size_of_base64(const char *text, size_t len, struct image_size *ret);

#endif
