// Documents for the comparison: each is {name, bytes, text}, where text is what tiktoken is
// given and bytes what the file holds. They differ only where the bytes are no valid UTF-8.
import { readFileSync, readdirSync } from 'node:fs';
import { extname, join } from 'node:path';

const SURROGATE = /\xed[\xa0-\xbf][\x80-\xbf]/g;

// What a decoder makes of bytes: a surrogate in three bytes is one U+FFFD (common/utf8.h),
// everything else is as the WHATWG decoder has it.
function decode(bytes) {
    const mended = bytes.toString('latin1').replace(SURROGATE, '\xef\xbf\xbd');
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.from(mended, 'latin1'));
}

// UTF-8 that keeps lone surrogates, as a careless program writes it.
function encode(text) {
    const parts = [];
    for (const char of text) {
        const point = char.codePointAt(0);
        if (point >= 0xd800 && point <= 0xdfff) {
            parts.push(Buffer.from([0xed, 0x80 | ((point >> 6) & 63), 0x80 | (point & 63)]));
        } else {
            parts.push(Buffer.from(char));
        }
    }
    return Buffer.concat(parts);
}

function fromText(name, text) {
    return { name, text, bytes: encode(text) };
}

// Characters where tokenizers disagree: kinds of white space and what only looks like it,
// marks, letters of every case, digits that are no ASCII, the long s of contractions,
// newlines and slashes, astral letters and emoji, lone surrogates, noncharacters, NUL.
const ODD = [
    ' ', ' ', '  ', '\n', '\r', '\r\n', '\t', '\v', '\f', '\u0085', '\u00a0', '\u1680', '\u180e',
    '\u2000', '\u200a', '\u200b', '\u2028', '\u2029', '\u202f', '\u205f', '\u3000', '\ufeff',
    '\u0000', '\u001c', '\u007f', 'a', 'b', 'Z', 'Q', 'é', 'É', 'ß', 'ſ', '\u0130', 'K', 'ǅ', 'ʰ',
    'ª', 'º', 'א', 'ع', 'م', 'ก', '中', '文', 'の', 'カ', '한', '\u0301', '\u0308', '\u20dd',
    '\u0903', '\ufe0f', '\u{e0100}', '\u{1d165}', '1', '23', '4567', '٣', '\u0bf0', 'Ⅷ', '½', '²',
    '\u{1d7d8}', "'", "'s", "'S", "'ſ", "'t", "'RE", "'ve", "'Ll", "'d", "'m", '’', "''", '/', '//',
    '!', '?!', '.', ',', '-', '_', '"', '(', '[', '{', '\\', '#', '€', '∑', '\ufffd', '\uffff',
    '\u{10ffff}', '\u{1f600}', '\u{1f468}\u200d\u{1f469}', '\u{20000}', '\u{10400}', '\u{10428}',
    '\ud800', '\udfff', '\udc00\ud800', '<|endoftext|>', '<|im_start|>', '<|fim_prefix|>', 'the',
    ' the', 'The', 'THE', 'iOS', 'HTTPServer', 'don', 'ABCdef',
];

function adversarial(random, count) {
    const documents = [];
    for (let i = 0; i < count; i++) {
        const few = random.below(3) === 0;
        const from = few ? [random.pick(ODD), random.pick(ODD), random.pick(ODD)] : ODD;
        let text = '';
        for (let n = 1 + random.below(40); n > 0; n--) {
            const part = random.pick(from);
            text += random.below(8) === 0 ? part.repeat(1 + random.below(12)) : part;
        }
        documents.push(fromText(`adversarial-${i}`, text));
    }
    return documents;
}

// Any code point at all, in runs of neighbours, so that every class and the gaps between
// assigned ones come up.
function anywhere(random, count) {
    const documents = [];
    for (let i = 0; i < count; i++) {
        let text = '';
        for (let n = 1 + random.below(12); n > 0; n--) {
            const start = random.below(random.below(2) ? 0x3000 : 0x110000);
            for (let k = random.below(12); k >= 0; k--) {
                text += String.fromCodePoint(Math.min(start + k, 0x10ffff));
            }
            text += random.pick(['', '', ' ', "'s", '\n', 'x', 'X']);
        }
        documents.push(fromText(`anywhere-${i}`, text));
    }
    return documents;
}

function anyBytes(random, count) {
    const leads = [0x20, 0x41, 0x61, 0x80, 0xa0, 0xbf, 0xc0, 0xc3, 0xdf, 0xe0, 0xe4, 0xed, 0xef,
        0xf0, 0xf4, 0xf5, 0xff];
    const documents = [];
    for (let i = 0; i < count; i++) {
        const bytes = Buffer.alloc(random.below(60));
        const wild = random.below(2);
        for (let k = 0; k < bytes.length; k++) {
            bytes[k] = wild ? random.below(256) : random.pick(leads);
        }
        documents.push({ name: `bytes-${i}`, bytes, text: decode(bytes) });
    }
    return documents;
}

// Long pieces, which take another way through the merge than short ones.
function long(random) {
    const units = ['a', 'ab', 'A', ' ', '\n', ' \n', '\t', '=', '-=', '中', 'é', '\u0301', '\ud800',
        '\u{1f600}', 'the', 'Aa', '0', '!', 'abcdefg', '\u00a0'];
    const documents = units.flatMap((unit) =>
        [33, 100, 500, 3001].map((n) => fromText(`run-${n}`, unit.repeat(n))));
    for (let i = 0; i < 200; i++) {
        const letters = random.pick(['abcdefghijklmnopqrstuvwxyz', 'etaoin', 'ab', 'ACGT', 'абвгд']);
        let text = '';
        for (let n = 20 + random.below(i < 190 ? 300 : 5000); n > 0; n--) {
            text += random.pick(letters);
        }
        documents.push(fromText(`letters-${i}`, text));
    }
    return documents;
}

const TEXT = new Set(['.c', '.h', '.md', '.mjs', '.js', '.json', '.ts', '.cmake', '.txt', '.lua',
    '.html', '.yaml', '.cjs', '']);
const SKIPPED = new Set(['.git', 'build', 'node_modules']);

function* walk(folder) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (SKIPPED.has(entry.name)) continue;
        const path = join(folder, entry.name);
        if (entry.isDirectory()) yield* walk(path);
        else if (entry.isFile() && TEXT.has(extname(entry.name))) yield path;
    }
}

// Real text: the files of this project, in parts and re-packed as JSON.
function real(folder, most) {
    const documents = [];
    for (const path of walk(folder)) {
        const whole = readFileSync(path);
        if (whole.length > 400000) continue;
        for (let at = 0; at < whole.length && documents.length < most; at += 4096) {
            const bytes = whole.subarray(at, at + 4096);
            documents.push({ name: path, bytes, text: decode(bytes) });
            if (documents.length % 4 === 0) {
                documents.push(fromText(`${path} as JSON`, JSON.stringify({ text: decode(bytes) })));
            }
        }
    }
    return documents;
}

export function all(random, folder) {
    return [
        fromText('empty', ''),
        ...adversarial(random, 9000),
        ...anywhere(random, 2000),
        ...anyBytes(random, 1500),
        ...long(random),
        ...real(folder, 3000),
    ];
}
