// What a kept answer costs, in memory and in Redis, beside a call: see ./run --help.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Program, getJson, until } from '../../support/program.mjs';
import { RedisServer } from '../../support/redis_server.mjs';

const SECONDS = Number(process.argv[2] ?? 2);
const ROUNDS = Number(process.argv[3] ?? 3);
const CONNECTIONS = 32;
const BODIES = 256; // that differ, so that few are on their way twice
const CHAT = '/v1/chat/completions';
const TEXT = 'Say what a kept answer costs. '.repeat(30);

const configuration = (provider, folder, redis, cache) => JSON.stringify({
    listen: '127.0.0.1:0', data_dir: folder, redis: { url: redis }, log: { level: 'warn' },
    cache: { enabled: true, ...cache },
    providers: [{
        name: 'openai', format: 'openai', base_url: `${provider}/v1`, api_key: 'sk-of-the-simulator',
        models: [{ name: 'gpt-4o', rpm: 1e9, tpm: 1e10, max_parallel_requests: 100000 }],
    }],
});

const body = (number, stream) => JSON.stringify({
    model: 'gpt-4o', max_tokens: 16, temperature: 0, seed: number, stream,
    messages: [{ role: 'user', content: TEXT }],
});

const script = (stream, headers) => `
local bodies, at = {}, 0
for i = 1, ${BODIES} do bodies[i] = ([==[${body(777777, stream)}]==]):gsub("777777", i) end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
${headers}
request = function()
  at = at % ${BODIES} + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
`;

const UNITS = { us: 1e-3, ms: 1, s: 1000 };

function milliseconds(text) {
    const [, number, unit] = /^([\d.]+)(us|ms|s)$/.exec(text);
    return Number(number) * UNITS[unit];
}

async function wrk(url, file) {
    const { stdout } = await promisify(execFile)('wrk', ['--latency', '-t1', `-c${CONNECTIONS}`,
        `-d${SECONDS}s`, '-s', file, `${url}${CHAT}`]);
    if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(stdout);
    const quantile = (q) => milliseconds(new RegExp(`^ +${q}% +(\\S+)`, 'm').exec(stdout)[1]);
    return { p50: quantile(50), p99: quantile(99),
        rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)[1]) };
}

async function fill(url, stream) {
    for (let i = 1; i <= BODIES; i++) {
        const answer = await fetch(`${url}${CHAT}`, {
            method: 'POST', body: body(i, stream), headers: { 'content-type': 'application/json' } });
        if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
        await answer.text();
    }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

async function measure(targets) {
    const results = {};
    for (let round = 0; round < ROUNDS; round++) {
        for (const { name, url, file } of targets) {
            (results[name] ??= []).push(await wrk(url, file));
        }
    }
    console.log(`medians of ${ROUNDS} rounds of ${SECONDS} s, ${CONNECTIONS} connections, ` +
        `${BODIES} requests that differ\n`);
    console.log('answered by              p50 ms  p99 ms   requests/s');
    for (const [name, all] of Object.entries(results)) {
        const value = (field) => median(all.map((one) => one[field]));
        console.log(name.padEnd(23) + value('p50').toFixed(3).padStart(8) +
            value('p99').toFixed(3).padStart(8) + value('rate').toFixed(0).padStart(13));
    }
}

async function main() {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-cache-'));
    const programs = [];
    let redis;
    try {
        const started = async (args, log) => {
            const one = await Program.start(args, join(folder, log));
            programs.unshift(one);
            return one;
        };
        const simulator = await started(['simulate', '--listen', '127.0.0.1:0',
            '--output-tokens', '10'], 'sim.log');
        redis = await RedisServer.start(folder);
        const serve = async (name, cache) => {
            const path = join(folder, `${name}.yaml`);
            writeFileSync(path, configuration(simulator.url, folder, redis.url, cache));
            const one = await started(['serve', '--config', path], `${name}.log`);
            await until(`${name} is ready`, 10000, async () => (await fetch(`${one.url}/readyz`)).ok);
            return one;
        };
        const inMemory = await serve('memory', {});
        const inRedis = await serve('redis', { memory_bytes: 0, redis: true });
        const targets = [];
        for (const stream of [false, true]) {
            const kind = stream ? ', streamed' : '';
            const file = (name, headers) => {
                const path = join(folder, `${name}${stream}.lua`);
                writeFileSync(path, script(stream, headers));
                return path;
            };
            await fill(inMemory.url, stream);
            await fill(inRedis.url, stream);
            targets.push({ name: `memory${kind}`, url: inMemory.url, file: file('hit', '') });
            targets.push({ name: `Redis${kind}`, url: inRedis.url, file: file('hit', '') });
            targets.push({ name: `the provider${kind}`, url: inMemory.url,
                file: file('off', 'wrk.headers["x-sluice-cache"] = "off"') });
        }
        await measure(targets);
        for (const [name, one] of [['memory', inMemory], ['redis', inRedis]]) {
            console.log(`${name}: ${JSON.stringify((await getJson(`${one.url}/v1/stats`)).cache)}`);
        }
    } finally {
        for (const one of programs) await one.end();
        await redis?.end();
        rmSync(folder, { recursive: true, force: true });
    }
}

await main();
