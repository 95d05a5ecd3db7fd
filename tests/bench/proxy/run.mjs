// What Sluice adds to a call, beside plain nginx: see ./run --help.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Program, getJson, sleep, until } from '../../support/program.mjs';
import { redis } from '../../support/redis.mjs';

const SECONDS = Number(process.argv[2] ?? 3);
const ROUNDS = Number(process.argv[3] ?? 5);
const CONNECTIONS = [1, 32];
const STREAMS = 1000;
const BODY = JSON.stringify({
    model: 'gpt-4o', max_tokens: 16,
    messages: [{ role: 'system', content: 'You are an agent.' },
        { role: 'user', content: 'Say what a proxy adds to a call. '.repeat(30) }],
});

const nginxConfiguration = (folder, port, upstream) => `
daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid;
error_log ${folder}/nginx.log;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  client_body_buffer_size 64k; keepalive_requests 1000000000;
  upstream provider { server ${upstream}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://provider; proxy_http_version 1.1;
      proxy_set_header Connection ""; }
  }
}
`;

const configuration = (provider, folder) => `listen: 127.0.0.1:0
data_dir: ${folder}/data
providers:
  - name: openai
    format: openai
    base_url: ${provider}/v1
    api_key: sk-of-the-simulator
    models:
      - {name: gpt-4o, rpm: 1000000000, tpm: 10000000000, max_parallel_requests: 100000}
      - {name: scarce, rpm: 1}
log: {level: warn}
`;

async function freePort() {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    return port;
}

async function startNginx(folder, upstream) {
    const port = await freePort();
    const path = join(folder, 'nginx.conf');
    writeFileSync(path, nginxConfiguration(folder, port, upstream));
    const child = spawn('nginx', ['-e', join(folder, 'nginx.log'), '-c', path],
        { stdio: ['ignore', 'ignore', 'inherit'] });
    const url = `http://127.0.0.1:${port}`;
    await until('nginx answers', 5000, () => fetch(`${url}/sim/ledger`).then((r) => r.ok, () => 0));
    return { url, child };
}

const UNITS = { us: 1e-3, ms: 1, s: 1000 };

function milliseconds(text) {
    const [, number, unit] = /^([\d.]+)(us|ms|s)$/.exec(text);
    return Number(number) * UNITS[unit];
}

async function wrk(url, connections, script) {
    const { stdout } = await promisify(execFile)('wrk', ['--latency', '-t1', `-c${connections}`,
        `-d${SECONDS}s`, '-s', script, `${url}/v1/chat/completions`]);
    if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(stdout);
    const quantile = (q) => milliseconds(new RegExp(`${q}%\\s+(\\S+)`).exec(stdout)[1]);
    return { p50: quantile(50), p99: quantile(99),
        rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)[1]) };
}

function median(list) {
    return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
}

// Rounds go from one target to the next, so that what else the machine does falls on all.
async function rounds(targets, script) {
    const results = {};
    for (let round = 0; round < ROUNDS; round++) {
        for (const connections of CONNECTIONS) {
            for (const [name, url] of Object.entries(targets)) {
                const one = await wrk(url, connections, script);
                ((results[connections] ??= {})[name] ??= []).push(one);
            }
        }
    }
    return results;
}

function printRounds(results) {
    console.log(`medians of ${ROUNDS} rounds of ${SECONDS} s; "added" is against the direct call\n`);
    console.log('connections  by      p50 ms  p99 ms  added p50  added p99   requests/s  of nginx');
    for (const [connections, byName] of Object.entries(results)) {
        const value = (name, field) => median(byName[name].map((one) => one[field]));
        for (const name of Object.keys(byName)) {
            const cells = [value(name, 'p50'), value(name, 'p99'),
                value(name, 'p50') - value('direct', 'p50'),
                value(name, 'p99') - value('direct', 'p99')];
            const rate = value(name, 'rate');
            console.log(`${connections.padStart(11)}  ${name.padEnd(6)}` +
                cells.map((x, i) => x.toFixed(3).padStart(i < 2 ? 8 : 11)).join('') +
                rate.toFixed(0).padStart(13) + (rate / value('nginx', 'rate')).toFixed(2).padStart(10));
        }
    }
}

