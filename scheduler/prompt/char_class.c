#include "scheduler/prompt/char_class.h"

#include <string.h>

void char_class_fill(unsigned char table[CHAR_POINTS])
{
    for (size_t i = 0; i < char_range_count; i++) {
        size_t from = char_ranges[i] >> 8;
        size_t to = i + 1 < char_range_count ? char_ranges[i + 1] >> 8 : CHAR_POINTS;
        memset(table + from, (int)(char_ranges[i] & 0xFF), to - from);
    }
}
