#include "scheduler/prompt/count_family.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* clang-format off */
static const struct count_frame
    openai = {.request = 3, .message = 4, .name = 1, .function = 7, .first_property = 3,
              .property = 3, .first_value = -3, .value = 3, .functions_end = 12},
    openai_old = {.request = 3, .message = 4, .name = 1, .function = 10, .first_property = 3,
                  .property = 3, .first_value = -3, .value = 3, .functions_end = 12},
    claude_3 = {.request = 6, .message = 2, .tools = 366, .tool = 53},
    claude = {.request = 6, .message = 2, .tools = 549, .tool = 53},
    gemini = {.request = 0, .message = 0},
    grok = {.request = 683, .message = 3, .tools = 187, .tool = 32},
    deepseek = {.request = 7, .message = 3, .tools = 143, .tool = 71},
    mistral = {.request = 2, .message = 1, .tools = 60, .tool = 57},
    unknown = {.request = 7, .message = 4, .tools = 143, .tool = 57};

static const struct count_image_rule
    tiles = {IMAGE_TILES, 85, 170, 85 + 8 * 170},
    tiles_5 = {IMAGE_TILES, 70, 140, 70 + 8 * 140},
    tiles_mini = {IMAGE_TILES, 2833, 5667, 2833 + 8 * 5667},
    patches_41_mini = {IMAGE_PATCHES, 0, 1620, 1536 * 1620 / 1000},
    patches_nano = {IMAGE_PATCHES, 0, 2460, 1536 * 2460 / 1000},
    patches_o4_mini = {IMAGE_PATCHES, 0, 1720, 1536 * 1720 / 1000},
    area = {IMAGE_AREA, 1568, 750, 1600},
    area_large = {IMAGE_AREA, 2576, 750, 4784},
    grid = {IMAGE_GRID, 384, 258, 8 * 258},
    any_image = {IMAGE_AREA, 2048, 750, 2000};

static const struct count_family families[] = {
    {"", 1200, 1800, &unknown, &any_image},
    {"gpt-", 1000, 1020, &openai, &tiles},
    {"chatgpt-", 1000, 1020, &openai, &tiles},
    {"davinci", 1000, 1020, &openai_old, &tiles},
    {"text-embedding-", 1000, 1020, &openai_old, &tiles},
    {"gpt-3.5", 1000, 1020, &openai_old, &tiles},
    {"gpt-35", 1000, 1020, &openai_old, &tiles},
    {"gpt-4", 1000, 1020, &openai_old, &tiles},
    {"gpt-4o", 1000, 1020, &openai, &tiles},
    {"gpt-4o-mini", 1000, 1020, &openai, &tiles_mini},
    {"gpt-4.1", 1000, 1020, &openai, &tiles},
    {"gpt-4.1-mini", 1000, 1020, &openai, &patches_41_mini},
    {"gpt-4.1-nano", 1000, 1020, &openai, &patches_nano},
    {"gpt-4.5", 1000, 1020, &openai, &tiles},
    {"gpt-5", 1000, 1020, &openai, &tiles_5},
    {"gpt-5-mini", 1000, 1020, &openai, &patches_41_mini},
    {"gpt-5-nano", 1000, 1020, &openai, &patches_nano},
    {"o1", 1000, 1020, &openai, &tiles},
    {"o3", 1000, 1020, &openai, &tiles},
    {"o4-mini", 1000, 1020, &openai, &patches_o4_mini},
    {"claude", 1550, 2100, &claude, &area_large},
    {"claude-2", 1250, 1550, &claude_3, &area},
    {"claude-3", 1250, 1550, &claude_3, &area},
    {"claude-instant", 1250, 1550, &claude_3, &area},
    {"claude-haiku-4", 1250, 1550, &claude, &area},
    {"claude-sonnet-4", 1250, 1550, &claude, &area},
    {"claude-opus-4", 1250, 1550, &claude, &area},
    {"claude-opus-4-7", 1550, 2100, &claude, &area_large},
    {"claude-opus-4-8", 1550, 2100, &claude, &area_large},
    {"claude-opus-4-9", 1550, 2100, &claude, &area_large},
    {"gemini", 1080, 1350, &gemini, &grid},
    {"grok", 1100, 1500, &grok, &any_image},
    {"deepseek", 1050, 1400, &deepseek, &any_image},
    {"mistral", 1150, 1600, &mistral, &any_image},
};
/* clang-format on */

/* "o1" and "o3" are part of other names (pro1, demo3), so a name is found at a word's start. */
static bool holds(const char *model, const char *name)
{
    for (const char *at = strstr(model, name); at; at = strstr(at + 1, name))
        if (at == model || strchr("/.:-_", at[-1]))
            return true;
    return false;
}

const struct count_family *count_family(const char *model)
{
    const struct count_family *best = &families[0];
    for (size_t i = 1; i < sizeof(families) / sizeof(families[0]); i++)
        if (strlen(families[i].name) > strlen(best->name) && holds(model, families[i].name))
            best = &families[i];
    return best;
}

uint32_t count_family_index(const struct count_family *f)
{
    return (uint32_t)(f - families);
}

/* ---- images */

static double shrink(double edge, double limit)
{
    return edge > limit ? limit / edge : 1;
}

static int64_t cells(double width, double height, double edge)
{
    return (int64_t)(ceil(width / edge) * ceil(height / edge));
}

static int64_t tile_tokens(const struct count_image_rule *rule, double w, double h)
{
    double fit = shrink(fmax(w, h), 2048);
    fit *= shrink(fmin(w, h) * fit, 768);
    return rule->base + rule->unit * cells(w * fit, h * fit, 512);
}

/* Past 1,536 patches the image is scaled so that one edge is whole patches. */
static int64_t patch_tokens(const struct count_image_rule *rule, double w, double h)
{
    int64_t patches = cells(w, h, 32);
    if (patches > 1536) {
        double fit = sqrt(32.0 * 32 * 1536 / (w * h));
        double across = w * fit / 32, down = h * fit / 32;
        double whole = fmin(floor(across) / across, floor(down) / down);
        if (whole > 0)
            patches = (int64_t)(ceil(across * whole - 1e-9) * ceil(down * whole - 1e-9));
        patches = patches > 1536 ? 1536 : patches;
    }
    return patches * rule->unit / 1000;
}

int64_t count_image(const struct count_image_rule *rule, const struct image_size *size,
                    bool low_detail)
{
    if (low_detail && rule->kind == IMAGE_TILES)
        return rule->base;
    if (!size)
        return rule->most;
    double w = size->width, h = size->height;
    double fit = shrink(fmax(w, h), rule->base);
    int64_t tokens = 0;
    switch (rule->kind) {
    case IMAGE_TILES:
        tokens = tile_tokens(rule, w, h);
        break;
    case IMAGE_PATCHES:
        tokens = patch_tokens(rule, w, h);
        break;
    case IMAGE_AREA:
        tokens = (int64_t)ceil(w * fit * h * fit / rule->unit);
        break;
    case IMAGE_GRID:
        tokens = fmax(w, h) <= rule->base ? rule->unit : rule->unit * cells(w, h, 768);
        return tokens;
    }
    return tokens < rule->most ? tokens : rule->most;
}
