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
const ROUNDS = 3;
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
    for (const text of texts) tiktoken.encode_ordinary(text);
    return Number(process.hrtime.bigint() - start) / 1000;
}

// Both in turns, the best of each: other programs on the machine disturb both alike. Our first
// pass is that of a new process, with an empty cache.
function compare(encoding, text, path) {
    const { bpe_ranks, pat_str } = require(`tiktoken/encoders/${encoding}.json`);
    const tiktoken = new Tiktoken(bpe_ranks, {}, pat_str);
    const list = chunks(text);
    const best = { theirs: 0, first: 0, warm: 0, load: Infinity };
    let result;
    for (let round = 0; round < ROUNDS; round++) {
        result = JSON.parse(execFileSync(program, [encoding, path, String(CHUNK), String(PASSES)]));
        best.load = Math.min(best.load, result.load_ms);
        best.first = Math.max(best.first, result.passes[0]);
        best.warm = Math.max(best.warm, ...result.passes);
        best.theirs = Math.max(best.theirs, result.bytes / timed(tiktoken, list));
    }
    tiktoken.free();
    return { ...best, result };
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
try {
    const parts = corpus();
    const sets = { mix: parts.prose + parts.code + parts.json, ...parts };
    console.log('MB/s, one core, 16 kB texts   bytes    tiktoken   sluice: first pass' +
        '   best   ratio');
    for (const encoding of ['o200k_base', 'cl100k_base']) {
        let result;
        let load = Infinity;
        for (const [name, text] of Object.entries(sets)) {
            const path = join(folder, name);
            writeFileSync(path, text);
            const { theirs, first, warm, ...rest } = compare(encoding, text, path);
            result = rest.result;
            load = Math.min(load, rest.load);
            console.log([
                encoding.padEnd(12), name.padEnd(8), String(result.bytes).padStart(14),
                theirs.toFixed(2).padStart(11), first.toFixed(1).padStart(20),
                warm.toFixed(1).padStart(6),
                ` ${(first / theirs).toFixed(1)} to ${(warm / theirs).toFixed(1)}`,
            ].join(' '));
        }
        console.log(`${encoding}: loaded in ${load} ms, ${result.load_rss_mb} MB`);
        for (const name of ['one_letter', 'two_letters', 'letters', 'spaces', 'marks']) {
            console.log(`${encoding}: 1 MB piece, ${name}: ${result[name].mb_per_s} MB/s`);
        }
    }
} finally {
    rmSync(folder, { recursive: true });
}