async function commandCounts(socket) {
    const [text] = await redis(socket, ['INFO', 'commandstats']);
    const counts = {};
    for (const [, name, calls] of text.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)) {
        counts[name] = Number(calls);
    }
    return counts;
}

async function redisCalls(url, socket, script, simulator) {
    const calls = async () => (await getJson(`${simulator}/sim/ledger`)).calls;
    const [before, from] = [await commandCounts(socket), await calls()];
    await wrk(url, 32, script);
    const [after, to] = [await commandCounts(socket), await calls()];
    const per = Object.keys(after).map((name) => [name, (after[name] - (before[name] ?? 0)) / (to - from)])
        .filter(([, n]) => n >= 0.005).sort((a, b) => b[1] - a[1]);
    const scripts = per.find(([name]) => name === 'evalsha')?.[1] ?? 0;
    console.log(`\nRedis calls per request: ${scripts.toFixed(2)} scripts; commands, those inside ` +
        `the scripts counted: ${per.map(([name, n]) => `${name} ${n.toFixed(2)}`).join(', ')}`);
}

function rssMib(pid) {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
}

// Streams that wait for a budget of one request a minute; each has had its first bytes.
async function waitingStreams(url) {
    const agent = new Agent({ maxSockets: Infinity });
    const body = JSON.stringify({ ...JSON.parse(BODY), model: 'scarce', stream: true });
    const requests = [];
    for (let i = 0; i < STREAMS; i++) {
        const one = request(`${url}/v1/chat/completions`, { method: 'POST', agent,
            headers: { 'content-type': 'application/json' } });
        one.on('error', () => {});
        one.end(body);
        requests.push(one);
        if (i % 50 === 49) await sleep(20);
    }
    return requests;
}

function queued(stats) {
    return stats.pools.reduce((sum, pool) => sum +
        Object.values(pool.queue).reduce((depth, one) => depth + one.depth, 0), 0);
}

async function memory(service, socket) {
    const [text] = await redis(socket, ['INFO', 'server']);
    const store = Number(/process_id:(\d+)/.exec(text)[1]);
    const idle = [rssMib(service.pid), rssMib(store)];
    const requests = await waitingStreams(service.url);
    await until(`${STREAMS} streams wait`, 20000,
        async () => queued(await getJson(`${service.url}/v1/stats`)) >= STREAMS - 2, 100);
    await sleep(500);
    const busy = [rssMib(service.pid), rssMib(store)];
    requests.forEach((one) => one.destroy());
    console.log(`RSS, MiB: ${idle[0].toFixed(1)} idle, ${busy[0].toFixed(1)} with ${STREAMS} waiting ` +
        `streams (${((busy[0] - idle[0]) * 1024 / STREAMS).toFixed(1)} KiB each); ` +
        `its Redis ${idle[1].toFixed(1)} and ${busy[1].toFixed(1)}`);
}

async function main() {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-proxy-'));
    const programs = [];
    let nginx;
    try {
        const simulator = await Program.start(['simulate', '--listen', '127.0.0.1:0',
            '--output-tokens', '10'], join(folder, 'sim.log'));
        programs.unshift(simulator);
        nginx = await startNginx(folder, new URL(simulator.url).host);
        writeFileSync(join(folder, 'sluice.yaml'), configuration(simulator.url, folder));
        const service = await Program.start(['serve', '--config', join(folder, 'sluice.yaml')],
            join(folder, 'serve.log'));
        programs.unshift(service);
        const script = join(folder, 'call.lua');
        writeFileSync(script, `wrk.method = "POST"\nwrk.body = [==[${BODY}]==]\n` +
            'wrk.headers["Content-Type"] = "application/json"\n');
        const socket = join(folder, 'data', 'redis.sock');

        await memory(service, socket);
        printRounds(await rounds(
            { direct: simulator.url, nginx: nginx.url, sluice: service.url }, script));
        await redisCalls(service.url, socket, script, simulator.url);
    } finally {
        if (nginx) nginx.child.kill();
        for (const program of programs) await program.end();
        rmSync(folder, { recursive: true, force: true });
    }
}

await main();
