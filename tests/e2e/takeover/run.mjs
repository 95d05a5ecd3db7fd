// Instances that die or sleep while they run a job, with real signals: see ./run --help.
import assert from 'node:assert/strict';
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program, getJson, sleep, until } from '../../support/program.mjs';
import { redis } from '../../support/redis.mjs';
import { RedisServer } from '../../support/redis_server.mjs';

const LEASE_MS = 3000;
const MOST_MS = LEASE_MS + 5000; // the promise
const JOB_MS = 10000; // of the provider: longer than a lease, so that it is still under way
const WAIT_MS = 60000;
const POOL = 'sluice:{openai:default:gpt-4o}:';

const folder = mkdtempSync(join(tmpdir(), 'sluice-takeover-'));
const programs = [];
let server, simulator;

const ONE_KEY = { api_key: 'sk-of-the-simulator' };
const TWO_KEYS = { keys: [{ name: 'a', api_key: 'sk-a' }, { name: 'b', api_key: 'sk-b' }] };

async function startInstance(name, keys = ONE_KEY) {
    const file = join(folder, `${name}.yaml`);
    mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(file, JSON.stringify({
        listen: '127.0.0.1:0', data_dir: join(folder, name), redis: { url: server.url },
        queue: { lease_ms: LEASE_MS }, log: { format: 'text' },
        providers: [{
            name: 'openai', format: 'openai', base_url: `${simulator.url}/v1`, ...keys,
            models: [{ name: 'gpt-4o', rpm: 6000, tpd: 10000000 }],
        }],
    }));
    const program = await Program.start(['serve', '--config', file], join(folder, `${name}.log`));
    programs.push(program);
    await until('the instance is ready', WAIT_MS, async () =>
        (await fetch(`${program.url}/readyz`).catch(() => null))?.ok);
    return program;
}

async function submit(program) {
    const answer = await fetch(`${program.url}/v1/jobs`, {
        method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
            endpoint: '/v1/chat/completions',
            body: {
                model: 'gpt-4o', max_tokens: 100,
                messages: [{ role: 'user', content: `[[sim latency_ms=${JOB_MS}]] Hello` }],
            },
        }),
    });
    assert.equal(answer.status, 202);
    return (await answer.json()).id;
}

const begun = async () => (await getJson(`${simulator.url}/sim/ledger`)).calls;

async function begin(program) {
    const before = await begun();
    const id = await submit(program);
    await until('the provider has the job', WAIT_MS, async () => await begun() > before);
    return { id, before: before + 1 };
}

async function takenOver(job, since) {
    await until('the job is taken over', WAIT_MS, async () => await begun() > job.before);
    const ms = Date.now() - since;
    console.log(`taken over after ${ms} ms; the lease is ${LEASE_MS} ms`);
    assert.ok(ms <= MOST_MS, `${ms} ms`);
}

async function ended(program, id) {
    return until('the job ends', WAIT_MS, async () => {
        const job = await getJson(`${program.url}/v1/jobs/${id}`);
        return job.status === 'succeeded' && job;
    });
}

// What stands in Redis of a job, and of the day's tokens, which hardly grow meanwhile.
async function facts(id) {
    const [record, slots, level] = await redis(server.socket, ['HMGET', `${POOL}j:${id}`, 'st', 'at', 't2'],
        ['ZCARD', `${POOL}inf`], ['HGET', `${POOL}b`, 'tpd:L']);
    return { record, slots, tokens: Math.round(Number(level) / 86400000) };
}

async function killedBesideAnother() {
    console.log('one of two is killed');
    const first = await startInstance('first');
    const job = await begin(first); // the only one: it runs it
    const second = await startInstance('second');
    await first.end('SIGKILL');
    await takenOver(job, Date.now());
    await ended(second, job.id);
    await second.end();
}

async function killedAlone() {
    console.log('the only one is killed and started again');
    const first = await startInstance('alone');
    const job = await begin(first);
    const since = Date.now();
    await first.end('SIGKILL');
    const again = await startInstance('alone');
    await takenOver(job, since);
    await ended(again, job.id);
    await again.end();
}

// Its key is refused, so it runs with another; there it dies with its instance, and begins again.
async function killedWhileItsJobRunsElsewhere() {
    console.log('the only one is killed while its job runs on another key than its own');
    const first = await startInstance('visitor', TWO_KEYS);
    const before = await begun();
    await fetch(`${simulator.url}/sim/script`,
        { method: 'POST', body: JSON.stringify({ responses: [{ status: 401, body: {} }] }) });
    const id = await submit(first);
    await until('the other key has the job', WAIT_MS, async () => await begun() === before + 2);
    const since = Date.now();
    await first.end('SIGKILL');
    const again = await startInstance('visitor', TWO_KEYS);
    await takenOver({ before: before + 2 }, since);
    const job = await ended(again, id);
    assert.deepEqual(job.explain.failed_attempts, [], 'of an attempt that died nothing is known');
    await until('no slot is taken', WAIT_MS, async () => (await redis(server.socket,
        ['ZCARD', 'sluice:{openai:a:gpt-4o}:inf'], ['ZCARD', 'sluice:{openai:b:gpt-4o}:inf']))
        .every((slots) => slots === 0));
    assert.equal(await begun(), before + 3);
    await again.end();
}

async function sleepsPastItsLease() {
    console.log('one of two sleeps past its lease and wakes up');
    const first = await startInstance('sleeper');
    const job = await begin(first);
    const second = await startInstance('watcher');
    first.child.kill('SIGSTOP');
    await takenOver(job, Date.now());
    await ended(second, job.id);
    const before = await facts(job.id);
    assert.deepEqual(before.record.slice(0, 2), ['done', '2']);
    first.child.kill('SIGCONT'); // the provider's first answer is in its socket
    await until('it answers again', WAIT_MS, async () =>
        (await getJson(`${first.url}/v1/jobs/${job.id}`)).status === 'succeeded');
    await sleep(2 * LEASE_MS); // whatever it would do, it has done
    const after = await facts(job.id);
    assert.deepEqual(after.record, before.record);
    assert.equal(after.slots, 0);
    assert.ok(Math.abs(after.tokens - before.tokens) < 2000, `${before.tokens} to ${after.tokens}`);
    assert.equal(await begun(), job.before + 1, 'no third run');
    await first.end();
    await second.end();
}

let good = false;
try {
    server = await RedisServer.start(folder);
    simulator = await Program.start(['simulate', '--listen', '127.0.0.1:0', '--concurrency', '0'],
        join(folder, 'sim.log'));
    await sleep(11000); // a Redis that has just started is given time for its instances to come back
    await killedBesideAnother();
    await killedAlone();
    await killedWhileItsJobRunsElsewhere();
    await sleepsPastItsLease();
    good = true;
} finally {
    for (const program of programs) {
        program.child.kill('SIGCONT');
        await program.end('SIGKILL').catch(() => {});
    }
    await simulator?.end();
    await server?.end();
    if (good) rmSync(folder, { recursive: true, force: true });
    else console.log(`kept: ${folder}`);
}
