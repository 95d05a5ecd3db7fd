#include "scheduler/prompt/image_size.h"

#include "common/limits.h"

#include <string.h>

static uint32_t big(const unsigned char *p, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

static uint32_t little(const unsigned char *p, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = bytes; i > 0; i--)
        value = value << 8 | p[i - 1];
    return value;
}

static bool is_at(const unsigned char *p, const char *text, size_t len)
{
    return memcmp(p, text, len) == 0;
}

static bool png(const unsigned char *p, size_t len, struct image_size *ret)
{
    if (len < 24 || !is_at(p, "\x89PNG\r\n\x1a\n", 8))
        return false;
    *ret = (struct image_size){big(p + 16, 4), big(p + 20, 4)};
    return true;
}

static bool gif(const unsigned char *p, size_t len, struct image_size *ret)
{
    if (len < 10 || !is_at(p, "GIF8", 4))
        return false;
    *ret = (struct image_size){little(p + 6, 2), little(p + 8, 2)};
    return true;
}

/* The three kinds of WebP keep the size in three ways. */
static bool webp(const unsigned char *p, size_t len, struct image_size *ret)
{
    if (len < 30 || !is_at(p, "RIFF", 4) || !is_at(p + 8, "WEBP", 4))
        return false;
    if (is_at(p + 12, "VP8 ", 4)) {
        *ret = (struct image_size){little(p + 26, 2) & 0x3FFF, little(p + 28, 2) & 0x3FFF};
        return true;
    }
    if (is_at(p + 12, "VP8L", 4)) {
        uint32_t bits = little(p + 21, 4);
        *ret = (struct image_size){(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1};
        return true;
    }
    *ret = (struct image_size){little(p + 24, 3) + 1, little(p + 27, 3) + 1};
    return is_at(p + 12, "VP8X", 4);
}

/* The size stands in a frame header: markers C0 to CF without the tables C4, C8 and CC. */
static bool jpeg(const unsigned char *p, size_t len, struct image_size *ret)
{
    if (len < 4 || !is_at(p, "\xff\xd8", 2))
        return false;
    size_t at = 2;
    while (at + 9 <= len) {
        unsigned char marker = p[at + 1];
        if (p[at] != 0xFF)
            return false;
        if (marker == 0xFF) { /* fill byte */
            at++;
            continue;
        }
        bool frame =
            marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
        if (frame) {
            *ret = (struct image_size){big(p + at + 7, 2), big(p + at + 5, 2)};
            return true;
        }
        at += 2 + big(p + at + 2, 2);
    }
    return false;
}

bool image_size_read(const unsigned char *bytes, size_t len, struct image_size *ret)
{
    struct image_size size;
    if (!png(bytes, len, &size) && !gif(bytes, len, &size) && !webp(bytes, len, &size) &&
        !jpeg(bytes, len, &size))
        return false;
    if (size.width == 0 || size.height == 0)
        return false;
    *ret = size;
    return true;
}

/* ---- base64 */

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

static size_t decode(const char *text, size_t len, unsigned char *out, size_t room)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t done = 0;
    for (size_t i = 0; i < len && done < room; i++) {
        /* JSON may write a slash as two bytes. */
        if (text[i] == '\\' && i + 1 < len && text[i + 1] == '/')
            continue;
        int value = sextet(text[i]);
        if (value < 0)
            break;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[done++] = (unsigned char)(bits >> have);
        }
    }
    return done;
}

/* Most formats tell in the first bytes: only a JPEG is worth decoding on. */
bool image_size_of_base64(const char *text, size_t len, struct image_size *ret)
{
    unsigned char bytes[COUNT_MAX_IMAGE_BYTES];
    size_t have = decode(text, len, bytes, 64);
    if (image_size_read(bytes, have, ret))
        return true;
    if (have < 2 || bytes[0] != 0xFF)
        return false;
    return image_size_read(bytes, decode(text, len, bytes, sizeof(bytes)), ret);
}
