// Compares `sluice tokens` with tiktoken's own code (npm tiktoken, the WebAssembly build) on
// more than 12,000 documents in every encoding: counts, and the text of the first tokens.
//
//   SLUICE_BINARY  the program        SLUICE_SOURCE  the project's folder
//   TEST_SEED      of the documents; printed, random when absent
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tiktoken } from 'tiktoken/lite';
import { all } from './documents.mjs';
import { Random } from './random.mjs';

const require = createRequire(import.meta.url);
const binary = process.env.SLUICE_BINARY;
const source = process.env.SLUICE_SOURCE;
if (!binary || !source) throw new Error('SLUICE_BINARY and SLUICE_SOURCE must be set');

const ENCODINGS = {
    o200k_base: 'o200k_base',
    o200k_harmony: 'o200k_base',
    cl100k_base: 'cl100k_base',
    p50k_base: 'p50k_base',
    r50k_base: 'r50k_base',
};
// tiktoken's own spelling of cl100k_base since 0.8; the package has the older one.
const NEW_CL100K = "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" +
    '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s';
const FILES_A_CALL = 1000;
const PREFIXES = 200;

function oracle(encoding, pattern) {
    const { bpe_ranks, pat_str } = require(`tiktoken/encoders/${ENCODINGS[encoding]}.json`);
    return new Tiktoken(bpe_ranks, {}, pattern ?? pat_str);
}

function sluice(args, options = {}) {
    return execFileSync(binary, ['tokens', ...args], { maxBuffer: 1 << 28, ...options });
}

function countAll(encoding, documents) {
    const counts = [];
    for (let i = 0; i < documents.length; i += FILES_A_CALL) {
        const paths = documents.slice(i, i + FILES_A_CALL).map((document) => document.path);
        const answer = JSON.parse(sluice(['--json', '--encoding', encoding, ...paths]));
        if (answer.encoding !== encoding) throw new Error(`encoding is ${answer.encoding}`);
        counts.push(...answer.files.map((file) => file.tokens));
    }
    return counts;
}

let failures = 0;
function fail(text) {
    failures++;
    if (failures <= 20) console.log(`  ${text}`);
}

function compareCounts(encoding, documents, label, pattern) {
    const tiktoken = oracle(encoding, pattern);
    const counts = countAll(encoding, documents);
    const before = failures;
    let tokens = 0;
    documents.forEach((document, i) => {
        const expected = tiktoken.encode_ordinary(document.text).length;
        tokens += expected;
        if (counts[i] !== expected) {
            fail(`${document.name}: ${counts[i]}, tiktoken ${expected}: ` +
                JSON.stringify(document.text.slice(0, 200)));
        }
    });
    tiktoken.free();
    console.log(`${label}: ${documents.length} documents, ${tokens} tokens, ` +
        `${failures - before} differences`);
}

// The first n tokens, where they end with a whole character and stay n tokens when they are
// all the text; else the cut is elsewhere, and only its promise is checked.
function comparePrefixes(encoding, documents, random) {
    const valid = documents.filter((document) => document.valid);
    const tiktoken = oracle(encoding);
    let same = 0;
    const before = failures;
    for (let i = 0; i < PREFIXES; i++) {
        const document = random.pick(valid);
        const ids = tiktoken.encode_ordinary(document.text);
        const n = random.below(ids.length + 2);
        const expected = Buffer.from(tiktoken.decode(ids.slice(0, n)));
        const got = sluice(['--first', String(n), '--encoding', encoding, document.path]);
        const kept = tiktoken.encode_ordinary(got.toString()).length;
        if (kept > n || !document.bytes.subarray(0, got.length).equals(got)) {
            fail(`${document.name}: the first ${n} tokens: ${JSON.stringify(got.toString())}`);
        }
        const whole = expected.equals(Buffer.from(expected.toString()));
        if (whole && tiktoken.encode_ordinary(expected.toString()).length <= n) {
            same++;
            if (!got.equals(expected)) {
                fail(`${document.name}: the first ${n} tokens: ${JSON.stringify(got.toString())}` +
                    `, tiktoken ${JSON.stringify(expected.toString())}`);
            }
        }
    }
    tiktoken.free();
    console.log(`${encoding}: ${PREFIXES} prefixes, ${same} on a token's end, ` +
        `${failures - before} differences`);
}

function compareModels() {
    const known = JSON.parse(readFileSync(require.resolve('tiktoken/model_to_encoding.json')));
    const twins = { gpt2: 'r50k_base', p50k_edit: 'p50k_base' };
    let models = 0;
    for (const [model, encoding] of Object.entries(known)) {
        const answer = JSON.parse(sluice(['--json', '--model', model], { input: 'x' }));
        const expected = twins[encoding] ?? encoding;
        if (answer.encoding !== expected) {
            fail(`model ${model}: ${answer.encoding}, tiktoken ${expected}`);
        }
        models++;
    }
    console.log(`${models} models`);
}

const seed = Number(process.env.TEST_SEED ?? Date.now() % 1000000007);
console.log(`TEST_SEED=${seed}`);
const random = new Random(seed);
const folder = mkdtempSync(join(tmpdir(), 'sluice-tokens-'));
try {
    const documents = all(random, source);
    documents.forEach((document, i) => {
        document.path = join(folder, String(i));
        document.valid = document.bytes.equals(Buffer.from(document.text));
        writeFileSync(document.path, document.bytes);
    });
    if (documents.length < 12000) throw new Error(`only ${documents.length} documents`);
    for (const encoding of Object.keys(ENCODINGS)) compareCounts(encoding, documents, encoding);
    compareCounts('cl100k_base', documents, 'cl100k_base, new expression', NEW_CL100K);
    for (const encoding of ['o200k_base', 'cl100k_base', 'r50k_base']) {
        comparePrefixes(encoding, documents, random);
    }
    compareModels();
} finally {
    rmSync(folder, { recursive: true });
}
console.log(failures === 0 ? 'no differences' : `${failures} differences`);
process.exit(failures === 0 ? 0 : 1);
