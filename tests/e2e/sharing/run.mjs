// Many instances, many workers, one budget: see ./run --help.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program, getJson, sleep, until } from '../../support/program.mjs';
import { Random, seeded } from '../../support/random.mjs';
import { RedisServer } from '../../support/redis_server.mjs';
import { permitWorker } from './permit_worker.mjs';

const long = Boolean(process.env.TEST_LONG) || process.argv.includes('--long');
// A window gives all of a period at once and then nothing for a minute and the headroom of a second, so
// whole periods are measured there, and the parts of one are of 36 requests each.
const WINDOW_MS = 61000;
const FORMS = {
    bucket: { warmMs: 15000, measuredMs: long ? 285000 : 45000, weightError: 0.05 },
    sliding_window: { warmMs: 30000, measuredMs: (long ? 5 : 1) * WINDOW_MS + 4000,
        weightError: long ? 0.05 : 0.1 },
};
const INSTANCES = 4;
const TPM = 90000;
const RPM = 600;
const PARALLEL = 20;
const LEAST_USE = 0.97;
const LEAST_JAIN = 0.98;
// The first burst goes to whoever comes first, and is not measured (warmMs).
// Callers that each have one request under way: together four times what the budget lets through.
const TENANTS = [
    { name: 'one', weight: 1, callers: 10 }, { name: 'two', weight: 1, callers: 10 },
    { name: 'three', weight: 1, callers: 10 }, { name: 'four', weight: 1, callers: 10 },
    { name: 'triple', weight: 3, callers: 30 },
];
const PERMIT_LOOPS = 4; // of each of the four workers

const MODEL = 'gpt-4o';
const KEY = 'sk-of-the-simulator';

function configuration(provider, redis, folder, algorithm) {
    return JSON.stringify({
        listen: '127.0.0.1:0', data_dir: folder, redis: { url: redis, max_instances: INSTANCES },
        auth: { trust_tenant_header: true },
        tenants: TENANTS.map(({ name, weight }) => ({ name, weight })),
        providers: [{
            name: 'openai', format: 'openai', base_url: `${provider}/v1`, api_key: KEY,
            models: [{ name: MODEL, rpm: RPM, tpm: TPM, max_parallel_requests: PARALLEL, algorithm }],
        }],
        log: { level: 'warn', format: 'json' },
    });
}

// A message whose cost is the same for the service and for the provider, within a few tokens.
export function request(random) {
    const words = Array.from({ length: random.between(20, 200) }, () => 'budget');
    return {
        model: MODEL, max_tokens: random.between(50, 250),
        messages: [{ role: 'user', content: `[[sim output=10]] ${words.join(' ')}` }],
    };
}

async function caller(stand, url, tenant, random, seen) {
    while (!stand.over) {
        const body = request(random);
        const answer = await fetch(`${url}/v1/chat/completions`, {
            method: 'POST', body: JSON.stringify(body),
            headers: { 'content-type': 'application/json', 'x-sluice-tenant': tenant.name },
        }).catch((error) => ({ status: String(error.cause ?? error), text: () => '' }));
        const text = await answer.text();
        if (answer.status !== 200) {
            if (!stand.over) seen.errors.push(`${answer.status} ${text.slice(0, 200)}`);
            continue;
        }
        seen.count(tenant.name, JSON.parse(text).usage.prompt_tokens + body.max_tokens);
    }
}

class Seen {
    tokens = Object.fromEntries(TENANTS.map(({ name }) => [name, 0]));
    errors = [];
    permits = 0;
    measuring = false;

    count(tenant, tokens, permit = false) {
        if (!this.measuring) return;
        this.tokens[tenant] += tokens;
        this.permits += permit;
    }
}

const jain = (list) => list.reduce((a, b) => a + b) ** 2 / (list.length * list.reduce((a, b) => a + b * b, 0));

