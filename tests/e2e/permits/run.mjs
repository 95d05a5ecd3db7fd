// Permits from outside, with the clients of deploy/clients: see ./run --help.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '../../../deploy/clients/sluice_client.mjs';
import { Program, getJson, sleep, until } from '../../support/program.mjs';
import { RedisServer } from '../../support/redis_server.mjs';

const TPM = 30000;
const RPM = 600;
const SLOTS = 6;
const SECONDS = 12;
const REAP_MS = 20000; // a lease's end, and the next look for such

function configuration(provider, redis) {
    return JSON.stringify({
        listen: '127.0.0.1:0', redis: { url: redis },
        auth: { keys: [], trust_tenant_header: true },
        providers: [{
            name: 'openai', format: 'openai', base_url: `${provider}/v1`, api_key: 'k',
            models: [{ name: 'gpt-4o', rpm: RPM, tpm: TPM, max_parallel_requests: SLOTS }],
        }],
    });
}

class Rig {
    static async start() {
        const rig = new Rig();
        rig.folder = mkdtempSync(join(tmpdir(), 'sluice-permits-'));
        rig.instances = [];
        rig.children = [];
        rig.simulator = await Program.start(['simulate', '--listen', '127.0.0.1:0', '--tpm', String(TPM),
            '--rpm', String(RPM), '--concurrency', String(SLOTS), '--latency-ms', '100'],
        join(rig.folder, 'sim.log'));
        rig.redis = await RedisServer.start(rig.folder);
        for (let i = 0; i < 2; i++) await rig.addInstance(i);
        return rig;
    }

    async addInstance(number) {
        const config = join(this.folder, 'sluice.yaml');
        writeFileSync(config, configuration(this.simulator.url, this.redis.url));
        const one = await Program.start(['serve', '--config', config],
            join(this.folder, `serve${number}.log`));
        this.instances.push(one);
        await until('an instance is ready', 20000, async () =>
            (await fetch(`${one.url}/readyz`).catch(() => null))?.ok);
    }

    // A worker's process; its first line, parsed, comes with lines().
    worker(program, sluice, seconds) {
        const script = program === 'python3' ? 'worker.py' : 'worker.mjs';
        const child = spawn(program, [script, sluice, this.simulator.url, String(seconds)],
            { stdio: ['ignore', 'pipe', 'inherit'] });
        this.children.push(child);
        const line = new Promise((resolve, reject) => {
            createInterface({ input: child.stdout }).once('line', (text) => resolve(JSON.parse(text)));
            child.once('exit', (code, signal) => reject(new Error(`${script} ended with ${signal ?? code}`)));
        });
        return { child, line };
    }

    async pool() {
        const live = this.instances.find((one) => one.alive());
        return (await getJson(`${live.url}/v1/stats`)).pools[0];
    }

    async stop() {
        for (const child of this.children) {
            if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
        }
        for (const one of [...this.instances, this.simulator]) await one?.end();
        await this.redis?.end();
        rmSync(this.folder, { recursive: true, force: true });
    }
}

async function proxied(base, end, seen) {
    while (Date.now() < end) {
        const answer = await fetch(`${base}/v1/chat/completions`, {
            method: 'POST', headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ model: 'gpt-4o', max_tokens: 60, priority: 0,
                messages: [{ role: 'user', content: '[[sim output=20]] some words' }] }),
        });
        seen[answer.status === 200 ? 'answered' : 'failed']++;
        await answer.text();
    }
}

