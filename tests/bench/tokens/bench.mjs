// Speed of the tokenizer beside tiktoken's WebAssembly build, in one run on one core (the
// script `run` pins it). Arguments: the program bench_tokens, and the project's folder.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tiktoken } from 'tiktoken/lite';

const require = createRequire(import.meta.url);
const [program, source] = process.argv.slice(2);
const CHUNK = 16384;
const PASSES = 5;
const SKIPPED = new Set(['.git', 'build']);

function* walk(folder) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (SKIPPED.has(entry.name)) continue;
        const path = join(folder, entry.name);
        if (entry.isDirectory()) yield* walk(path);
        else if (entry.isFile()) yield path;
    }
}

// Files of some kinds, up to most bytes in all.
function take(folders, kinds, most) {
    let text = '';
    for (const folder of folders) {
        for (const path of walk(folder)) {
            if (text.length >= most) return text.slice(0, most);
            if (!kinds.test(path) || statSync(path).size > 300000) continue;
            text += readFileSync(path, 'utf8');
        }
    }
    return text;
}

// Prose, code and JSON as agents send them, 45 : 35 : 20.
function corpus() {
    const npm = join(execFileSync('npm', ['root', '-g'], { stdio: ['ignore', 'pipe', 'ignore'] })
        .toString().trim(), 'npm');
    const prose = take([npm, source], /\.md$/, 3200000);
    const code = take([source, npm, '/usr/include'], /\.([ch]|m?js)$/, prose.length * 35 / 45);
    const parts = code.match(/[^]{1,700}/g).slice(0, prose.length * 20 / 45 / 800);
    const results = parts.map((text, i) =>
        ({ role: 'tool', tool_call_id: `call_${i}`, content: JSON.stringify({ id: i, text }) }));
    const json = JSON.stringify({ model: 'gpt-4o', messages: results });
    return { prose, code, json };
}

function chunks(text) {
    const list = [];
    for (let at = 0; at < text.length; at += CHUNK) list.push(text.slice(at, at + CHUNK));
    return list;
}

function timed(tiktoken, texts) {
    const start = process.hrtime.bigint();
    let tokens = 0;
    for (const text of texts) tokens += tiktoken.encode_ordinary(text).length;
    return { us: Number(process.hrtime.bigint() - start) / 1000, tokens };
}

function tiktokenSpeed(encoding, text) {
    const { bpe_ranks, pat_str } = require(`tiktoken/encoders/${encoding}.json`);
    const tiktoken = new Tiktoken(bpe_ranks, {}, pat_str);
    const bytes = Buffer.byteLength(text);
    const list = chunks(text);
    const speeds = [0, 1].map(() => bytes / timed(tiktoken, list).us);
    tiktoken.free();
    return Math.max(...speeds);
}

function ours(encoding, path) {
    return JSON.parse(execFileSync(program, [encoding, path, String(CHUNK), String(PASSES)]));
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
try {
    const parts = corpus();
    const sets = { mix: parts.prose + parts.code + parts.json, ...parts };
    console.log('MB/s, one core, 16 kB texts   bytes    tiktoken   sluice: first pass' +
        '   best   ratio');
    for (const encoding of ['o200k_base', 'cl100k_base']) {
        let result;
        for (const [name, text] of Object.entries(sets)) {
            const path = join(folder, name);
            writeFileSync(path, text);
            const theirs = tiktokenSpeed(encoding, text);
            result = ours(encoding, path);
            const best = Math.max(...result.passes);
            console.log([
                encoding.padEnd(12), name.padEnd(8), String(result.bytes).padStart(14),
                theirs.toFixed(2).padStart(11), result.passes[0].toFixed(1).padStart(20),
                best.toFixed(1).padStart(6),
                ` ${(result.passes[0] / theirs).toFixed(1)} to ${(best / theirs).toFixed(1)}`,
            ].join(' '));
        }
        console.log(`${encoding}: loaded in ${result.load_ms} ms, ${result.load_rss_mb} MB`);
        for (const name of ['one_letter', 'two_letters', 'letters', 'spaces', 'marks']) {
            console.log(`${encoding}: 1 MB piece, ${name}: ${result[name].mb_per_s} MB/s`);
        }
    }
} finally {
    rmSync(folder, { recursive: true });
}