// What of the budget could be used: of a bucket the simulator says it.
function used(algorithm, limit) {
    const { warmMs, measuredMs } = FORMS[algorithm];
    return algorithm === 'bucket' ? limit.utilisation
        : limit.charged / (TPM * (1 + Math.floor((warmMs + measuredMs) / WINDOW_MS)));
}

function judge(algorithm, seen, ledger, limit) {
    const use = used(algorithm, limit);
    const equal = TENANTS.filter(({ weight }) => weight === 1).map(({ name }) => seen.tokens[name]);
    const mean = equal.reduce((a, b) => a + b) / equal.length;
    const ratio = seen.tokens.triple / mean;
    console.log(`${algorithm}: ${ledger.calls} calls, ${seen.permits} of the measured ones with a permit, ` +
        `${ledger.refused.total} refused, ${(use * 100).toFixed(2)} % of the tokens used, ` +
        `Jain ${jain(equal).toFixed(4)}, weight 3 got ${ratio.toFixed(2)} times as much ` +
        `(${JSON.stringify(seen.tokens)})`);
    assert.deepEqual(seen.errors.slice(0, 5), [], 'no caller sees an error');
    assert.equal(ledger.refused.total, 0, 'the provider refuses nothing');
    assert.ok(use >= LEAST_USE, `${use} of the budget is used`);
    assert.ok(jain(equal) >= LEAST_JAIN, 'equal tenants get equal parts');
    assert.ok(Math.abs(ratio / 3 - 1) <= FORMS[algorithm].weightError, 'weights are kept');
    assert.ok(seen.permits > 0, 'workers with permits had their part');
}

async function run(algorithm, random) {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-sharing-'));
    const programs = [];
    const stand = { over: false };
    const seen = new Seen();
    try {
        const redis = await RedisServer.start(folder);
        programs.unshift(redis);
        const simulator = await Program.start(['simulate', '--listen', '127.0.0.1:0', '--tpm', String(TPM),
            '--rpm', String(RPM), '--concurrency', String(PARALLEL), '--latency-ms', '200',
            '--algorithm', algorithm], join(folder, 'sim.log'));
        programs.unshift(simulator);
        const config = join(folder, 'sluice.yaml');
        writeFileSync(config, configuration(simulator.url, redis.url, folder, algorithm));
        const urls = [];
        for (let i = 0; i < INSTANCES; i++) {
            const service = await Program.start(['serve', '--config', config], join(folder, `serve${i}.log`));
            programs.unshift(service);
            urls.push(service.url);
            await until('an instance is ready', 20000, async () => (await fetch(`${service.url}/readyz`)).ok);
        }
        const loops = [];
        for (const tenant of TENANTS) {
            for (let i = 0; i < tenant.callers; i++) {
                loops.push(caller(stand, urls[i % INSTANCES], tenant, new Random(random.next()), seen));
            }
        }
        for (let i = 0; i < 4 * PERMIT_LOOPS; i++) {
            loops.push(permitWorker({ stand, seen, sluice: urls[i % INSTANCES], provider: simulator.url,
                key: KEY, tenant: TENANTS[i % 4], request, random: new Random(random.next()) }));
        }
        await sleep(FORMS[algorithm].warmMs);
        seen.measuring = true;
        await sleep(FORMS[algorithm].measuredMs);
        seen.measuring = false;
        const ledger = await getJson(`${simulator.url}/sim/ledger`);
        stand.over = true;
        judge(algorithm, seen, ledger, ledger.scopes.find((one) => one.limits.tpm).limits.tpm);
        for (const program of programs.filter((one) => urls.includes(one.url))) await program.end('SIGKILL');
        await Promise.all(loops);
    } finally {
        stand.over = true;
        for (const program of programs) await program.end();
        rmSync(folder, { recursive: true, force: true });
    }
}

const wanted = Object.keys(FORMS).filter((name) => process.argv.includes(name));
const random = seeded();
for (const algorithm of wanted.length ? wanted : Object.keys(FORMS)) await run(algorithm, random);