async function sharing(rig) {
    const [a, b] = rig.instances.map((one) => one.url);
    const workers = [['python3', a], ['python3', b], ['node', a], ['node', b]]
        .map(([program, base]) => rig.worker(program, base, SECONDS).line);
    const calls = { answered: 0, failed: 0 };
    await Promise.all([a, b].map((base) => proxied(base, Date.now() + SECONDS * 1000, calls)));
    const seen = await Promise.all(workers);
    const ledger = await getJson(`${rig.simulator.url}/sim/ledger`);
    const used = ledger.scopes.find((one) => one.limits.tpm).limits.tpm;
    console.log(`workers ${seen.map((one) => one.answered)}, calls ${calls.answered}; provider: ` +
        `${ledger.calls} calls, ${ledger.refused.total} refused, ${used.charged} of ${used.offered} tokens`);
    assert.deepEqual(seen.flatMap((one) => one.errors), []);
    assert.equal(calls.failed, 0);
    assert.ok(seen.every((one) => one.answered > 0), 'every worker got its share');
    assert.equal(ledger.refused.total, 0, 'the provider refuses nothing');
    assert.equal(ledger.calls, calls.answered + seen.reduce((sum, one) => sum + one.answered, 0));
}

async function idle(rig) {
    await until('nothing runs', REAP_MS, async () => (await rig.pool()).in_flight === 0, 100);
}

// The slot of a killed worker comes back when its permit ends, and the tokens do not.
async function killedWorker(rig) {
    const client = new Client(rig.instances[1].url);
    await idle(rig);
    const { child, line } = rig.worker('python3', rig.instances[0].url, 'hold');
    const permit = await line;
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal((await rig.pool()).in_flight, 1);
    const before = (await rig.pool()).limits.tpm.remaining;
    await until('the slot is back', REAP_MS, async () => (await rig.pool()).in_flight === 0, 50);
    const look = await client.call('GET', `/v1/permits/${permit.id}`);
    assert.equal(look.status, 'expired');
    const gained = (await rig.pool()).limits.tpm.remaining - before;
    assert.ok(gained <= (Date.now() / 1000 - permit.created_at + 1) * TPM / 60,
        `${gained} tokens came back: no more than what was refilled`);
    await assert.rejects(client.call('POST', `/v1/permits/${permit.id}/settle`,
        { usage: { input_tokens: 1, output_tokens: 1 } }),
    (error) => error.status === 409 && error.code === 'permit_expired');
}

// A permit of an instance that is dead is renewed and settled by another one.
async function killedInstance(rig) {
    const [first, second] = rig.instances;
    const client = new Client(second.url);
    const permits = [];
    for (let i = 0; i < 2; i++) {
        permits.push(await new Client(first.url).permit(
            { model: 'gpt-4o', input_tokens: 100, max_output_tokens: 100, wait_ms: 20000 }));
    }
    await first.end('SIGKILL');
    await sleep(1000);
    const [one, two] = permits.map((permit) => `/v1/permits/${permit.id}`);
    assert.equal((await client.call('POST', `${one}/renew`, {})).status, 'granted');
    const settled = await client.call('POST', `${one}/settle`, { usage: { input_tokens: 90, output_tokens: 50 } });
    assert.equal(settled.status, 'settled');
    assert.equal(settled.settlement.usage.output_tokens, 50);
    assert.equal((await client.call('DELETE', two)).status, 'released');
    await idle(rig);
}

// Who leaves while it waits leaves the queue.
async function leaves(rig) {
    const client = new Client(rig.instances[1].url);
    const ask = { model: 'gpt-4o', input_tokens: 8000, max_output_tokens: 1, wait_ms: 60000 };
    const { remaining } = (await rig.pool()).limits.tpm;
    const most = await client.permit({ ...ask, input_tokens: Math.max(remaining - 3000, 1000) });
    const gone = new AbortController();
    const asked = client.permit(ask, { signal: gone.signal });
    await until('it waits', 10000, async () => (await rig.pool()).queue.normal.depth === 1);
    gone.abort();
    await assert.rejects(asked);
    await until('it left the queue', 10000, async () => (await rig.pool()).queue.normal.depth === 0);
    await assert.rejects(client.permit({ ...ask, wait_ms: 300 }),
        (error) => error.status === 429 && error.code === 'permit_timeout' && error.retryAfterMs > 0);
    await most.release();
}

const rig = await Rig.start();
try {
    await sharing(rig);
    await killedWorker(rig);
    await killedInstance(rig);
    await leaves(rig);
} finally {
    await rig.stop();
}
